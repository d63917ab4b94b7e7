"""benchmarks/gpu.py runs through on a processor at tiny size, and says what it lacks where it lacks a card."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_all_of_it_runs_on_a_processor(tmp_path: Path):
    before = sorted((BENCHMARKS / "results").iterdir())
    command = [sys.executable, BENCHMARKS / "gpu.py", "--device", "cpu", "--tiny", "--rounds", "1", "--batch", "2"]
    done = subprocess.run([*command, "--json", tmp_path / "gpu.json"], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert sorted((BENCHMARKS / "results").iterdir()) == before
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert list(found["forward"]) == ["ours", "ours, compiled", "diffusers", "diffusers, compiled"]
    assert list(found["training"]) == ["step", "step, checkpointing"]
    measured = found["forward"] | found["training"]
    assert not [each["failed"] for each in measured.values() if "failed" in each]
    assert all(len(each["seconds"]) == 1 and each["share_of_product_rate"] > 0 for each in measured.values())
    # A step is a forward pass and up to twice its work backward (less for what the inputs and frozen text spare).
    forward, step = found["forward"]["ours"]["flops"], found["training"]["step"]["flops"]
    assert found["forward"]["ours, compiled"]["flops"] == forward
    assert 2.2 < step / (2 * forward) < 3.2
    clips = found["training"]["step"]["clips_per_second"]
    assert clips == pytest.approx(2 / found["training"]["step"]["seconds"][0])
    assert found["training"]["step"]["tokens_per_second"] == pytest.approx(clips * 2 * 4 * 4)
    assert found["training"]["step"]["share_of_product_rate"] == pytest.approx(
        step / found["training"]["step"]["seconds"][0] / found["product_flops_per_second"]
    )
    assert all(f"| {name} | " in done.stdout for name in measured)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "sees no CUDA card, so nothing was measured"), (["--device", "cpu"], "wanted a CUDA card, or --tiny")],
)
def test_without_a_card_it_says_so(monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str):
    if torch.cuda.is_available():
        pytest.skip("there is a card here")
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", ["gpu.py", *arguments])
    with pytest.raises(SystemExit, match=message):
        import_module("gpu").main()


def test_what_fails_is_told_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    gpu = import_module("gpu")

    def failing() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB\nmore about it")

    found = gpu.timed({"large": failing, "small": os.getpid}, 3, torch.device("cpu"))
    assert found["large"] == {"seconds": [], "failed": "OutOfMemoryError: CUDA out of memory. Tried to allocate 80 GiB"}
    assert len(found["small"]["seconds"]) == 3
    result = {"device": "a card", "processes": 1, "batch": 1, "product_flops_per_second": 1e12, "training": {}}
    told = gpu.table({**result, "forward": {"large": found["large"]}})
    assert told.endswith("| large | OutOfMemoryError: CUDA out of memory. Tried to allocate 80 GiB | | | | | |")
