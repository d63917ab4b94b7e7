"""The one runner of all claims: trains or loads each arm, makes its clips, compares, and writes down what came out.

What is claimed, thresholds included, is written before anything is trained, and a run with other ones is refused. What
was trained and made is kept: a run that was killed goes on where it was.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixeldance import __version__, checkpoint
from pixeldance.atomic import atomic_file
from pixeldance.metrics.verdict import Difference, Values, Verdict, paired_bootstrap
from pixeldance.pipeline import load
from pixeldance.reproduce import toy
from pixeldance.reproduce.arms import ARMS
from pixeldance.reproduce.claims import CLAIMS, Claim, Comparison, Side
from pixeldance.system import Parts
from pixeldance.training.loop import train
from pixeldance.training.recipe import Training, described

BEGUN = "begun"
Tell = Callable[[str], object]
Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large a claim is run: a training of so many steps for each arm and seed, and so many requests to each.

    base: the recipe that the arms change, from a seed and a number of steps. first: the number of the first request.
    """

    name: str
    seeds: tuple[int, ...]
    steps: int
    requests: int
    base: Callable[..., Training] = toy.base
    first: int = toy.ASKED

    def run(self, arm: str, seed: int) -> Training:
        """The training of an arm."""
        return ARMS[arm](self.base(seed, steps=self.steps))


SCALES = {
    "toy": Scale(name="toy", seeds=(0, 1, 2), steps=400, requests=16),
    "quick": Scale(name="quick", seeds=(0, 1, 2), steps=120, requests=12),
}
"""quick is too short for the text to be learned: claims of the last frame alone can be decided there."""


def reproduce(name: str, scale: Scale, runs: Path, results: Path, tell: Tell, command: str) -> tuple[Path, Result]:
    """Run a claim, and write its file of results; gives the file and what it holds.

    runs: the folder of trained arms and their clips, shared by all claims. tell: is told what is done.
    Raises ValueError for an unknown claim, and where the results' file has another statement of it.
    """
    if name not in CLAIMS:
        raise ValueError(f"got the claim {name!r}; wanted one of {', '.join(CLAIMS)}")
    claim, file = CLAIMS[name], _file(results, name, scale.name)
    said = statement(claim, scale)
    _announce(file, said)
    models = {(arm, seed): _trained(scale, arm, seed, runs, tell) for arm in arms(claim) for seed in scale.seeds}

    def values(side: Side, comparison: Comparison) -> Values:
        rows = []
        for seed in scale.seeds:
            tell(f"{side.arm}, seed {seed}: {comparison.says}")
            made = _made(models[side.arm, seed], side, scale, runs)
            asked = [toy.request(scale.first + number) for number in range(scale.requests)]
            rows.append([comparison.measure(*pair) for pair in zip(made, asked, strict=True)])
        return np.array(rows)

    found = []
    for comparison, words in zip(claim.comparisons, said["comparisons"], strict=True):
        ours, theirs = values(comparison.ours, comparison), values(comparison.theirs, comparison)
        apart = paired_bootstrap(ours, theirs, np.random.default_rng(0))
        found.append((comparison.role, apart.verdict(comparison.threshold), _row(words, ours, theirs, apart)))
    result = said | {
        "comparisons": [row | {"verdict": verdict} for _, verdict, row in found],
        "verdict": outcome([(role, verdict) for role, verdict, _ in found]),
        "parameters": {arm: _parameters(scale.run(arm, 0)) for arm in arms(claim)},
        "command": command,
        "version": __version__,
    }
    _write(file, result)
    return file, result


def arms(claim: Claim) -> list[str]:
    """The arms that a claim compares, PixelDance first."""
    named = {side.arm for each in claim.comparisons for side in (each.ours, each.theirs)}
    return [arm for arm in ARMS if arm in named]


def outcome(verdicts: Sequence[tuple[str, Verdict]]) -> Verdict:
    """What the comparisons' (role, verdict) make of the claim: undecided where a knock-out does not hold, failed where
    one that decides failed, held where all of them hold."""
    if any(verdict != "held" for role, verdict in verdicts if role == "knock-out"):
        return "undecided"
    deciding = [verdict for role, verdict in verdicts if role == "decides"]
    if "failed" in deciding:
        return "failed"
    return "undecided" if "undecided" in deciding else "held"


def statement(claim: Claim, scale: Scale) -> dict[str, Any]:
    """The claim as JSON data, with all that is fixed before it is run."""
    return {
        "says": claim.says,
        "source": claim.source,
        "scale": {name: described(getattr(scale, name)) for name in ("name", "seeds", "steps", "requests", "first")},
        "comparisons": [
            {
                "says": each.says,
                "role": each.role,
                "measure": each.measure.__name__,
                "threshold": each.threshold,
                "ours": _side(each.ours),
                "theirs": _side(each.theirs),
            }
            for each in claim.comparisons
        ],
    }


def verdicts(results: Path) -> dict[str, dict[str, str]]:
    """The verdicts of every claim by scale: "begun" for one whose run has not ended, no scale for one not run."""
    found = {}
    for name in CLAIMS:
        files = {scale: _file(results, name, scale) for scale in SCALES}
        there = {scale: json.loads(file.read_bytes())["verdict"] for scale, file in files.items() if file.exists()}
        found[name] = {scale: verdict or BEGUN for scale, verdict in there.items()}
    return found


def ended(results: Path) -> dict[str, dict[str, str]]:
    """The verdicts of every claim by scale, the larger first, of the runs that have ended."""
    known = verdicts(results).items()
    return {name: {scale: each for scale, each in found.items() if each != BEGUN} for name, found in known}


def _file(results: Path, name: str, scale: str) -> Path:
    return results / (f"{name}.json" if scale == "toy" else f"{name}-{scale}.json")


def _side(side: Side) -> dict[str, Any]:
    return {"arm": side.arm, "make": described(side.make)}


def _announce(file: Path, said: Mapping[str, Any]) -> None:
    """Write what is claimed before it is run; ValueError where it was begun with another statement."""
    if file.exists():
        before = json.loads(file.read_bytes())
        before["comparisons"] = [
            {name: value for name, value in row.items() if name in now}
            for row, now in zip(before["comparisons"], said["comparisons"], strict=False)
        ]
        changed = [name for name in said if json.loads(json.dumps(said[name])) != before.get(name)]
        if changed or len(before["comparisons"]) != len(said["comparisons"]):
            raise ValueError(
                f"{file} states this claim otherwise ({', '.join(changed)}), and thresholds do not move after a run; "
                "take another folder for the results, or remove this file and say so"
            )
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, dict(said) | {"verdict": None})


def _trained(scale: Scale, arm: str, seed: int, runs: Path, tell: Tell) -> Path:
    """The checkpoint of an arm, trained as far as it is not yet."""
    tell(f"{arm}, seed {seed}: training")
    return train(scale.run(arm, seed), runs / scale.name / f"{arm}-{seed}", progress=False)


def _made(model: Path, side: Side, scale: Scale, runs: Path) -> list[toy.Video]:
    """An arm's clips of the scale's requests, made where they are not kept."""
    asked = {"model": checkpoint.model_hash(model), "make": described(side.make), "n": scale.requests}
    asked["first"] = scale.first
    key = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
    file = runs / "clips" / f"{key}.npy"
    if not file.exists():
        pipe = load(model)
        made = np.stack([side.make(pipe, toy.request(scale.first + number)) for number in range(scale.requests)])
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file, overwrite=True) as part, part.open("wb") as out:
            np.save(out, made)
    return list(np.load(file))


def _row(said: Mapping[str, Any], ours: Values, theirs: Values, apart: Difference) -> dict[str, Any]:
    """A comparison's result, rounded to what is worth reading."""
    sides = {
        name: dict(said[name])
        | {
            "mean": round(float(np.nanmean(values)), 4),
            "by_seed": [round(float(np.nanmean(row)), 4) if np.isfinite(row).any() else None for row in values],
        }
        for name, values in (("ours", ours), ("theirs", theirs))
    }
    known = {"difference": round(apart.mean, 4), "interval": [round(apart.low, 4), round(apart.high, 4)]}
    return dict(said) | sides | known | {"seeds": apart.seeds, "requests": apart.requests, "pairs": apart.pairs}


def _parameters(run: Training) -> int:
    """How many weights an arm trains."""
    parts = Parts(run.system)
    return sum(weight.numel() for name in run.system.trained for weight in getattr(parts, name).parameters())


def _write(file: Path, result: Mapping[str, Any]) -> None:
    with atomic_file(file, overwrite=True) as part:
        part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
