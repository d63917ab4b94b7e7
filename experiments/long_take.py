"""Long takes: a chain that hands over latents, a chain that hands over decoded frames, and a pyramid of keyframes.

Command:   python experiments/long_take.py --way latents|frames|pyramid --segments 69 [--model DIR] [--takes 1]
Cost:      one clip a segment (2.3 s with the shipped model on one core), and for the pyramid 6 clips more
Expected:  memory and seconds per frame do not grow with the number of segments; seams of 0.8 to 1.3; latents drift less
           than frames, which are rounded to 8 bits and clipped at each join, and the pyramid less than both
Obtained:  see "Long takes" in LOG.md

Each take starts on the first frame of a held-out toybox clip with its caption; one object, still camera. A seam is the
step into a segment over the median step inside the segments on both sides of it. Drift is between the first frame and
the last of each segment: the ground's colour (levels), sharpness (octaves), and the object's area (share of the first).
Memory is the peak of the process after the first five segments, and at the end.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pixeldance.data.toybox import clip_and_scene, describe_scene, read
from pixeldance.diffusion.noise import generators
from pixeldance.film.plan import plan_film
from pixeldance.film.receipt import model_of
from pixeldance.film.render import film_frames, render_calls
from pixeldance.film.store import Store
from pixeldance.film.story import Script, Shot, Story
from pixeldance.metrics.toybox import HELD_OUT, SEED
from pixeldance.metrics.traces import sharpness, tilt
from pixeldance.pipeline import SHIPPED, Pipeline, load
from pixeldance.video import iterate_video, write_video

EARLY = 5  # segments, after which memory should have reached its peak


def memory() -> float:
    """The most memory that this process has had, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def by_plan(pipeline: Pipeline, first: Path, text: str, segments: int, kind: str, folder: Path) -> dict[str, Any]:
    """A take made as films are, with its frames in `folder`."""
    length = pipeline.system.frames[0]
    shot = Shot(text=text, first=str(first), frames=1 + segments * (length - 1), plan=kind, seed=1)
    script = Script(story=Story(shots=[shot]), name="take", folder=Path())
    plan = plan_film(script, pipeline.system, model_of(pipeline.folder or SHIPPED, []))
    store, took, early = Store(folder=folder), list[float](), 0.0

    def done(_: str, seconds: float) -> None:
        nonlocal early
        took.append(seconds)
        if len(took) == EARLY:
            early = memory()

    render_calls(plan, list(plan.calls), store, pipeline, done)
    return {"seconds": took, "memory": (early, memory()), "frames": lambda: film_frames(plan, store)}


def by_frames(pipeline: Pipeline, first: Path, text: str, segments: int, folder: Path) -> dict[str, Any]:
    """The plain chain: each clip starts on the decoded last frame of the one before; streamed to one file."""
    took, early = list[float](), 0.0

    def frames() -> Iterator[np.ndarray]:
        nonlocal early
        with Image.open(first) as picture:
            start = np.asarray(picture.convert("RGB"))
        for segment in range(segments):
            begin = time.perf_counter()
            made = pipeline.render(pipeline.instruct(text, start), generators([1 + segment])[0])
            took.append(time.perf_counter() - begin)
            yield from made[0 if segment == 0 else 1 :]
            start = made[-1]
            if segment + 1 == EARLY:
                early = memory()

    file = folder / "take.mkv"
    folder.mkdir()
    write_video(file, frames(), fps=8)
    return {"seconds": took, "memory": (early, memory()), "frames": lambda: iterate_video(file)[0]}


def readings(frames: Iterator[np.ndarray], steps: int, shape: str, colour: str) -> dict[str, Any]:
    """Seams and drift of a take whose segments have so many steps each; a segment at a time is in memory."""
    start = next(frames)
    segments, before = [], start
    while len(rest := list(islice(frames, steps))) == steps:
        whole = np.stack([before, *rest])
        changes = [float(np.abs(one.astype(float) - other).mean()) for one, other in pairwise(whole)]
        things = read(whole).things
        segments.append(
            {
                "changes": changes,
                "colour": float(np.abs(tilt(start.astype(np.float32), whole[-1].astype(np.float32))).max()),
                "sharpness": abs(float(np.log2(sharpness(whole[-1]) / sharpness(start)))),
                "area": float(np.nanmedian(things[0].area)) if things else 0.0,
                "kept": bool(things) and things[0].shape == shape and things[0].colour == colour,
            }
        )
        before = rest[-1]
    seams = [
        other["changes"][0] / max(float(np.median(one["changes"][1:] + other["changes"][1:])), 0.15)
        for one, other in pairwise(segments)
    ]
    areas = [each["area"] / max(segments[0]["area"], 1.0) for each in segments]
    return {
        "seam": float(np.median(seams)),
        "seams_0.8_to_1.3": float(np.mean([0.8 <= seam <= 1.3 for seam in seams])),
        **{f"{name}_first": segments[0][name] for name in ("colour", "sharpness")},
        **{f"{name}_end": segments[-1][name] for name in ("colour", "sharpness")},
        "area_end": areas[-1],
        "kept": float(np.mean([each["kept"] for each in segments])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", choices=("latents", "frames", "pyramid"), required=True)
    parser.add_argument("--segments", type=int, default=69)
    parser.add_argument("--takes", type=int, default=1)
    parser.add_argument("--model", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = load(arguments.model)
    length, size = pipeline.system.frames[0], pipeline.system.sizes[0]
    found = []
    for take in range(arguments.takes):
        clip, scene = clip_and_scene(SEED + take, world=HELD_OUT, size=size, frames=length)
        with tempfile.TemporaryDirectory() as place:
            first, folder = Path(place, "first.png"), Path(place, "take")
            Image.fromarray(clip.video[0]).save(first)
            ask = (pipeline, first, describe_scene(scene), arguments.segments)
            if arguments.way == "frames":
                made = by_frames(*ask, folder)
            else:
                made = by_plan(*ask, "chain" if arguments.way == "latents" else "pyramid", folder)
            toy = scene.toys[0]
            row = readings(made["frames"](), length - 1, toy.shape, toy.colour)
        third = len(made["seconds"]) // 3
        row["seconds_first_third"] = float(np.median(made["seconds"][:third]))
        row["seconds_last_third"] = float(np.median(made["seconds"][-third:]))
        row["memory_early"], row["memory_end"] = made["memory"]
        found.append(row)
    middle = {name: round(float(np.median([row[name] for row in found])), 3) for name in found[0]}
    frames = 1 + arguments.segments * (length - 1)
    print(json.dumps({"way": arguments.way, "segments": arguments.segments, "frames": frames, **middle}))


if __name__ == "__main__":
    main()
