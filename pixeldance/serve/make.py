"""Tasks to files: what a worker does for a clip, a film and a longer video, and what it leaves for clients."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

from pixeldance import checkpoint
from pixeldance.atomic import atomic_folder
from pixeldance.diffusion.noise import generators
from pixeldance.diffusion.resume import Point, resumable
from pixeldance.diffusion.sample import Step
from pixeldance.film.calls import Piece, Plan
from pixeldance.film.receipt import FilmReceipt, film_receipt, model_of
from pixeldance.film.render import film_frames, missing, piece_frames, render_calls
from pixeldance.film.store import Store
from pixeldance.film.story import written
from pixeldance.pipeline import Pipeline, check_seed
from pixeldance.receipt import Model, Receipt
from pixeldance.serve import films, longer
from pixeldance.serve.films import steps_of
from pixeldance.serve.jobs import Job
from pixeldance.serve.places import LAST_FRAME, PREVIEW, RECEIPT, SPRITESHEET, THUMBNAIL, VIDEO, Places, shot_file
from pixeldance.serve.points import read_point, save_point
from pixeldance.serve.preview import previewing, watched
from pixeldance.serve.tasks import AnyTask, ClipTask, FilmTask, LongTask
from pixeldance.sheet import contact_sheet
from pixeldance.video import frames_sha256, iterate_video, write_video

Recorded = TypeVar("Recorded", Receipt, FilmReceipt)
SHOWN = 32  # frames of a film in its spritesheet


class Stop(BaseException):
    """The job is no longer ours, or we are to end. Nothing that handles errors handles this."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where and with what a job is made. beat(done, saved): tells how far it is; raises Stop where the job is lost.
    ending: whether to stop, too, once the way so far is saved. save_every: in steps. loras: their folders, by the names
    that jobs use."""

    job: Job
    places: Places
    pipeline: Pipeline
    beat: Callable[[int | None, bool], None]
    ending: Callable[[], bool]
    save_every: int
    loras: dict[str, Path]

    @property
    def folder(self) -> Path:
        """The model's."""
        assert self.pipeline.folder is not None, "a worker's model comes from a folder"
        return self.pipeline.folder


def make_clip(bench: Bench, task: ClipTask, text: str) -> None:
    """A clip, from where it was left. text: the task as it was stored, which its point is of."""
    asked, pipeline, job = task.request, bench.pipeline, bench.job
    start, rng = time.perf_counter(), generators([check_seed(asked.seed)])[0]
    place = bench.places.point(job)
    bench.places.preview(job).mkdir(exist_ok=True)

    def on_point(point: Point) -> None:
        stop = bench.ending()
        saved = stop or point.done % bench.save_every == 0 or point.done == job.total
        if saved:
            save_point(place, point, text)
        bench.beat(point.done, saved)
        if stop:
            raise Stop

    def on_step(index: int, _: Tensor) -> None:
        # Of what has no points, a pretrained pipeline or a text-to-image model: interrupted, it begins again.
        bench.beat(index + 1, False)
        if bench.ending():
            raise Stop

    sampling = asked.sampling()
    show = previewing(bench.places.preview(job) / PREVIEW, pipeline.decode, asked.fps)

    def around(solver: Step) -> Step:
        return resumable(watched(solver, show), rng, read_point(place, text), on_point)

    pointless = checkpoint.is_pipeline(bench.folder) or (asked.frames == 1 and pipeline.system.text_to_image)
    following = on_step if pointless else None
    video = pipeline.render(asked.instruction(pipeline.system), rng, replace(sampling, around=around), following)
    receipt = _private(Receipt.of(VIDEO, video, asked, pipeline, time.perf_counter() - start))
    bench.beat(None, False)
    with atomic_folder(bench.places.result(job), overwrite=True) as new:
        write_video(new / VIDEO, video, fps=asked.fps)
        _pictures(new, video[0], contact_sheet(video), video[-1])
        (new / RECEIPT).write_text(receipt.text(), encoding="utf-8")


def make_film(bench: Bench, task: FilmTask) -> None:
    """A film, of which only those clips are made that are not kept; each is kept as soon as it is there."""
    plan = films.planned(task.story, task.pictures, bench.pipeline.system, _model(bench, task))
    store, folder = Store(folder=bench.places.shots()), bench.places.preview(bench.job)
    seconds = _render(bench, plan, store, lambda: _shots_ready(plan, store, folder))
    with atomic_folder(bench.places.result(bench.job), overwrite=True) as new:
        write_film(new, plan, lambda: film_frames(plan, store), written(task.story), seconds)
        for file in sorted(folder.glob("shot-*")):
            (new / file.name).write_bytes(file.read_bytes())
        bench.beat(None, False)


def make_long(bench: Bench, task: LongTask) -> None:
    """A video that came with the request, extended or made anew; the clips of it are kept as those of films."""
    plan = longer.planned(task, bench.pipeline.system, _model(bench, task))
    store, file = Store(folder=bench.places.shots()), bench.places.source(task.video)
    os.utime(file)

    def frames() -> Iterator[np.ndarray]:
        if task.way == "extension":
            yield from iterate_video(file)[0]
        yield from film_frames(plan, store)

    seconds = _render(bench, plan, store, lambda: None)
    with atomic_folder(bench.places.result(bench.job), overwrite=True) as new:
        write_film(new, plan, frames, task.model_dump_json(exclude={"request": {"first", "last"}}), seconds)
        bench.beat(None, False)


def _model(bench: Bench, task: AnyTask) -> Model:
    """The model with a task's LoRAs, by hash."""
    return model_of(bench.folder, [(str(bench.loras[each.name]), each.scale) for each in task.loras])


def _render(bench: Bench, plan: Plan, store: Store, ready: Callable[[], object]) -> float:
    """Make what a plan needs and is not kept; `ready` is called after each clip. The seconds that it took."""
    store.touch(plan.calls)
    names = missing(plan, store)
    done = steps_of(plan) - sum(plan.calls[name].steps for name in names)
    folder = bench.places.preview(bench.job)
    folder.mkdir(exist_ok=True)
    seconds = 0.0

    def on_step(index: int, _: Tensor) -> None:
        nonlocal done
        done += 1
        bench.beat(done, False)
        if bench.ending():
            raise Stop

    def on_call(_: str, took: float) -> None:
        nonlocal seconds
        seconds += took
        ready()
        bench.beat(done, True)

    bench.beat(done, False)
    ready()
    show = previewing(folder / PREVIEW, bench.pipeline.decode, plan.fps)
    render_calls(plan, names, store, bench.pipeline, on_call, on_step, around=lambda solver: watched(solver, show))
    return seconds


def write_film(
    new: Path, plan: Plan, frames: Callable[[], Iterator[np.ndarray]], made_from: str, seconds: float
) -> None:
    """The files of a film but for its shots' pictures, in an unfinished folder; `frames` gives its frames, again and
    again, and they need not fit in memory."""
    first = last = next(frames())
    total = 0
    for total, last in enumerate(frames(), start=1):  # noqa: B007 (the last one is wanted)
        pass
    receipt = _private(film_receipt(plan, VIDEO, frames_sha256(frames()), total, made_from, seconds))
    write_video(new / VIDEO, frames(), fps=plan.fps)
    _pictures(new, first, contact_sheet(np.stack(list(islice(frames(), 0, None, -(-total // SHOWN))))), last)
    (new / RECEIPT).write_text(receipt.text(), encoding="utf-8")


def _shots_ready(plan: Plan, store: Store, folder: Path) -> None:
    """A picture of each shot whose clips are all there, once: its middle frame."""
    for shot in sorted({piece.shot for piece in plan.pieces}):
        pieces = [piece for piece in plan.pieces if piece.shot == shot]
        file = folder / shot_file(shot + 1)
        if not file.exists() and all(store.has(piece.call) for piece in pieces):
            _picture(file, next(islice(_shown(pieces, store), plan.frames(shot) // 2, None)))


def _shown(pieces: Iterable[Piece], store: Store) -> Iterator[np.ndarray]:
    for piece in pieces:
        yield from piece_frames(piece, store)


def _pictures(folder: Path, first: np.ndarray, sheet: np.ndarray, last: np.ndarray) -> None:
    _picture(folder / THUMBNAIL, first)
    Image.fromarray(sheet).save(folder / SPRITESHEET, quality=90)
    Image.fromarray(last).save(folder / LAST_FRAME)


def _picture(file: Path, frame: np.ndarray) -> None:
    Image.fromarray(frame).save(file, lossless=True)


def _private(receipt: Recorded) -> Recorded:
    """The receipt as clients may see it: of the server's folders only their names."""
    model = receipt.model
    loras = tuple(each.model_copy(update={"folder": Path(each.folder).name}) for each in model.loras)
    folder = None if model.folder is None else Path(model.folder).name
    return receipt.model_copy(update={"model": model.model_copy(update={"folder": folder, "loras": loras})})
