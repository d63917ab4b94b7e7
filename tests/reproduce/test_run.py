"""Claims are whole, fair and decided as written; their runs go on after a kill and refuse moved thresholds."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command import Run

from pixeldance.metrics.verdict import Verdict
from pixeldance.reproduce import run as runner
from pixeldance.reproduce import toy
from pixeldance.reproduce.arms import ARMS
from pixeldance.reproduce.claims import CLAIMS
from pixeldance.reproduce.run import SCALES, Scale, arms, outcome, reproduce, verdicts
from pixeldance.training.recipe import described

SMALL = replace(
    toy.SYSTEM,
    net=replace(toy.SYSTEM.net, widths=(8,), head_width=8, groups=4),
    steps=2,
)
SCALE = Scale(name="tiny", seeds=(0, 1), steps=2, requests=2, base=partial(toy.base, system=SMALL))


def test_every_claim_has_what_it_takes_to_be_decided():
    for name, claim in CLAIMS.items():
        roles = [each.role for each in claim.comparisons]
        assert "decides" in roles, name
        assert set(arms(claim)) <= ARMS.keys(), name
        swapped = [each for each in claim.comparisons if each.ours.arm == each.theirs.arm and each.role != "shown"]
        assert swapped, f"{name} swaps no condition of a trained arm"
    assert {arm for claim in CLAIMS.values() for arm in arms(claim)} == set(ARMS)


@pytest.mark.parametrize("arm", ARMS)
def test_arms_differ_in_what_they_are_named_for_and_nothing_else(arm: str):
    base, other = (described(SCALES["toy"].run(each, 1)) for each in ("pixeldance", arm))
    changed = {name for name in base if base[name] != other[name]}
    wanted = {
        "pixeldance": set(),
        "text-to-video": {"system", "objective"},
        "videos-alone": {"image_every"},
        "watermarked": {"data"},
    }
    assert changed == wanted.get(arm, {"system"} if arm.startswith("noise") else {"objective"})


def test_the_arms_have_equal_parameters_but_for_what_reads_pictures():
    counts = {arm: runner._parameters(SCALES["toy"].run(arm, 0)) for arm in ARMS}
    bare = counts.pop("text-to-video")
    assert len(set(counts.values())) == 1
    assert bare < counts["pixeldance"] < 1_000_000


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ([("decides", "held"), ("knock-out", "held"), ("shown", "failed")], "held"),
        ([("decides", "held"), ("decides", "undecided")], "undecided"),
        ([("decides", "failed"), ("decides", "undecided")], "failed"),
        ([("decides", "held"), ("knock-out", "undecided")], "undecided"),
        ([("decides", "failed"), ("knock-out", "failed")], "undecided"),
    ],
)
def test_a_claim_is_decided_by_its_comparisons(found: list[tuple[str, Verdict]], wanted: str):
    assert outcome(found) == wanted


class Killed(Exception):
    pass


def done(folder: Path, name: str = "motion", *, scale: Scale = SCALE, kill_at: int | None = None) -> dict[str, Any]:
    """A run of a claim; it is killed when it tells the `kill_at`-th thing."""
    told = []

    def tell(text: str) -> None:
        told.append(text)
        if len(told) == kill_at:
            raise Killed

    file, result = reproduce(name, scale, folder / "runs", folder / "results", tell, "the command")
    assert json.loads(file.read_text()) == result
    return result


def test_a_killed_run_goes_on_to_the_same_result(tmp_path: Path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    result = done(whole)
    assert [len(row["ours"]["by_seed"]) for row in result["comparisons"]] == [2, 2]
    assert result["verdict"] in ("held", "failed", "undecided")
    assert {row["role"] for row in result["comparisons"]} == {"decides", "knock-out"}
    assert result["command"] == "the command"
    for at in (2, 4):  # between two trainings, and with one arm's clips made
        with pytest.raises(Killed):
            done(killed, kill_at=at)
        assert json.loads((killed / "results" / "motion-tiny.json").read_text())["verdict"] is None
    kept = {file: file.stat().st_mtime_ns for file in (killed / "runs").rglob("*.npy")}
    assert kept
    done(killed)
    assert all(file.stat().st_mtime_ns == made for file, made in kept.items())
    one, other = ((folder / "results" / "motion-tiny.json").read_bytes() for folder in (whole, killed))
    assert one == other


def test_a_threshold_stays_what_it_was_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(Killed):
        done(tmp_path, kill_at=1)
    before = json.loads((tmp_path / "results" / "motion-tiny.json").read_text())
    assert (before["verdict"], before["comparisons"][0]["threshold"]) == (None, 0.05)
    first, *others = CLAIMS["motion"].comparisons
    moved = replace(CLAIMS["motion"], comparisons=(replace(first, threshold=-1.0), *others))
    monkeypatch.setitem(CLAIMS, "motion", moved)
    with pytest.raises(ValueError, match=r"states this claim otherwise \(comparisons\)"):
        done(tmp_path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"states this claim otherwise \(scale\)"):
        done(tmp_path, scale=replace(SCALE, requests=3))


def test_verdicts_are_told_by_scale(tmp_path: Path):
    assert set(map(len, verdicts(tmp_path).values())) == {0}
    (tmp_path / "tau.json").write_text('{"verdict": "failed"}')
    (tmp_path / "tau-quick.json").write_text('{"verdict": null}')
    assert verdicts(tmp_path)["tau"] == {"toy": "failed", "quick": "begun"}


def test_an_unknown_claim_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="wanted one of table3-pictures, "):
        done(tmp_path, "magic")


def test_the_command_line_lists_claims_and_names_them_for_an_unknown_one(run: Run, tmp_path: Path):
    (tmp_path / "tau-quick.json").write_text('{"verdict": "held"}')
    code, out, err = run("reproduce", "--results", tmp_path)
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert list(lines) == list(CLAIMS)
    assert lines["tau"].split()[1:3] == ["held", "(quick)"]
    assert lines["noise"].split()[1:3] == ["not", "run"]
    code, _, err = run("reproduce", "magic", "--results", tmp_path, "--runs", tmp_path)
    assert code == 2
    assert "got the claim 'magic'; wanted one of table3-pictures, " in err


def test_claims_that_begin_alike_are_run_together(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(SCALES, "quick", replace(SCALE, name="quick"))
    code, out, err = run("reproduce", "table3", "--scale", "quick", "--results", tmp_path, "--runs", tmp_path / "runs")
    assert code == 0, err
    table = [name for name in CLAIMS if name.startswith("table3-")]
    assert [Path(line).stem for line in out.splitlines() if line.endswith(".json")] == [f"{n}-quick" for n in table]
    assert all(f": {CLAIMS[name].says} (" in out for name in table)
