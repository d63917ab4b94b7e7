"""What the table of 200 captions does not ask of the shipped model: seeds, the pull of the last frame, pictures drawn
otherwise, and a first frame from text alone.

Command:   python experiments/breadth.py    (again after Ctrl-C: what was measured with these weights is not made again)
Cost:      about 320 clips, 11 minutes of one quiet core of an AMD EPYC (Zen 3)
Expected:  variety 2 or more motions of a vague caption; without the last frame (tau 0) landing at least twice as far
           off as with it; first frames drawn by another program lose at most 10 points; text alone: 70 % of the
           shapes and colours
Obtained:  results/breadth.json

Captions are of combinations that training never showed, and of other numbers than those of `pixeldance evaluate`.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pixeldance.atomic import atomic_file
from pixeldance.data.toybox import (
    ONE_OBJECT,
    Scene,
    clip_and_scene,
    describe,
    describe_scene,
    landing_error,
    last_place,
    read,
    vague_caption,
)
from pixeldance.data.toybox.world import BACKGROUNDS, COLOURS, DIRECTIONS
from pixeldance.diffusion.noise import generators
from pixeldance.generate import Sampling
from pixeldance.metrics.toybox import MOVING
from pixeldance.pipeline import Pipeline, load

RESULT = Path(__file__).parent / "results" / "breadth.json"
FIRST_CLIP = 2**40 + 10**6
MOVES = replace(ONE_OBJECT, split="held-out", motions=MOVING)
STRAIGHT = replace(MOVES, motions=tuple(DIRECTIONS))
SIDE, FINER = 64, 8  # pixels; a picture is drawn so many times larger
Video = np.ndarray
Row = dict[str, Any]


def asked(count: int, world: Any) -> list[tuple[Video, Scene]]:
    """Held-out clips of a world, and the truth about them."""
    found = [clip_and_scene(FIRST_CLIP + number, world=world) for number in range(count)]
    return [(shown.video, scene) for shown, scene in found]


def motion(video: Video) -> str | None:
    """The motion that the oracle reads of the largest thing."""
    things = read(video).things
    return things[0].motion if things else None


def variety(pipe: Pipeline, captions: int = 20, seeds: int = 8) -> Row:
    """Distinct legal motions that the seeds of one vague caption ("a red star moves") give."""
    counts = []
    for video, scene in asked(captions, MOVES):
        request = pipe.instruct(vague_caption(scene), video[0])
        made = [motion(pipe.render(request, generators([seed])[0])) for seed in range(seeds)]
        counts.append(len({each for each in made if each in MOVING}))
    return {"captions": captions, "seeds": seeds, "median": float(np.median(counts)), "counts": counts}


def pull(pipe: Pipeline, captions: int = 40) -> Row:
    """How far from the last frame's place vague captions end when it is followed to the end, and not at all."""
    errors: dict[float, list[float]] = {0.0: [], 1.0: []}
    for number, (video, scene) in enumerate(asked(captions, MOVES)):
        place = last_place(video)
        if place is None:
            continue
        request = pipe.instruct(vague_caption(scene), video[0], video[-1])
        for tau, found in errors.items():
            made = pipe.render(request, generators([number])[0], Sampling(tau=tau))
            found.append(landing_error(made, *place))
    medians = {f"tau {tau:g}": round(float(np.median(found)), 2) for tau, found in errors.items()}
    return {**medians, "ratio": round(medians["tau 0"] / medians["tau 1"], 2), "clips": len(errors[0.0])}


def text_alone(pipe: Pipeline, captions: int = 60) -> Row:
    """Shape and colour of the first frame that the image mode makes of a text."""
    right = []
    for number, (_, scene) in enumerate(asked(captions, STRAIGHT)):
        toy = scene.toys[0]
        made = pipe.render(pipe.instruct(describe_scene(scene), num_frames=1), generators([number])[0])
        things = read(made).things
        right.append([bool(things) and things[0].shape == toy.shape, bool(things) and things[0].colour == toy.colour])
    marks = np.array(right)
    shares = {"shape": marks[:, 0].mean(), "colour": marks[:, 1].mean(), "both": marks.all(axis=1).mean()}
    return {**{name: round(float(value), 3) for name, value in shares.items()}, "captions": captions}


def drawn_elsewhere(pipe: Pipeline, captions: int = 40) -> Row:
    """Directions followed from a first frame of our renderer, and from one that Pillow drew: other shades, sizes and
    places, edges smoothed otherwise."""
    right: dict[str, list[bool]] = {"ours": [], "Pillow's": []}
    for number, (video, scene) in enumerate(asked(captions, STRAIGHT)):
        toy, rng = scene.toys[0], np.random.default_rng(number)
        other = pillow(toy.shape, toy.colour, scene.background, rng)
        text = describe(shape=toy.shape, colour=toy.colour, motion=toy.motion, speed=toy.speed)
        for name, first in (("ours", video[0]), ("Pillow's", other)):
            made = pipe.render(pipe.instruct(text, first), generators([number])[0])
            right[name].append(motion(made) == toy.motion)
    return {**{name: round(float(np.mean(marks)), 3) for name, marks in right.items()}, "captions": captions}


def pillow(shape: str, colour: str, background: str, rng: np.random.Generator) -> Video:
    """A picture of the thing by Pillow: uint8 (64, 64, 3)."""
    shades = [
        tuple(int(level) for level in np.clip(np.add(table[name], rng.integers(-18, 19, 3)), 0, 255))
        for table, name in ((BACKGROUNDS, background), (COLOURS, colour))
    ]
    canvas = Image.new("RGB", (SIDE * FINER, SIDE * FINER), shades[0])
    centre, radius = SIDE * FINER * rng.uniform(0.38, 0.62, 2), FINER * rng.uniform(6, 12)
    pen = ImageDraw.Draw(canvas)
    if shape in ("circle", "ring"):
        box = [*(centre - radius), *(centre + radius)]
        pen.ellipse(box, fill=shades[1] if shape == "circle" else None, outline=shades[1], width=int(radius * 0.35))
    else:
        pen.polygon([tuple(centre + radius * point) for point in outline(shape)], fill=shades[1])
    return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def outline(shape: str) -> Video:
    """The corners of a shape, (n, 2), within a circle of radius 1."""
    if shape == "cross":
        quarter, turn = np.array([(0.33, -1), (0.33, -0.33), (1, -0.33)]), np.array([(0, 1), (-1, 0)])
        return np.concatenate([quarter @ np.linalg.matrix_power(turn, count) for count in range(4)])
    if shape == "heart":
        t = np.linspace(0, 2 * np.pi, 64)
        x = np.sin(t) ** 3
        y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
        return np.stack([x, y], axis=1)
    points, inner, first = {
        "square": (4, 1.0, 0.25),
        "diamond": (4, 1.0, 0.0),
        "triangle": (3, 1.0, 0.0),
        "star": (5, 0.45, 0.0),
    }[shape]
    count = points * (2 if inner < 1 else 1)
    angles = 2 * np.pi * (np.arange(count) / count + first / 2) - np.pi / 2
    radii = np.where(np.arange(count) % 2, inner, 1.0)
    return radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


PARTS: dict[str, Callable[[Pipeline], Row]] = {
    "variety": variety,
    "pull": pull,
    "text alone": text_alone,
    "drawn elsewhere": drawn_elsewhere,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a checkpoint; the model that ships")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    pipe = load(arguments.model)
    found: Row = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    if found.get("model") != pipe.model_hash:
        found = {"model": pipe.model_hash}
    for name, part in PARTS.items():
        if name not in found:
            found[name] = part(pipe)
            with atomic_file(arguments.out, overwrite=True) as file:
                file.write_text(json.dumps(found, indent=1) + "\n")
        print(name, found[name], flush=True)


if __name__ == "__main__":
    main()
