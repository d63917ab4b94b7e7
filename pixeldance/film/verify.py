"""Whether a film is what its receipt says: its clips are planned and made again, without those that were kept."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from pydantic import ValidationError

from pixeldance import __version__
from pixeldance.film.calls import Plan
from pixeldance.film.extend import EDGE, OTHER, Extension, extended
from pixeldance.film.plan import plan_film
from pixeldance.film.receipt import FilmReceipt, shown
from pixeldance.film.render import film_frames, missing, render_calls
from pixeldance.film.store import Store
from pixeldance.film.story import parse_story
from pixeldance.generate import OnStep
from pixeldance.pipeline import Pipeline
from pixeldance.receipt import Verdict, compared, read_record
from pixeldance.system import Maker
from pixeldance.video import frames_sha256, iterate_video


def is_film(path: Path) -> bool:
    """Whether a file is the receipt of a film or of a longer video, of any version."""
    try:
        return "film" in json.loads(path.read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def read_film(path: Path) -> FilmReceipt:
    """The receipt of a film from its file. Raises ValueError for anything else."""
    return read_record(path, FilmReceipt)


def verify_film(path: Path, pipeline: Pipeline, on_step: OnStep | None = None) -> Verdict:
    """Make the film at `path` again, every clip of it, and compare the frames, and those of the film beside it if it is
    lossless. A receipt that names other clips than its story gives is a changed one.

    Raises ValueError for what is no receipt of a film, for a story that this model cannot make, and for a longer video
    whose beginning is not to be had or is another one now.
    """
    receipt = read_film(path)
    with ExitStack() as stack:
        store = Store(folder=Path(stack.enter_context(tempfile.TemporaryDirectory())))
        plan, extension = _planned(receipt, pipeline.system)
        video = None if extension is None else _source(path.parent, extension)
        render_calls(plan, missing(plan, store), store, pipeline, on_step=on_step)
        frames: Iterator[np.ndarray] = film_frames(plan, store)
        if extension is not None and video is not None:
            turned = extension.backwards and extension.to is None
            frames = extended(plan, store, video, backwards=extension.backwards, turned=turned)
        verdict = compared(path.parent, receipt, frames_sha256(frames), pipeline)
    if shown(plan) != receipt.shown and receipt.versions.get("pixeldance") == __version__:
        note = "the clips that it names are not those of its story: the receipt was changed"
        return replace(verdict, same=False, report=(verdict.report[0], note, *verdict.report[1:]))
    return verdict


def _planned(receipt: FilmReceipt, system: Maker) -> tuple[Plan, Extension | None]:
    """What a film was made from, planned again; with what is said of a longer video, where it is one."""
    pictures = {each.path: each for each in receipt.pictures}
    try:
        said = yaml.safe_load(receipt.made_from)
        extension = Extension.model_validate(said) if isinstance(said, dict) and "extend" in said else None
    except (yaml.YAMLError, ValidationError, RecursionError) as error:
        raise ValueError(f"the receipt says made_from: {receipt.made_from[:80]!r}, no story: {error}") from None
    if isinstance(said, dict) and "task" in said:
        raise ValueError("this receipt is of a video that a server extended or edited; such are not made again here")
    if extension is not None:
        wanted = {EDGE} if extension.to is None else {EDGE, OTHER}
        if not wanted <= pictures.keys():
            raise ValueError(
                f"the receipt has the pictures {sorted(pictures)}, wanted {sorted(wanted)}; it was changed"
            )
        size, ends = (receipt.height, receipt.width), {path: each.pixels() for path, each in pictures.items()}
        plan = Plan(model=receipt.model, size=size, fps=receipt.fps)
        extension.plan(plan, system, ends)
        return plan, extension
    script = parse_story(receipt.made_from, name="the story in the receipt", folder=Path())
    script = replace(script, pictures={path: each.file() for path, each in pictures.items()})
    return plan_film(script, system, receipt.model), None


def _source(folder: Path, extension: Extension) -> Iterator[np.ndarray]:
    """The frames of the video that was made longer, from where it lay or from beside the receipt."""
    places = [place for place in (Path(extension.extend), folder / Path(extension.extend).name) if place.exists()]
    if not places:
        raise ValueError(f"this goes on from {extension.extend}, which is not here; put it beside the receipt")
    if frames_sha256(iterate_video(places[0])[0]) != extension.frames_sha256:
        raise ValueError(
            f"this goes on from {extension.extend}, and {places[0]} is another video now; put the old one back"
        )
    return iterate_video(places[0])[0]
