"""The receipt of a film: its story, the model, and the calls whose frames it shows."""

from pathlib import Path
from typing import Literal

import torch

from pixeldance import adapter, checkpoint
from pixeldance.film.calls import Given, Plan
from pixeldance.pipeline import SHIPPED
from pixeldance.receipt import Lora, Model, Picture, Record, Written, named, printable, versions


class Shown(Record):
    """Frames `start` to `stop` - 1 of a call, in shot number `shot`, from 1."""

    shot: int
    call: str
    start: int
    stop: int


class FilmReceipt(Written):
    """made_from: the story in YAML, or what else the film was made from. pictures: those that it names, fitted; their
    sha256 is that of the pixels. seconds: what the calls took that were made for it this time."""

    film: Literal[1] = 1
    made_from: str
    pictures: tuple[Picture, ...] = ()
    width: int
    height: int
    fps: float
    frames: int
    shown: list[Shown]


def film_receipt(plan: Plan, clip: str, digest: str, frames: int, made_from: str, seconds: float) -> FilmReceipt:
    """The receipt of a film that was just made of a plan; `digest` is of its frames, of which there are `frames`."""
    ends = (source for call in plan.calls.values() for source in (call.first, call.last))
    given = {each.path: each for each in ends if isinstance(each, Given)}
    return FilmReceipt(
        clip=named(clip),
        frames_sha256=digest,
        made_from=printable(made_from),
        pictures=tuple(Picture.of_bytes(each.pixels, each.pixels.tobytes(), path) for path, each in given.items()),
        model=plan.model,
        width=plan.size[1],
        height=plan.size[0],
        fps=plan.fps,
        frames=frames,
        shown=shown(plan),
        versions=versions(),
        threads=torch.get_num_threads(),
        seconds=round(seconds, 3),
    )


def shown(plan: Plan) -> list[Shown]:
    """What the film of a plan shows, in order."""
    return [Shown(shot=each.shot + 1, call=each.call, start=each.start, stop=each.stop) for each in plan.pieces]


def model_of(folder: Path, loras: list[tuple[str, float]]) -> Model:
    """The model of a checkpoint folder with LoRAs (folder, scale) on it, by hash; its weights are not loaded."""
    found = []
    for place, scale in loras:
        read = adapter.load(Path(place).absolute())
        found.append(Lora(folder=printable(str(read.folder)), sha256=read.sha256, base=read.base, scale=scale))
    place_of = None if folder == SHIPPED else printable(str(folder))
    return Model(folder=place_of, sha256=checkpoint.model_hash(folder), loras=tuple(found))
