"""Where an object and the camera are in each frame.

A motion is spread over the frames of its shot. In 16 frames or more it covers its whole way; in fewer it
covers less, so that no object ever moves 2 px a frame (at 64 px), however short the clip; growing and
shrinking, which are slower, need only 6 frames.
"""

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from pixeldance.data.toybox.world import CAMERAS, DIRECTIONS, ORBITS, ROLL, ROUND_TRIP, ZOOM, Scene, Toy

Array = NDArray[np.float64]

FULL = 15  # steps (frames less one) from which on a motion covers its whole way
HOPS = 2  # bounces in a clip
SWEEP = 300 / 180 * pi  # of an orbit; a whole turn would end where it began and look like nothing
SPUN = 135 / 180 * pi  # of a spin: 9 degrees a frame moves the tip of a large star by 1.7 px
GROWN, SHRUNK = 1.5, 0.6
FADE = 2 / 15  # how long an appearance takes, in clip units


@dataclass(frozen=True, kw_only=True)
class Poses:
    """An object through a shot, each (f,): position and scale in the world (not yet seen through the
    camera), angle in radians clockwise, opacity from 0 to 1, and whether it has its second colour."""

    x: Array
    y: Array
    scale: Array
    angle: Array
    opacity: Array
    changed: NDArray[np.bool_]


def poses(toy: Toy, frames: int) -> Poses:
    """What `toy` does in a shot of `frames` frames. A single frame shows it at rest, and visible."""
    u = clock(frames)
    way = share(frames)
    zero, one = np.zeros(frames), np.ones(frames)
    x, y, scale, angle, opacity, changed = zero, zero, one, zero, one, zero > 0
    motion = toy.motion
    if motion in DIRECTIONS:
        dx, dy = DIRECTIONS[motion]
        x, y = dx * toy.travel * way * u, dy * toy.travel * way * u
    elif motion in ORBITS:
        gone = toy.angle + ORBITS[motion] * SWEEP * way * u
        x = toy.travel * (np.cos(gone) - np.cos(toy.angle))
        y = toy.travel * (np.sin(gone) - np.sin(toy.angle))
    elif motion == "bounce":
        y = -toy.travel * way * np.abs(np.sin(HOPS * pi * u))
    elif motion in ("approach", "follow", "lead"):
        x, y = toy.to[0] * way * u, toy.to[1] * way * u
    elif motion == "collide":
        met = way * (1 - np.abs(1 - 2 * u))
        x, y = toy.to[0] * met, toy.to[1] * met
    elif motion == "swap":
        x, y = turned(toy.to[0], toy.to[1], pi * way * u * toy.turn)  # around the middle of the way
        x, y = (toy.to[0] - x) / 2, (toy.to[1] - y) / 2
    elif motion == "grow":
        scale = 1 + (GROWN - 1) * u * min(1.0, 3 * way)
    elif motion == "shrink":
        scale = 1 + (SHRUNK - 1) * u * min(1.0, 3 * way)
    elif motion == "spin":
        angle = toy.turn * SPUN * way * u
    elif motion == "change colour":
        changed = u >= toy.when
    elif motion == "appear" and frames > 1:
        opacity = np.clip((u - toy.when) / FADE + 0.5, 0, 1)
    elif motion == "disappear":
        opacity = np.clip((toy.when - u) / FADE + 0.5, 0, 1)
    return Poses(x=x + toy.start[0], y=y + toy.start[1], scale=scale, angle=angle, opacity=opacity, changed=changed)


def lens(scene: Scene, frames: int) -> tuple[Array, Array, Array]:
    """The camera's x, y and zoom, each (f,). A point p of the world is seen at (p - (x, y)) * zoom."""
    u = clock(frames) * share(frames)
    if scene.camera == "follow":
        pose = poses(scene.toys[0], frames)
        return pose.x - pose.x[0], pose.y - pose.y[0], np.ones(frames)
    if scene.camera == "circle":
        return ROUND_TRIP * np.sin(2 * pi * u), ROUND_TRIP * (1 - np.cos(2 * pi * u)), np.ones(frames)
    if scene.camera == "close-up":
        return np.zeros(frames), np.zeros(frames), np.full(frames, ZOOM)
    x, y, zoom = CAMERAS.get(scene.camera, CAMERAS["still"])
    return x * u, y * u, 1 + (zoom - 1) * u


def roll(scene: Scene, frames: int) -> Array:
    """How far the camera is turned, (f,), radians clockwise. What it sees is turned the other way, about its axis."""
    return ROLL * clock(frames) * share(frames) * (scene.camera == "rotate")


def turned(x: Array | float, y: Array | float, angle: Array | float) -> tuple[Array, Array]:
    """The points (x, y), y down, turned about the origin by `angle`, radians clockwise; arrays that broadcast."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(x * cos - y * sin), np.asarray(x * sin + y * cos)


def cut_frame(scene: Scene, frames: int) -> int | None:
    """The frame from which on `scene.after` is shown, or None where no cut falls within the clip."""
    if scene.cut is None:
        return None
    frame = round(scene.cut * max(frames, FULL + 1))
    return frame if frame < frames else None


def clock(frames: int) -> Array:
    """Time in clip units, (f,): from 0 at the first frame to 1 at the last; 0 for a single frame."""
    return np.arange(frames) / max(frames - 1, 1)


def share(frames: int) -> float:
    """How much of its whole way an object covers in a shot of `frames` frames, from 0 to 1."""
    return min(1.0, (frames - 1) / FULL)
