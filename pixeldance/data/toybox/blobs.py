"""Find the coloured things in pixels: the only place where the oracle decides what is an object.

An object is a patch of saturated colour (largest minus smallest channel over 0.38). In the patch and just
around it, how much of a pixel it covers is read off its colour: a = clip((p - g) . (c - g) / |c - g|^2, 0, 1)
with g the background and c the object's colour. So places and areas are exact to a small part of a pixel
on clean clips, noise or a slight blur moves them little, and the pale ends of a smear are seen.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pixeldance.data.toybox.world import COLOURS

Video = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

SATURATED = round(0.38 * 255)
EDGE = 3 / 64  # of the shorter side: how far from its patch an object may still have pale edges
FAINT = 0.1  # covers smaller than this are texture or noise
PART = 0.2  # of a patch: fewer pixels of another hue are its edge
SPECK = 5 / 64**2  # of a picture (shorter side squared): smaller patches are noise


@dataclass(frozen=True, kw_only=True)
class Blob:
    """One patch in one frame: its centre (`x`, `y`) and `area` in pixels; the name of its colour and its
    `opacity`, 1 for that colour in full, less for a faded one; and how much of each pixel it covers,
    `alpha` (h, w) from 0 to 1, in the window starting at `corner` (top, left)."""

    x: float
    y: float
    area: float
    colour: str
    opacity: float
    alpha: Floats
    corner: tuple[int, int]


Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.float32])


def saturation(pixels: Pixels) -> Pixels:
    """Largest minus smallest channel of pixels (..., 3). (max(-1) takes ten times as long.)"""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    largest = np.maximum(np.maximum(red, green), blue)
    return largest - np.minimum(np.minimum(red, green), blue)


def dilate(mask: Bools, steps: int = 1) -> Bools:
    """Grow a mask (f, h, w) by `steps` pixels in all eight directions."""
    for _ in range(steps):
        rows = mask.copy()
        rows[:, 1:] |= mask[:, :-1]
        rows[:, :-1] |= mask[:, 1:]
        mask = rows.copy()
        mask[:, :, 1:] |= rows[:, :, :-1]
        mask[:, :, :-1] |= rows[:, :, 1:]
    return mask


def find(video: Video, ground: Floats, *, by_hue: bool = False) -> list[list[Blob]]:
    """The blobs of each frame of `video` (f, h, w, 3), the largest first; `ground` (f, 3) is the
    background's mean colour in each frame. by_hue: a patch of several colours is as many blobs."""
    frames, height, width, _ = video.shape
    mask = saturation(video) > SATURATED
    found: list[list[Blob]] = [[] for _ in range(frames)]
    frame, y, x = np.nonzero(mask)
    if not len(frame):
        return found
    part_of = mask[:, y.min() : y.max() + 1, x.min() : x.max() + 1]  # all there is, in a smaller array
    label = components(part_of)[part_of]
    _, which, count = np.unique(label, return_inverse=True, return_counts=True)
    order = np.argsort(which, kind="stable")
    for patch in np.split(order, np.cumsum(count)[:-1]):
        i = int(frame[patch[0]])
        for part in _by_hue(video[i, y[patch], x[patch]], patch) if by_hue else (patch,):
            if len(part) >= SPECK * min(height, width) ** 2:
                found[i].append(_blob(video[i], ground[i], mask[i], y[part], x[part]))
    return [sorted(blobs, key=lambda b: -b.area) for blobs in found]


def components(mask: Bools) -> NDArray[np.int32]:
    """Number the 8-connected patches of each frame of `mask` (f, h, w): pixels of one patch share a
    number, pixels outside have the number mask.size. Every pixel takes the smallest number around it,
    and then the number which that number's pixel has, until nothing changes."""
    none = mask.size
    label = np.where(mask, np.arange(none, dtype=np.int32).reshape(mask.shape), np.int32(none))
    while True:
        rows = label.copy()
        np.minimum(rows[:, 1:], label[:, :-1], out=rows[:, 1:])
        np.minimum(rows[:, :-1], label[:, 1:], out=rows[:, :-1])
        least = rows.copy()
        np.minimum(least[:, :, 1:], rows[:, :, :-1], out=least[:, :, 1:])
        np.minimum(least[:, :, :-1], rows[:, :, 1:], out=least[:, :, :-1])
        least[~mask] = none
        least = np.append(least, np.int32(none))[least]
        if np.array_equal(least, label):
            return label
        label = least


def colour_name(rgb: Floats) -> str:
    """The palette colour of nearest hue: hue survives mixing with grey, as at edges and in fades."""
    hue = _hue(rgb)
    return min(_HUES, key=lambda name: abs((hue - _HUES[name] + 180) % 360 - 180))


def _by_hue(pixels: NDArray[np.uint8], patch: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """A patch parted by the colours that a fifth or more of its `pixels` (n, 3) have: edges alone are no colour."""
    red, green, blue = np.moveaxis(pixels.astype(np.float32), -1, 0)
    hues = np.degrees(np.arctan2(3**0.5 * (green - blue), 2 * red - green - blue))
    away = np.abs((hues[:, None] - np.array(list(_HUES.values())) + 180) % 360 - 180)
    count = np.bincount(away.argmin(1), minlength=len(_HUES))
    kept = np.flatnonzero(count >= PART * len(patch))
    nearest = kept[away[:, kept].argmin(1)]
    return [patch[nearest == each] for each in kept]


def _hue(rgb: tuple[int, ...] | Floats) -> float:
    """In degrees, 0 for red and 120 for green."""
    red, green, blue = (float(channel) for channel in rgb)
    return float(np.degrees(np.arctan2(3**0.5 * (green - blue), 2 * red - green - blue)))


_HUES = {name: _hue(rgb) for name, rgb in COLOURS.items()}


def _blob(picture: Video, ground: Floats, saturated: Bools, y: NDArray[np.int64], x: NDArray[np.int64]) -> Blob:
    """Measure the patch of the pixels `y`, `x`, some of the `saturated` (h, w), in a picture (h, w, 3)."""
    edge = max(1, round(EDGE * min(saturated.shape)))
    top, left = max(int(y.min()) - edge, 0), max(int(x.min()) - edge, 0)
    around = slice(top, int(y.max()) + edge + 1), slice(left, int(x.max()) + edge + 1)
    window = picture[around].astype(np.float32)
    mask = np.zeros(window.shape[:2], np.bool_)
    mask[y - top, x - left] = True
    others = dilate((saturated[around] & ~mask)[None])[0]
    inside = window[mask]
    spread = saturation(inside)
    colour = inside[spread >= np.sort(spread)[len(spread) * 3 // 4]].mean(0)  # the purest quarter
    away = colour - ground
    alpha = ((window - ground) @ away / max(float(away @ away), 1.0)).clip(0, 1)
    alpha *= (alpha >= FAINT) & dilate(mask[None], edge)[0] & (mask | ~others)
    area = float(alpha.sum())
    name = colour_name(colour)
    pure = COLOURS[name] - ground
    return Blob(
        x=left + 0.5 + float(alpha.sum(0) @ np.arange(alpha.shape[1])) / area,
        y=top + 0.5 + float(alpha.sum(1) @ np.arange(alpha.shape[0])) / area,
        area=area,
        colour=name,
        opacity=float(away @ pure / (pure @ pure)),
        alpha=alpha.astype(np.float32),
        corner=(top, left),
    )
