"""How often the forecast of a training run holds what the run takes, and how far off it is, over small runs.

Command:   python benchmarks/forecast_training.py      (--clock wall, --n 30, --first 0, -o FILE.json)
Cost:      about 20 s of one core a configuration
Expected:  the true value inside the band in 90 % of 30 configurations, a median error of 15 % or less
Obtained:  results/forecast_training.json, with --n 10: all inside, median errors of time 8.1 % and memory 3.1 %
           (processor clock); of the rise of memory 9 inside, median error 11 %

Each configuration is a network of random widths and depth, trained for a few steps on the toybox: whole, in part or by
a LoRA, in batches of random size and pieces, with and without images and checkpointing. The forecast is made in a
process of its own, as `pixeldance plan train` makes it, and the run is done in another one. Memory is the peak of the
resident set of the run's process (Linux); `rise` is that above what the process had before, so that small
networks are not told right because Python and torch are the most of it. For the clocks see `forecast.py`.
"""

import argparse
import json
import math
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from forecast import CLOCKS, configuration, judged, summary

from pixeldance import checkpoint, forecast
from pixeldance.data.toybox.source import Toybox
from pixeldance.forecast import Band
from pixeldance.nets.lora import LoRA
from pixeldance.nets.unet import UNet
from pixeldance.system import Parts
from pixeldance.training import forecast as of_training
from pixeldance.training.loop import Training, train
from pixeldance.work import factor

RESULTS = Path(__file__).parent / "results" / "forecast_training.json"
MOST = 6e10
"""FLOPs of a step, if all weights were used at all positions: a second of a core or less."""
KINDS = ("whole", "whole", "part", "lora")
PART = ("net.*temporal*",)
ASKED = ("batch", "image_batch", "image_every", "accumulate", "checkpointing", "optimiser", "steps", "keep", "train")


def drawn(rng: np.random.Generator, init: Path) -> Training:
    """A run, a step of which is no longer than `MOST`; one by a LoRA begins with the checkpoint `init`."""
    while True:
        system = configuration(rng)[0]
        widths = tuple(int(rng.choice([1, 1, 3])) * width for width in system.net.widths)
        system = replace(
            system,
            net=replace(system.net, widths=widths),
            trained=("text", "net") if rng.integers(2) else ("net",),
        )
        frames, size = system.frames[0], system.sizes[0]
        kind, pieces = str(rng.choice(KINDS)), int(rng.choice([1, 1, 2]))
        run = Training(
            system=system,
            data=partial(Toybox, size=size, frames=frames),
            images=partial(Toybox, size=size, frames=1),
            batch=pieces * int(rng.integers(1, 5)),
            image_batch=pieces * int(rng.choice([2, 4, 8])),
            # What sees time has nothing to learn from images, and a step on nothing has no gradient.
            image_every=0 if kind == "part" else int(rng.choice([0, 2, 3])),
            accumulate=pieces,
            checkpointing=bool(rng.integers(2)),
            optimiser="muon" if rng.integers(2) else "adamw",
            steps=int(rng.integers(4, 9)),
            train=PART if kind == "part" else ("*",),
            lora=LoRA() if kind == "lora" else None,
            init=init if kind == "lora" else None,
            save_minutes=float(rng.choice([0.0, 1e9])),
            keep=int(rng.integers(1, 4)),
        )
        with torch.device("meta"):
            weights = sum(each.numel() for each in UNet(system.net).parameters())
        positions = max(run.batch * frames, run.image_batch) * math.prod(size) / factor(system) ** 2
        if 6 * weights * positions <= MOST:
            return run


def apart(work: Callable[..., Any], *given: Any) -> Any:
    """What a function gives in a new process, in which nothing was done before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *given).result()


def foretold(run: Training, clock: str) -> dict[str, Any]:
    """The bands, in this process; the checkpoint where the run is to start is written before."""
    torch.set_num_threads(1)
    if run.init is not None:
        checkpoint.save(run.init, Parts(run.system))
    base = asdict(forecast.held())
    told = of_training.training(run, CLOCKS[clock])
    bands = {name: asdict(getattr(told, name)) for name in ("seconds", "memory", "disk")}
    return bands | {"rise": {name: value - base[name] for name, value in bands["memory"].items()}}


def done(run: Training, clock: str, folder: Path) -> dict[str, float]:
    """What the run takes, in this process."""
    torch.set_num_threads(1)
    base, begin = forecast.held().likely, CLOCKS[clock]()
    train(run, folder, progress=False)
    seconds, peak = CLOCKS[clock]() - begin, forecast.peak_memory()
    files = (each.stat().st_size for each in folder.rglob("*") if each.is_file())
    return {"seconds": seconds, "memory": peak, "rise": peak - base, "disk": float(sum(files))}


def compared(number: int, clock: str) -> dict[str, Any]:
    """The forecast of a configuration beside the truth."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = drawn(np.random.default_rng(number), folder / "init")
        told, true = apart(foretold, run, clock), apart(done, run, clock, folder / "run")
    net = {"widths": run.system.net.widths, "layers": run.system.net.layers, "trained": run.system.trained}
    shape = {"frames": run.system.frames[0], "size": run.system.sizes[0], "lora": run.lora is not None}
    return {
        "configuration": number,
        "asked": {name: getattr(run, name) for name in ASKED} | net | shape,
        **{name: {"true": true[name], **told[name], **judged(Band(**told[name]), true[name])} for name in true},
        "load": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=30, help="configurations")
    parser.add_argument("--first", type=int, default=0, help="the number of the first one")
    parser.add_argument("--clock", choices=CLOCKS, default="processor")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    rows = list[dict[str, Any]]()
    for number in range(asked.first, asked.first + asked.n):
        rows.append(compared(number, asked.clock))
        print(json.dumps(rows[-1]), flush=True)
        told = summary(rows, ("seconds", "memory", "rise", "disk"))
        kept = {"clock": asked.clock, "n": len(rows), "found": told, "rows": rows}
        asked.out.write_text(json.dumps(kept, indent=1) + "\n")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
