"""The experiment on fewer passes: what its words mean, what its figures say, and that it goes on where it ended."""

import json
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tiny import random_parts

from pixeldance.pipeline import Pipeline

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def pareto(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return import_module("pareto")


def test_a_setting_is_what_its_word_says(pareto: ModuleType) -> None:
    plain, rich = pareto.sampling("10/g2"), pareto.sampling("ddim8/g1.5/i0.9-1/r2")
    assert (plain.steps, plain.guidance, plain.interval, plain.reuse) == (10, 2.0, (0.0, 1.0), 1)
    assert (rich.steps, rich.guidance, rich.interval, rich.reuse) == (8, 1.5, (0.9, 1.0), 2)
    for wrong in ("10", "g2", "euler10/g1", "10/g2/r2/i0-1"):
        with pytest.raises(ValueError, match=r"wanted e\.g\. 10/g2"):
            pareto.sampling(wrong)


def test_passes_are_counted_and_a_run_goes_on_where_it_ended(pareto: ModuleType, tmp_path: Path) -> None:
    pipeline, settings = Pipeline(random_parts()), ["3/g2", "2/g1"]
    assert pareto.passes(pipeline, "3/g2") == pytest.approx(6, rel=0.05)
    assert 2 < pareto.passes(pipeline, "4/g1/r2") < 4
    rows = tmp_path / "rows.jsonl"
    assert pareto.measure(pipeline, settings, 2, 0.0, rows) == []
    made = pareto.measure(pipeline, settings, 2, 10.0, rows)
    assert [(row["caption"], row["setting"]) for row in made] == [(0, "3/g2"), (0, "2/g1"), (1, "3/g2"), (1, "2/g1")]
    rows.write_text("".join(json.dumps(row) + "\n" for row in made[:3]))
    again = pareto.measure(pipeline, settings, 2, 10.0, rows)
    assert [_timeless(row) for row in again] == [_timeless(row) for row in made]


def _timeless(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "seconds_per_clip"}


def test_the_cheapest_without_a_loss_is_chosen(pareto: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    means = {"10/g2": 0.8, "6/g1": 0.8, "4/g1": 0.5}
    noise = rng.normal(0, 0.02, 40)
    rows = [
        {"setting": setting, "caption": at, "whole": mean + noise[at] + rng.normal(0, 0.01), "direction": None}
        for setting, mean in means.items()
        for at in range(40)
    ]
    found = pareto.figures(rows, list(means), {"10/g2": 20.0, "6/g1": 6.0, "4/g1": 4.0})
    assert found["4/g1"]["whole"]["difference"] == pytest.approx(-0.3, abs=0.02)
    low, high = found["6/g1"]["whole"]["difference_interval"]
    assert low < 0 < high
    assert "direction" not in found["6/g1"]
    assert pareto.cheapest(found) == "6/g1"
    pareto.draw(found, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
