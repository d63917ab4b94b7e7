"""The curves of runs, from the lines that they wrote: loss by kind, gradient, rate, speed, and the figures measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from pixeldance.training.lines import FIGURES, STEPS, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = {
    "norm": "norm of the gradient",
    "rate": "learning rate",
    "seconds": "seconds a step",
    "waited": "seconds waited for data",
}
COLUMNS = 3
PALE = 0.25


def draw(runs: Sequence[Path], *, smooth: int = 100) -> "Figure":
    """One picture of the runs' curves, a colour for each: a panel for each kind of loss and each other curve, raw and
    averaged over `smooth` steps, and for each figure measured. Skipped steps leave gaps.

    Raises ValueError for a folder without a log, and where matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("plotting needs matplotlib; pip install 'pixeldance[plot]'") from None
    logs = {_name(run): _read(run) for run in runs}
    kinds = sorted({line["kind"] for steps, _ in logs.values() for line in steps}, reverse=True)
    figures = list(dict.fromkeys(name for _, found in logs.values() for line in found for name in line))
    panels = [*(f"loss {kind}" for kind in kinds), *CURVES, *(name for name in figures if name != "step")]
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(5 * COLUMNS, 3 * rows), layout="constrained", dpi=110)
    axes = dict(zip(panels, figure.subplots(rows, COLUMNS, squeeze=False).flat, strict=False))
    for spare in figure.axes[len(panels) :]:
        spare.remove()
    for number, (name, (steps, found)) in enumerate(logs.items()):
        colour = f"C{number}"
        for kind in kinds:
            of_kind = [line for line in steps if line["kind"] == kind]
            _curve(axes[f"loss {kind}"], *_points(of_kind, "loss"), smooth, colour, name)
        for curve in CURVES:
            _curve(axes[curve], *_points(steps, curve), 1 if curve == "rate" else smooth, colour, name)
        for panel in panels[len(kinds) + len(CURVES) :]:
            axes[panel].plot(*_points(found, panel), color=colour, marker="o", markersize=3)
    for panel, each in axes.items():
        each.set_title(CURVES.get(panel, panel), fontsize=10)
        each.grid(alpha=PALE)
        each.tick_params(labelsize=8)
        each.set_xlabel("step", fontsize=8)
    for panel in ("norm", *(f"loss {kind}" for kind in kinds)):
        axes[panel].set_yscale("log")
    axes[panels[0]].legend(fontsize=8)
    return figure


def smoothed(values: Float[np.ndarray, "n"], over: int) -> Float[np.ndarray, "n"]:
    """The mean of each value and up to `over` - 1 before it, those that are numbers; NaN where none is."""
    known = np.isfinite(values)
    sums = np.cumsum(np.where(known, values, 0.0))
    counts = np.cumsum(known)
    before = np.maximum(np.arange(len(values)) - over, -1)
    sums = sums - np.where(before >= 0, sums[before], 0.0)
    counts = counts - np.where(before >= 0, counts[before], 0)
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)


def _curve(
    axes: "Axes", at: Float[np.ndarray, "n"], values: Float[np.ndarray, "n"], smooth: int, colour: str, name: str
) -> None:
    """Raw and smoothed, the latter over the values in `smooth` steps: few, where only some steps have one."""
    over = max(1, round(smooth * len(at) / (at[-1] - at[0] + 1))) if len(at) else 1
    axes.plot(at, values, color=colour, alpha=PALE, linewidth=0.7)
    axes.plot(at, smoothed(values, over), color=colour, linewidth=1.5, label=name)


def _points(found: list[dict[str, Any]], name: str) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    """The steps and values of a curve; null, which stands for what is no number, is NaN again."""
    known = [(line["step"], np.nan if line[name] is None else line[name]) for line in found if name in line]
    steps, values = np.array(known, float).reshape(-1, 2).T
    return steps, values


def _name(run: Path) -> str:
    return (run.parent if run.name == STEPS else run).name


def _read(run: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    folder = run.parent if run.name == STEPS else run
    steps = read(folder / STEPS)
    if not steps:
        raise ValueError(f"got the run {run}, in which there is no {STEPS} with a step; wanted the folder of a run")
    return steps, read(folder / FIGURES)
