"""Sketches: what a scene's frame looks like to one who says where things are and not what they look like.

PixelDance takes them as last frames after a fine-tuning (arXiv 2311.10982, sec. 5): outlines, boxes, semantic maps and
keypoint poses. They show a scene's objects in its last frame, and nothing of its colours and its ground.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import cos, pi, sin
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw

from pixeldance.data.clip import Clip
from pixeldance.data.order import ENDLESS
from pixeldance.data.toybox.clips import clip_and_scene
from pixeldance.data.toybox.motion import cut_frame, lens, poses, roll, turned
from pixeldance.data.toybox.render import coverage
from pixeldance.data.toybox.world import SHAPES, WORLD, Scene, World

Picture = UInt8[np.ndarray, "h w 3"]
Kind = Literal["outline", "box", "map", "pose"]
KINDS: tuple[Kind, ...] = get_args(Kind)

BLACK, WHITE, GROUND = (0, 0, 0), (255, 255, 255), (68, 1, 84)
CLASSES = (
    (33, 145, 140),
    (94, 201, 98),
    (253, 231, 37),
    (59, 82, 139),
    (240, 120, 60),
    (200, 60, 90),
    (130, 90, 60),
    (170, 170, 220),
)
JOINT, LIMB = (255, 160, 0), (0, 150, 255)


def _tips(count: int, radius: float, first: float = -pi / 2) -> tuple[tuple[float, float], ...]:
    return tuple(
        (radius * cos(first + 2 * pi * k / count), radius * sin(first + 2 * pi * k / count)) for k in range(count)
    )


KEYPOINTS = {
    "circle": _tips(4, 0.95),
    "square": _tips(4, 0.8 * 2**0.5, -pi / 4),
    "triangle": _tips(3, 1.0),
    "star": _tips(5, 1.0),
    "ring": _tips(4, 1.0),
    "cross": _tips(4, 0.97),
    "diamond": ((0.0, -1.0), (0.6, 0.0), (0.0, 1.0), (-0.6, 0.0)),
    "heart": ((0.0, 0.95), (-0.75, -0.4), (0.0, -0.5), (0.75, -0.4)),
}
"""Where the joints of each shape are, in units of its radius, x to the right and y down."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """An object in one frame, lengths in pixels: its centre and radius, how far it is turned (radians clockwise), and
    the pixels that it covers."""

    shape: str
    x: float
    y: float
    radius: float
    angle: float
    region: Bool[np.ndarray, "h w"]


def sketch(scene: Scene, kind: str, *, size: tuple[int, int] = (64, 64), frames: int = 16) -> Picture:
    """A sketch of the last frame of a scene of so many frames; objects that are then not to be seen are left out.

    outline: dark lines around objects on white. box: white rectangles around them on black. map: each pixel in the
    colour of what it belongs to, the ground or one of the shapes. pose: joints, and limbs to them from the centre.
    Raises ValueError for another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"got the kind of sketch {kind!r}; wanted {' or '.join(KINDS)}")
    ground = {"outline": WHITE, "box": BLACK, "map": GROUND, "pose": BLACK}[kind]
    image = Image.new("RGB", (size[1], size[0]), ground)
    pen, line = ImageDraw.Draw(image), max(1, round(min(size) / 64))
    for each in placed(scene, size, frames):
        if kind == "outline":
            image.paste(BLACK, mask=Image.fromarray(_edge(each.region, line)))
        elif kind == "box":
            y, x = np.nonzero(each.region)
            pen.rectangle((x.min() - line, y.min() - line, x.max() + line, y.max() + line), outline=WHITE, width=line)
        elif kind == "map":
            image.paste(CLASSES[SHAPES.index(each.shape)], mask=Image.fromarray(each.region))
        else:
            _limbs(pen, each, line)
    return np.array(image)


def placed(scene: Scene, size: tuple[int, int], frames: int) -> list[Placed]:
    """The objects that are seen in the last frame, those behind first."""
    shot, length = scene, frames
    cut = cut_frame(scene, frames)
    if cut is not None and scene.after is not None:
        shot, length = scene.after, frames - cut
    shift_x, shift_y, zoom = (each[-1] for each in lens(shot, length))
    height, width = size
    across, down = np.arange(width)[None] + np.float32(0.5), np.arange(height)[:, None] + np.float32(0.5)
    found = []
    for toy in shot.toys:
        pose = poses(toy, length)
        if pose.opacity[-1] <= 0.5:
            continue
        radius = float(min(size) * toy.radius * pose.scale[-1] * zoom)
        x = float(width / 2 + min(size) * (pose.x[-1] - shift_x) * zoom)
        y = float(height / 2 + min(size) * (pose.y[-1] - shift_y) * zoom)
        angle = float(pose.angle[-1])
        if shot.camera == "rotate":
            axis = roll(shot, length)[-1]
            right, below = turned(x - width / 2, y - height / 2, -axis)
            x, y, angle = width / 2 + float(right), height / 2 + float(below), float(angle - axis)
        dx, dy = (across - x).astype(np.float32), (down - y).astype(np.float32)
        turned_x, turned_y = (
            (dx * cos(angle) + dy * sin(angle)).astype(np.float32),
            (dy * cos(angle) - dx * sin(angle)).astype(np.float32),
        )
        region = coverage(toy.shape, turned_x, turned_y, np.full(1, radius, np.float32)) > 0.5
        if region.any():
            found.append(Placed(shape=toy.shape, x=x, y=y, radius=radius, angle=angle, region=region))
    return found


@dataclass(frozen=True, kw_only=True)
class Sketches:
    """The toybox as a source of training, each clip with a sketch of its last frame, of a kind drawn at random."""

    world: World = WORLD
    size: tuple[int, int] = (64, 64)
    frames: int = 16
    first: int = 0
    kinds: Sequence[Kind] = KINDS

    def __len__(self) -> int:
        return ENDLESS

    def read(self, index: int, rng: np.random.Generator) -> Clip:
        clip, scene = clip_and_scene(self.first + index, world=self.world, size=self.size, frames=self.frames)
        kind = self.kinds[int(rng.integers(len(self.kinds)))]
        return replace(clip, drawn=sketch(scene, kind, size=self.size, frames=self.frames))

    def name(self, index: int) -> str:
        return f"toybox clip {self.first + index}"


def _limbs(pen: ImageDraw.ImageDraw, each: Placed, line: int) -> None:
    """Draw the joints of an object, and limbs to them; a pixel's centre is at its number and a half."""
    middle = (each.x - 0.5, each.y - 0.5)
    joints = []
    for u, v in KEYPOINTS[each.shape]:
        x, y = u * cos(each.angle) - v * sin(each.angle), u * sin(each.angle) + v * cos(each.angle)
        joints.append((middle[0] + each.radius * x, middle[1] + each.radius * y))
    for joint in joints:
        pen.line((*middle, *joint), fill=LIMB, width=line)
    for x, y in (*joints, middle):
        pen.ellipse((x - line, y - line, x + line, y + line), fill=JOINT)


def _edge(region: Bool[np.ndarray, "h w"], line: int) -> Bool[np.ndarray, "h w"]:
    """The pixels of a region that have one outside of it within `line` pixels, up, down, left or right."""
    h, w = region.shape
    padded = np.pad(region, line)
    steps = [(sign * step, 0) for step in range(1, line + 1) for sign in (-1, 1)]
    moved = [
        padded[line + dy : line + dy + h, line + dx : line + dx + w] for a, b in steps for dy, dx in ((a, b), (b, a))
    ]
    return region & ~np.logical_and.reduce(moved)
