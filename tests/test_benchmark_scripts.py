"""Every benchmark of a processor runs through at its smallest size, and its JSON has what its tables are made of."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from tiny import TINY

from pixeldance.data.toybox.source import Toybox
from pixeldance.training.objective import Objective

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
BANDS = {"inside", "median_error", "worst_error"}
Script = Callable[[str], Any]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Script:
    """Imports a benchmark, as if it were run in an empty folder."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.chdir(tmp_path)
    return import_module


def run(monkeypatch: pytest.MonkeyPatch, module: Any, *arguments: object, out: str = "--json") -> Any:
    """What the benchmark writes; the files of `results` stay as they are."""
    kept = {each: each.stat().st_mtime_ns for each in (BENCHMARKS / "results").iterdir()}
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments), out, "found.json"])
    module.main()
    assert {each: each.stat().st_mtime_ns for each in (BENCHMARKS / "results").iterdir()} == kept
    return json.loads(Path("found.json").read_text())


def small_film(path: Path, key_frames: int) -> Path:
    """Four seconds and a half of H.264 in which every frame is of another grey than those beside it."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "23", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 352, 288, "yuv420p"
        stream.codec_context.gop_size = key_frames
        for number in range(112):
            picture = av.VideoFrame.from_ndarray(np.full((288, 352, 3), 37 * number % 251, np.uint8), format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode())
    return path


def test_forecast(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    found = run(monkeypatch, script("forecast"), "--n", 1, out="--out")
    assert found["n"] == len(found["rows"]) == 1
    assert {name: set(each) for name, each in found["found"].items()} == dict.fromkeys(
        ("seconds", "memory", "disk"), BANDS
    )
    row = found["rows"][0]["memory"]
    assert row["inside"] == (row["low"] <= row["true"] <= row["high"])


def test_forecast_training(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    """Its two processes are this one here, which spares their start; memory is then not what it would be."""
    module = script("forecast_training")
    assert module.apart(os.getpid) != os.getpid()
    monkeypatch.setattr(module, "apart", lambda work, *given: work(*given))
    monkeypatch.setattr(module, "MOST", 4e9)
    found = run(monkeypatch, module, "--n", 1, "--first", 5, out="--out")
    assert {name: set(each) for name, each in found["found"].items()} == dict.fromkeys(
        ("seconds", "memory", "rise", "disk"), BANDS
    )
    (row,) = found["rows"]
    assert row["configuration"] == 5
    assert row["disk"]["inside"]
    assert row["disk"]["true"] > 1e5


def test_decode(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    """What pieces hold does not grow with the number of frames but by the latents, and undivided it does."""
    module = script("decode")
    for name, value in {"SIDE": 4, "TIMED": 4, "TRIES": 1}.items():
        monkeypatch.setattr(module, name, value)
    found = run(monkeypatch, module, "--lengths", 8, 32, "--rounds", 1)
    held = {name: [each["held_bytes"] for each in of.values()] for name, of in found["memory"].items()}
    assert held["pieces"][1] <= held["pieces"][0] + 24 * 4 * 4 * 4 * 4
    assert held["undivided"][1] > 2.5 * held["undivided"][0]
    assert all(len(each["resident_bytes"]) == 1 for of in found["memory"].values() for each in of.values())
    assert found["largest_difference"] <= 1
    assert found["of_bytes"] == 4 * 32 * 32 * 3
    assert len(found["times"]["pieces"]["processor_seconds"]) == 1


def test_long_video(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    found = run(monkeypatch, script("long_video"), "--lengths", 4, 20, "--rounds", 1)
    assert list(found["memory_bytes"]) == list(found["times"]) == ["4", "20"]
    assert found["times"]["20"]["processor_seconds"][0] > found["times"]["4"]["processor_seconds"][0]


def test_forward(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    module = script("forward")
    monkeypatch.setattr(module, "FRAMES", 2)
    found = run(monkeypatch, module, "--widths", *[64] * 4, "--size", 8, "--rounds", 1)
    assert set(found["nets"]) == set(module.PASSES) == set(found["shares"])
    assert set(found["times"]) == {*module.PASSES, *(f"{name}, channels-last" for name in module.PAIRS)}
    assert all(each["gflop"] > 0 and each["memory_bytes"] >= 0 for each in found["nets"].values())
    assert all(sum(each.values()) == pytest.approx(1) for each in found["shares"].values())
    for name in module.HELD:  # the same numbers from the same weights
        assert found["errors"][name]["largest"] < 1e-3 * found["errors"][name]["spread"]


def test_train_step(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    module = script("train_step")
    smaller = {"WIDTHS": (64,) * 4, "FRAMES": 2, "SIZE": 8, "TEXT": 32, "WORDS": 7}
    for name, value in smaller.items():
        monkeypatch.setattr(module, name, value)
    found = run(monkeypatch, module, "--rounds", 1)
    assert {"torch", "processor", "rounds"} < set(found)
    assert list(found["nets"]) == ["ours", "ours, checkpointing", "diffusers"]
    once, again = found["nets"]["ours"], found["nets"]["ours, checkpointing"]
    assert 1.15 < again["gflop"] / once["gflop"] < 1.4
    assert once["parameters"] == again["parameters"]
    assert all(len(net["processor_seconds"]) == len(net["wall_seconds"]) == 1 for net in found["nets"].values())


def test_read(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    """Without the readers that are no dependency of ours."""
    module = script("read")
    monkeypatch.setattr(module, "film", small_film)
    monkeypatch.setattr(module, "READERS", {k: v for k, v in module.READERS.items() if k not in ("OpenCV", "decord2")})
    found = run(monkeypatch, module, "--rounds", 1)
    assert list(found["times"]) == list(found["differences"]) == ["12", "250"]
    assert all(set(each) == set(module.READERS) for each in found["times"].values())
    assert max(found["differences"]["12"].values()) <= module.TOLERANCE


def test_loader(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    module = script("loader")
    monkeypatch.setattr(module, "film", small_film)
    rates = run(monkeypatch, module, "--seconds", 0.01)["clips per second"]
    assert len(rates) == 4
    assert all(each["wall"] > 0 and each["processor"] > 0 for each in rates.values())
    data = partial(Toybox, size=TINY.sizes[0], frames=TINY.frames[0])
    smaller = replace(module.small_pixeldance.config(), system=TINY, data=data, batch=2, objective=Objective())
    monkeypatch.setattr(module.small_pixeldance, "config", lambda: smaller)
    against = run(monkeypatch, module, "--step", "--rounds", 1)["against a step"]
    assert against["batch"] == 2
    assert set(against["times_the_step"]) == {"480p H.264, key frame every 12", "toybox"}
    assert set(against["processor_seconds"]) == {*against["times_the_step"], "step"}
    assert {"step_wall_seconds", "load_average", "cores", "disturbed"} < set(against)
    assert torch.get_num_threads() == 1
