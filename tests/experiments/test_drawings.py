"""The experiments on drafts, sketches and edits: their recipes train, their figures are what their rows say."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from tiny_run import SMALLER

from pixeldance import adapter, checkpoint
from pixeldance.data.drafts import KINDS
from pixeldance.data.toybox import ONE_OBJECT
from pixeldance.pipeline import Pipeline
from pixeldance.system import Parts
from pixeldance.training.loop import Training, train

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SMALL = {"steps": 1, "batch": 2, "warmup": 0, "cooldown": 0}


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """The module of an experiment's file."""
    monkeypatch.syspath_prepend(EXPERIMENTS)
    return import_module


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tiny model of clips of 4 frames of 32 x 32."""
    torch.manual_seed(0)
    checkpoint.save(tmp_path / "model", Parts(SMALLER))
    return tmp_path / "model"


def test_a_model_is_tuned_to_drafts(experiment: Callable[[str], ModuleType], model: Path, tmp_path: Path):
    drafts = experiment("drafts")
    run = drafts.config(model)
    assert (run.objective.draft, run.image_every) == (0.7, 0)
    source = replace(run.data().source, size=(32, 32), frames=4)
    tiny = replace(run, system=SMALLER, data=lambda: replace(run.data(), source=source), **SMALL)
    final = train(tiny, tmp_path / "run", progress=False)
    before, after = (checkpoint.load(folder).state_dict() for folder in (model, final))
    assert any(not torch.equal(weight, after[name]) for name, weight in before.items())


def test_a_lora_is_trained_on_sketches(experiment: Callable[[str], ModuleType], model: Path, tmp_path: Path):
    run = experiment("sketches").config(model, rank=2)
    assert run.objective.draft == 1
    data = replace(run.data(), size=(32, 32), frames=4, world=ONE_OBJECT)
    final = train(replace(run, system=SMALLER, data=lambda: data, **SMALL), tmp_path / "run", progress=False)
    assert adapter.load(final / "lora").base == checkpoint.model_hash(model)


def test_requests_are_measured_once_and_the_same_for_every_model(
    experiment: Callable[[str], ModuleType], model: Path, tmp_path: Path
):
    drafts, asked, rows = experiment("drafts"), [], tmp_path / "rows.jsonl"
    (tmp_path / "rows").mkdir()

    def draw(real: object, scene: object, kind: str, number: int) -> np.ndarray:
        asked.append((kind, number))
        made: np.ndarray = drafts.drawing(real, scene, kind, number)
        assert (made == drafts.drawing(real, scene, kind, number)).all()
        return made

    pipeline, sampling = Pipeline(checkpoint.load(model), model), drafts.Sampling(steps=1, guidance=1.0)
    two = drafts.measure(pipeline, 2, KINDS[:2], draw, sampling, rows)
    assert sorted(asked) == sorted((kind, number) for kind in KINDS[:2] for number in range(2))
    asked.clear()
    again = drafts.measure(pipeline, 2, KINDS[:2], draw, sampling, rows)
    assert (asked, again) == ([], two)
    assert two["blob"]["requests"] == 2


def test_one_command_measures_trains_and_measures_again_for_these_weights(
    experiment: Callable[[str], ModuleType], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    drafts, out = experiment("drafts"), tmp_path / "drafts.json"

    def recipe(model: Path) -> Training:
        run = drafts.config(model)
        source = replace(run.data().source, size=(32, 32), frames=4)
        return replace(run, system=SMALLER, data=lambda: replace(run.data(), source=source), **SMALL)

    out.write_text(json.dumps({"tuned": {"of": "other weights", "kinds": {}}}))
    ask = ["--model", model, "--n", 1, "--steps", 1, "-o", out, "--work", tmp_path]
    monkeypatch.setattr(sys, "argv", ["drafts.py", *map(str, ask)])
    for _ in range(2):  # the second time all is there
        drafts.compare(KINDS[:1], drafts.drawing, out, recipe, doc="")
        table = json.loads(out.read_text())
        base = checkpoint.model_hash(model)
        assert {name: entry["of"] for name, entry in table.items()} == {"shipped": base, "tuned": base}
        assert (table["shipped"]["model"] == base, table["tuned"]["model"] == base) == (True, False)
        assert table["tuned"]["kinds"]["blob"]["requests"] == 1
    assert len((tmp_path / f"drafts-{base[:12]}" / "tuned.jsonl").read_text().splitlines()) == 1


def test_the_figures_of_rows(experiment: Callable[[str], ModuleType]):
    values = [(0.5, 1.0, 2.0), (1.5, 1.0, 2.0), (3.0, 3.0, 2.0), (None, 1.0, 2.0)]
    names = ("landing", "to_truth", "to_drawing", "truth_to_drawing")
    rows = [dict(zip(names, (*value, 2.0), strict=True)) for value in values]
    found = experiment("drafts").figures(rows)
    assert (found["requests"], found["landing_median"]) == (4, 2.25)
    assert (found["landing_within_2px"], found["no_object"], found["nearer_to_truth"]) == (0.5, 0.25, 0.75)
    low, high = found["nearer_interval"]
    assert low < 0.75 < high
    assert found["psnr_to_truth"] > found["psnr_to_drawing"]
    assert found["copied"] == pytest.approx((3 * 0.25 + 0.75) / 4)
    lost = experiment("drafts").figures([rows[3]] * 3)
    assert (lost["landing_median"], lost["no_object"]) == (None, 1)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_what_is_copied_is_a_share_of_what_is_wrong(experiment: Callable[[str], ModuleType], share: float):
    drafts = experiment("drafts")
    _, real, scene = next(drafts.requests(1, (64, 64), 16))
    drawn = drafts.drawing(real, scene, "ground", 0)
    true = real.video[-1].astype(float)
    for room in (None, 6):
        row = drafts.distances(true + share * (drawn - true), real, drawn, room)
        assert drafts.copied(row) == pytest.approx(share)


def test_edits_are_compared_clip_by_clip(experiment: Callable[[str], ModuleType]):
    edits = experiment("edits")
    rows = []
    for clip in range(4):
        for way, path in (("plain", 3.0 + clip), ("strength 0.5", 1.0 + clip)):
            fixed = {"surroundings": 30.0, "colour": 1.0, "truth": 20.0, "flow": None}
            rows.append({"kind": "curved", "clip": clip, "way": way, "path": path, **fixed})
    table = edits.figures(rows)
    entry = table["curved, strength 0.5"]
    assert (entry["clips"], entry["means"]["path"], entry["means"]["flow"]) == (4, 2.5, None)
    assert entry["minus_plain"]["path"] == {"mean": -2.0, "interval": (-2.0, -2.0)}
    assert "flow" not in entry["minus_plain"]
    assert table["straight, plain"]["clips"] == 0


def test_edits_of_each_kind_of_path(experiment: Callable[[str], ModuleType]):
    edits = experiment("edits")
    for kind, motions in edits.PATHS.items():
        found = list(edits.clips(kind, 2))
        assert [scene.toys[0].motion in motions for _, _, scene in found] == [True, True]
        for number, _, scene in found:
            (toy,) = edits.painted(scene, number).toys
            assert toy == replace(scene.toys[0], colour=toy.colour)
            assert toy.colour != scene.toys[0].colour
