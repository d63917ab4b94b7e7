"""Which shape a blob has, and how it is turned: compare it with drawings of the shapes.

A shape is drawn at the blob's own centre (every shape's centre is its centroid) and area, in pixels as fine
as the blob's, and compared by soft intersection over union, sum min(a, b) / sum max(a, b).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from pixeldance.data.toybox.blobs import Blob
from pixeldance.data.toybox.motion import SPUN, Array, share
from pixeldance.data.toybox.render import SDFS, coverage
from pixeldance.data.toybox.world import ROUND, SHAPES

# Degrees after which a shape looks the same again.
PERIODS = {"square": 90, "triangle": 120, "star": 72, "cross": 90, "diamond": 180, "heart": 360}
STEP = 9.0  # degrees between the drawings tried


def shape_name(blobs: Sequence[Blob]) -> str:
    """The shape that fits best over the larger half of `blobs`; raises ValueError where there are none."""
    if not blobs:
        raise ValueError("blobs: got none, wanted at least one; ask for the shape of what is there")
    large = sorted(blobs, key=lambda blob: -blob.area)[: (len(blobs) + 1) // 2]
    chosen = [large[i] for i in np.unique(np.linspace(0, len(large) - 1, 3).round().astype(int))]
    return max(SHAPES, key=lambda shape: sum(float(overlaps(blob, shape).max()) for blob in chosen))


def overlaps(blob: Blob, shape: str, *, radius: float | None = None, upright: bool = False) -> Array:
    """Soft IoU of `blob` with `shape` at each angle of `angles(shape)`, or upright only, (n,).

    `radius`, px, is by default the one that gives `shape` the blob's area.
    """
    if radius is None:
        radius = radius_of(blob, shape)
    turned = angles(shape)[:1] if upright else angles(shape)
    height, width = blob.alpha.shape
    dx = (np.arange(width) + (blob.corner[1] + 0.5 - blob.x))[None, None, :].astype(np.float32)
    dy = (np.arange(height) + (blob.corner[0] + 0.5 - blob.y))[None, :, None].astype(np.float32)
    cos = np.cos(turned).astype(np.float32)[:, None, None]
    sin = np.sin(turned).astype(np.float32)[:, None, None]
    size = np.full((1, 1, 1), radius, np.float32)
    drawn = coverage(shape, dx * cos + dy * sin, dy * cos - dx * sin, size)
    both = np.minimum(drawn, blob.alpha).sum((1, 2))
    # What a drawing has outside the blob's window counts against it: areas, not sums in the window.
    either = blob.area + unit_area(shape) * radius**2 - both
    return np.asarray(both / either, np.float64)


def angles(shape: str) -> Array:
    """The angles tried for `shape`, radians clockwise, the first 0."""
    return np.radians(np.arange(0, PERIODS.get(shape, STEP), STEP))


def radius_of(blob: Blob, shape: str) -> float:
    """The radius in pixels at which `shape` has the area of `blob`."""
    return float((blob.area / unit_area(shape)) ** 0.5)


@lru_cache
def unit_area(shape: str) -> float:
    """The area of `shape` at radius 1."""
    grid = ((np.arange(480) + 0.5) / 200 - 1.2).astype(np.float32)
    return float((SDFS[shape](grid[None, :], grid[:, None]) < 0).sum()) / 200**2


def turn_of(blobs: Sequence[Blob], shape: str, frames: int) -> int:
    """1 if `blobs`, one a frame, turn clockwise, -1 if counter-clockwise, 0 if they do not turn.

    A steady turn is fitted to the best angle of each blob. It has to reach 0.4 of the world's and to
    explain the blobs better than the shape standing upright does.
    """
    if shape in ROUND or len(blobs) < 3:
        return 0
    scores = np.stack([overlaps(blob, shape) for blob in blobs])
    turned = angles(shape)
    period = float(np.radians(PERIODS[shape]))
    path = np.unwrap(turned[scores.argmax(1)], period=period)
    rate = float(np.polyfit(np.arange(len(path)), path, 1)[0])
    if abs(rate) * (frames - 1) < 0.4 * SPUN * share(frames):
        return 0
    if scores.max(1).mean() < scores[:, 0].mean() + 0.02:
        return 0
    return 1 if rate > 0 else -1
