"""What the director's meter keeps of a video: small frames, and a few numbers for each frame and each step between two.

All but sharpness and white is read from frames with a shorter side of 64 pixels, so that a number means the same at any
size, noise and compression weigh little, and seconds of film take seconds. Units are levels, 0 to 255.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from PIL import Image

Frame = UInt8[np.ndarray, "_ _ 3"]
Small = Float32[np.ndarray, "f h w 3"]
Series = Float64[np.ndarray, "_"]

SIDE, SMALLEST = 64, 16  # pixels
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
WHITE = 245  # the least channel of a pixel that counts as white
CELL, REACH = 8, 4  # of the matching, in pixels of half the small size: 16 and 8 of a side of 64


@dataclass(frozen=True, kw_only=True)
class Traces:
    """small: the frames, (f, h, w, 3). white: the share of white pixels in each; sharpness: how fine its detail is."""

    small: Small
    white: Series
    sharpness: Series

    @cached_property
    def steps(self) -> Float32[np.ndarray, "s h w 3"]:
        """The differences of consecutive frames."""
        return np.diff(self.small, axis=0)

    @cached_property
    def change(self) -> Series:
        """How much each step changes: the mean absolute difference."""
        return np.abs(self.steps).mean(axis=(1, 2, 3), dtype=np.float64)

    @cached_property
    def peak(self) -> Series:
        """The change in the cell that changes most: a small object that moves is seen here."""
        return cells(np.abs(self.steps).mean(axis=-1), CELL).max(axis=(1, 2)).astype(np.float64)

    @cached_property
    def grey(self) -> Float32[np.ndarray, "f h w"]:
        """The luma of the frames."""
        return self.small @ LUMA

    @cached_property
    def gradients(self) -> Float32[np.ndarray, "f h w"]:
        """By how much each pixel differs from the one to its right or the one below, in the channel with most."""
        found = np.zeros(self.small.shape[:3], np.float32)
        found[:, :, :-1] = np.abs(np.diff(self.small, axis=2)).max(axis=-1)
        found[:, :-1] = np.maximum(found[:, :-1], np.abs(np.diff(self.small, axis=1)).max(axis=-1))
        return found

    @cached_property
    def unmatched(self) -> Series:
        """The share, 0 to 1, of each step's new frame that is nowhere near in the old one: blocks are searched for
        within an eighth of the picture, after brightness and contrast are made equal."""
        h, w = (side // 2 * 2 for side in self.grey.shape[1:])
        half = self.grey[:, :h, :w].reshape(len(self.grey), h // 2, 2, w // 2, 2).mean(axis=(2, 4))
        flat = half - half.mean(axis=(1, 2), keepdims=True)
        equal = flat / np.maximum(np.abs(flat).mean(axis=(1, 2), keepdims=True), 2.0)
        return np.minimum(_least_difference(equal[:-1], equal[1:]), 1.0)

    @cached_property
    def recoloured(self) -> Series:
        """The share, 0 to 1, of each step's pixels whose colour the old frame has too few of: half the L1 distance of
        histograms of 4 x 4 x 4 colours."""
        levels = (self.small / 64).astype(np.int64).clip(0, 3)
        codes = ((levels[..., 0] * 4 + levels[..., 1]) * 4 + levels[..., 2]).reshape(len(levels), -1)
        counts = np.stack([np.bincount(each, minlength=64) for each in codes])
        return np.asarray(np.abs(np.diff(counts, axis=0)).sum(axis=1) / (2 * codes.shape[1]), np.float64)

    @cached_property
    def shift(self) -> Float64[np.ndarray, "s 3"]:
        """By how many levels each step shifts the whole picture, for each channel (`tilt`)."""
        return np.stack([tilt(one, other) for one, other in pairwise(self.small)])


def traces(frames: Iterable[Frame]) -> Traces:
    """Read frames, one by one, uint8 (h, w, 3) of one size. Raises ValueError for fewer than 2
    and for a side below 16."""
    small, white, sharp = [], [], []
    for frame in frames:
        if min(frame.shape[:2]) < SMALLEST:
            raise ValueError(f"got frames of {frame.shape[1]}x{frame.shape[0]} pixels; wanted 16x16 or more")
        small.append(shrunk(frame))
        white.append((frame.min(axis=-1) >= WHITE).mean())
        sharp.append(sharpness(frame))
    if len(small) < 2:
        raise ValueError(
            f"got a video of {len(small)} frames; wanted 2 or more: the meter reads what happens between them"
        )
    return Traces(small=np.stack(small), white=np.array(white), sharpness=np.array(sharp))


def shrunk(frame: Frame, side: int = SIDE) -> Float32[np.ndarray, "i j 3"]:
    """The frame with a shorter side of at most `side` pixels, by area."""
    h, w = frame.shape[:2]
    scale = side / min(h, w)
    if scale >= 1:
        return frame.astype(np.float32)
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX), np.float32)


def sharpness(frame: Frame) -> float:
    """The frequency, radians a pixel, at which a frame of any size has its detail: the root of the mean square of
    second differences over that of first ones. A Gaussian blur of s pixels leaves about 1 / s."""
    grey = frame @ LUMA
    second = first = 0.0
    for x in (grey, grey.T):
        second += float(((2 * x[1:-1] - x[:-2] - x[2:]) ** 2).mean())
        first += float(((x[2:] - x[:-2]) ** 2).mean()) / 4
    return float(np.sqrt((second + 0.05) / (first + 0.05)))  # what rounding to levels makes of nothing


def tilt(one: Float32[np.ndarray, "h w 3"], other: Float32[np.ndarray, "h w 3"]) -> Float64[np.ndarray, "3"]:
    """By how much the picture as a whole is brighter in the second frame, each channel: the mean over the middle half
    of the pixels' differences, which leaves out what moves."""
    apart = np.sort((other - one).reshape(-1, 3), axis=0)
    rest = len(apart) // 4
    return np.asarray(apart[rest : len(apart) - rest].mean(axis=0), np.float64)


def cells(x: Float32[np.ndarray, "n h w"], size: int) -> Float32[np.ndarray, "n i j"]:
    """Means over cells of `size` x `size` pixels; those at the lower and right border take in what is left."""
    tops, lefts = (np.arange(0, max(1, side - size // 2), size) for side in x.shape[1:])
    sums = np.add.reduceat(np.add.reduceat(x, tops, axis=1), lefts, axis=2)
    heights, widths = np.diff([*tops, x.shape[1]]), np.diff([*lefts, x.shape[2]])
    return np.asarray(sums / (heights[:, None] * widths), np.float32)


def _least_difference(one: Float32[np.ndarray, "n h w"], other: Float32[np.ndarray, "n h w"]) -> Series:
    """For each pair, the mean absolute difference of cells with the best near them in the other picture."""
    h, w = one.shape[1:]
    padded = np.pad(other, ((0, 0), (REACH, REACH), (REACH, REACH)), mode="edge")
    best = cells(np.abs(other - one), CELL)
    for down in range(2 * REACH + 1):
        for right in range(2 * REACH + 1):
            best = np.minimum(best, cells(np.abs(padded[:, down : down + h, right : right + w] - one), CELL))
    return best.mean(axis=(1, 2), dtype=np.float64)
