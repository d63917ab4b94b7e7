"""What the benchmarks of speed share: interleaved rounds of several things, the memory that one takes, and on what.

Processor time is that of this process, so that other work on the core counts as little as may be; it is stretched all
the same, by caches that are shared, and the load average of every round says how much else ran. Linux only.
"""

import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

Rounds = dict[str, dict[str, list[float]]]
"""By name: "processor_seconds", "wall_seconds" and "load" of each round."""


def interleaved(steps: Mapping[str, Callable[[], object]], rounds: int) -> Rounds:
    """Every step once in each round, in turn; one round more comes first and is not counted."""
    found: Rounds = {name: {"processor_seconds": [], "wall_seconds": [], "load": []} for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            processor, wall = time.process_time(), time.perf_counter()
            step()
            took = {
                "processor_seconds": time.process_time() - processor,
                "wall_seconds": time.perf_counter() - wall,
                "load": os.getloadavg()[0],
            }
            print(f"round {number}, {name}: " + ", ".join(f"{key} {value:.2f}" for key, value in took.items()))
            sys.stdout.flush()
            if number:
                for key, value in took.items():
                    found[name][key].append(value)
    return found


def memory_peak(step: Callable[[], object]) -> float:
    """Bytes of the resident set of this process, at the peak of a step."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    step()
    return _status("VmHWM")


def memory_rise(step: Callable[[], object]) -> float:
    """The same, above what this process has before the step."""
    before = _status("VmRSS")
    return memory_peak(step) - before


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def apart(measure: Callable[[], float]) -> float:
    """What is measured in a process of its own, forked from this one, so that nothing was freed in it before."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=lambda: send.send(measure()))
    process.start()
    send.close()
    got = float(receive.recv())
    process.join()
    return got


def about() -> dict[str, Any]:
    """What was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    processor = f"{name}, {torch.backends.cpu.get_cpu_capability()}"
    return {"torch": torch.__version__, "processor": processor, "cores": os.cpu_count()}


def told(values: Sequence[float], form: str = ".2f") -> str:
    """Median (lowest to highest)."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def against(wanted: float, got: float, *, most: bool = False) -> str:
    """A ratio beside its target; most: it should be that or less."""
    reached = got <= wanted if most else got >= wanted
    return f"{got:.2f} x, wanted {'at most ' if most else ''}{wanted:g}: {'reached' if reached else 'MISSED'}"


def loads(rounds: Rounds) -> str:
    """The load average over all rounds, in words."""
    every = [load for each in rounds.values() for load in each["load"]]
    return f"load average {min(every):.1f} to {max(every):.1f} on {os.cpu_count()} cores, {len(every)} timings"


def write(file: Path | None, result: dict[str, Any]) -> None:
    """Keep all figures in a file, if one is asked for."""
    if file is not None:
        file.write_text(json.dumps(result, indent=1) + "\n")
