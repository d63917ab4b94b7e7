"""What is read from the clips of an arm, one number a request; of each, more is what a claim wants.

A thing is what differs from the ground, the median of the picture's border: so it is found in any style and colour.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from pixeldance.data.toybox.world import COLOURS, DIRECTIONS
from pixeldance.metrics.image import psnr
from pixeldance.reproduce.toy import MARK, SIDE, Picture, Request, Video, marked

Measure = Callable[[Video, Request], float]
LEAST_APART, LEAST_PIXELS = 48.0, 8  # levels by which a pixel differs from the ground; so many of them are a thing
FAR = SIDE / 2  # pixels: how far off a thing counts that is not there
REST = 0.05  # pixels: steps below are rest


def way(video: Video, request: Request) -> float:
    """How far the thing went where the text says, over how far the real one did: 1 is as far, -1 as far the wrong way.
    0 where it is missing at an end."""
    places = path(video)[[0, -1]]
    if np.isnan(places).any():
        return 0.0
    toy = request.scene.toys[0]
    along = (places[1] - places[0]) @ np.array(DIRECTIONS[toy.motion], float)
    return float(np.clip(along / (toy.travel * SIDE), -1.5, 1.5))


def near(video: Video, request: Request) -> float:
    """Minus the distance of the thing from the real one, pixels, the mean over the frames; missing counts 16."""
    apart = np.linalg.norm(path(video) - path(request.real), axis=1)
    return -float(np.minimum(np.nan_to_num(apart, nan=FAR), FAR).mean())


def arrives(video: Video, request: Request) -> float:
    """`near` of the last frame alone."""
    return near(video[-1:], replace(request, real=request.real[-1:]))


def like_real(video: Video, request: Request) -> float:
    """PSNR to the real clip, dB."""
    return psnr(video, request.real)


def ends_like_real(video: Video, request: Request) -> float:
    """PSNR of the last frame to the real one, dB."""
    return psnr(video[-1], request.real[-1])


def ends_like_draft(video: Video, request: Request) -> float:
    """PSNR of the last frame to the draft that stood for it, dB."""
    return psnr(video[-1], draft(request))


def starts_as_asked(video: Video, request: Request) -> float:
    """PSNR of the first frame to the real one, dB."""
    return psnr(video[0], request.real[0])


def comes_home(video: Video, request: Request) -> float:
    """PSNR of the last frame to the first one asked for, dB: for takes that go there and back."""
    return psnr(video[-1], request.real[0])


def even_end(video: Video, request: Request) -> float:
    """Minus the octaves by which the last step of the thing differs from the median of the others, at most 4; NaN where
    it is missing from the last two frames or from more than half of the others."""
    places = path(video)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    inner = steps[:-1][np.isfinite(steps[:-1])]
    if not np.isfinite(steps[-1]) or len(inner) < len(steps) / 2:
        return float("nan")
    return -float(min(4.0, abs(np.log2(max(steps[-1], REST) / max(float(np.median(inner)), REST)))))


def moves(video: Video, request: Request) -> float:
    """How far the thing went in all, over how far the real one did, at most 1.5; missing steps count 0."""
    steps = np.linalg.norm(np.diff(path(video), axis=0), axis=1)
    return float(min(1.5, np.nansum(steps) / (request.scene.toys[0].travel * SIDE)))


def told(video: Video, request: Request) -> float:
    """The share, 0 to 1, of what the text names that is seen: the colour, and the direction over half the way."""
    return (_coloured(video, request) + float(way(video, request) >= 0.5)) / 2


def keeps_colour(video: Video, request: Request) -> float:
    """The share of frames whose thing has the colour that the text names."""
    return float(np.mean([_coloured(frame[None], request) for frame in video]))


def picture_told(video: Video, request: Request) -> float:
    """Whether the first frame shows a thing of the colour that the text names, 0 or 1."""
    return _coloured(video[:1], request)


def unmarked(video: Video, request: Request) -> float:
    """1 less the strength of the watermark over the later frames: 1 without, 0 with all of it."""
    ground = np.median(border(video[-1]), axis=0)
    full = marked(np.broadcast_to(np.rint(ground).astype(np.uint8), (SIDE, SIDE, 3))).astype(float) - ground
    seen = video[1:].astype(float) - ground
    where = MARK[..., 0] > 0
    around = ~where & _near_mark()
    stands_out = seen[:, where].mean(axis=(0, 1)) - seen[:, around].mean(axis=(0, 1))
    whole = full[where].mean(axis=0)
    return 1 - float(stands_out @ whole / (whole @ whole))


def path(video: Video) -> Float[np.ndarray, "f 2"]:
    """Where the thing is in each frame, (x, y) in pixels; NaN where there is none."""
    return np.array([_place(frame) for frame in video])


def draft(request: Request) -> Picture:
    """A rough draft of the real last frame: its ground, and a grey square where the thing is."""
    last = request.real[-1]
    drawn = np.empty_like(last)
    drawn[:] = np.median(border(last), axis=0)
    x, y = _place(last)
    half = request.scene.toys[0].radius * SIDE
    top, left, bottom, right = (round(each) for each in (y - half, x - half, y + half, x + half))
    drawn[max(top, 0) : bottom, max(left, 0) : right] = 128
    return drawn


def border(frame: Picture) -> Float[np.ndarray, "n 3"]:
    """The outermost pixels of a picture."""
    return np.concatenate([frame[0], frame[-1], frame[1:-1, 0], frame[1:-1, -1]]).astype(float)


def _apart(frame: Picture) -> Float[np.ndarray, "h w"]:
    """By how many levels each pixel differs from the ground."""
    return np.asarray(np.abs(frame.astype(float) - np.median(border(frame), axis=0)).max(axis=-1))


def _thing(frame: Picture) -> Bool[np.ndarray, "h w"]:
    """Where a picture differs from its ground."""
    return _apart(frame) > LEAST_APART


def _place(frame: Picture) -> tuple[float, float]:
    """The centre of the thing, each pixel weighed by how much it differs: half covered ones by half."""
    apart = _apart(frame)
    if (apart > LEAST_APART).sum() < LEAST_PIXELS:
        return float("nan"), float("nan")
    weight = np.where(apart > LEAST_APART / 4, apart, 0.0)
    middle = np.arange(SIDE) + 0.5
    return float(weight.sum(axis=0) @ middle / weight.sum()), float(weight.sum(axis=1) @ middle / weight.sum())


def _coloured(video: Video, request: Request) -> float:
    """Whether the mean colour of the thing is nearer to the one that the text names than to any other, 0 or 1."""
    pixels = [frame[_thing(frame)] for frame in video]
    shown = np.concatenate(pixels)
    if len(shown) < LEAST_PIXELS * len(video):
        return 0.0
    names = list(COLOURS)
    apart = np.linalg.norm(np.array([COLOURS[name] for name in names]) - shown.mean(axis=0), axis=1)
    return float(names[int(apart.argmin())] == request.scene.toys[0].colour)


def _near_mark() -> Bool[np.ndarray, "h w"]:
    """The pixels of the watermark and around it."""
    y, x = np.nonzero(MARK[..., 0])
    around = np.zeros((SIDE, SIDE), bool)
    around[y.min() - 1 : y.max() + 2, x.min() - 1 : x.max() + 2] = True
    return around
