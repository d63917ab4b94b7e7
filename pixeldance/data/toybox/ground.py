"""Read the background: its colour, its texture, the camera that films it, and hard cuts.

Sums are written with einsum, not @: these are too small to be worth the threads that a matrix product
would start, which on a busy machine cost ten times as much as they save.
"""

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from pixeldance.data.toybox.blobs import SATURATED, Bools, Floats, Video, dilate, saturation
from pixeldance.data.toybox.motion import Array, share
from pixeldance.data.toybox.render import PERIOD
from pixeldance.data.toybox.world import BACKGROUNDS, PAN, ZOOM

JUMP = 18.0  # of 255: a change of the mean background, in one frame, that is a cut
FAINT = 1.2  # of 255: amplitude of a wave that is not a texture but noise
# Waves (x, y), in periods of the textures, that make each of them up: stripes any one, the others both.
STRIPES = ((1.0, 0.0), (0.0, 1.0), (0.7071, 0.7071))
CHECKS = ((0.5, 0.5), (0.5, -0.5))


@dataclass(frozen=True, kw_only=True)
class Track:
    """What the camera does: its name, and in each frame where the world's origin is seen (`x`, `y`,
    picture units from the picture's centre) and how much larger the world is seen, all (f,)."""

    camera: str
    x: Array
    y: Array
    zoom: Array


def free(video: Video) -> Bools:
    """The pixels (f, h, w) that show background: neither saturated nor within 3 px of such a pixel."""
    return ~dilate(saturation(video) > SATURATED, 3)


def level(video: Video, seen: Bools) -> Floats:
    """The mean background colour of each frame, (f, 3); of the whole frame where no background is seen."""
    frames = len(video)
    weight = np.where(seen.any((1, 2), keepdims=True), seen, True).astype(np.float32).reshape(frames, -1)
    total = np.einsum("fn,fnc->fc", weight, video.reshape(frames, -1, 3).astype(np.float32))
    return np.asarray(total / weight.sum(-1, keepdims=True), np.float32)


def find_cut(mean: Floats) -> int | None:
    """The first frame of another background, or None; `mean` (f, 3) as `level` gives it."""
    jumps = np.abs(np.diff(mean, axis=0)).max(-1)
    return int(jumps.argmax()) + 1 if len(jumps) and jumps.max() > JUMP else None


def background_name(mean: Floats) -> str:
    """The nearest background for the mean colours (f, 3) of a shot."""
    colour = np.median(mean, axis=0)
    return min(BACKGROUNDS, key=lambda name: float(np.abs(colour - BACKGROUNDS[name]).sum()))


def texture_name(video: Video, seen: Bools, mean: Floats) -> str:
    """The texture in the first frames of a shot, from the strength of the waves that textures are made of."""
    first = slice(0, 3)
    rest = (_brightness(video[first]) - mean[first].mean(-1)[:, None, None]) * seen[first]
    stripes = [_strength(rest, seen[first], wave) for wave in STRIPES]
    checks = min(_strength(rest, seen[first], wave) for wave in CHECKS)
    if max(*stripes, checks) < FAINT:
        return "plain"
    if checks > max(stripes):
        return "checks"
    return "dots" if min(stripes[:2]) > 0.5 * max(stripes[:2]) and stripes[2] < max(stripes) else "stripes"


def _strength(rest: NDArray[np.floating], seen: Bools, wave: tuple[float, float]) -> float:
    """Mean amplitude, over the frames, of a wave in the background pixels of `rest` (f, h, w)."""
    height, width = rest.shape[1:]
    turn = 2j * np.pi / (PERIOD * min(height, width))
    along_y = np.exp(turn * wave[1] * np.arange(height))
    along_x = np.exp(turn * wave[0] * np.arange(width))
    sums = np.abs(np.einsum("fh,h->f", np.einsum("fhw,w->fh", rest, along_x), along_y))
    return float((2 * sums / np.maximum(seen.sum((1, 2)), 1)).mean())


def track(video: Video, seen: Bools, texture: str) -> Track:
    """Follow the background through a shot.

    Each pair of frames gives the shift and the scale that best explain the change of brightness (least
    squares on the brightness gradient, Lucas and Kanade 1981). On a plain background or along stripes there
    is nothing to follow: there the camera is read as still.
    """
    frames, height, width = seen.shape
    still = Track(camera="still", x=np.zeros(frames), y=np.zeros(frames), zoom=np.ones(frames))
    if texture in ("plain", "stripes") or frames < 2:
        return still
    unit = min(height, width)
    where, zoom = np.zeros((frames, 2)), np.ones(frames)
    for i, (dx, dy, grows) in enumerate(steps_of(video, seen)):
        where[i + 1] = where[i] * (1 + grows) + (dx / unit, dy / unit)
        zoom[i + 1] = zoom[i] * (1 + grows)
    camera = camera_of(where[-1], float(zoom[-1]), share(frames))
    return still if camera == "still" else Track(camera=camera, x=where[:, 0], y=where[:, 1], zoom=zoom)


def steps_of(video: Video, seen: Bools, *, turns: bool = False) -> NDArray[np.float64]:
    """From each frame to the next, how the ground moves (x, y, pixels), grows (share), and, if `turns`, turns (radians
    clockwise), (f - 1, 3 or 4)."""
    frames, height, width = seen.shape
    unit = min(height, width)
    grey = _brightness(video)
    if unit >= 48:  # on smaller pictures the textures are too fine to be smoothed
        grey = _smooth(grey)
    middle = (grey[1:] + grey[:-1]) / 2
    down, right = np.gradient(middle, axis=(1, 2))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + np.float32(0.5 - width / 2), y + np.float32(0.5 - height / 2)
    weight = (seen[1:] & seen[:-1]).astype(np.float32)
    weight[:, [0, 1, -2, -1]] = 0
    weight[:, :, [0, 1, -2, -1]] = 0
    moves = [right, down, right * x + down * y, *([down * x - right * y] if turns else [])]
    slopes = np.stack(moves, 1) * weight[:, None]
    slopes = slopes.reshape(frames - 1, len(moves), -1)
    change = (np.diff(grey, axis=0) * weight).reshape(frames - 1, -1)
    square = np.einsum("fin,fjn->fij", slopes, slopes).astype(np.float64)
    inverse = np.linalg.pinv(square, rcond=1e-4, hermitian=True)
    return np.asarray(-np.einsum("fij,fj->fi", inverse, np.einsum("fin,fn->fi", slopes, change)))


def camera_of(where: Array, zoom: float, way: float) -> str:
    """Name the camera's move from where the origin and the zoom end up; `way` as motion.share gives it."""
    zoomed = log(max(zoom, 1e-3)) / log(1 + (ZOOM - 1) * way)
    panned = -where / (PAN * way)
    if max(abs(zoomed), float(np.abs(panned).max())) < 0.5:
        return "still"
    if abs(zoomed) > np.abs(panned).max():
        return "zoom in" if zoomed > 0 else "zoom out"
    if abs(panned[0]) > abs(panned[1]):
        return "pan right" if panned[0] > 0 else "pan left"
    return "pan down" if panned[1] > 0 else "pan up"


def _brightness(video: Video) -> Floats:
    """The mean of the channels, (f, h, w)."""
    red, green, blue = (video[..., channel].astype(np.float32) for channel in range(3))
    return (red + green + blue) / np.float32(3)


def _smooth(grey: Floats) -> Floats:
    """Mean over 3 x 3 pixels of (f, h, w), against noise."""
    wide = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]
    smooth: Floats = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / np.float32(9)
    return smooth
