"""The toybox as a source of training: clips by number, without end."""

from dataclasses import dataclass

import numpy as np

from pixeldance.data.clip import Clip
from pixeldance.data.order import ENDLESS
from pixeldance.data.toybox.clips import clip
from pixeldance.data.toybox.world import WORLD, World


@dataclass(frozen=True, kw_only=True)
class Toybox:
    """Clip number i of a world, in pixels, is clip i of `data.toybox.clip`: all of it follows from the number.

    frames: 1 gives first frames alone, as images. first: the number that index 0 has.
    """

    world: World = WORLD
    size: tuple[int, int] = (64, 64)
    frames: int = 16
    first: int = 0

    def __len__(self) -> int:
        return ENDLESS

    def read(self, index: int, rng: np.random.Generator) -> Clip:
        return clip(self.first + index, world=self.world, size=self.size, frames=self.frames)

    def name(self, index: int) -> str:
        return f"toybox clip {self.first + index}"
