"""How many clips a second data can be read at: from 480p H.264 files, from shards of them, and from the toybox; and
how many times what a training step of the small model eats.

    python benchmarks/loader.py [--seconds 20] [--workers 0 1 2] [--json out.json]
    OMP_NUM_THREADS=1 python benchmarks/loader.py --step [--rounds 9] --json benchmarks/results/loader.json

A clip is 16 frames of 256 x 256 at 4 a second from a random start. The files are a real film (bigbuckbunny, see
tests/footage.py) at 854 x 480, played to and fro for 10.6 seconds, with a key frame every 12 and every 250 frames: the
second is x264's own choice, and makes seeking dear. The toybox draws its clips, of 64 x 64. Without workers, the
time of the processor is told too: it does not count what else the machine does.

Against the step: one worker beside one process that trains, each with a core. In every round one batch of 4 clips of
64 x 64 is read from each source and a step of `experiments/small_pixeldance.py` is done, in turn, and the ratio of
their processor times is how many times the loader keeps up: 1.2 are wanted. Processor time is also stretched by what
else runs, so the load of the machine is told, and where it was above the number of cores, that it disturbed.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("tests", "experiments")]
import footage
import small_pixeldance

from pixeldance.data.datasets import open_source
from pixeldance.data.parallel import mapped
from pixeldance.data.shards import write_shard
from pixeldance.data.source import Source
from pixeldance.data.stream import Stream
from pixeldance.data.toybox.source import Toybox
from pixeldance.system import System
from pixeldance.training.distributed import World
from pixeldance.training.recipe import as_made
from pixeldance.training.state import State

WANTED = 1.2


def film(path: Path, key_frames: int) -> Path:
    """The film at 480p, to and fro."""
    with av.open(str(footage.fetch() / "bigbuckbunny.mp4")) as source:
        frames = [picture.reformat(width=854, height=480, format="yuv420p") for picture in source.decode(video=0)]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "23", "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = 854, 480, "yuv420p"
        stream.codec_context.gop_size = key_frames
        for number, frame in enumerate([*frames, *frames[::-1]]):
            picture = av.VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")
            picture.pts = number
            output.mux(stream.encode(picture))
        output.mux(stream.encode())
    return path


def read(source: Source, index: int) -> int:
    """One reading; gives the number of frames, so that little comes back from a worker but the clip was made."""
    return len(source.read(index % len(source), np.random.default_rng(index)).video)


def rate(source: Source, workers: int, seconds: float) -> tuple[float, float]:
    """Clips a second, and clips a second of this process's processor time, after the first two for each worker."""
    readings = mapped(partial(read, source), range(10**6), workers)
    for _ in range(max(1, 2 * workers)):
        next(readings)
    count, start, busy = 0, time.perf_counter(), time.process_time()
    while count == 0 or time.perf_counter() - start < seconds:
        next(readings)
        count += 1
    return count / (time.perf_counter() - start), count / (time.process_time() - busy)


def sources(folder: Path) -> dict[str, Callable[[], Source]]:
    """What is measured."""
    for gap in (12, 250):
        (folder / str(gap)).mkdir()
        path = film(folder / str(gap) / "film.mp4", gap)
        write_shard(folder / f"{gap}.tar", [(f"{i:03d}", {".mp4": path.read_bytes(), ".txt": b""}) for i in range(8)])
    return {
        "480p H.264, key frame every 12": lambda: open_source(f"folder:{folder}/12?text="),
        "480p H.264, key frame every 250": lambda: open_source(f"folder:{folder}/250?text="),
        "the same (12) in a shard": lambda: open_source(f"webdataset:{folder}/12.tar"),
        "toybox, 64 x 64": Toybox,
    }


def against_step(folder: Path, rounds: int) -> dict[str, Any]:
    """Processor seconds of reading a batch from each source and of a step on it, interleaved, one round not counted."""
    # Its codec would be fitted for minutes first; a step costs the same without.
    run = replace(small_pixeldance.config(), prepare=as_made, image_every=0, workers=0)
    state = State(run, World())
    streams = {name: Stream(clips=each, batch=run.batch, image_every=0) for name, each in small(folder, run.system)}
    loads = [os.getloadavg()[0]]
    found: dict[str, list[float]] = {name: [] for name in (*streams, "step")}
    walls = list[float]()
    for number in range(rounds + 1):
        took, began = {}, time.perf_counter()
        for name, stream in streams.items():
            start = time.process_time()
            taken = [stream.read(ask) for ask in stream.asks(number)]
            took[name] = time.process_time() - start
        start, wall = time.process_time(), time.perf_counter()
        state.update(stream, [taken])
        took["step"] = time.process_time() - start
        loads.append(os.getloadavg()[0])
        print(f"round {number}: {took}, {time.perf_counter() - began:.1f} s in all", file=sys.stderr, flush=True)
        if number:
            walls.append(time.perf_counter() - wall)
            for name, seconds in took.items():
                found[name].append(seconds)
    cores = os.cpu_count() or 1
    return {
        "batch": run.batch,
        "processor_seconds": found,
        "step_wall_seconds": walls,
        "times_the_step": {
            name: [step / read for step, read in zip(found["step"], found[name], strict=True)] for name in streams
        },
        "load_average": loads,
        "cores": cores,
        "disturbed": max(loads) > cores,
    }


def small(folder: Path, system: System) -> list[tuple[str, Source]]:
    """What the small model may be trained on, in its length, rate and size."""
    (folder / "small").mkdir()
    film(folder / "small" / "film.mp4", 12)
    taken = {"frames": system.frames[0], "fps": system.fps, "size": system.sizes[0]}
    return [
        ("480p H.264, key frame every 12", open_source(f"folder:{folder}/small?text=", **taken)),
        ("toybox", small_pixeldance.config().data()),
    ]


def told(found: dict[str, Any]) -> str:
    """The ratios in words."""
    lines = []
    for name, ratios in found["times_the_step"].items():
        median = statistics.median(ratios)
        verdict = "enough" if median >= WANTED else f"not the {WANTED} wanted"
        lines.append(
            f"{name}: {median:.1f} x what a step eats ({min(ratios):.1f} to {max(ratios):.1f}, "
            f"{len(ratios)} rounds): {verdict}"
        )
    load = (
        f"load average {min(found['load_average']):.1f} to {max(found['load_average']):.1f} on {found['cores']} cores"
    )
    return "\n".join([*lines, f"{load}: {'DISTURBED' if found['disturbed'] else 'quiet'}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[0])
    parser.add_argument("--step", action="store_true", help="reading against a training step of the small model")
    parser.add_argument("--rounds", type=int, default=9, help="of --step")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    about = {"machine": platform.machine(), "python": platform.python_version(), "av": av.__version__}
    if arguments.step:
        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as folder:
            against = against_step(Path(folder), arguments.rounds)
        print(told(against))
        if arguments.json:
            arguments.json.write_text(json.dumps({"against a step": against, "on": about}, indent=1) + "\n")
        return
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, make in sources(Path(folder)).items():
            for workers in arguments.workers:
                value, alone = rate(make(), workers, arguments.seconds)
                found[f"{name}, {workers} workers"] = {"wall": value, "processor": None if workers else alone}
                of_processor = "" if workers else f", {alone:6.2f} a second of processor time"
                print(f"{name:34} {workers:3} workers {value:7.2f} clips/s{of_processor}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"clips per second": found, "on": about}, indent=1) + "\n")


if __name__ == "__main__":
    main()
