"""Figures for a generated clip: is the object whole, does it arrive, does it jump at the end.

Each says one thing and stays put when another goes wrong: a clip of the wrong object may still land in
the right place, and a smear with the right centre is not whole. Direction, kind of motion, shape and
colour come from `oracle.read`.
"""

from math import hypot, inf, nan

import numpy as np

from pixeldance.data.toybox.blobs import Blob, Video, find
from pixeldance.data.toybox.ground import free, level
from pixeldance.data.toybox.match import overlaps, unit_area
from pixeldance.data.toybox.motion import cut_frame, lens, poses
from pixeldance.data.toybox.oracle import check
from pixeldance.data.toybox.world import Scene, Toy

AREA, OVERLAP = 0.3, 0.75  # how much an area may be off, and how well a shape must fit, to be whole
REST_STEP = 0.05 / 64  # steps below this are rest: the unit in which a jump out of rest is counted


def whole(video: Video, truth: Scene) -> float:
    """The share of frames, 0 to 1, in which the object is whole: its area within 30 % of the true one,
    and its shape with an IoU of 0.75 or more, both drawn about their centres.

    Where it is does not matter, nor its colour, nor how far a spin has got. Copies and fragments make it
    too large, and a faded object counts as the smaller, except where it is to appear or disappear: so
    neither a smear nor a cross-fade is whole. With several objects, all of them count. Frames before an
    appearance and after a disappearance do not count, whenever these happen; an object never seen is 0.
    """
    check(video)
    cut = cut_frame(truth, len(video))
    if cut is None or truth.after is None:
        marks = _whole_shot(video, truth)
    else:
        marks = _whole_shot(video[:cut], truth) + _whole_shot(video[cut:], truth.after)
    return sum(marks) / len(marks)


def landing_error(video: Video, x: float, y: float) -> float:
    """How far from (`x`, `y`), pixels of the video, the largest object of the last frame is: in pixels of
    a picture whose shorter side is 64; inf where there is no object."""
    place = last_place(video)
    unit = min(video.shape[1:3])
    return inf if place is None else hypot(place[0] - x, place[1] - y) * 64 / unit


def last_place(video: Video) -> tuple[float, float] | None:
    """The centre (x, y), pixels, of the largest object of the last frame, or None."""
    check(video)
    blobs = _blobs(video[-1:])[0]
    return (blobs[0].x, blobs[0].y) if blobs else None


def end_jump(video: Video) -> float:
    """The last step of the largest object over the median of its other steps.

    Meant for clips with a moving object and no cut, and to be divided by the same in real clips. NaN for
    fewer than 4 frames and where the object is missing from the last two or from most of the others.
    """
    check(video)
    frames = len(video)
    path = {i: blobs[0] for i, blobs in enumerate(_blobs(video)) if blobs}
    steps = {
        i: hypot(path[i + 1].x - path[i].x, path[i + 1].y - path[i].y)
        for i in range(frames - 1)
        if i in path and i + 1 in path
    }
    last = steps.pop(frames - 2, None)
    if frames < 4 or last is None or len(steps) < (frames - 2) / 2:
        return nan
    return last / max(float(np.median(list(steps.values()))), REST_STEP * min(video.shape[1:3]))


def _blobs(video: Video) -> list[list[Blob]]:
    return find(video, level(video, free(video)))


def _whole_shot(video: Video, truth: Scene) -> list[bool]:
    """Whether each object is whole in each frame of a shot in which it counts."""
    found = _blobs(video)
    marks = []
    for toy in truth.toys:
        others = {name for other in truth.toys if other is not toy for name in (other.colour, other.turns)}
        mine = [[blob for blob in blobs if blob.colour not in others] for blobs in found]
        marks += _whole_toy(mine, toy, truth, min(video.shape[1:3]))
    return marks


def _whole_toy(found: list[list[Blob]], toy: Toy, truth: Scene, unit: int) -> list[bool]:
    frames = len(found)
    radius = unit * toy.radius * poses(toy, frames).scale * lens(truth, frames)[2]
    seen = [i for i, blobs in enumerate(found) if blobs]
    if not seen:
        return [False] * frames
    start = seen[0] if toy.motion == "appear" else 0
    stop = seen[-1] + 1 if toy.motion == "disappear" else frames
    upright = toy.motion != "spin" and truth.camera != "rotate"
    return [bool(found[i]) and _is_whole(found[i], toy, float(radius[i]), upright) for i in range(start, stop)]


def _is_whole(blobs: list[Blob], toy: Toy, radius: float, upright: bool) -> bool:
    fades = toy.motion in ("appear", "disappear")
    areas = [blob.area * (1.0 if fades else blob.opacity) for blob in blobs]
    true = unit_area(toy.shape) * radius**2
    if areas[0] < (1 - AREA) * true or sum(areas) > (1 + AREA) * true:
        return False
    fits = overlaps(blobs[0], toy.shape, radius=radius, upright=upright)
    return bool(fits.max() >= OVERLAP)
