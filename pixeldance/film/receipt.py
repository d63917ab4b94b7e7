"""The receipt of a film: its story, the model, and the calls whose frames it shows."""

from pathlib import Path
from typing import Literal

from pixeldance import adapter, checkpoint
from pixeldance.film.calls import Plan
from pixeldance.pipeline import SHIPPED
from pixeldance.receipt import Lora, Model, Record, printable, versions


class Shown(Record):
    """Frames `start` to `stop` - 1 of a call, in shot number `shot`, from 1."""

    shot: int
    call: str
    start: int
    stop: int


class FilmReceipt(Record):
    """clip: the file or folder beside it. frames_sha256: of the raw RGB bytes before encoding. made_from: the story in
    YAML, or what else the film was made from. seconds: what the calls took that were made for it this time."""

    film: Literal[1] = 1
    clip: str
    frames_sha256: str
    made_from: str
    model: Model
    width: int
    height: int
    fps: float
    frames: int
    shown: list[Shown]
    versions: dict[str, str]
    seconds: float

    def text(self) -> str:
        """The receipt as it is written."""
        return self.model_dump_json(indent=1) + "\n"


def film_receipt(plan: Plan, clip: str, digest: str, frames: int, made_from: str, seconds: float) -> FilmReceipt:
    """The receipt of a film that was just made of a plan; `digest` is of its frames, of which there are `frames`."""
    return FilmReceipt(
        clip=printable(Path(clip).name + ("/" if clip.endswith("/") else "")),
        frames_sha256=digest,
        made_from=printable(made_from),
        model=plan.model,
        width=plan.size[1],
        height=plan.size[0],
        fps=plan.fps,
        frames=frames,
        shown=[Shown(shot=each.shot + 1, call=each.call, start=each.start, stop=each.stop) for each in plan.pieces],
        versions=versions(),
        seconds=round(seconds, 3),
    )


def model_of(folder: Path, loras: list[tuple[str, float]]) -> Model:
    """The model of a checkpoint folder with LoRAs (folder, scale) on it, by hash; its weights are not loaded."""
    found = []
    for place, scale in loras:
        read = adapter.load(Path(place).absolute())
        found.append(Lora(folder=printable(str(read.folder)), sha256=read.sha256, base=read.base, scale=scale))
    place_of = None if folder == SHIPPED else printable(str(folder))
    return Model(folder=place_of, sha256=checkpoint.model_hash(folder), loras=tuple(found))
