"""What a report says of a model on the toybox: its held-out trials measured, its curves, and which clips are shown."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pixeldance.data.toybox import clip, landing_error, last_place, whole
from pixeldance.diffusion.noise import generators
from pixeldance.generate import Sampling
from pixeldance.metrics.choose import rank
from pixeldance.metrics.extractors import Extractor
from pixeldance.metrics.image import psnr
from pixeldance.metrics.measure import Sets, measured
from pixeldance.metrics.meter import READINGS, landing, meter
from pixeldance.metrics.report import Curve, Figure, Measured, Plot, Shown
from pixeldance.metrics.score import interval, share_interval
from pixeldance.metrics.toybox import HELD_OUT, SEED, WITHIN, Trial, table, trials
from pixeldance.pipeline import Pipeline

FPS = 8.0  # of the toybox
OTHERS = SEED + 2**20  # the first of the real clips that only the floor is made of
TAUS = (0.0, 0.25, 0.5, 0.75, 1.0)
SWEPT, SAMPLES, FAILURES = 8, 6, 6  # clips
SAYS = {
    "first_psnr": "dB between the first frame asked for and the one made",
    "direction": "share that goes the way asked for (text and first frame)",
    "motion": "share with the kind of motion asked for (text and first frame)",
    "motion_last": "share with exactly the motion asked for (with the last frame)",
    "landing_median": "pixels of 64 from where the last frame has the object, median",
    "landing_within_4px": "share that lands within 4 pixels",
    "whole": "share of frames with the object whole",
    "end_jump": "last step over median step, relative to real clips, moving ones only",
    "seconds_per_clip": "text and first frame, median",
}


def measure(
    pipeline: Pipeline,
    name: str,
    n: int,
    networks: Mapping[str, Extractor],
    progress: Callable[[int], None] | None = None,
) -> Measured:
    """Render `n` held-out captions (2 or more) and a tau sweep, and measure them; `progress(done)` counts captions."""
    if n < 2:
        raise ValueError(f"got {n} captions; wanted 2 or more for intervals")
    made = trials(pipeline, n, progress=progress)
    size, length = pipeline.system.sizes[0], pipeline.system.frames[0]
    others = [clip(OTHERS + number, world=HELD_OUT, size=size, frames=length).video for number in range(n)]
    rng = np.random.default_rng(0)
    sets = Sets(
        real=[trial.real for trial in made],
        others=others,
        made=[trial.ended for trial in made],
        texts=[trial.text for trial in made],
        fps=FPS,
    )
    readings = [meter(trial.ended, trial.real[0], trial.real[-1], FPS) for trial in made]
    return Measured(
        name=name,
        about={
            "model": (pipeline.model_hash or "in memory")[:16],
            "captions": f"{n}, of combinations of shape, colour and motion that training never showed",
            "clips": f"{length} frames of {size[1]} x {size[0]} at {FPS:g} a second",
            "sampling": f"{pipeline.system.steps} steps, guidance {pipeline.system.guidance:g}, tau 1",
        },
        figures=[*_figures(made, rng), *_faults(readings)],
        scores=measured(sets, networks, rng),
        plots=[*_over_time(made, rng), _tau_sweep(pipeline, made[:SWEPT], rng)],
        samples=[_shown(trial) for trial in made[:SAMPLES]],
        failures=_failures(made, readings),
    )


def _figures(made: list[Trial], rng: np.random.Generator) -> list[Figure]:
    """The toybox table, with intervals where a figure is a mean of one value a clip."""
    known = table(made)
    places = [(trial, last_place(trial.real)) for trial in made]
    samples = {
        "first_psnr": [psnr(trial.free[0], trial.real[0]) for trial in made],
        "whole": [whole(trial.ended, trial.scene) for trial in made],
    }
    near = [landing_error(trial.ended, *place) <= WITHIN for trial, place in places if place is not None]
    intervals = {name: _spread(values, rng) for name, values in samples.items()}
    if near:
        intervals["landing_within_4px"] = share_interval(near)
    return [
        Figure(
            name=name,
            says=says,
            value=None if math.isnan(known[name]) else known[name],
            interval=intervals.get(name),
        )
        for name, says in SAYS.items()
    ]


def _faults(readings: Sequence[Mapping[str, float]]) -> list[Figure]:
    """The share of clips with each fault of the meter, and without any."""
    free = [rank(each)[0] == 0 for each in readings]
    found = [_share("faultless", "share of clips without a fault of the meter", free)]
    for name, reading in READINGS.items():
        marks = [reading.fault(each[name]) for each in readings if name in each]
        if reading.limit() and marks:
            found.append(_share(f"fault: {name}", f"share of clips at fault: {reading.says}, {reading.limit()}", marks))
    return found


def _share(name: str, says: str, marks: Sequence[bool]) -> Figure:
    return Figure(name=name, says=says, value=sum(marks) / len(marks), interval=share_interval(marks))


def _over_time(made: list[Trial], rng: np.random.Generator) -> list[Plot]:
    frames = range(len(made[0].real))
    curves = []
    for name, videos in (("first frame", [t.free for t in made]), ("first and last", [t.ended for t in made])):
        values = [[psnr(v[i], t.real[i]) for v, t in zip(videos, made, strict=True)] for i in frames]
        curves.append(_curve(name, frames, values, rng))
    near = Plot(title="Likeness to the real clip", across="frame", up="dB", curves=curves)
    steps = []
    kinds = (("first and last", [t.ended for t in made]), ("real", [t.real for t in made]))
    for name, videos in kinds:
        change = [np.abs(np.diff(video.astype(np.float64), axis=0)).mean(axis=(1, 2, 3)) for video in videos]
        steps.append(_curve(name, frames[1:], np.transpose(change).tolist(), rng))
    return [near, Plot(title="Change from frame to frame", across="frame", up="levels of 255", curves=steps)]


def _tau_sweep(pipeline: Pipeline, made: list[Trial], rng: np.random.Generator) -> Plot:
    """How far videos go towards their last frame, by how long it leads."""
    values = []
    for tau in TAUS:
        gone = []
        for number, trial in enumerate(made):
            ask = pipeline.instruct(trial.text, trial.real[0], trial.real[-1])
            video = pipeline.render(ask, generators([number])[0], Sampling(tau=tau))
            way = landing(trial.real[0], video[-1], trial.real[-1])
            gone += [] if way is None else [way]
        values.append(gone)
    if not all(values):
        nothing = Curve(name="", x=TAUS, y=[0.0] * len(TAUS))
        return Plot(title="Way to the last frame by tau", across="tau", up="no clip has a way to go", curves=[nothing])
    title = f"Way to the last frame by tau, N = {len(values[0])}"
    return Plot(title=title, across="tau", up="share", curves=[_curve("landing", TAUS, values, rng)])


def _curve(name: str, x: Sequence[float], values: Sequence[Sequence[float]], rng: np.random.Generator) -> Curve:
    spreads = [_spread(each, rng) for each in values]
    known = [each for each in spreads if each is not None]
    y = [float(np.mean(each)) for each in values]
    return Curve(name=name, x=list(x), y=y, intervals=known if len(known) == len(spreads) else None)


def _spread(values: Sequence[float], rng: np.random.Generator) -> tuple[float, float] | None:
    return interval(values, rng) if len(values) > 1 else None


def _shown(trial: Trial) -> Shown:
    clips = [("real", trial.real), ("from first frame", trial.free), ("from first and last", trial.ended)]
    return Shown(text=trial.text, clips=clips)


def _failures(made: list[Trial], readings: Sequence[Mapping[str, float]]) -> list[Shown]:
    """The clips with most faults, worst first, and what the meter says of them."""
    order = sorted(range(len(made)), key=lambda number: rank(readings[number]), reverse=True)
    found = []
    for number in order[:FAILURES]:
        trial, faults = made[number], [n for n, value in readings[number].items() if READINGS[n].fault(value)]
        if faults:
            told = ", ".join(f"{name} {readings[number][name]:.3g}" for name in faults)
            clips = [("real", trial.real), ("from first and last", trial.ended)]
            found.append(Shown(text=trial.text, clips=clips, fault=told, note=f"caption {number}"))
    return found
