"""In which style a video is drawn, read from its objects' outlines.

Blocks leave no patch with a ragged edge on their grid; a line vanishes when a pixel is taken off on both sides; ink
stands beside a saturated patch with little colour and another brightness than the ground.
"""

from math import ceil

import numpy as np

from pixeldance.data.toybox.blobs import SATURATED, Bools, Video, dilate, saturation
from pixeldance.data.toybox.ground import free, level
from pixeldance.data.toybox.render import block

RAGGED = 0.05  # of the blocks that an object touches: fewer than this are partly covered where it is drawn in blocks
THIN = 0.12  # of an object: what is left of a line when its edge is taken off is less
INKED = 0.35  # of the pixels around an object: more than this are ink where there is ink
PALE, APART = 0.25 * 255, 55.0  # ink has less saturation, and is farther from the ground's brightness


def style_name(video: Video) -> str | None:
    """The style of a video (f, h, w, 3), one of world.STYLES; None where it shows no object."""
    mask = saturation(video) > SATURATED
    if not mask.any():
        return None
    unit = min(video.shape[1:3])
    if _ragged(mask, block(unit)) < RAGGED:
        return "pixel"
    if _inked(video, mask, unit) > INKED:
        return "ink"
    inner = ~dilate(~mask, max(1, round(unit / 64)))
    return "outline" if inner.sum() < THIN * mask.sum() else "flat"


def _ragged(mask: Bools, side: int) -> float:
    """Of the blocks that a mask (f, h, w) touches, the share that it covers in part."""
    frames, height, width = mask.shape
    whole = mask[:, : height // side * side, : width // side * side]
    count = whole.reshape(frames, height // side, side, width // side, side).sum((2, 4))
    return float((count % (side * side) > 0).sum() / max((count > 0).sum(), 1))


def _inked(video: Video, mask: Bools, unit: int) -> float:
    """Of the pixels just around a mask, the share that is ink."""
    around = dilate(mask, ceil(unit / 64)) & ~mask
    ground = level(video, free(video)).mean(-1)[:, None, None]
    other = np.abs(video.astype(np.float32).mean(-1) - ground) > APART
    return float((around & other & (saturation(video) < PALE)).sum() / max(around.sum(), 1))
