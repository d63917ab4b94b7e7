"""Draw a scene from a seed: the same seed and world give the same scene in any process."""

from dataclasses import replace

import numpy as np

from pixeldance.data.toybox.motion import GROWN, poses
from pixeldance.data.toybox.pairs import pair
from pixeldance.data.toybox.world import (
    CAMERAS,
    DIRECTIONS,
    MORE_CAMERAS,
    ORBITS,
    PAN,
    PX,
    SIZES,
    SPEEDS,
    ZOOM,
    Scene,
    Toy,
    World,
    pick,
    triples,
)

MARGIN = 0.75 * PX  # always free between an object and the edge of its cell
ORBIT = 5 * PX  # radius: 300 degrees of it in 15 steps are 1.75 px a frame
HOP = 4.6 * PX  # height: 2 hops in 15 steps are at most 1.93 px a frame
CALM = 0.6  # with a moving camera, orbits and hops are this much smaller: both motions add up
SHORT = ("bounce", *ORBITS)  # motions that the short shots around a cut leave no time for

# Centre and half sides (x, y, half x, half y) of the part of the picture that an object stays in.
Cell = tuple[float, float, float, float]
WHOLE: Cell = (0.0, 0.0, 0.5, 0.5)
INNER: Cell = (0.0, 0.0, 0.36, 0.36)  # seen whole when the picture is turned, comes nearer or goes around
HALVES: tuple[tuple[Cell, Cell], ...] = (
    ((-0.25, 0.0, 0.25, 0.5), (0.25, 0.0, 0.25, 0.5)),
    ((0.0, -0.25, 0.5, 0.25), (0.0, 0.25, 0.5, 0.25)),
)


def scene(seed: int, world: World) -> Scene:
    """The scene number `seed` (0 or more) of `world`; raises ValueError for a negative seed."""
    if seed < 0:
        raise ValueError(f"seed: got {seed}, wanted 0 or more; use abs(seed)")
    rng = np.random.Generator(np.random.PCG64((seed,)))
    kind = float(rng.random())
    if kind < world.two:
        cells = pick(rng, HALVES)
        first = _toy(rng, world, cells[0])
        second = _toy(rng, world, cells[1], taken=(first.colour, first.turns))
        toys = (first, second) if rng.random() < 0.5 else (second, first)
        return _setting(rng, world, toys)
    if kind < world.two + world.moving_camera:
        camera = pick(rng, world.cameras)
        ways = tuple(motion for motion in world.motions if motion not in DIRECTIONS) if camera == "follow" else ()
        toy = _toy(rng, world, INNER if camera in MORE_CAMERAS else WHOLE, camera=camera, without=ways)
        return _setting(rng, world, (toy,), camera=camera)
    if kind < world.two + world.moving_camera + world.cut:
        before = _setting(rng, world, (_toy(rng, world, WHOLE, without=SHORT),))
        after = _setting(rng, world, (_toy(rng, world, WHOLE, without=SHORT),), other=before.background)
        return replace(before, cut=int(rng.integers(6, 11)) / 16, after=after)
    if kind < world.two + world.moving_camera + world.cut + world.pair:
        name, toys = pair(rng, world)
        return replace(_setting(rng, world, toys), together=name)
    return _setting(rng, world, (_toy(rng, world, WHOLE),))


def _setting(
    rng: np.random.Generator,
    world: World,
    toys: tuple[Toy, ...],
    *,
    camera: str = "still",
    other: str | None = None,
) -> Scene:
    """Put a background behind `toys`, of another colour than `other`.

    A moving camera gets checks or dots where the world has them: on a plain wall or along stripes
    nobody could see it move.
    """
    textures = world.textures
    if camera != "still":
        textures = tuple(t for t in textures if t in ("checks", "dots")) or textures
    shown = Scene(
        toys=toys,
        background=pick(rng, tuple(b for b in world.backgrounds if b != other)),
        texture=pick(rng, textures),
        slant=pick(rng, (0, 45, 90)),
        phase=(float(rng.random()), float(rng.random())),
        camera=camera,
    )
    # One style takes no number from rng, so that worlds without others stay as they are.
    return replace(shown, style=pick(rng, world.styles) if len(world.styles) > 1 else world.styles[0])


def _toy(
    rng: np.random.Generator,
    world: World,
    cell: Cell,
    *,
    camera: str = "still",
    taken: tuple[str | None, ...] = (),
    without: tuple[str, ...] = (),
) -> Toy:
    """Draw an object that stays in `cell`, of none of the colours `taken`, and none of the motions
    `without`. Size and start are drawn without regard to the motion (but see World.roam)."""
    legal = triples(world)
    shape, colour, motion = pick(rng, legal)
    if colour in taken or motion in without:
        legal = tuple(t for t in legal if t[1] not in taken and t[2] not in without) or legal
        shape, colour, motion = pick(rng, legal)
    turns = None
    if motion == "change colour":
        turns = pick(rng, tuple(c for c in world.colours if c != colour and c not in taken) or (colour,))
    size = pick(rng, _fitting(world, cell))
    radius = SIZES[size] * float(rng.uniform(0.95, 1.05))
    place = rng.uniform(-1, 1, 2)
    spread = tuple(half - radius - MARGIN - _reach(half, size) for half in cell[2:])
    start = (cell[0] + float(place[0]) * spread[0], cell[1] + float(place[1]) * spread[1])

    speed, travel = None, 0.0
    calm = 1.0 if camera == "still" else CALM
    rooms = tuple(_room(half, size, camera) for half in cell[2:])
    if motion in DIRECTIONS:
        room = rooms[0] if motion in ("left", "right") else rooms[1]
        fits = tuple(s for s in SPEEDS if SPEEDS[s][1] <= room)
        speed = pick(rng, tuple(s for s in world.speeds if s in fits) or fits[:1])
        travel = float(rng.uniform(*SPEEDS[speed]))
    elif motion in ORBITS:
        travel = min(ORBIT * calm, min(rooms) / 2) * float(rng.uniform(0.92, 1.0))
    elif motion == "bounce":
        travel = HOP * calm * float(rng.uniform(0.9, 1.0))
    toy = Toy(
        shape=shape,
        colour=colour,
        size=size,
        radius=radius,
        start=start,
        motion=motion,
        speed=speed,
        travel=travel,
        turn=pick(rng, (-1, 1)),
        angle=float(rng.uniform(0, 2 * np.pi)),
        when=float(rng.uniform(0.4, 0.6)),
        turns=turns,
    )
    if world.roam > 0 and rng.random() < world.roam:
        return _anywhere(rng, toy, cell, camera)
    return toy


def _fitting(world: World, cell: Cell) -> tuple[str, ...]:
    """The sizes of `world` that leave room in `cell` for a slow motion; the smallest size if none does."""
    slow = SPEEDS["slow"][1]
    fits = tuple(s for s in world.sizes if _free(min(cell[2:]), s) >= slow)
    return fits or (min(world.sizes, key=SIZES.__getitem__),)


def _free(half: float, size: str) -> float:
    """How far the largest object of this size can go from the middle of a cell."""
    return half - 1.05 * SIZES[size] - MARGIN


def _reach(half: float, size: str) -> float:
    """The longest way of any speed that fits: what is left of the cell is where objects start."""
    free = _free(half, size)
    return max((most for _, most in SPEEDS.values() if most <= free), default=free)


def _room(half: float, size: str, camera: str) -> float:
    """How far an object can go from the worst start and still be seen whole through the camera."""
    x, y, zoom = CAMERAS.get(camera, CAMERAS["still"])
    seen = (half - MARGIN) / max(zoom, 1.0) - max(abs(x), abs(y))
    return seen - (half - MARGIN - _reach(half, size))


def _anywhere(rng: np.random.Generator, toy: Toy, cell: Cell, camera: str) -> Toy:
    """The same object, started anywhere in `cell` from where its whole path stays inside."""
    path = poses(replace(toy, start=(0.0, 0.0)), 16)
    radius = toy.radius * (GROWN if toy.motion == "grow" else 1.0) + MARGIN
    move = PAN if camera.startswith("pan") else 0.0
    zoom = ZOOM if camera == "zoom in" else 1.0
    start = []
    for centre, half, way in ((cell[0], cell[2], path.x), (cell[1], cell[3], path.y)):
        low = centre - half / zoom + radius + move - float(way.min())
        high = centre + half / zoom - radius - move - float(way.max())
        start.append(low + float(rng.random()) * max(high - low, 0.0))
    return replace(toy, start=(start[0], start[1]))
