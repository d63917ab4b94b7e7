"""Pixels of a scene: a textured background, and on it objects with smooth edges.

An object is a signed distance function d (negative inside, in units of its radius), evaluated only in a
box around it, for all frames at once; a pixel is covered to the share clip(1/2 - d r, 0, 1) where r is the
radius in pixels.
"""

from collections.abc import Callable
from functools import partial
from math import ceil, pi

import numpy as np
from numpy.typing import NDArray

from pixeldance.data.toybox.motion import Array, cut_frame, lens, poses, roll, turned
from pixeldance.data.toybox.world import BACKGROUNDS, COLOURS, PX, Scene, Toy

Floats = NDArray[np.float32]
Sdf = Callable[[Floats, Floats], Floats]
Wave = Callable[[Floats, Floats, int], Floats]

PERIOD = 8 * PX  # of every texture
CONTRAST = 12.0  # a texture adds and takes this much of 255, in all channels alike: it has no colour
LARGEST, SMALLEST = 256, 32
LINES = {"outline": 1.3 * PX, "ink": 1.3 * PX}  # how wide the lines of these styles are
INKS = (16, 244)


def render(
    scene: Scene, size: tuple[int, int] = (64, 64), frames: int = 16
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw `scene` at `size` (height, width).

    Returns the video, uint8 (f, h, w, 3), and the pixels more than half covered by objects, bool
    (f, h, w). Raises ValueError for a side that is odd or not within 32..256 and for less than 1 frame.
    """
    _refuse(size, frames)
    video = np.empty((frames, *size, 3), np.uint8)
    focus = np.zeros((frames, *size), np.bool_)
    cut = cut_frame(scene, frames)
    if cut is None or scene.after is None:
        _shot(scene, video, focus)
    else:
        _shot(scene, video[:cut], focus[:cut])
        _shot(scene.after, video[cut:], focus[cut:])
    return video, focus


def coverage(shape: str, x: Floats, y: Floats, radius: Floats, *, inset: float = 0.0) -> Floats:
    """How much of each pixel `shape` covers, 0 to 1. `x`, `y` are distances of pixels from its centre
    and `radius` its size, all in pixels and of shapes that broadcast together. `inset`: only what is so
    far inside its outline."""
    distance = SDFS[shape](x / radius, y / radius) * radius
    if inset:
        distance = distance + np.float32(inset)
    covered: Floats = np.clip(np.float32(0.5) - distance, 0, 1)
    return covered


def block(unit: int) -> int:
    """The side of the blocks of the style "pixel", in pixels; unit: the picture's shorter side."""
    return max(1, round(unit / 32))


def ink(background: str) -> int:
    """The level of the line of the style "ink": dark on a light background and light on a dark one."""
    return INKS[sum(BACKGROUNDS[background]) < 3 * 110]


def _refuse(size: tuple[int, int], frames: int) -> None:
    for side in size:
        if side % 2 or not SMALLEST <= side <= LARGEST:
            near = min(max(round(side / 2) * 2, SMALLEST), LARGEST)
            raise ValueError(f"size: got {size}, wanted even sides from {SMALLEST} to {LARGEST}; nearest: {near}")
    if frames < 1:
        raise ValueError(f"frames: got {frames}, wanted 1 or more")


def _shot(scene: Scene, video: NDArray[np.uint8], focus: NDArray[np.bool_]) -> None:
    """Draw one shot into `video` and `focus`."""
    camera = lens(scene, len(video))
    if scene.camera == "still":
        video[:] = _ground(scene, video.shape[1:3], (camera[0][:1], camera[1][:1], camera[2][:1]), None)
    else:
        turn = roll(scene, len(video)) if scene.camera == "rotate" else None
        video[:] = _ground(scene, video.shape[1:3], camera, turn)
    for toy in scene.toys:
        _draw(toy, scene, camera, video, focus)


def _ground(
    scene: Scene, size: tuple[int, ...], camera: tuple[Array, Array, Array], rolled: Array | None
) -> NDArray[np.uint8]:
    """The background, (f, h, w, 3); rolled: how far the camera is turned, where it turns."""
    colour = np.array(BACKGROUNDS[scene.background], np.float32) + np.float32(0.5)
    if scene.texture == "plain":
        return colour.astype(np.uint8)[None, None, None]
    height, width = size
    unit = min(size)
    turn = 2 * pi / PERIOD
    shift_x, shift_y, zoom = camera
    x = (np.arange(width) + 0.5 - width / 2) / unit / zoom[:, None] + shift_x[:, None] + scene.phase[0]
    y = (np.arange(height) + 0.5 - height / 2) / unit / zoom[:, None] + shift_y[:, None] + scene.phase[1]
    across, downward = x[:, None, :], y[:, :, None]  # (f, 1, w), (f, h, 1)
    if rolled is not None:
        across, downward = turned(across, downward, rolled[:, None, None])
    angles = [(turn * each).astype(np.float32) for each in (across, downward)]
    wave = WAVES[scene.texture](angles[0], angles[1], scene.slant)
    level = np.clip(wave, -1, 1) * np.float32(CONTRAST)
    return (colour + level[..., None]).astype(np.uint8)


def _stripes(x: Floats, y: Floats, slant: int) -> Floats:
    if slant == 45:
        return 2 * np.sin((x + y) * np.float32(0.7071))
    return 2 * np.sin(x if slant == 0 else y) + np.zeros_like(x + y)


def _checks(x: Floats, y: Floats, slant: int) -> Floats:
    return 3 * np.sin(x * np.float32(0.5)) * np.sin(y * np.float32(0.5))


def _dots(x: Floats, y: Floats, slant: int) -> Floats:
    return 2 * (np.cos(x) + np.cos(y)) - 1


WAVES: dict[str, Wave] = {"stripes": _stripes, "checks": _checks, "dots": _dots}


def _draw(
    toy: Toy, scene: Scene, camera: tuple[Array, Array, Array], video: NDArray[np.uint8], focus: NDArray[np.bool_]
) -> None:
    """Draw one object of a scene over `video` (f, h, w, 3) and mark it in `focus`, all that is within its outline."""
    frames, height, width, _ = video.shape
    unit = min(height, width)
    pose = poses(toy, frames)
    shift_x, shift_y, zoom = camera
    radius = unit * toy.radius * pose.scale * zoom  # px, (f,)
    x = width / 2 + unit * (pose.x - shift_x) * zoom
    y = height / 2 + unit * (pose.y - shift_y) * zoom
    angle = pose.angle
    if scene.camera == "rotate":
        angle = angle - roll(scene, frames)
        x, y = turned(x - width / 2, y - height / 2, -roll(scene, frames))
        x, y = x + width / 2, y + height / 2
    side = min(2 * ceil(radius.max()) + 2, height, width)
    left = np.clip(np.rint(x - side / 2), 0, width - side).astype(np.int64)
    top = np.clip(np.rint(y - side / 2), 0, height - side).astype(np.int64)

    across, down = (start[:, None] + np.arange(side) + 0.5 for start in (left, top))
    if scene.style == "pixel":
        across, down = (block(unit) * (np.floor(each / block(unit)) + 0.5) for each in (across, down))
    dx = (across - x[:, None]).astype(np.float32)[:, None, :]  # (f, 1, side)
    dy = (down - y[:, None]).astype(np.float32)[:, :, None]  # (f, side, 1)
    if toy.motion == "spin" or scene.camera == "rotate":
        cos = np.cos(angle).astype(np.float32)[:, None, None]
        sin = np.sin(angle).astype(np.float32)[:, None, None]
        dx, dy = dx * cos + dy * sin, dy * cos - dx * sin
    size = radius.astype(np.float32)[:, None, None]
    cover = coverage(toy.shape, dx, dy, size)
    if scene.style == "pixel":
        cover = (cover > 0.5).astype(np.float32)
    opacity = pose.opacity.astype(np.float32)[:, None, None]
    inside = cover * opacity

    colours = np.array([COLOURS[toy.colour], COLOURS[toy.turns or toy.colour]], np.float32)
    paint = colours[pose.changed.astype(np.int64)][:, None, None, :]
    boxes = [
        (i, slice(t, t + side), slice(s, s + side))
        for i, (t, s) in enumerate(zip(top.tolist(), left.tolist(), strict=True))
    ]
    ground = np.stack([video[box] for box in boxes]).astype(np.float32)
    line = np.zeros_like(inside)
    if scene.style in LINES:
        line = (cover - coverage(toy.shape, dx, dy, size, inset=LINES[scene.style] * unit)) * opacity
    filled = line if scene.style == "outline" else inside
    mixed = ground + filled[..., None] * (paint - ground)
    if scene.style == "ink":
        mixed += line[..., None] * (np.float32(ink(scene.background)) - mixed)
    mixed += np.float32(0.5)
    pixels = mixed.astype(np.uint8)
    marked = inside > 0.5
    for i, box in enumerate(boxes):
        video[box] = pixels[i]
        focus[box] |= marked[i]


def _polygon(x: Floats, y: Floats, *, sides: int, inner: float) -> Floats:
    """A regular polygon with a corner at the top, its inner radius `inner`."""
    angles = 2 * pi * np.arange(sides) / sides + pi / 2
    planes = [x * np.float32(np.cos(a)) + y * np.float32(np.sin(a)) for a in angles]
    distance: Floats = np.maximum.reduce(np.broadcast_arrays(*planes)) - np.float32(inner)
    return distance


def _circle(x: Floats, y: Floats, *, radius: float = 0.95) -> Floats:
    return np.sqrt(x * x + y * y) - np.float32(radius)


def _ring(x: Floats, y: Floats) -> Floats:
    return np.abs(_circle(x, y, radius=0.75)) - np.float32(0.25)


def _square(x: Floats, y: Floats) -> Floats:
    return np.maximum(np.abs(x), np.abs(y)) - np.float32(0.8)


def _diamond(x: Floats, y: Floats) -> Floats:
    """A rhombus, higher than wide, so that it is not a square turned."""
    return np.float32(0.857) * np.abs(x) + np.float32(0.514) * (np.abs(y) - np.float32(1))


def _cross(x: Floats, y: Floats) -> Floats:
    x, y = np.abs(x), np.abs(y)
    arm = np.float32(0.33)
    return np.maximum(np.minimum(x, y) - arm, np.maximum(x, y) - np.float32(0.97))


def _star(x: Floats, y: Floats) -> Floats:
    """Five points: the plane folded to half a point, and the line from its tip to the notch."""
    fold = 2 * pi / 5
    angle = np.arctan2(x, -y)
    angle = np.abs(angle - fold * np.rint(angle / np.float32(fold)).astype(np.float32))
    length = np.sqrt(x * x + y * y)
    u, v = length * np.cos(angle), length * np.sin(angle)
    notch_u, notch_v = 0.45 * np.cos(fold / 2), 0.45 * np.sin(fold / 2)
    tilt = np.arctan2(1 - notch_u, notch_v)  # of the line's normal
    distance: Floats = np.float32(np.cos(tilt)) * (u - np.float32(1)) + np.float32(np.sin(tilt)) * v
    return distance


def _heart(x: Floats, y: Floats) -> Floats:
    """Inigo Quilez' heart ("2D distance functions"), moved so that its centroid is the centre."""
    scale = np.float32(1.5)
    x, y = np.abs(x / scale), np.float32(0.6566) - y / scale
    lobe = np.sqrt((x - np.float32(0.25)) ** 2 + (y - np.float32(0.75)) ** 2) - np.float32(0.35355)
    cleft = np.sqrt(x**2 + (y - 1) ** 2)
    middle = np.float32(0.5) * np.maximum(x + y, 0)
    side = np.sqrt((x - middle) ** 2 + (y - middle) ** 2)
    below = np.minimum(cleft, side) * np.sign(x - y)
    return np.where(x + y > 1, lobe, below) * scale


SDFS: dict[str, Sdf] = {
    "circle": _circle,
    "square": _square,
    "triangle": partial(_polygon, sides=3, inner=0.5),
    "star": _star,
    "ring": _ring,
    "cross": _cross,
    "diamond": _diamond,
    "heart": _heart,
}
