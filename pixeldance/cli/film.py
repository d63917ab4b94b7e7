"""`pixeldance film`: a story of many shots becomes one video; what does not change is not made again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from pixeldance.cli import ask, models
from pixeldance.cli.options import AnyBase, Camera, Force, Loras, ModelFolder, Threads, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

    from pixeldance.film.calls import Plan
    from pixeldance.film.store import Store

YAML = (".yaml", ".yml")

Shots = Annotated[str | None, Option(metavar="DIR", help="Where clips are kept.  [default: beside it, NAME.shots]")]


def film(
    story: Annotated[
        str,
        Argument(metavar="STORY", parser=ask.plain, help="A .yaml file, or a text: 'a girl smiles; cut to: the sea'."),
    ],
    out: Annotated[str, Option("--out", "-o", metavar="FILE", help="film.mp4, .mkv (lossless), or frames/ for PNGs.")],
    camera: Camera = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Show the plan and make nothing.")] = False,
    shots: Shots = None,
    model: ModelFolder = None,
    memory: models.MemoryUse = None,
    lora: Loras = None,
    any_base: AnyBase = False,
    workers: Workers = 1,
    threads: Threads = 1,
    force: Force = False,
) -> None:
    """Make a film of many shots from a story.

    Shots have a first frame (basic mode: one image + text), or a first and a last one (magic mode: two images +
    text), from files or from each other. --camera is that of shots that say none. Clips are kept, and made again only
    when something that makes them changes; --dry-run shows which. Beside the film lies its receipt, NAME.json, from
    which `pixeldance verify` can make it again. docs/films.md says how a story is written.
    """
    (files,) = ask.files(out, 1, sheet=False)
    is_file = Path(story).suffix.lower() in YAML
    if is_file:
        ask.check_apart([files], [story])
    loras = [ask.lora(each) for each in lora or ()]
    if not dry_run:
        ask.check([files], force=force)

    from pixeldance.film.prompt import parse_prompt
    from pixeldance.film.story import filmed, read_story, written

    script = filmed(read_story(Path(story)) if is_file else parse_prompt(story), camera)
    if not is_file:
        print(written(script.story))

    from pixeldance.film.calls import Given
    from pixeldance.film.plan import plan_film
    from pixeldance.film.receipt import model_of
    from pixeldance.film.render import film_frames
    from pixeldance.film.show import forecast, table
    from pixeldance.film.store import Store
    from pixeldance.pipeline import SHIPPED

    folder = SHIPPED if model is None else models.place(model)
    plan = plan_film(script, models.described(folder), model_of(folder, loras))
    store = Store(folder=Path(shots) if shots else files.receipt.with_suffix(".shots"))
    print(table(script, plan, store))
    print(forecast(plan, store, workers))
    if dry_run:
        return
    ends = (source for call in plan.calls.values() for source in (call.first, call.last))
    ask.check_apart([files], [str(script.folder / each.path) for each in ends if isinstance(each, Given)])
    ask.check([files], force=force, fps=plan.fps)
    with store.locked():
        seconds = make_calls(
            plan, store, folder, loras, any_base=any_base, memory=memory, workers=workers, threads=threads
        )
        story_text = written(script.story)
        write_film(files, plan, lambda: film_frames(plan, store), made_from=story_text, seconds=seconds, force=force)


def make_calls(
    plan: "Plan",
    store: "Store",
    folder: Path,
    loras: list[tuple[str, float]],
    *,
    any_base: bool,
    memory: str | None,
    workers: int,
    threads: int,
) -> float:
    """Make what a plan needs and its store does not have; the seconds that it took. No model is loaded for nothing."""
    import torch
    from tqdm import tqdm

    from pixeldance.film.render import missing, render_calls
    from pixeldance.film.workers import render_in_processes

    torch.set_num_threads(threads)
    names = missing(plan, store)
    if not names:
        return 0.0
    pipeline = models.opened(folder, memory, workers)
    models.dress(pipeline, loras, any_base=any_base, texts=[plan.calls[name].text for name in names])
    took = 0.0
    with tqdm(total=len(names), unit="clip", disable=None, leave=False) as bar:

        def done(name: str, seconds: float) -> None:
            nonlocal took
            took += seconds
            bar.update()

        if workers > 1:
            render_in_processes(plan, names, store, pipeline, workers, done)
        else:
            render_calls(plan, names, store, pipeline, done)
    return took


def write_film(
    files: ask.Files,
    plan: "Plan",
    frames: "Callable[[], Iterator[np.ndarray]]",
    *,
    made_from: str,
    seconds: float,
    force: bool,
) -> None:
    """The film and its receipt, both or none; `frames` gives its frames, twice, and they need not fit in memory."""
    from pixeldance.atomic import atomic_file
    from pixeldance.film.receipt import film_receipt
    from pixeldance.video import frames_sha256, write_video

    count = 0

    def counted() -> "Iterator[np.ndarray]":
        nonlocal count
        for count, frame in enumerate(frames(), start=1):  # noqa: B007
            yield frame

    digest = frames_sha256(counted())
    receipt = film_receipt(plan, files.clip, digest, count, made_from, seconds)
    with atomic_file(files.receipt, overwrite=force) as part:
        part.write_text(receipt.text(), encoding="utf-8")
        write_video(files.clip, frames(), fps=plan.fps, overwrite=force)
    print(f"{files.clip}: {count} frames of {plan.size[1]}x{plan.size[0]}, {seconds:.1f} s to make what was not there")
    print(files.receipt)
