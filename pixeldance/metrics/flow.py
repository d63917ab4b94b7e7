"""Measures of motion from optical flow: how much moves, and how well each frame follows from the one before.

The flow is OpenCV's DIS (arXiv 1603.03590), the extra `metrics`; the rest is ours.
"""

import itertools

import numpy as np
from jaxtyping import Bool, Float32, Num, UInt8

Video = UInt8[np.ndarray, "f h w 3"]
Flow = Float32[np.ndarray, "h w 2"]

SMALLEST = 16  # pixels of a side; DIS matches patches of 8 on a pyramid


def optical_flow(one: UInt8[np.ndarray, "h w 3"], other: UInt8[np.ndarray, "h w 3"]) -> Flow:
    """For each pixel of `one`, how far (x, y), in pixels, what it shows has moved in `other`.

    Raises ValueError where OpenCV is missing or the pictures are too small.
    """
    try:
        import cv2
    except ImportError:
        raise ValueError("optical flow needs OpenCV; install it: pip install 'pixeldance[metrics]'") from None
    if min(one.shape[:2]) < SMALLEST:
        raise ValueError(f"got pictures of {one.shape[:2]} pixels; wanted {SMALLEST} x {SMALLEST} or more")
    grey = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (one, other)]
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # type: ignore[attr-defined] # not in its stubs
    found = dis.calc(*grey, None)
    return np.asarray(found, np.float32)


def warped(picture: Num[np.ndarray, "h w *c"], flow: Flow) -> Num[np.ndarray, "h w *c"]:
    """`picture` read where `flow` points, bilinearly, its border held: the other frame brought back to this one."""
    h, w = flow.shape[:2]
    x = np.clip(np.arange(w) + flow[..., 0], 0, w - 1)
    y = np.clip(np.arange(h)[:, None] + flow[..., 1], 0, h - 1)
    left, top = np.minimum(x.astype(int), w - 2), np.minimum(y.astype(int), h - 2)
    fx, fy = (each.reshape(h, w, *[1] * (picture.ndim - 2)) for each in (x - left, y - top))
    upper = picture[top, left] * (1 - fx) + picture[top, left + 1] * fx
    lower = picture[top + 1, left] * (1 - fx) + picture[top + 1, left + 1] * fx
    return np.asarray(upper * (1 - fy) + lower * fy)


def motion_magnitude(video: Video) -> float:
    """Mean length of the flow between consecutive frames: picture heights a step, so that sizes can be compared.

    0 for a video that stands still; the measure behind VBench's dynamic degree. ValueError for fewer than 2 frames.
    """
    _check(video)
    lengths = [np.linalg.norm(optical_flow(one, other), axis=-1).mean() for one, other in itertools.pairwise(video)]
    return float(np.mean(lengths)) / video.shape[1]


def warping_error(video: Video) -> float:
    """Mean squared difference, pixels in 0..1, of each frame and the next one brought back to it along the flow, where
    both can be seen (arXiv 1808.00449). A frozen video has 0: read it beside `motion_magnitude`.

    NaN where no pixel can be followed. ValueError for fewer than 2 frames.
    """
    _check(video)
    total, seen = 0.0, 0
    for one, other in itertools.pairwise(video):
        there = optical_flow(one, other)
        visible = followed(there, optical_flow(other, one))
        error = (warped(other.astype(np.float64), there) - one)[visible] / 255
        total, seen = total + float((error**2).sum()), seen + error.size
    return total / seen if seen else float("nan")


def followed(there: Flow, back: Flow) -> Bool[np.ndarray, "h w"]:
    """Where going along one flow and back along the other leads home, and stays inside: elsewhere something is hidden.

    |there + back|^2 < 0.01 (|there|^2 + |back|^2) + 0.5 (Sundaram et al. 2010).
    """
    h, w = there.shape[:2]
    x, y = np.arange(w) + there[..., 0], np.arange(h)[:, None] + there[..., 1]
    inside = (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)
    returned = warped(back, there)
    apart = ((there + returned) ** 2).sum(-1)
    return np.asarray(inside & (apart < 0.01 * ((there**2).sum(-1) + (returned**2).sum(-1)) + 0.5))


def flicker(video: Video) -> float:
    """Mean absolute difference of consecutive frames over 255, 0 to 1: VBench's temporal flickering is 1 minus this
    (arXiv 2311.17982, there on static scenes only, as motion counts too). ValueError for fewer than 2 frames."""
    _check(video)
    steps = [np.abs(b.astype(np.int16) - a).mean() for a, b in itertools.pairwise(video)]
    return float(np.mean(steps)) / 255


def _check(video: Video) -> None:
    if len(video) < 2:
        raise ValueError(f"got {len(video)} frames; wanted 2 or more")
