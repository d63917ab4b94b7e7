"""Seconds a frame and memory of a video that goes on: chains of clips of 16, 256 and 1,024 frames.

    OMP_NUM_THREADS=1 python benchmarks/long_video.py --json benchmarks/results/long_video.json

What `pixeldance extend` does for a video of one frame, from plan to mp4: each clip begins on the last latents of
the one before, is decoded, judged by the meter and stored, and the frames of all are then read back one by one and
written. The network is small and random (16 frames of 64 x 64, 4 steps), for what is asked is how cost grows with
length. The first frame is given and not made: of 1,024 frames 1,023 count. Memory is the peak of the
resident set of a process of its own.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rounds
import torch
from forecast import configuration

from pixeldance.film.calls import Call, Plan
from pixeldance.film.extend import extended, plan_extension
from pixeldance.film.render import missing, render_calls
from pixeldance.film.store import Store
from pixeldance.pipeline import Pipeline
from pixeldance.receipt import Model
from pixeldance.system import Parts
from pixeldance.video import write_video

LENGTHS = (16, 256, 1024)
STEPS = 4
WANTED = 0.05
SYSTEM = configuration(np.random.default_rng(14))[0]
"""One of the random small networks of `forecast.py`: of widths 16 and 32, for 16 frames of 64 x 64."""


def pipeline() -> Pipeline:
    """It with random weights."""
    torch.manual_seed(0)
    return Pipeline(Parts(SYSTEM).eval().requires_grad_(False))


def chain(model: Pipeline, frames: int) -> None:
    """Make such a video, the first frame of it being given."""
    (size,), length = SYSTEM.sizes, SYSTEM.frames[0]
    edge = np.full((*size, 3), 128, np.uint8)
    plan = Plan(model=Model(folder=None, sha256="random"), size=size, fps=SYSTEM.fps)
    settings = Call(
        text="a red star moves left",
        length=length,
        size=size,
        fps=SYSTEM.fps,
        steps=STEPS,
        guidance=1.0,
        tau=1.0,
        seed=0,
    )
    plan_extension(plan, SYSTEM, settings, edge, None, frames - 1, backwards=False, keyed=False)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder=Path(folder, "shots"))
        render_calls(plan, missing(plan, store), store, model)
        video = extended(plan, store, iter([edge]), backwards=False, turned=False)
        write_video(Path(folder, "long.mp4"), video, fps=SYSTEM.fps)


def compared(lengths: Sequence[int], count: int) -> dict[str, Any]:
    """All measurements."""
    model = pipeline()
    steps = {str(frames): partial(chain, model, frames) for frames in lengths}
    return {
        "on": rounds.about(),
        "memory_bytes": {name: rounds.apart(partial(rounds.memory_peak, step)) for name, step in steps.items()},
        "times": rounds.interleaved(steps, count),
    }


def table(result: dict[str, Any]) -> str:
    """A line a length, and what grows from the shortest to the longest."""
    lines = ["| frames | processor ms a new frame, median (range) | MiB |", "|---|---|---|"]
    each: list[float] = []
    for frames, memory in result["memory_bytes"].items():
        took = [1e3 * seconds / (int(frames) - 1) for seconds in result["times"][frames]["processor_seconds"]]
        each.append(statistics.median(took))
        lines.append(f"| {frames} | {rounds.told(took, '.1f')} | {memory / 2**20:.1f} |")
    bytes_taken = list(result["memory_bytes"].values())
    grown = rounds.against(1 + WANTED, each[-1] / each[0], most=True)
    return "\n".join(
        [
            *lines,
            f"seconds a frame, longest over shortest: {grown}",
            f"memory, longest over shortest: {rounds.against(1 + WANTED, bytes_taken[-1] / bytes_taken[0], most=True)}",
            rounds.loads(result["times"]),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    result = compared(chosen.lengths, chosen.rounds)
    rounds.write(chosen.json, result)
    print(table(result))


if __name__ == "__main__":
    main()
