"""A plan: the calls of the model that make a film, and which of their frames it shows.

A call is named by the SHA-256 of all that makes it: the model, the text, the settings, the seed, and the pictures or
calls that its first and last frame come from. So a change to a shot renames the calls that depend on it and no others.
"""

import hashlib
import json
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8

from pixeldance import __version__
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.receipt import Model

FORMAT = 1  # of what is stored under a call's name, and part of the name


@dataclass(frozen=True, kw_only=True)
class Given:
    """A picture, fitted to the film's size. path: where it came from, for people."""

    pixels: UInt8[np.ndarray, "h w 3"]
    path: str

    def made_by(self) -> dict[str, object]:
        """What names it: its pixels, wherever they lie."""
        digest = hashlib.sha256(np.ascontiguousarray(self.pixels).data).hexdigest()
        return {"pixels": digest, "size": list(self.pixels.shape[:2])}


@dataclass(frozen=True, kw_only=True)
class Handed:
    """The latents of a frame, counted from 0, of another call."""

    call: str
    frame: int

    def made_by(self) -> dict[str, object]:
        """What names it."""
        return {"call": self.call, "frame": self.frame}


Source = Given | Handed


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of the model: a clip of `length` frames, or where that is 1 a still from the text alone.

    text: "" asks for no text at all. fps: of the motion, which is less than the film's for keyframes.
    """

    text: str
    length: int
    size: tuple[int, int]
    fps: float
    steps: int
    guidance: float
    tau: float
    seed: int
    first: Source | None = None
    last: Source | None = None

    def needs(self) -> list[str]:
        """The calls whose frames this one starts from or goes to."""
        return [source.call for source in (self.first, self.last) if isinstance(source, Handed)]

    def outlined(self) -> Instruction:
        """What it asks of a model, with blank pictures: enough to see whether that model takes them."""
        blank = np.zeros((*self.size, 3), np.uint8)
        frames = {at: blank for at, source in ((FIRST, self.first), (LAST, self.last)) if source is not None}
        return Instruction(text=self.text, frames=frames, length=self.length, size=self.size, fps=self.fps)

    def made_by(self, model: Model) -> dict[str, object]:
        """All that decides what comes out, as JSON data."""
        settings = {name: getattr(self, name) for name in ("text", "length", "fps", "steps", "guidance", "tau", "seed")}
        return {
            "model": model.sha256,
            "loras": [[each.sha256, each.scale] for each in model.loras],
            "software": __version__,
            "format": FORMAT,
            **settings,
            "size": list(self.size),
            "first": self.first and self.first.made_by(),
            "last": self.last and self.last.made_by(),
        }


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Frames `start` to `stop` - 1 of a call, shown in shot number `shot`, from 0."""

    call: str
    start: int
    stop: int
    shot: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """calls: by name, each behind those that it needs. shot_of: for which shot, from 0, a call is made,
    the first of several. pieces: what the film shows, in order. size: height, width."""

    model: Model
    size: tuple[int, int]
    fps: float
    calls: dict[str, Call] = field(default_factory=dict)
    shot_of: dict[str, int] = field(default_factory=dict)
    pieces: list[Piece] = field(default_factory=list)

    def add(self, call: Call, shot: int) -> str:
        """Put a call into the plan, unless it is there; its name."""
        made_by = json.dumps(call.made_by(self.model), sort_keys=True)
        name = hashlib.sha256(made_by.encode()).hexdigest()
        self.calls.setdefault(name, call)
        self.shot_of.setdefault(name, shot)
        return name

    def end(self) -> Handed:
        """The frame that the film ends on, as far as it is planned."""
        return Handed(call=self.pieces[-1].call, frame=self.pieces[-1].stop - 1)

    def frames(self, shot: int | None = None) -> int:
        """How many frames a shot has, or the film."""
        return sum(piece.stop - piece.start for piece in self.pieces if shot in (None, piece.shot))

    def needs(self, shot: int) -> list[int]:
        """The other shots that a shot's calls start from or go to."""
        mine = [call for name, call in self.calls.items() if self.shot_of[name] == shot]
        return sorted({self.shot_of[need] for call in mine for need in call.needs()} - {shot})
