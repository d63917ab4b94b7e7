"""What a pretrained pipeline can make, known from its settings alone: asked before gigabytes of weights are loaded.

What it cannot is refused with the nearest that it can, and with the engines that could.
"""

from dataclasses import dataclass
from typing import Literal

from pixeldance.instruction import FIRST, LAST, Instruction

Given = Literal["needed", "taken", "refused"]
STATES: dict[str, tuple[tuple[Given, ...], tuple[Given, ...]]] = {
    "wan": (("needed",), ("needed", "taken", "refused")),
    "skyreels-v2": (("needed",), ("needed", "taken", "refused")),
    "ltx": (("taken",), ("taken",)),
    "framepack": (("needed",), ("taken",)),
    "svd": (("needed",), ("refused",)),
    "i2vgen-xl": (("needed",), ("refused",)),
    "cogvideox": (("needed",), ("refused",)),
}
"""Of each engine, the states that the first frame and the last one have in some model of it."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How much text is read: up to `length` - 1 words."""

    length: int


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """first, last: whether these pictures are needed, taken or refused. reads: whether it looks at the text.

    every: lengths are `every` k + `past` frames, from `shortest` to `longest`. multiple: of height and width in
    pixels; with one_size there is only the usual one. usual: (height, width, frames) where nothing is asked.
    """

    engine: str
    first: Given
    last: Given
    usual: tuple[int, int, int]
    fps: float
    steps: int
    guidance: float
    every: int = 4
    past: int = 1
    shortest: int = 1
    longest: int = 1000
    multiple: int = 16
    one_size: bool = False
    reads: bool = True
    text: Reader = Reader(length=501)

    @property
    def frames(self) -> tuple[int, ...]:
        """The lengths that it can make, the usual one first."""
        usual = self.usual[2]
        possible = range(self.past, self.longest + 1, self.every)
        return (usual, *(frames for frames in possible if frames >= self.shortest and frames != usual))

    @property
    def clips(self) -> tuple[int, ...]:
        """The lengths of clips that long videos are made of, rising: none is longer than the usual one."""
        return tuple(sorted(frames for frames in self.frames if 1 < frames <= self.usual[2]))

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of the usual size, one of many."""
        return (self.usual[:2],)

    @property
    def stills(self) -> bool:
        """No engine makes a missing first frame in steps of its own."""
        return False

    def length(self, frames: int | None) -> int:
        """A number of frames that it can make. Raises ValueError for others, naming the nearest ones."""
        if frames is None:
            return self.usual[2]
        if frames in self.frames:
            return frames
        near = sorted(sorted(self.frames, key=lambda possible: abs(possible - frames))[:2])
        rule = f"{self.every}k + {self.past}" if self.every > 1 else "any number"
        told = " or ".join(map(str, near))
        least = f"at least {self.shortest} and " if self.shortest > 1 else ""
        raise ValueError(f"got {frames} frames; {self.engine} makes {rule}, {least}at most {self.longest}: try {told}")

    def size(self, height: int | None, width: int | None) -> tuple[int, int]:
        """A height and width that it can make. Raises ValueError for others, naming the nearest."""
        asked = [usual if side is None else side for side, usual in zip((height, width), self.usual[:2], strict=True)]
        near = [max(self.multiple, round(side / self.multiple) * self.multiple) for side in asked]
        rule = f"multiples of {self.multiple}"
        if self.one_size:
            near, rule = list(self.usual[:2]), "one size only"
        if near != asked:
            raise ValueError(
                f"got a size of {asked[1]}x{asked[0]} (width x height); {self.engine} makes {rule}: try "
                f"{near[1]}x{near[0]}"
            )
        return near[0], near[1]

    def check(self, instruction: Instruction) -> None:
        """Raise ValueError for a picture that it does not take, or one that is missing."""
        for frame, name, state in ((FIRST, "first", self.first), (LAST, "last", self.last)):
            given = frame in instruction.frames
            if (given and state == "refused") or (not given and state == "needed"):
                got = f"a {name} frame" if given else f"no {name} frame"
                fitting = ", ".join(able(name, given)) or "none"
                raise ValueError(f"got {got}; {self.engine} {_SAYS[state]}; engines that {_DOES[given]} it: {fitting}")
        odd = sorted(set(instruction.frames) - {FIRST, LAST})
        if odd:
            raise ValueError(f"got pictures for frames {odd}; {self.engine} takes a first (0) and a last (-1) at most")


_SAYS = {"refused": "takes none", "needed": "needs one"}
_DOES = {True: "take", False: "do without"}


def able(frame: str, given: bool) -> list[str]:
    """The engines that take a first or last frame, or do without it."""
    fits = {"needed", "taken"} if given else {"taken", "refused"}
    return [engine for engine, states in STATES.items() if fits & set(states[frame == "last"])]
