"""Arms: what a published system is asked to do better than another, on equal terms, and how that is judged.

A `Question` has two arms, ours and theirs. Where they differ in training they have equal steps, data and seeds (and,
but for what is in question, equal networks); where they differ in sampling alone they are the same weights. Each arm
answers the same requests with each seed; the interval is that of `metrics.verdict`, and the threshold stands in the
file of the experiment before it is run.

Runs lie in runs/systems/ and are continued; measured values lie beside them; results go to results/systems/.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pixeldance import checkpoint
from pixeldance.atomic import atomic_file
from pixeldance.metrics.verdict import paired_bootstrap
from pixeldance.system import Parts, System
from pixeldance.systems import PUBLISHED
from pixeldance.systems.published import Published
from pixeldance.systems.toy import run, toy
from pixeldance.training.loop import Training, latest, train

HERE = Path(__file__).parent
RUNS, RESULTS = HERE.parents[1] / "runs" / "systems", HERE.parent / "results" / "systems"
SEEDS = (0, 1, 2)
STEPS = 100

Values = list[float]


def as_it_is(training: Training) -> Training:
    """The recipe of all toy systems."""
    return training


@dataclass(frozen=True, kw_only=True)
class Model:
    """Weights, one set a seed: a published system at toy size, trained from scratch or from another model's weights.
    recipe: what is otherwise in its training than in that of all toy systems, such as its clips."""

    name: str
    published: Published
    steps: int = STEPS
    start: "Model | None" = None
    recipe: Callable[[Training], Training] = as_it_is

    def training(self, seed: int) -> Training:
        """How it is trained, but for where it starts."""
        return self.recipe(run(self.published, steps=self.steps, seed=seed))

    def folder(self, seed: int) -> Path:
        """The last checkpoint; trained now, or as far as is missing."""
        place, training = RUNS / f"{self.name}-{self.steps}-{seed}", self.training(seed)
        if self.start is not None:
            training = replace(training, init=self.start.folder(seed))
        newest = latest(place)
        if newest is not None and checkpoint.read_config(newest)["about"]["steps"] == self.steps:
            return newest
        return train(replace(training, save_minutes=1.0, keep=1), place, progress=False)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A model, and the system that it samples as where that is not its own. measure: what is measured of it where that
    is not what the question says: a condition that is knocked out."""

    name: str
    model: Model
    sampled: Published | None = None
    measure: Callable[[Parts, int], Values] | None = None

    @property
    def system(self) -> System:
        """The system that it samples as."""
        return (self.sampled or self.model.published).system

    def parts(self, seed: int) -> Parts:
        """The networks with the weights of a seed."""
        parts = Parts(self.system)
        checkpoint.fill(parts, self.model.folder(seed))
        return parts.eval().requires_grad_(False)


@dataclass(frozen=True, kw_only=True)
class Question:
    """`measure(parts, seed)` gives a value a request; `sign` is -1 where less is better. It is held where ours is
    better than theirs by more than `threshold`, a share of theirs, with 95 % confidence."""

    system: str
    claim: str
    unit: str
    ours: Arm
    theirs: Arm
    measure: Callable[[Parts, int], Values]
    threshold: float
    sign: int = -1
    seeds: tuple[int, ...] = SEEDS
    part: str = ""

    @property
    def name(self) -> str:
        """The system's, and which of its claims this is, where it has several."""
        return f"{self.system}.{self.part}" if self.part else self.system


def answer(question: Question) -> None:
    """Measure what is missing, write the verdict, print it."""
    arms = (question.ours, question.theirs)
    values = {arm.name: [_measured(question, arm, seed) for seed in question.seeds] for arm in arms}
    judge(question.name, question.claim, question.unit, values, question.threshold, question.sign, sizes(question))


def judge(
    system: str,
    claim: str,
    unit: str,
    values: dict[str, list[Values]],
    threshold: float,
    sign: int,
    about: dict[str, object],
) -> None:
    """From the values of two arms, ours first, a row a seed, to results/systems/SYSTEM.json; or SYSTEM.PART.json."""
    (ours, one), (theirs, other) = values.items()
    asked = [system] if sys.argv[1:] else []  # a file with several questions is told which
    scale = abs(float(np.nanmean(other)))
    apart = paired_bootstrap(
        sign * np.array(one) / scale, sign * np.array(other) / scale, np.random.default_rng(0), draws=10_000
    )
    means = {name: float(np.nanmean(rows)) for name, rows in values.items()}
    result = {
        "system": system,
        "claim": claim,
        "command": " ".join(["python", f"experiments/systems/{Path(sys.argv[0]).name}", *asked]),
        "measure": unit,
        "better": "more" if sign > 0 else "less",
        "threshold": threshold,
        "verdict": apart.verdict(threshold),
        "difference": round(apart.mean, 4),
        "interval": [round(apart.low, 4), round(apart.high, 4)],
        "arms": {name: round(mean, 5) for name, mean in means.items()},
        "seeds": apart.seeds,
        "requests": apart.requests,
        **about,
        "load_average": round(os.getloadavg()[0], 1),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    with atomic_file(RESULTS / f"{system}.json", overwrite=True) as part:
        part.write_text(json.dumps(result, indent=1) + "\n")
    print(
        f"{system}: {result['verdict']}: {ours} {means[ours]:.4g}, {theirs} {means[theirs]:.4g} ({unit}), better by "
        f"{apart.mean:+.1%} [{apart.low:+.1%}, {apart.high:+.1%}], wanted more than {100 * threshold:g}%"
    )


def sizes(question: Question) -> dict[str, object]:
    """What equal terms were: the weights in the network of each arm, steps, clips a step."""
    arms = (question.ours, question.theirs)
    count = {arm.name: sum(weight.numel() for weight in Parts(arm.system).net.parameters()) for arm in arms}
    steps = {arm.name: arm.model.steps + (arm.model.start.steps if arm.model.start else 0) for arm in arms}
    return {"parameters": count, "steps": steps, "batch": question.ours.model.training(0).batch}


def _measured(question: Question, arm: Arm, seed: int) -> Values:
    file = RUNS / "measured" / f"{question.name}-{arm.name}-{seed}.json".replace(" ", "-")
    if file.exists():
        return json.loads(file.read_text())
    values = (arm.measure or question.measure)(arm.parts(seed), seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(file, overwrite=True) as part:
        part.write_text(json.dumps(values))
    return values


def base(name: str) -> Published:
    """A system of the table at toy size."""
    return toy(PUBLISHED[name])


TEXT_VIDEO = Model(name="latent-video", published=base("latent-video"))
"""The model of text to video that most questions compare with or start from."""
