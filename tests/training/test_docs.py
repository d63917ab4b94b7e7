"""docs/training.md names every field of the recipe, with the value that the paper's run has."""

import ast
import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from pixeldance.training.objective import Objective
from pixeldance.training.recipe import Training

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "training.md").read_text()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Training:
    monkeypatch.syspath_prepend(ROOT / "experiments")
    return import_module("paper").config("folder:a", "images:b", Path("c"))


def table(kind: str) -> dict[str, str]:
    """Name and value of each row of the table of the fields of `kind`."""
    rows = DOCS.partition(f"| field of `{kind}` |")[2].partition("\n\n")[0].splitlines()[2:]
    return {row.split("|")[1].strip(" `"): row.split("|")[2].strip() for row in rows}


def test_every_field_is_told_with_the_papers_value(run: Training):
    for record in (run, run.objective):
        told = table(type(record).__name__)
        assert list(told) == [each.name for each in fields(record)]
        for name, value in told.items():
            try:
                assert ast.literal_eval(value.strip("`")) == getattr(record, name), name
            except (ValueError, SyntaxError):
                assert name in {"system", "data", "images", "prepare", "objective", "ema", "levels", "weight"}, name
    assert table("Training")["ema"] == f"`Ema(limit={run.ema.limit})`"
    assert table("Objective")["levels"] == f"`{run.objective.levels}`"
    assert Objective().weight == run.objective.weight


def test_the_ablation_that_it_shows_is_one(run: Training, monkeypatch: pytest.MonkeyPatch):
    (shown,) = [block for block in re.findall(r"```python\n(.*?)```", DOCS, re.S) if "import paper" in block]
    scope: dict[str, object] = {}
    exec(shown, scope)
    config = scope["config"]
    assert callable(config)
    ablated = config("folder:a", "images:b", Path("c"))
    assert (ablated.objective.last_of, ablated.objective.drop_last) == (1, 0.0)
    assert (ablated.steps, ablated.batch) == (run.steps, run.batch)
