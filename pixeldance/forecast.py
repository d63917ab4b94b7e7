"""What a long command will take before it is begun: time, memory and disk, each as a band that the true value lies in.

    time    = start + count x (passes x seconds of a pass + the rest of a clip), each timed on this machine, now
    memory  = what this process has + the most that one pass holds at once, counted without doing it (`work.py`)

A pass too long to be tried is timed on a smaller video and scaled by counted FLOPs. The bands are as wide as the
differences found by `benchmarks/forecast.py`.
"""

import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixeldance.diffusion.noise import generators
from pixeldance.diffusion.process import level
from pixeldance.generate import Sampling
from pixeldance.instruction import Instruction
from pixeldance.pipeline import Pipeline
from pixeldance.system import System
from pixeldance.video import write_video
from pixeldance.work import counted, factor, stages

ROUNDS = 3
TRY = 4e11  # FLOPs: a pass of more is timed on a smaller video; about 8 s of a core
GROWTH = (0.95, 1.5)  # of the memory that is counted: what kernels and the allocator hold besides
DRIFT = (0.8, 1.3)  # of the fastest and the slowest try: how much a machine changes until the end of a run
PACKED = (0.01, 0.05, 0.7)  # of raw pixels: still ground, the toybox, noise
BESIDE = 1000  # bytes of a receipt


@dataclass(frozen=True, kw_only=True)
class Band:
    """low, likely, high: the value lies between the outer two nine times in ten."""

    low: float
    likely: float
    high: float

    def __add__(self, other: "Band") -> "Band":
        return Band(low=self.low + other.low, likely=self.likely + other.likely, high=self.high + other.high)

    def times(self, factor: float) -> "Band":
        """The band of so many of it."""
        return Band(low=self.low * factor, likely=self.likely * factor, high=self.high * factor)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """seconds of wall-clock time; memory: bytes at the peak, of all processes; disk: bytes written and kept.

    basis: what was tried for it, in words.
    """

    seconds: Band
    memory: Band
    disk: Band
    basis: str

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"time    {_band(self.seconds, duration)}",
            f"memory  {_band(self.memory, amount)}",
            f"disk    {_band(self.disk, amount)}",
            f"({self.basis})",
        ]


def passes(system: System, sampling: Sampling, frames: int) -> int:
    """How often the network is asked for a video of so many frames: once a step, window and term of guidance, twice as
    often by Heun's steps but the last."""
    whole = sampling.of(system)
    assert whole.steps is not None
    assert whole.interval is not None
    levels = level(system.process, system.grid(whole.steps)[:-1])
    low, high = whole.interval
    asked = [1 + (whole.guidance not in (0, 1) and low <= float(each) <= high) for each in levels]
    if sampling.solver is None and system.solver == "heun":  # whose second pass is at the next level
        asked += asked[1:]
    return sum(asked) * (len(system.window.spans(frames)) if system.window else 1)


def mendings(system: System, sampling: Sampling, frames: int) -> int:
    """How often the refiner is asked for a video of so many frames: as `passes`, at its own levels."""
    if system.refiner is None:
        return 0
    whole = sampling.of(system)
    assert whole.steps is not None
    low = int((system.grid(whole.steps)[:-1] <= system.refiner.below).sum())
    return math.ceil(low * passes(system, sampling, frames) / whole.steps)


def _seen(system: System, frames: int) -> int:
    """How many frames of a video the network is shown at once."""
    return min(frames, system.window.length) if system.window else frames


def clips(
    pipeline: Pipeline,
    asked: Instruction,
    sampling: Sampling,
    *,
    count: int = 1,
    workers: int = 1,
    started: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> Forecast:
    """What `count` clips of one kind take, in so many processes, at most one a clip; `started`: the seconds until the
    model was there. `clock` may be that of the processor, for machines that are busy with other work.

    Raises ValueError, before anything large is tried, for what does not fit into the memory that is free, and names the
    nearest length, size or number of processes that does.
    """
    system, size, workers = pipeline.system, asked.size or pipeline.system.sizes[0], min(workers, count)
    memory = _of_clip(system, asked.length, size)
    _refuse(system, asked.length, size, memory, workers)
    seen = _seen(system, asked.length)
    video = counted(system, seen, size)
    tried = _small_enough(system, seen, size)
    of_video, of_still, of_mending, rest = _timed(pipeline, _smaller(asked, *tried), clock)
    pixels = asked.length * math.prod(size)
    scale = video.flops / counted(system, *tried).flops
    still_scale = math.prod(size) / math.prod(tried[1])
    larger = pixels / (tried[0] * math.prod(tried[1]))
    number, pictures = passes(system, sampling, asked.length), system.text_to_image
    own = sampling if pictures is None else Sampling(steps=sampling.of(system).steps)
    for_still = passes(pictures or system, own, 1)
    one = of_video.times(number * scale) + of_still.times(for_still * still_scale) + rest.times(larger)
    one += of_mending.times(mendings(system, sampling, asked.length) * scale)
    turns, crowd = math.ceil(count / workers), max(1.0, workers * torch.get_num_threads() / (os.cpu_count() or 1))
    total = one.times(turns * crowd) + Band(low=started * 0.7, likely=started, high=started * 1.5).times(crowd)
    raw = pixels * 3.0 * count
    tries = "the same shape" if tried == (seen, size) else f"{tried[0]} frames of {tried[1][1]}x{tried[1][0]}"
    return Forecast(
        seconds=total,
        memory=memory.times(workers) if workers == 1 else memory.times(workers) + held(),
        disk=written(raw, count),
        basis=f"{ROUNDS} passes of {tries}; {number} passes a clip, {video.flops / 1e9:.3g} GFLOP each",
    )


def written(raw: float, count: int) -> Band:
    """Bytes of `count` clips of `raw` bytes of pixels in all, with their receipts."""
    low, likely, high = (share * raw + count * BESIDE for share in PACKED)
    return Band(low=low, likely=likely, high=high + count * 2e5)  # headers, and PNGs of sheets


def check_disk(forecast: Forecast, folder: Path) -> None:
    """Raise ValueError where the disk of a folder has less room than even the lower end of the band."""
    free = shutil.disk_usage(next(each for each in (folder, *folder.parents) if each.exists())).free
    if forecast.disk.low > free:
        raise ValueError(
            f"got {amount(forecast.disk.low)} or more to write and {amount(free)} free at {folder}; make fewer "
            "clips, or write to another disk"
        )


def _smaller(asked: Instruction, frames: int, size: tuple[int, int]) -> Instruction:
    """The same request at this shape; its pictures are cut to it, which takes as long."""
    pictures = {index: np.asarray(picture)[: size[0], : size[1]] for index, picture in asked.frames.items()}
    return replace(asked, length=frames, size=size, frames=pictures)


def _timed(pipeline: Pipeline, asked: Instruction, clock: Callable[[], float]) -> tuple[Band, Band, Band, Band]:
    """Seconds of a pass on the video, of one on the still before it and of one of the refiner, where there are these,
    and of all else that a clip takes, each over some tries after a first one."""
    spent = list[tuple[Any, int, float]]()
    tries = list[tuple[float, float, float, float]]()
    begun = 0.0

    def before(*_: Any) -> None:
        nonlocal begun
        begun = clock()

    def behind(net: Any, given: tuple[Any, ...], __: Any) -> None:
        spent.append((net, given[0].shape[1], clock() - begun))

    parts = pipeline.parts
    refiner = None if parts.refiner is None else parts.refiner.unet
    pictures = parts.net if parts.text_to_image is None else parts.text_to_image.net
    still = (pictures, 1) if (pictures, 1) != (parts.net, asked.length) else None
    kinds = ((parts.net, asked.length), still, (refiner, asked.length))
    hooks = [net.register_forward_pre_hook(before) for net in {*parts.unets, pictures}]
    hooks += [net.register_forward_hook(behind) for net in {*parts.unets, pictures}]
    try:
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(ROUNDS + 1):
                spent.clear()
                begin = clock()
                made = pipeline.render(asked, generators([0])[0], Sampling(steps=2, guidance=1.0))
                write_video(Path(folder) / "try.mp4", made, fps=8, overwrite=True)
                whole = clock() - begin
                of_kind = [[took for net, frames, took in spent if (net, frames) == kind] for kind in kinds]
                video, picture, mending = (sum(each) / len(each) if each else 0.0 for each in of_kind)
                tries.append((video, picture, mending, whole - sum(took for _, _, took in spent)))
    finally:
        for hook in hooks:
            hook.remove()
    of_video, of_still, of_mending, of_rest = (spread(each) for each in zip(*tries[1:], strict=True))
    return of_video, of_still, of_mending, of_rest


def spread(tries: Sequence[float]) -> Band:
    """What the next of some tries will be, on a machine that does other things besides."""
    ordered = sorted(tries)
    return Band(low=ordered[0] * DRIFT[0], likely=ordered[len(ordered) // 2], high=ordered[-1] * DRIFT[1])


def _small_enough(system: System, frames: int, size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """The shape itself, or one with half of its frames, or of its sides, as often as it takes until it may be tried."""
    least = _unit(system)
    while counted(system, frames, size).flops > TRY:
        if frames > 4:
            frames //= 2
        elif min(size) >= 2 * least:
            size = (size[0] // 2 // least * least, size[1] // 2 // least * least)
        else:
            break
    return frames, size


def _of_clip(system: System, frames: int, size: tuple[int, int]) -> Band:
    """Bytes at the peak of one process that makes such a video: what it has now, and a pass or the pixels on top."""
    work = max(counted(each, _seen(system, frames), size).live for each in stages(system))
    if system.text_to_image is not None:
        work = max(work, counted(system.text_to_image, 1, size).live)
    pixels = 3.0 * frames * math.prod(size) * 3  # the frames, joined, and on their way to the file
    return held() + Band(low=GROWTH[0] * work, likely=1.15 * work + pixels, high=GROWTH[1] * work + 2 * pixels + 1e8)


def held() -> Band:
    """The memory that this process has now."""
    now = _status("VmRSS")
    return Band(low=0.9 * now, likely=1.02 * now, high=1.1 * now)


def _refuse(system: System, frames: int, size: tuple[int, int], memory: Band, workers: int) -> None:
    """Raise ValueError where not even the lower end of the band is free, naming what would be."""
    room = free_memory() + _status("VmRSS")
    if memory.low * workers <= room:
        return
    message = f"got videos that take {amount(memory.low * workers)} of memory or more, and {amount(room)} are free"
    if memory.likely <= room:
        raise ValueError(f"{message}; make them in {max(1, int(room // memory.likely))} processes (--workers)")
    shapes = [(each, of) for of in sorted(system.sizes, key=math.prod, reverse=True) for each in system.frames]
    nearer = [each for each in shapes if each[0] * math.prod(each[1]) < frames * math.prod(size)]
    for length, (height, width) in sorted(nearer, key=lambda each: -each[0] * math.prod(each[1])):
        if _of_clip(system, length, (height, width)).likely <= room:
            raise ValueError(f"{message}; {length} frames of {width}x{height} (--frames, --size) would fit")
    raise ValueError(f"{message}; no length and size of this model fits: use a machine with {amount(memory.likely)}")


def free_memory() -> float:
    """Bytes that this process could still get: what the machine has, and its control group where it is in one."""
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    found = [int(each.split()[1]) * 1024 for each in lines if each.startswith("MemAvailable")]
    group = Path("/sys/fs/cgroup")
    if (group / "memory.max").exists() and (limit := (group / "memory.max").read_text().strip()).isdigit():
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        found.append(int(limit) - used + int(stat.get("file", 0)))  # files that are cached make room when asked to
    return min(found) if found else math.inf


def peak_memory() -> float:
    """The most bytes that this process has had, as far as the system tells."""
    return _status("VmHWM")


def _status(name: str) -> float:
    """A figure of this process in bytes, from /proc/self/status; 0 where there is none."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((float(each.split()[1]) * 1024 for each in lines if each.startswith(name)), 0.0)


def _unit(system: System) -> int:
    """Pixels that the sides of a video must be multiples of."""
    return factor(system) * 2 ** (len(system.net.widths) - 1)


def _band(band: Band, say: Callable[[float], str]) -> str:
    return f"{say(band.likely)}  ({say(band.low)} to {say(band.high)})"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def amount(size: float) -> str:
    """Bytes as people say them."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"
