"""What fewer passes of the network cost: the toybox table over solver, steps, guidance, its interval, and reuse.

Command:   python experiments/pareto.py --minutes 12       (--model DIR; again to continue; --n 60 captions at most)
           python experiments/pareto.py --settings 10/g2 6/g1 8/g2/i0.9-1/r2 ddim50/g2      (others than below)
           python experiments/pareto.py --minutes 0        (only table, picture and JSON, of what is there)
Cost:      a pass of the small network 0.11 s of one core of an AMD EPYC (Zen 3); all settings below take 14 s a
           caption, 50 captions in 12 minutes. All settings see a caption before the next one is begun: whenever the
           clock ends a run, what is there is a fair comparison
Expected:  10 steps of DPM-Solver++ (2M) with guidance 2, 20 passes, can be had for 10 or fewer within noise
Obtained:  results/pareto.json

A setting is STEPS (of DPM-Solver++ 2M) or SOLVERSTEPS (ddim50, ancestral10), then gSCALE (text guidance), iLOW-HIGH
(the noise levels at which it works) and rN (deep features shared by N steps). Captions and clips are of the training
split, from numbers that no training reaches: a default is chosen from these, and the held-out ones are not touched.
Passes are counted by FLOPs, a whole one being 1. Differences are from the first setting, paired by caption, with 95 %
intervals. What is chosen is written into SAMPLING of `small_pixeldance.py`, whose --ship puts it into the checkpoint.
"""

import argparse
import json
import math
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from pixeldance.atomic import atomic_file
from pixeldance.data.toybox import ONE_OBJECT, clip_and_scene, describe_scene, whole
from pixeldance.diffusion.noise import generators
from pixeldance.diffusion.sample import SOLVERS, SolverName
from pixeldance.generate import Sampling
from pixeldance.instruction import Instruction
from pixeldance.metrics.image import psnr
from pixeldance.metrics.score import interval
from pixeldance.metrics.toybox import Trial, table
from pixeldance.pipeline import Pipeline, load

FIRST_CLIP = 2**40 + 300_000  # none that training or another experiment shows
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results" / "pareto.json"
PICTURE = ROOT / "docs" / "pictures" / "pareto.png"
SETTINGS = (
    "10/g2",
    "10/g1",
    "6/g1",
    "4/g1",
    "6/g2/i0.95-1",
    "8/g1/r2",
    "ancestral6/g1",
    "ancestral10/g1",
    "ancestral20/g1",
)
FORM = re.compile(
    r"(?P<solver>ddim|ancestral|heun)?(?P<steps>\d+)/g(?P<g>[\d.]+)(/i(?P<low>[\d.]+)-(?P<high>[\d.]+))?(/r(?P<reuse>\d+))?"
)
SHOWN = {
    "direction": "goes the way the text says",
    "motion": "kind of motion the text says",
    "motion_last": "exact motion, with last frame",
    "whole": "frames with the object whole",
    "whole_free": "the same, without last frame",
    "likeness": "dB to the real clip, with last frame",
    "edges": "edges where things move: octaves off, 0 is right",
}
MOVES = 24  # levels of 255
Row = dict[str, Any]


def sampling(setting: str) -> Sampling:
    """The setting that a word names. Raises ValueError for words of another form."""
    found = FORM.fullmatch(setting)
    if found is None:
        raise ValueError(f"got the setting {setting!r}; wanted e.g. 10/g2, 6/g1, ddim50/g2 or 8/g2/i0.9-1/r2")
    return Sampling(
        steps=int(found["steps"]),
        guidance=float(found["g"]),
        interval=(0.0, 1.0) if found["low"] is None else (float(found["low"]), float(found["high"])),
        reuse=int(found["reuse"] or 1),
        solver=SOLVERS[cast("SolverName", found["solver"] or "dpmpp_2m")](),
    )


def row(pipeline: Pipeline, number: int, setting: str) -> Row:
    """The figures of one caption; None where a clip has nothing to say of one."""
    size, length = pipeline.system.sizes[0], pipeline.system.frames[0]
    real, scene = clip_and_scene(FIRST_CLIP + number, world=ONE_OBJECT, size=size, frames=length)
    asked = pipeline.instruct(describe_scene(scene), real.video[0], real.video[-1])
    how, start = sampling(setting), time.process_time()
    free = pipeline.render(asked.without(frame=-1), generators([number])[0], how)
    seconds = time.process_time() - start
    ended = pipeline.render(asked, generators([number])[0], how)
    made = Trial(text=asked.text, scene=scene, real=real.video, free=free, ended=ended, seconds=seconds)
    figures = table([made]) | {"whole_free": whole(free, scene), "likeness": psnr(ended, real.video)}
    steepness = edges(ended, real.video) / (edges(real.video, real.video) or math.nan)
    figures["edges"] = -abs(math.log2(max(steepness, 2**-10)))
    known = {name: value if math.isfinite(value) else None for name, value in figures.items() if name != "n"}
    return {"setting": setting, "caption": number, **known}


def edges(video: np.ndarray, real: np.ndarray) -> float:
    """Mean difference of neighbouring pixels in the inner frames, where the real clip ever changes; NaN for a still."""
    moving = (np.ptp(real.astype(np.int16), axis=0).max(axis=-1) > MOVES)[:-1, :-1]
    inner = video[4:-4].astype(np.float64)
    across, down = (np.abs(np.diff(inner, axis=axis)).mean(axis=-1) for axis in (2, 1))
    steepness = (across[:, :-1] + down[:, :, :-1])[:, moving]
    return float(steepness.mean()) if steepness.size else math.nan


def passes(pipeline: Pipeline, setting: str) -> float:
    """How many whole passes of the network a clip with a first frame takes, by counted FLOPs; the text is in it."""
    size, length = pipeline.system.sizes[0], pipeline.system.frames[0]
    picture = np.zeros((*size, 3), np.uint8)
    asked = Instruction(text="a red star moves left", frames={0: picture}, length=length, size=size)
    return _flops(pipeline, asked, sampling(setting)) / _flops(pipeline, asked, Sampling(steps=1, guidance=1.0))


def _flops(pipeline: Pipeline, asked: Instruction, how: Sampling) -> float:
    with FlopCounterMode(display=False) as counter:
        pipeline.latents(asked, generators([0])[0], how)
    return float(counter.get_total_flops())


def measure(pipeline: Pipeline, settings: Sequence[str], n: int, minutes: float, rows: Path) -> list[Row]:
    """Add to the file `rows` what is missing of n captions until the time is over, and give all of it."""
    known = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
    done, end = {(each["setting"], each["caption"]) for each in known}, time.monotonic() + 60 * minutes
    for number in range(n):
        for setting in settings:
            if (setting, number) in done:
                continue
            if time.monotonic() >= end:
                return known
            known.append(row(pipeline, number, setting))
            with rows.open("a") as file:
                file.write(json.dumps(known[-1]) + "\n")
        print(f"{number + 1} of {n} captions", flush=True)
    return known


def figures(rows: Sequence[Row], settings: Sequence[str], cost: dict[str, float]) -> dict[str, Any]:
    """For each setting its passes, and each figure's mean and difference from the first setting, with intervals."""
    rng, base = np.random.default_rng(0), settings[0]
    by = {setting: {each["caption"]: each for each in rows if each["setting"] == setting} for setting in settings}
    found: dict[str, Any] = {}
    for setting in settings:
        common = sorted(by[setting].keys() & by[base].keys())
        if len(common) < 2:
            continue
        found[setting] = {"passes": cost[setting], "captions": len(common)}
        for name in dict.fromkeys(name for each in by[setting].values() for name in each):
            pairs = [(by[setting][at].get(name), by[base][at].get(name)) for at in common]
            told = [(here, there) for here, there in pairs if here is not None and there is not None]
            if name in ("setting", "caption") or len(told) < 2:
                continue
            values = [here for here, _ in told]
            found[setting][name] = {
                "mean": float(np.mean(values)),
                "interval": interval(values, rng),
                "difference": float(np.mean([here - there for here, there in told])),
                "difference_interval": interval([here - there for here, there in told], rng),
                "n": len(told),
            }
    return found


def draw(found: dict[str, Any], path: Path) -> None:
    """Each figure over the passes it takes, a point a setting."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 7), layout="constrained", dpi=80)
    *panels, legend = figure.subplots(2, 4).flat
    colours = {setting: f"C{number}" for number, setting in enumerate(found)}
    for axes, (name, says) in zip(panels, SHOWN.items(), strict=True):
        for setting, colour in colours.items():
            if name in found[setting]:
                at, mean, (low, high) = (
                    found[setting]["passes"],
                    *(found[setting][name][k] for k in ("mean", "interval")),
                )
                axes.errorbar(at, mean, [[mean - low], [high - mean]], fmt="o", color=colour, alpha=0.8)
        axes.set(title=says, xlabel="passes of the network a clip", xlim=(0, None))
        axes.grid(alpha=0.25)
    for setting, colour in colours.items():
        legend.plot([], [], "o", color=colour, label=setting)
    legend.legend(loc="center", title="setting; bars: 95 %", frameon=False)
    legend.axis("off")
    with atomic_file(path, overwrite=True) as part:
        figure.savefig(part, format="png")


def cheapest(found: dict[str, Any]) -> str:
    """The setting of the fewest passes of which no figure shown is worse than the first's beyond its interval."""
    sound = [
        setting
        for setting, each in found.items()
        if all(each[name]["difference_interval"][1] >= 0 for name in SHOWN if name in each)
    ]
    return min(sound, key=lambda setting: float(found[setting]["passes"]))


def show(found: dict[str, Any]) -> None:
    """The table for the docs: mean and, in brackets, the interval of the difference from the first setting."""
    print("| setting | passes | s | " + " | ".join(SHOWN) + " |\n" + "|---" * (3 + len(SHOWN)) + "|")
    for setting, each in found.items():
        cells = [setting, f"{each['passes']:.1f}", f"{each['seconds_per_clip']['mean']:.2f}"]
        for name in SHOWN:
            low, high = each[name]["difference_interval"] if name in each else (math.nan, math.nan)
            mean = each[name]["mean"] if name in each else math.nan
            cells.append(f"{mean:.3g} ({low:+.2f} to {high:+.2f})")
        print("| " + " | ".join(cells) + " |")
    print(f"the fewest passes without a figure that is worse beyond its interval: {cheapest(found)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a checkpoint; the model that ships")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), help="the first one is compared with")
    parser.add_argument("--n", type=int, default=60, help="captions at most")
    parser.add_argument("--minutes", type=float, default=12.0, help="begin no clip after so many")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = load(asked.model)
    cost = {setting: passes(pipeline, setting) for setting in asked.settings}
    assert pipeline.model_hash is not None
    rows = ROOT / "runs" / "pareto" / f"{pipeline.model_hash[:12]}.jsonl"
    rows.parent.mkdir(parents=True, exist_ok=True)
    found = figures(measure(pipeline, asked.settings, asked.n, asked.minutes, rows), asked.settings, cost)
    with atomic_file(asked.out, overwrite=True) as part:
        part.write_text(json.dumps({"model": pipeline.model_hash, "settings": found}, indent=1) + "\n")
    draw(found, asked.picture)
    show(found)


if __name__ == "__main__":
    main()
