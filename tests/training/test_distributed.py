"""Two processes train what one does, and any number of them opens what any other number saved."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from spread import SPREAD, fsdp
from tiny_run import lines

from pixeldance import checkpoint
from pixeldance.training.distributed import joined
from pixeldance.training.loop import train

TESTS = Path(__file__).parents[1]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]


def torchrun(*command: object, restarts: int = 0) -> "subprocess.CompletedProcess[str]":
    """Two processes on this machine, which meet at a free port."""
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "--max-restarts", str(restarts)]
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [*TORCHRUN, *rendezvous, *map(str, command)],
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        capture_output=True,
        timeout=900,
        check=False,
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last checkpoint of a single process."""
    return train(SPREAD, tmp_path_factory.mktemp("runs") / "alone", progress=False)


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made."""
    folder = tmp_path_factory.mktemp("runs") / "spread"
    folder.mkdir()
    done = torchrun(TESTS / "spread.py", folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def agree(one: Path, other: Path, within: float = 1e-5) -> None:
    """The losses of two runs, and the weights that they ended with."""
    losses = [[(line["step"], line["kind"], line["loss"]) for line in lines(saved.parent)] for saved in (one, other)]
    assert [line[:2] for line in losses[0]] == [line[:2] for line in losses[1]]
    assert [line[2] for line in losses[0]] == pytest.approx([line[2] for line in losses[1]], abs=within)
    weights = [checkpoint.load(saved).state_dict() for saved in (one, other)]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], rtol=0, atol=1e-4, msg=name)


def everything(saved: Path) -> dict[tuple[str, str], torch.Tensor]:
    """All tensors of a checkpoint whose weights are not sharded; who wrote what lies with torch."""
    files = saved.rglob("*.safetensors")
    return {(file.name[:5], name): tensor for file in files for name, tensor in load_file(file).items()}


def test_ddp_agrees_with_one_process(alone: Path, spread: Path):
    agree(alone, spread / "ddp" / alone.name)


def test_sharded_weights_agree_with_one_process_and_continue_on_two(alone: Path, spread: Path):
    agree(alone, spread / "fsdp-on" / alone.name)


def test_what_two_saved_sharded_one_opens(alone: Path, spread: Path):
    shards = sorted((spread / "fsdp" / "step-0000012" / "training").iterdir())
    assert len(shards) == 2
    agree(alone, train(fsdp(20), spread / "fsdp", progress=False))


def test_samples_are_made_of_sharded_weights_too(spread: Path):
    assert len(list((spread / "fsdp-on" / "samples").glob("*.png"))) == 3


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_a_restart_goes_on(tmp_path: Path):
    """Clip 21 kills the process that reads it in step 6; the restarted ones find it harmless."""
    folder, mark = tmp_path / "run", tmp_path / "killed"
    run = [*("-m", "pixeldance", "train", TESTS / "tiny_run.py", "-o", folder), "batch=4", "parallel=ddp", "steps=10"]
    began = time.monotonic()
    dead = torchrun(*run, f"deadly={mark}")
    assert dead.returncode != 0
    assert time.monotonic() - began < 300
    assert mark.exists()
    assert 4 <= len(lines(folder)) < 10
    mark.unlink()
    restarted = torchrun(*run, f"deadly={mark}", restarts=1)
    assert restarted.returncode == 0, restarted.stderr[-4000:]
    assert mark.exists(), "it was to be killed once more"
    whole = torchrun(*run[:4], "-o", tmp_path / "whole", *run[6:])
    assert whole.returncode == 0, whole.stderr[-4000:]
    one, other = everything(folder / "step-0000010"), everything(tmp_path / "whole" / "step-0000010")
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert [line["loss"] for line in lines(folder)] == [line["loss"] for line in lines(tmp_path / "whole")]


def test_processes_that_would_each_train_alone_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="got 2 processes and parallel='none'"), joined("none", "cpu"):
        pass


def test_muon_is_refused_sharded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from pixeldance.training.state import _optimiser

    with pytest.raises(ValueError, match="Muon needs whole matrices"):
        _optimiser(replace(SPREAD, optimiser="muon"), {}, sharded=True)
