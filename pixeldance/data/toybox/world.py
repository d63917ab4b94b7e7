"""What the toybox can show: its tables of facts, the `World` to draw from and the `Scene` drawn.

Lengths are in picture units: 1 is the shorter side of the picture, (0, 0) its centre, x to the right,
y down. Times are in clip units: 0 is the first frame, 1 the last. Where a comment says px it means
pixels of a picture whose shorter side is 64.
"""

from dataclasses import dataclass, fields
from functools import lru_cache
from math import pi
from typing import Literal, TypeVar

import numpy as np

PX = 1 / 64  # a pixel of a 64 x 64 picture, in picture units

SHAPES = ("circle", "square", "triangle", "star", "ring", "cross", "diamond", "heart")
ROUND = ("circle", "ring")  # nobody can see these spin

# Objects are saturated (largest minus smallest channel above 0.55), backgrounds muted (below 0.25):
# the difference is how the oracle finds an object.
COLOURS = {
    "red": (228, 32, 40),
    "orange": (255, 136, 16),
    "yellow": (250, 226, 40),
    "green": (36, 184, 56),
    "cyan": (32, 216, 224),
    "blue": (32, 80, 240),
    "purple": (132, 40, 208),
    "pink": (255, 96, 196),
}
BACKGROUNDS = {
    "white": (236, 236, 236),
    "grey": (132, 132, 132),
    "black": (24, 24, 26),
    "beige": (216, 200, 164),
    "brown": (112, 82, 58),
    "dark green": (44, 84, 58),
    "dark blue": (40, 50, 96),
    "light blue": (162, 190, 218),
}
TEXTURES = ("plain", "stripes", "checks", "dots")

SIZES = {"small": 6.2 * PX, "medium": 8.2 * PX, "large": 10.5 * PX}  # radius; drawn +-5 %

DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
# Way covered in 15 steps: (least, most). The most, 1.2 px a frame, still fits in the picture in every
# direction from a start near its centre.
SPEEDS = {"slow": (4.5 * PX, 6 * PX), "normal": (10 * PX, 12 * PX), "fast": (16 * PX, 18 * PX)}
ORBITS = {"orbit clockwise": 1, "orbit counter-clockwise": -1}
MOTIONS = (
    *DIRECTIONS,
    "bounce",
    *ORBITS,
    "grow",
    "shrink",
    "spin",
    "change colour",
    "appear",
    "disappear",
    "still",
)

# What two objects do together: the first of them, and the second. Both are seen from the first frame to the last.
PAIRS = {
    "approach": ("approach", "still"),
    "collide": ("collide", "collide"),
    "follow": ("follow", "lead"),
    "swap": ("swap", "swap"),
}

# A move of the camera: (x, y, zoom) at the end of the clip; the picture moves the other way.
PAN, ZOOM = 8 * PX, 1.35
CAMERAS = {
    "still": (0.0, 0.0, 1.0),
    "pan left": (-PAN, 0.0, 1.0),
    "pan right": (PAN, 0.0, 1.0),
    "pan up": (0.0, -PAN, 1.0),
    "pan down": (0.0, PAN, 1.0),
    "zoom in": (0.0, 0.0, ZOOM),
    "zoom out": (0.0, 0.0, 1 / ZOOM),
}

# Moves that the first models never saw: the camera turns on its axis; goes with an object that moves; goes once
# around a small circle; or is near from the first frame on.
MORE_CAMERAS = ("rotate", "follow", "circle", "close-up")
ROLL = 25 / 180 * pi  # of a rotation, clockwise: at the rim 0.9 px a frame
ROUND_TRIP = 4 * PX  # radius of a circle: 1.7 px a frame

# How an object is drawn: filled, as a line, filled with a line around it, or in blocks.
STYLES = ("flat", "outline", "ink", "pixel")

# Height and width of each ratio, exactly it, near 64 x 64 and multiples of 8.
RATIOS = {
    "16:9": (72, 128),
    "4:3": (72, 96),
    "1:1": (64, 64),
    "3:4": (96, 72),
    "9:16": (128, 72),
    "21:9": (48, 112),
}

Split = Literal["train", "held-out", "all"]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class World:
    """What to draw scenes from. A name given twice in a tuple is drawn twice as often.

    A clip has at most one complication: two objects, a moving camera, a hard cut, or two objects that
    do something together, with the probabilities `two`, `moving_camera`, `cut` and `pair`; the rest
    show one object and a still camera.
    `split` is about combinations of shape, colour and motion: about one in ten is held out of
    training (`held_out`). `roam` is the probability that an object starts anywhere its own motion
    allows; otherwise it starts where every motion is possible, so that a first frame tells nothing
    about what follows.
    Raises ValueError for unknown names, empty tuples and probabilities that do not fit.
    """

    shapes: tuple[str, ...] = SHAPES
    colours: tuple[str, ...] = tuple(COLOURS)
    sizes: tuple[str, ...] = tuple(SIZES)
    motions: tuple[str, ...] = MOTIONS
    pairs: tuple[str, ...] = tuple(PAIRS)
    speeds: tuple[str, ...] = tuple(SPEEDS)
    backgrounds: tuple[str, ...] = tuple(BACKGROUNDS)
    textures: tuple[str, ...] = TEXTURES
    cameras: tuple[str, ...] = tuple(CAMERAS)[1:]
    styles: tuple[str, ...] = ("flat",)
    two: float = 0.2
    moving_camera: float = 0.2
    cut: float = 0.1
    pair: float = 0.0
    roam: float = 0.0
    split: Split = "train"

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field.name, getattr(self, field.name))
        if self.two + self.moving_camera + self.cut + self.pair > 1:
            raise ValueError(
                f"two + moving_camera + cut + pair: got {self.two} + {self.moving_camera} + {self.cut} + {self.pair}, "
                "wanted at most 1; lower one of these probabilities"
            )
        if self.two + self.cut + self.pair > 0 and min(len(set(self.colours)), len(set(self.backgrounds))) < 2:
            raise ValueError(
                "two objects differ in colour and a cut changes the background: "
                "give at least 2 colours and 2 backgrounds, or set two, cut and pair to 0"
            )
        if not triples(self):
            raise ValueError(
                f"no combination of shape, colour and motion is left in split {self.split!r}; "
                "allow more shapes, colours or motions"
            )


@dataclass(frozen=True, kw_only=True)
class Toy:
    """One object: what it looks like and what it does, in the units of this file.

    `travel` is the way covered (directions), the radius (orbits) or the height (bounce) in a clip of
    16 frames or more; shorter clips cover less. `turn` is 1 for clockwise, -1 for counter-clockwise.
    `angle`, radians, is where on its orbit it starts. `when` is the time of a change of colour, an
    appearance or a disappearance; `turns` the colour it takes on. `to` (x, y) is the way to the place where
    it meets another object or takes its place, for the motions of PAIRS.
    """

    shape: str
    colour: str
    size: str
    radius: float
    start: tuple[float, float]
    motion: str
    speed: str | None = None
    travel: float = 0.0
    turn: int = 1
    angle: float = 0.0
    when: float = 0.5
    turns: str | None = None
    to: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The whole truth about a clip, enough to draw it at any size and length.

    `slant` (degrees) turns stripes; `phase` (x, y in picture units) shifts the texture. With a cut,
    `after` is shown from frame `cut` x (number of frames, at least 16) on. `together`, a name of PAIRS, is
    what the first of two toys does with the second. `style`, one of STYLES, is how they are drawn.
    """

    toys: tuple[Toy, ...]
    background: str
    texture: str
    slant: int = 0
    phase: tuple[float, float] = (0.0, 0.0)
    camera: str = "still"
    cut: float | None = None
    after: "Scene | None" = None
    together: str | None = None
    style: str = "flat"


def held_out(shape: str, colour: str, motion: str) -> bool:
    """Whether a combination is kept out of training; of two objects together, that of the first.

    About one in ten, spread evenly: no shape, colour, motion or pair of them is missing from training.
    """
    place = 3 * SHAPES.index(shape) + 7 * tuple(COLOURS).index(colour) + (*MOTIONS, *PAIRS).index(motion)
    return place % 10 == 4


@lru_cache(maxsize=64)
def triples(world: World) -> tuple[tuple[str, str, str], ...]:
    """All (shape, colour, motion) that `world` can show, with the repetitions of its tuples."""
    return tuple(
        (shape, colour, motion)
        for shape in world.shapes
        for colour in world.colours
        for motion in world.motions
        if not (motion == "spin" and shape in ROUND)
        and not (motion == "change colour" and len(set(world.colours)) < 2)
        and (world.split == "all" or held_out(shape, colour, motion) == (world.split == "held-out"))
    )


@lru_cache(maxsize=64)
def together(world: World) -> tuple[tuple[str, str, str], ...]:
    """All (shape, colour, name of PAIRS) that the first of two objects can show, with the repetitions of the tuples."""
    return tuple(
        (shape, colour, pair)
        for shape in world.shapes
        for colour in world.colours
        for pair in world.pairs
        if world.split == "all" or held_out(shape, colour, pair) == (world.split == "held-out")
    )


def pick(rng: np.random.Generator, items: tuple[T, ...]) -> T:
    """One of `items`, each as likely. (Generator.choice takes ten times as long.)"""
    return items[int(rng.random() * len(items))]


_TABLES: dict[str, tuple[str, ...]] = {
    "shapes": SHAPES,
    "colours": tuple(COLOURS),
    "sizes": tuple(SIZES),
    "motions": MOTIONS,
    "pairs": tuple(PAIRS),
    "speeds": tuple(SPEEDS),
    "backgrounds": tuple(BACKGROUNDS),
    "textures": TEXTURES,
    "cameras": (*tuple(CAMERAS)[1:], *MORE_CAMERAS),
    "styles": STYLES,
    "split": ("train", "held-out", "all"),
}


def _check(name: str, value: object) -> None:
    """Raise ValueError unless `value` is right for the field `name` of World."""
    if name not in _TABLES:
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"{name}: got {value!r}, wanted a probability from 0 to 1")
        return
    known = _TABLES[name]
    names = value if isinstance(value, tuple) else (value,)
    if not names or (name != "split" and not isinstance(value, tuple)):
        raise ValueError(f"{name}: got {value!r}, wanted a tuple of names out of {known}")
    for item in names:
        if item not in known:
            raise ValueError(f"{name}: got {item!r}, wanted one of {known}")


WORLD = World()  # everything there is
ONE_OBJECT = World(two=0.0, moving_camera=0.0, cut=0.0)
