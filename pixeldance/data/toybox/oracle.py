"""The oracle: what a toybox video shows, read from its pixels alone.

`read` finds the cut, reads the background and the camera of each shot, follows the objects through it and
names what they are (blobs.py, match.py) and what they do: of all laws of motion the one that fits its
path best. It is made to be right on real clips and steady on slightly blurred or noisy generated ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

from pixeldance.data.toybox.blobs import Blob, Bools, Video, find
from pixeldance.data.toybox.ground import Track, background_name, find_cut, free, level, texture_name, track
from pixeldance.data.toybox.match import radius_of, shape_name, turn_of
from pixeldance.data.toybox.motion import GROWN, HOPS, SHRUNK, SWEEP, Array, clock, share
from pixeldance.data.toybox.world import PX, SIZES, SPEEDS

Complex = NDArray[np.complexfloating]

REST = 0.6 * PX  # standard deviation of a place below which an object has not moved, in a whole clip
STRIDE = 12 * PX  # farther than this from where it last was, an object is known by its colour alone


@dataclass(frozen=True, kw_only=True)
class Found:
    """An object as read, with the names of world.py. Per frame (f,): whether it is `present`, its centre
    `x`, `y` and `area` in pixels (NaN, NaN and 0 where it is not), its colour; `mask` is (f, h, w)."""

    shape: str
    colour: str
    size: str
    motion: str
    speed: str | None
    turn: int | None
    turns: str | None
    present: Bools
    x: Array
    y: Array
    area: Array
    colours: tuple[str | None, ...]
    mask: Bools


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a video shows up to its first cut; `after` is what it shows from frame `cut` on. `things` are
    the objects, the largest first: one in a world of one object, none where nothing was recognised."""

    things: tuple[Found, ...]
    background: str
    texture: str
    camera: str
    cut: int | None = None
    after: "Reading | None" = None


def read(video: Video) -> Reading:
    """Read `video`, uint8 (f, h, w, 3). Raises ValueError for another type or shape."""
    check(video)
    seen = free(video)
    cut = find_cut(level(video, seen))
    if cut is None:
        return _read_shot(video, seen)
    before = _read_shot(video[:cut], seen[:cut])
    return Reading(
        things=before.things,
        background=before.background,
        texture=before.texture,
        camera=before.camera,
        cut=cut,
        after=_read_shot(video[cut:], seen[cut:]),
    )


def check(video: Video) -> None:
    """Raise ValueError unless `video` is uint8 (f, h, w, 3) with at least a frame."""
    if video.dtype != np.uint8 or video.ndim != 4 or video.shape[-1] != 3 or not len(video):
        raise ValueError(
            f"video: got {video.dtype} {video.shape}, wanted uint8 (f, h, w, 3); "
            "bring pixels to 0..255 and put the colour channels last"
        )


def follow(found: Sequence[Sequence[Blob]], unit: int) -> list[dict[int, Blob]]:
    """Join blobs of successive frames into objects, {frame: blob}; the largest object first.

    The nearest pairs of an object, where last seen, and a blob are joined first; far ones only if they
    have the same colour. What is seen in fewer than a fifth of the frames, or is a twentieth of the
    largest object, is no object.
    """
    objects: list[dict[int, Blob]] = []
    for i, blobs in enumerate(found):
        pairs = sorted(
            (_distance(path[max(path)], blob), k, j) for k, path in enumerate(objects) for j, blob in enumerate(blobs)
        )
        taken: set[int] = set()
        for distance, k, j in pairs:
            path = objects[k]
            if i in path or j in taken:
                continue
            if distance < STRIDE * unit or blobs[j].colour == path[max(path)].colour:
                path[i] = blobs[j]
                taken.add(j)
        objects += [{i: blob} for j, blob in enumerate(blobs) if j not in taken]
    enough = max(1, min(2, len(found)), round(len(found) / 5))
    objects = sorted((o for o in objects if len(o) >= enough), key=lambda o: -_bulk(o))
    return [o for o in objects if _bulk(o) > 0.05 * _bulk(objects[0])]


def _distance(one: Blob, two: Blob) -> float:
    return float(np.hypot(one.x - two.x, one.y - two.y))


def _bulk(blobs: dict[int, Blob]) -> float:
    return sum(blob.area for blob in blobs.values()) / len(blobs)


def _read_shot(video: Video, seen: Bools) -> Reading:
    """Read a video without a cut."""
    mean = level(video, seen)
    texture = texture_name(video, seen, mean)
    camera = track(video, seen, texture)
    unit = min(video.shape[1:3])
    things = tuple(_thing(blobs, video.shape[:3], camera) for blobs in follow(find(video, mean), unit))
    return Reading(things=things, background=background_name(mean), texture=texture, camera=camera.camera)


def _thing(blobs: dict[int, Blob], shape: tuple[int, ...], camera: Track) -> Found:
    """Name one object from its blobs in a video of `shape` (f, h, w)."""
    frames, height, width = shape
    unit = min(height, width)
    when = np.array(sorted(blobs))
    present = np.zeros(frames, np.bool_)
    present[when] = True
    where, area = np.full((2, frames), np.nan), np.zeros(frames)
    mask = np.zeros(shape, np.bool_)
    for i, blob in blobs.items():
        where[:, i], area[i] = (blob.x, blob.y), blob.area
        top, left = blob.corner
        mask[i, top : top + blob.alpha.shape[0], left : left + blob.alpha.shape[1]] = blob.alpha > 0.5

    form = shape_name(list(blobs.values()))
    names = [blobs[i].colour if i in blobs else None for i in range(frames)]
    first, last = _ends([blobs[i].colour for i in when])
    x = ((where[0] - width / 2) / unit - camera.x) / camera.zoom
    y = ((where[1] - height / 2) / unit - camera.y) / camera.zoom
    scale = np.sqrt(area) / camera.zoom
    motion, speed = _motion(present, x, y, scale, changed=first != last)
    turn = None
    if motion == "still":
        turn = turn_of([blobs[i] for i in when], form, frames) or None
        motion = "still" if turn is None else "spin"
    whole = when[-1] if motion == "appear" else when[0]
    radius = radius_of(blobs[whole], form) / camera.zoom[whole] / unit
    return Found(
        shape=form,
        colour=first,
        size=min(SIZES, key=lambda name: abs(log(radius / SIZES[name]))),
        motion=motion,
        speed=speed,
        turn=turn,
        turns=last if motion == "change colour" else None,
        present=present,
        x=where[0],
        y=where[1],
        area=area,
        colours=tuple(names),
        mask=mask,
    )


def _ends(names: list[str]) -> tuple[str, str]:
    """The commonest colour of the first third and of the last third of an object's frames."""
    third = max(len(names) // 3, 1)
    first, last = names[:third], names[-third:]
    return max(first, key=first.count), max(last, key=last.count)


def _motion(present: Bools, x: Array, y: Array, scale: Array, *, changed: bool) -> tuple[str, str | None]:
    """Name the motion and its speed from an object's path in the world (picture units) and scale, each
    (f,). What comes, goes, changes or grows does so in place; a spin is left to the caller."""
    frames = len(present)
    first, last = np.flatnonzero(present)[[0, -1]]
    if last == frames - 1 and first >= 0.2 * frames:
        return "appear", None
    if first == 0 and frames - 1 - last >= 0.2 * frames:
        return "disappear", None
    way = share(frames)
    if present.sum() < 3:
        return "still", None
    x, y, u, scale = x[present], y[present], clock(frames)[present], scale[present]
    ends = max(len(u) // 5, 1)
    grown = float(np.median(scale[-ends:]) / np.median(scale[:ends]))
    resized = not SHRUNK**0.5 < grown < GROWN**0.5
    # On small pictures the centre of what grows wanders a little.
    if float(np.hypot(x.std(), y.std())) > REST * way * (2 if resized else 1):
        return _path(x, y, u, way)
    if resized:
        return ("grow" if grown > 1 else "shrink"), None
    return ("change colour" if changed else "still"), None


def _path(x: Array, y: Array, u: Array, way: float) -> tuple[str, str | None]:
    """The law of motion nearest to a path: a straight line, hops, or part of a circle either way round.

    Each is fitted by least squares: x + iy = sum of complex coefficients times the columns of its basis.
    """
    place = x + 1j * y
    one = np.ones_like(u) + 0j
    sweep = SWEEP * way * u
    # Lines and circles have 2 complex unknowns; hops are upwards only, fitted to y alone.
    line, line_error = _fit(np.stack([one, u + 0j], 1), place)
    errors = {"line": line_error}
    for name, sense in (("orbit clockwise", 1j), ("orbit counter-clockwise", -1j)):
        errors[name] = _fit(np.stack([one, np.exp(sense * sweep)], 1), place)[1]
    hop, hop_error = _fit(np.stack([one, np.abs(np.sin(HOPS * np.pi * u)) + 0j], 1), y + 0j)
    if hop[1].real < 0:
        errors["bounce"] = float(np.hypot(hop_error, x.std()))
    best = min(errors, key=errors.__getitem__)
    if best != "line":
        return best, None
    dx, dy = line[1].real, line[1].imag
    covered = max(abs(dx), abs(dy)) / way
    speed = min(SPEEDS, key=lambda name: abs(covered - sum(SPEEDS[name]) / 2))
    if abs(dx) > abs(dy):
        return ("right" if dx > 0 else "left"), speed
    return ("down" if dy > 0 else "up"), speed


def _fit(basis: Complex, place: Complex) -> tuple[Complex, float]:
    """Least squares: the coefficients, and the root mean square of what they leave."""
    found = np.linalg.lstsq(basis, place, rcond=None)[0]
    return found, float(np.sqrt((np.abs(place - basis @ found) ** 2).mean()))
