"""The experiments that this machine cannot run as they are: their records, with a tiny system and real files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tiny_published
import torch
from tiny_run import SMALLER, lines

from pixeldance import checkpoint
from pixeldance.data.toybox import clip
from pixeldance.diffusion.process import VP
from pixeldance.exchange import published
from pixeldance.image import write_image
from pixeldance.system import Parts, System
from pixeldance.systems import PIXELDANCE
from pixeldance.training.loop import Training, train
from pixeldance.training.recipe import as_made
from pixeldance.video import write_video

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """The module of an experiment's file."""
    from importlib import import_module

    monkeypatch.syspath_prepend(EXPERIMENTS)
    return import_module


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three real mp4 files of two seconds with their texts, a torn one, and two pictures with theirs."""
    folder = tmp_path_factory.mktemp("footage")
    for name in ("videos", "images"):
        (folder / name).mkdir()
    for number in range(3):
        shown = clip(number, size=(48, 64), frames=16)
        write_video(folder / "videos" / f"{number}.mp4", shown.video, fps=8.0)
        (folder / "videos" / f"{number}.txt").write_text(shown.text)
        write_image(folder / "images" / f"{number}.png", shown.video[0])
        (folder / "images" / f"{number}.txt").write_text(shown.text)
    (folder / "videos" / "torn.mp4").write_bytes((folder / "videos" / "0.mp4").read_bytes()[:500])
    (folder / "videos" / "torn.txt").write_text("a circle")
    return folder


def tiny(run: Training, system: System, **settings: Any) -> Training:
    """The same run with a system and a size for a test."""
    small = {"batch": 2, "image_batch": 2, "steps": 2, "warmup": 0, "cooldown": 0, "workers": 0, "sample_every": 0}
    return replace(run, system=system, device="cpu", parallel="none", **small | settings)


def test_the_papers_run_in_both_stages(
    experiment: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, footage: Path
):
    paper = experiment("paper")
    small = replace(SMALLER, process=VP(betas="scaled_linear"), prediction="eps", fps=4.0, frames=(4, 1))
    monkeypatch.setattr(paper, "PIXELDANCE", small)
    monkeypatch.setattr(paper, "HIGHER", (48, 48))
    data = (f"folder:{footage}/videos", f"images:{footage}/images", tmp_path)
    run = tiny(paper.config(*data), small, prepare=as_made, image_every=2, max_unreadable=1.0)
    first = train(run, tmp_path / "first", progress=False)
    log = lines(tmp_path / "first")
    assert [line["kind"] for line in log] == ["video", "image"]
    second = paper.config(*data, first=first)
    higher = train(tiny(second, second.system, prepare=as_made), tmp_path / "second", progress=False)
    assert checkpoint.read_system(higher).sizes == ((48, 48),)
    assert second.accumulate == 2
    assert second.steps == 50_000


def test_the_papers_record(experiment: Callable[[str], ModuleType], tmp_path: Path):
    run = experiment("paper").config("folder:a", "images:b", tmp_path)
    assert run.system == PIXELDANCE
    assert (run.batch, run.image_every, run.steps) == (192, 8, 200_000)
    assert (run.objective.last_of, run.objective.drop_last, run.objective.given) == (3, 0.25, 1)
    assert run.parallel == "fsdp"


def test_the_paper_starts_from_stable_diffusion(experiment: Callable[[str], ModuleType], tmp_path: Path):
    """Written as diffusers and transformers write it."""
    pytest.importorskip("diffusers")
    stored = tiny_published.write(tmp_path, tiny_published.unet())
    found = published.read(stored)
    parts = Parts(published.inflated(found))
    experiment("paper").config("folder:a", "images:b", stored).prepare(parts)
    assert torch.equal(parts.net.conv_out.weight, found.weights["unet"]["conv_out.weight"])
    assert torch.equal(parts.codec.net.quant.weight, found.weights["vae"]["quant_conv.weight"])


def test_a_checkpoint_is_tuned_to_a_folder(
    experiment: Callable[[str], ModuleType], tmp_path: Path, footage: Path, tiny_model: Path
):
    run = experiment("finetune_folder").config(footage / "videos", model=tiny_model, steps=2, batch=2, workers=0)
    final = train(replace(run, max_unreadable=1.0), tmp_path / "run", progress=False)
    assert checkpoint.read_system(final) == checkpoint.read_system(tiny_model)
    before, after = (checkpoint.load(folder).state_dict() for folder in (tiny_model, final))
    moved = max(float((after[name] - weight).abs().max()) for name, weight in before.items())
    assert 0 < moved < 1e-3
    assert all(np.isfinite(line["loss"]) for line in lines(tmp_path / "run"))
    assert len(list((tmp_path / "run" / "samples").glob("*.png"))) == 2
