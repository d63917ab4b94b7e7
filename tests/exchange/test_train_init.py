"""`train --init` from a published model: as the command, from the hub's own cache, and on after the hub has moved."""

import json
from pathlib import Path

import pytest
import tiny_published
import torch
from command import Run

from pixeldance import checkpoint
from pixeldance.exchange import published

pytest.importorskip("diffusers")

EXPERIMENT = """
from dataclasses import replace
from functools import partial
from pathlib import Path

from tiny_run import RUN, Colours

from pixeldance.exchange import published


def config(like: Path):
    system = published.inflated(published.read(like))
    net = replace(system.net, temporal_convolutions=1, temporal_attentions=1)
    system = replace(system, net=net, sizes=((32, 32),), frames=(4, 1), fps=8.0)
    return replace(RUN, system=system, data=partial(Colours, pixels=True), batch=1, image_every=0, sample_every=0)
"""
COMMITS = ("0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef")


def test_a_run_starts_from_the_hub_and_is_pinned(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub.constants

    cached = tmp_path / "cache" / "models--owner--name"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(COMMITS[0])
    for place, commit in enumerate(COMMITS):
        tiny_published.write(cached / "snapshots" / commit, tiny_published.unet(heads=2 + 2 * place))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    stored, experiment, kept = cached / "snapshots" / COMMITS[0], tmp_path / "tiny_sd.py", tmp_path / "kept"
    experiment.write_text(EXPERIMENT)
    asked = ("train", experiment, f"like={stored}", "--init", "owner/name", "-o", kept)

    code, _, err = run(*asked, "--steps", 1)
    assert code == 0, err
    recorded = json.loads((kept / "run.json").read_text())["recipe"]["prepare"]
    assert recorded == {"kind": "prepare", "source": "owner/name", "revision": COMMITS[0]}
    saved = checkpoint.load(kept / "step-0000001")
    theirs = published.read(stored).weights
    assert torch.equal(saved.codec.net.quant.weight, theirs["vae"]["quant_conv.weight"])
    assert (saved.net.conv_out.weight - theirs["unet"]["conv_out.weight"]).abs().max() < 0.02

    (cached / "refs" / "main").write_text(COMMITS[1])
    code, _, err = run(*asked, "--steps", 2)
    assert code == 0, err
    assert "going on from step-0000001" in err
    code, _, err = run(*asked[:-3], f"owner/name@{COMMITS[1]}", "-o", kept, "--steps", 3)
    assert code == 2
    assert COMMITS[1] in err

    code, _, err = run(*asked[:-3], kept / "step-0000002", "-o", tmp_path / "on", "--steps", 1)
    assert code == 0, err
    assert json.loads((tmp_path / "on" / "run.json").read_text())["recipe"]["init"] == str(kept / "step-0000002")


def test_weights_that_are_nowhere_are_told(run: Run, tmp_path: Path) -> None:
    experiment = tmp_path / "tiny.py"
    experiment.write_text("from tiny_run import RUN\n\n\ndef config():\n    return RUN\n")
    code, _, err = run("train", experiment, "--init", "nowhere", "-o", tmp_path / "run")
    assert code == 2
    assert "nowhere: no such folder; wanted a folder in the form of diffusers" in err
