"""Two objects that do something together: drawn so that they meet without covering each other, and read from pixels.

    approach   the first goes to the second, which stays where it is
    collide    both go to the middle, touch, and go back
    follow     both go the same way, the first behind the second
    swap       each goes half a circle around the other, to where that was

Objects that touch are one patch of saturated pixels, so here they are told apart by their hues.
"""

from dataclasses import dataclass

import numpy as np

from pixeldance.data.toybox.blobs import Blob, Video, find
from pixeldance.data.toybox.ground import free, level
from pixeldance.data.toybox.match import shape_name
from pixeldance.data.toybox.motion import Array
from pixeldance.data.toybox.world import PAIRS, PX, SIZES, Toy, World, pick, together

EDGE = 1.5 * PX  # free between an object and the edge of the picture
GAP = {"approach": 1.5 * PX, "collide": 0.5 * PX, "follow": 4 * PX, "swap": 2.5 * PX}
"""What is free between the outlines of two objects where they are nearest."""
WAY = {"approach": (9 * PX, 17 * PX), "collide": (7 * PX, 12 * PX), "follow": (9 * PX, 15 * PX)}
"""How far each object goes: (least, most). The most of a collision, there and back, is 1.6 px a frame."""
NEAREST = 17.5 * PX  # of the centres of two that swap places: half a circle of it in 15 steps is 1.83 px a frame
REST = 2.0 * PX  # an object that never is farther than this from where it was has stayed
HERE = 3.5 * PX  # nearer than this is at the same place


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two objects as read. name: of PAIRS, None where they do nothing together. does: what each does, as PAIRS has it.
    The first is the one that approaches or follows; elsewhere the order means nothing."""

    name: str | None
    colours: tuple[str, str]
    shapes: tuple[str, str]
    does: tuple[str, str] | None


def pair(rng: np.random.Generator, world: World) -> tuple[str, tuple[Toy, Toy]]:
    """Two objects of a world, of two colours, and the name of what the first of them does with the second."""
    shape, colour, name = pick(rng, together(world))
    other_shape = pick(rng, world.shapes)
    other_colour = pick(rng, tuple(each for each in world.colours if each != colour))
    across = rng.random() < 0.5
    sense = 1 if rng.random() < 0.5 else -1
    fits = tuple(each for each in world.sizes if _room(each, name) >= 0) or (min(world.sizes, key=SIZES.__getitem__),)
    size = pick(rng, fits)
    radii = [SIZES[size] * float(rng.uniform(0.95, 1.05)) for _ in range(2)]
    apart = sum(radii) + GAP[name]  # of the centres where they are nearest
    if name == "swap":
        starts, ways = (-apart / 2, apart / 2), (apart, -apart)
    else:
        free_way = (1 - sum(radii) - apart - 2 * EDGE) / (2 if name == "collide" else 1)
        way = min(float(rng.uniform(*WAY[name])), free_way)
        starts = {
            "approach": (-way - apart / 2, apart / 2),
            "collide": (-way - apart / 2, way + apart / 2),
            "follow": (-way / 2 - apart / 2, -way / 2 + apart / 2),
        }[name]
        ways = {"approach": (way, 0.0), "collide": (way, -way), "follow": (way, way)}[name]
    low, high = min(starts), max(max(starts), max(s + w for s, w in zip(starts, ways, strict=True)))
    least, most = low - radii[0] + 0.5 - EDGE, 0.5 - EDGE - high - radii[1]  # free on either side
    shift = float(rng.uniform(-least, max(most, -least)))
    side = 0.5 - EDGE - max(radii) - (apart / 2 if name == "swap" else 0.0)
    beside = float(rng.uniform(-1, 1)) * max(side, 0.0)
    turn = pick(rng, (-1, 1))

    def placed(along: float, aside: float) -> tuple[float, float]:
        return (along, aside) if across else (aside, along)

    first, second = (
        Toy(
            shape=one_shape,
            colour=one_colour,
            size=size,
            radius=radius,
            start=placed(sense * (start + shift), beside),
            motion=does,
            turn=turn,
            to=placed(sense * way_of, 0.0),
        )
        for one_shape, one_colour, radius, start, way_of, does in zip(
            (shape, other_shape), (colour, other_colour), radii, starts, ways, PAIRS[name], strict=True
        )
    )
    return name, (first, second)


def read_pair(video: Video) -> Pair | None:
    """What two objects of a video (f, h, w, 3) with a still camera and no cut do; None where no two are seen."""
    paths = _paths(video)
    seen = sorted(paths, key=lambda colour: -sum(blob.area for blob in paths[colour].values()))[:2]
    enough = max(2, 0.8 * len(video))
    if len(seen) < 2 or min(len(paths[colour]) for colour in seen) < enough:
        return None
    unit = min(video.shape[1:3])
    both = [i for i in range(len(video)) if all(i in paths[colour] for colour in seen)]
    places = [np.array([(paths[c][i].x / unit, paths[c][i].y / unit) for i in both]) for c in seen]
    name, swapped = _law(*places)
    if swapped:
        seen = seen[::-1]
    shapes = [shape_name(list(paths[colour].values())) for colour in seen]
    return Pair(
        name=name,
        colours=(seen[0], seen[1]),
        shapes=(shapes[0], shapes[1]),
        does=None if name is None else PAIRS[name],
    )


def _room(size: str, name: str) -> float:
    """What is left of the picture's side where two objects of a size do this, going the least way."""
    radius = 1.05 * SIZES[size]
    apart = 2 * radius + GAP[name]
    if name == "swap":
        return NEAREST - apart
    return 1 - 2 * EDGE - 2 * radius - apart - WAY[name][0] * (2 if name == "collide" else 1)


def _paths(video: Video) -> dict[str, dict[int, Blob]]:
    """For each colour the largest patch of it in each frame."""
    found: dict[str, dict[int, Blob]] = {}
    for i, blobs in enumerate(find(video, level(video, free(video)), by_hue=True)):
        for blob in blobs:
            found.setdefault(blob.colour, {}).setdefault(i, blob)
    return found


def _law(one: Array, two: Array) -> tuple[str | None, bool]:
    """What two paths (f, 2), picture units, are; and whether it is the second that approaches or follows."""
    ways = [path[-1] - path[0] for path in (one, two)]
    gone = [float(np.hypot(*way)) for way in ways]
    far = [float(np.hypot(*(path - path[0]).T).max()) for path in (one, two)]
    apart = np.hypot(*(one - two).T)
    if max(float(np.hypot(*(a[-1] - b[0]))) for a, b in ((one, two), (two, one))) < HERE and min(gone) > REST:
        return "swap", False
    if min(far) > REST and max(gone) < HERE and apart.min() < min(apart[0], apart[-1]) - 2 * REST:
        return "collide", False
    still = [each <= REST for each in far]
    if still[0] != still[1]:
        return ("approach", still[0]) if apart[-1] < apart[0] - REST else (None, False)
    if min(gone) <= REST or float(ways[0] @ ways[1]) < 0.9 * gone[0] * gone[1]:
        return None, False
    behind = float((two[0] - one[0]) @ ways[0])  # above 0: the first goes to where the second was
    aside = abs(behind) < 0.8 * float(np.hypot(*(two[0] - one[0]))) * gone[0]
    return (None, False) if aside else ("follow", behind < 0)
