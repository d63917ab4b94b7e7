"""Which size a clip is brought to: of a few, the one nearest to its own shape, so that little is cut off."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8

from pixeldance.data.decode import Shown
from pixeldance.image import fit

MOST = 255
"""So many sizes have numbers of one byte."""


@dataclass(frozen=True, kw_only=True)
class Buckets:
    """`sizes`: (height, width) each, in pixels. One alone is where every clip goes."""

    sizes: tuple[tuple[int, int], ...] = ((256, 256),)

    def __post_init__(self) -> None:
        if not self.sizes or min(min(size) for size in self.sizes) < 1 or len(set(self.sizes)) < len(self.sizes):
            raise ValueError(f"got the sizes {self.sizes}; wanted one or more different (height, width) in pixels")
        if len(self.sizes) > MOST:
            raise ValueError(f"got {len(self.sizes)} sizes; wanted {MOST} at most")

    def nearest(self, size: tuple[int, int]) -> int:
        """The number of the bucket whose height / width is nearest to that of `size` on a log scale; the first of
        several."""
        return int(self.of_each(np.array([size]))[0])

    def of_each(self, sizes: Int[np.ndarray, "n 2"]) -> UInt8[np.ndarray, " n"]:
        """`nearest` of many sizes at once; of (0, 0) the first."""
        height, width = np.maximum(sizes, 1).T
        shapes = np.log(height / width)
        best, found = np.full(len(sizes), math.inf), np.zeros(len(sizes), np.uint8)
        for number, (own_height, own_width) in enumerate(self.sizes):
            distance = np.abs(shapes - math.log(own_height / own_width))
            closer = distance < best
            best[closer], found[closer] = distance[closer], number
        return found

    def fitted(self, shown: Shown) -> UInt8[np.ndarray, "f h w 3"]:
        """Frames in their bucket's size: scaled (Lanczos) until they cover it, then cut evenly at both ends of one
        side. Nothing shown is stretched; pixels that are not square become so."""
        size = self.sizes[self.nearest(shown.size)]
        return np.stack([fit(f, size=size, rule="crop", pixel_aspect=shown.pixel_aspect) for f in shown.frames])
