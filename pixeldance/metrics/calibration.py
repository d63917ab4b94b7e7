"""The end-frame dial: what tau does to the end of a clip, measured for a checkpoint and kept beside its weights.

For each tau, clips are made between the first and the last frame of toybox clips that training never showed. Two things
are read: how similar the end is to the frame asked for, and how the last step of the object compares with its other
steps (`data.toybox.end_jump`), relative to real clips. The words of the dial are chosen from that curve by one rule
(`words_of`), and a wanted similarity is looked up in it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from pixeldance import checkpoint
from pixeldance.atomic import atomic_file
from pixeldance.data.toybox import clip_and_scene, describe_scene, end_jump
from pixeldance.diffusion.noise import generators
from pixeldance.generate import Sampling
from pixeldance.metrics.image import psnr
from pixeldance.metrics.toybox import HELD_OUT, MOVING, SEED
from pixeldance.pipeline import Pipeline
from pixeldance.receipt import Record, versions

FILE = "calibration.json"
WORLD = replace(HELD_OUT, motions=MOVING)
TAUS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
GAINS = {"guide": 0.8, "hint": 0.4}
"""What each word keeps of the similarity that the last frame can bring: of the way, in dB, from tau = 0 to tau = 1."""
WORDS = ("exact", *GAINS)
SMOOTH = 1.3  # a clip whose end jump is below this many times a real one's ends smoothly


class Point(Record):
    """What one tau does. similarity: PSNR in dB of the end to the frame asked for, the median clip's; low, high: those
    of the clips at a tenth and nine tenths. end_jump: the median clip's, 1 is as real ones have; None where no clip
    had an object to read. smooth: the share of clips, of those that could be read, whose end jump is below 1.3."""

    tau: float
    similarity: float
    low: float
    high: float
    end_jump: float | None
    smooth: float | None


class Calibration(Record):
    """model: the checkpoint's hash. pairs: of first and last frames, the first `pairs` of the world's held-out ones.
    curve: by rising tau. words: the tau of each word of the dial; exact alone where the last frame leads nowhere."""

    model: str
    pairs: int
    steps: int
    guidance: float
    curve: list[Point]
    words: dict[str, float]
    versions: dict[str, str]


def calibrate(
    pipeline: Pipeline, pairs: int, taus: Sequence[float] = TAUS, progress: Callable[[], object] | None = None
) -> Calibration:
    """Measure a model that comes from a checkpoint; `progress` is called after each clip, `pairs` times each tau.

    Raises ValueError for less than 1 pair, and for taus that do not rise from 0 to 1.
    """
    if pipeline.model_hash is None:
        raise ValueError("got a model made in memory, which has no hash; save it and load it (pixeldance.load)")
    if pairs < 1 or list(taus) != sorted({0.0, *taus, 1.0}):
        raise ValueError(
            f"got {pairs} pairs and tau = {tuple(taus)}; wanted 1 pair or more, and tau rising from 0 to 1"
        )
    system = pipeline.system
    real = [
        clip_and_scene(SEED + number, world=WORLD, size=system.sizes[0], frames=system.frames[0])
        for number in range(pairs)
    ]
    real_jump = _median([end_jump(clip.video) for clip, _ in real])
    curve = []
    for tau in taus:
        similarity, jumps = [], []
        for number, (clip, scene) in enumerate(real):
            asked = pipeline.instruct(describe_scene(scene), clip.video[0], clip.video[-1])
            made = pipeline.render(asked, generators([number])[0], Sampling(tau=tau))
            similarity.append(psnr(made[-1], clip.video[-1]))
            jumps.append(end_jump(made) / real_jump)
            if progress is not None:
                progress()
        curve.append(_point(tau, similarity, jumps))
    return Calibration(
        model=pipeline.model_hash,
        pairs=pairs,
        steps=system.steps,
        guidance=system.guidance,
        curve=curve,
        words=words_of(curve),
        versions=versions(),
    )


def words_of(curve: Sequence[Point]) -> dict[str, float]:
    """The taus of the dial's words. exact is 1; guide and hint are the least tau of the curve from which on the end
    keeps 80 % and 40 % of the similarity that tau = 1 has over tau = 0, in dB. Less than 1 dB is nothing to keep. In
    few steps several taus are one: a word that would be the same as exact is the next lower one instead."""
    words = {"exact": 1.0}
    least, gain = curve[0].similarity, curve[-1].similarity - curve[0].similarity
    if gain < 1:
        return words
    for word, share in GAINS.items():
        short = [place for place, point in enumerate(curve) if point.similarity < least + share * gain]
        place = max(short) + 1
        if curve[place].similarity == curve[-1].similarity and place > 1:
            place = [point.similarity for point in curve].index(curve[place - 1].similarity)
        words[word] = curve[place].tau
    return words


def tau_of(end: str, folder: Path) -> float:
    """The tau of a word of the dial, or of a similarity such as "25dB", for the model of a checkpoint folder.

    Raises ValueError for something else, without a calibration of this very checkpoint, and where it says no.
    """
    wanted = _decibels(end)
    if end == "exact":
        return 1.0
    if wanted is None and end not in WORDS:
        raise ValueError(f"got --end {end!a}; wanted {', '.join(WORDS)}, or a similarity such as 25dB")
    known = read(folder)
    if wanted is not None:
        return _tau_at(wanted, known)
    if end not in known.words:
        raise ValueError(f"got --end {end}; the last frame leads this model nowhere, see {folder / FILE}; give --tau")
    return known.words[end]


def read(folder: Path) -> Calibration:
    """The calibration of a checkpoint. Raises ValueError where there is none, or that of another one."""
    file, make = folder / FILE, f"make one: pixeldance calibrate {folder}"
    if not file.is_file():
        raise ValueError(f"{folder} has no calibration, so that words of --end mean nothing for it; {make}")
    try:
        known = Calibration.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{file} is not a calibration: {error.errors()[0]['msg']}; {make} --force") from None
    if known.model != checkpoint.model_hash(folder):
        raise ValueError(f"{file} is of other weights, {known.model[:12]}; {make} --force")
    return known


def write(known: Calibration, folder: Path, *, overwrite: bool = False) -> Path:
    """Put a calibration beside the weights that it is of; where it lies."""
    with atomic_file(folder / FILE, overwrite=overwrite) as part:
        part.write_text(known.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return folder / FILE


def _tau_at(similarity: float, known: Calibration) -> float:
    """Where the curve first has a similarity, in a straight line between its points."""
    curve = known.curve
    low, high = curve[0].similarity, max(point.similarity for point in curve)
    if not low <= similarity <= high:
        raise ValueError(f"got --end {similarity:g}dB; this model's ends have {low:.1f} to {high:.1f} dB: try between")
    for one, other in pairwise(curve):
        if other.similarity >= similarity:
            share = (similarity - one.similarity) / (other.similarity - one.similarity)
            return one.tau + share * (other.tau - one.tau)
    return curve[-1].tau  # a curve of which all points are equal


def _decibels(end: str) -> float | None:
    try:
        return float(end.removesuffix("dB")) if end.endswith("dB") else None
    except ValueError:
        return None


def _point(tau: float, similarity: list[float], jumps: list[float]) -> Point:
    low, middle, high = (float(each) for each in np.quantile(similarity, [0.1, 0.5, 0.9]))
    known = [jump for jump in jumps if math.isfinite(jump)]
    return Point(
        tau=tau,
        similarity=round(middle, 3),
        low=round(low, 3),
        high=round(high, 3),
        end_jump=round(float(np.median(known)), 4) if known else None,
        smooth=round(float(np.mean([jump < SMOOTH for jump in known])), 4) if known else None,
    )


def _median(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else math.nan
