"""Where an object and the camera are in each frame.

A motion is spread over the frames of its shot. In 16 frames or more it covers its whole way; in fewer it
covers less, so that no object ever moves 2 px a frame (at 64 px), however short the clip; growing and
shrinking, which are slower, need only 6 frames.
"""

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from pixeldance.data.toybox.world import CAMERAS, DIRECTIONS, ORBITS, Scene, Toy

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
        turned = toy.angle + ORBITS[motion] * SWEEP * way * u
        x = toy.travel * (np.cos(turned) - np.cos(toy.angle))
        y = toy.travel * (np.sin(turned) - np.sin(toy.angle))
    elif motion == "bounce":
        y = -toy.travel * way * np.abs(np.sin(HOPS * pi * u))
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
    x, y, zoom = CAMERAS[scene.camera]
    return x * u, y * u, 1 + (zoom - 1) * u


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
