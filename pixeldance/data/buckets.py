"""Which size a clip is brought to: of a few, the one nearest to its own shape, so that little is cut off."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from pixeldance.data.decode import Shown
from pixeldance.image import fit


@dataclass(frozen=True, kw_only=True)
class Buckets:
    """`sizes`: (height, width) each, in pixels. One alone is where every clip goes."""

    sizes: tuple[tuple[int, int], ...] = ((256, 256),)

    def __post_init__(self) -> None:
        if not self.sizes or min(min(size) for size in self.sizes) < 1 or len(set(self.sizes)) < len(self.sizes):
            raise ValueError(f"got the sizes {self.sizes}; wanted one or more different (height, width) in pixels")

    def nearest(self, size: tuple[int, int]) -> int:
        """The number of the bucket whose height / width is nearest to that of `size` on a log scale; the first of
        several."""
        shape = math.log(size[0] / size[1])
        return min(range(len(self.sizes)), key=lambda i: abs(math.log(self.sizes[i][0] / self.sizes[i][1]) - shape))

    def fitted(self, shown: Shown) -> UInt8[np.ndarray, "f h w 3"]:
        """Frames in their bucket's size: scaled (Lanczos) until they cover it, then cut evenly at both ends of one
        side. Nothing shown is stretched; pixels that are not square become so."""
        size = self.sizes[self.nearest(shown.size)]
        return np.stack([fit(f, size=size, rule="crop", pixel_aspect=shown.pixel_aspect) for f in shown.frames])
