"""The curves of a run: what is in its log is in the picture, and what is no number leaves a gap."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Run
from PIL import Image

from pixeldance.training.plot import draw, smoothed

pytest.importorskip("matplotlib")


def log(folder: Path, steps: int = 40) -> Path:
    """A run whose step 5 was skipped, with figures after every tenth."""
    folder.mkdir()
    line: dict[str, Any] = {"norm": 1.0, "rate": 1e-3, "seconds": 0.5, "waited": 0.1}
    with (folder / "log.jsonl").open("w") as file:
        for step in range(steps):
            kind, loss = ("image", 2.0) if step % 8 == 7 else ("video", None if step == 5 else 1 / (step + 1))
            file.write(json.dumps({"step": step, "kind": kind, "loss": loss, **line}) + "\n")
    figures = [json.dumps({"step": step, "direction": step / 100}) + "\n" for step in range(9, steps, 10)]
    (folder / "figures.jsonl").write_text("".join(figures))
    return folder


def test_every_curve_has_a_panel(tmp_path: Path):
    figure = draw([log(tmp_path / "one"), log(tmp_path / "two", 20) / "log.jsonl"], smooth=3)
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels)[:2] == ["loss video", "loss image"]
    assert "direction" in panels
    raw, smooth, *other = panels["loss video"].lines
    assert np.isnan(raw.get_ydata()[5])
    assert smooth.get_ydata()[5] == pytest.approx((1 / 4 + 1 / 5) / 2)
    assert len(other) == 2
    assert list(panels["direction"].lines[0].get_xdata()) == [9, 19, 29, 39]
    assert [text.get_text() for text in panels["loss video"].get_legend().get_texts()] == ["one", "two"]


def test_smoothing_is_a_mean_of_what_is_known():
    values = np.array([1.0, np.nan, 3.0, 5.0])
    np.testing.assert_allclose(smoothed(values, 2), [1, 1, 3, 4])
    np.testing.assert_allclose(smoothed(values, 100), [1, 1, 2, 3])
    np.testing.assert_allclose(smoothed(np.array([np.nan, 1.0]), 1), [np.nan, 1])


def test_the_command_writes_a_picture(run: Run, tmp_path: Path):
    out = tmp_path / "curves.png"
    assert run("plot", str(log(tmp_path / "one")), "-o", str(out)) == (0, f"{out}\n", "")
    assert Image.open(out).size[0] > 1000
    code, _, error = run("plot", str(tmp_path / "one"), "-o", str(out))
    assert code == 2
    assert "exists" in error


@pytest.mark.parametrize(("out", "message"), [("a.txt", "ends in .png"), ("a.png", "no log.jsonl with a step")])
def test_refusals(run: Run, tmp_path: Path, out: str, message: str):
    code, _, error = run("plot", str(tmp_path), "-o", str(tmp_path / out))
    assert code == 2
    assert message in error


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path):
    code = (
        "import sys; sys.modules['matplotlib.figure'] = None\n"
        "from pathlib import Path; from pixeldance.training.plot import draw\n"
        f"draw([Path({str(tmp_path)!r})])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "plotting needs matplotlib; pip install 'pixeldance[plot]'" in done.stderr
