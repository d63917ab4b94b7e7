"""The report: one file that needs nothing else, says what it does not know, and plays; one model or two."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import Run

from pixeldance.metrics.report import Curve, Figure, Measured, Plot, Shown, page
from pixeldance.metrics.score import Score, Setting, not_computed
from pixeldance.video import read_video

AT = Setting(n=5, frames=4, fps=8.0, size=(32, 48), extractor="ab" * 32, resize="none", codec="none")


def measured(name: str, value: float) -> Measured:
    video = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)
    curves = [
        Curve(name="made", x=[0, 1], y=[value, 2 * value], intervals=[(value - 1, value + 1), (value, 3 * value)]),
        Curve(name="real", x=[0, 1], y=[1, 1]),
    ]
    return Measured(
        name=name,
        about={"model": "abc"},
        figures=[Figure(name="landing", says="share", value=value, interval=(0.1, 0.9)), Figure(
            name="nothing", says="of none", value=None
        )],
        scores=[
            Score(name="fvd", value=value, setting=AT, interval=(1.0, 2.0), floor=0.125),
            not_computed("fid", "no <weights>", AT),
        ],
        plots=[Plot(title="Change", across="frame", up="levels", curves=curves)],
        samples=[Shown(text='a "red" <ball>', clips=[("real", video), ("made", video)])],
        failures=[],
    )  # fmt: skip


def test_a_page_needs_nothing_else_and_plays(tmp_path: Path):
    html = page([measured("one", 0.5)], title="One & only", fps=8.0)
    assert not re.search(r"(https?:|//|<script|<link|@import|url\()", re.sub(r"base64,[^\"]*", "", html))
    clips = re.findall(r'src="data:image/webp;base64,([^"]*)"', html)
    assert len(clips) == 2
    import base64

    (tmp_path / "clip.webp").write_bytes(base64.b64decode(clips[0]))
    frames, fps = read_video(tmp_path / "clip.webp")
    assert (frames.shape, fps) == ((4, 32, 48, 3), 8)
    assert "<title>One &amp; only</title>" in html
    assert "a &quot;red&quot; &lt;ball&gt;" in html
    assert "<strong>0.5</strong> [0.1, 0.9]" in html
    assert "<p>Not computed:</p><ul><li>fid: no &lt;weights&gt;</li></ul>" in html
    assert "N = 5, 4 frames at 8 a second, 48 x 32; stored: none; extractor <code>abababababababab</code>" in html
    assert '<td class="number">0.125</td>' in html
    assert "None was found." in html
    assert "prefers-color-scheme: dark" in html


def test_two_models_lie_side_by_side():
    html = page([measured("one", 0.5), measured("two", 0.75)], title="Both", fps=8.0)
    (landing,) = re.findall(r"<tr><th>landing</th>(.*?)</tr>", html)
    assert re.findall(r"<strong>(.*?)</strong>", landing) == ["0.5", "0.75"]
    (names,) = re.findall(r'<div class="names">.*?</div>', html)
    spans = re.findall(r'<span class="(.)">(.*?)</span>', names)
    assert spans == [("a", "one: made"), ("b", "two: made"), ("c", "real")]
    assert re.findall(r'<polyline class="(.)"', html) == ["a", "b", "c"]
    assert html.count("<li>fid:") == 1, "a reason that both share is told once"
    partly = replace(measured("two", 0.75), scores=[Score(name="fid", value=3.0, setting=AT)])
    html = page([measured("one", 0.5), partly], title="Both", fps=8.0)
    (fid,) = re.findall(r"<tr><th>fid</th>(.*?)</tr>", html)
    assert "not computed, because no &lt;weights&gt;" in fid
    assert "<strong>3</strong>" in fid
    with pytest.raises(ValueError, match="got 3 models"):
        page([measured("one", 1)] * 3, title="", fps=8.0)


def test_a_model_becomes_a_report(here: Path, tiny_model: Path, run: Run):
    ask = ["evaluate", tiny_model, "--n", 3, "--report", "report"]
    code, out, err = run(*ask)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "report/report.html"
    html = Path("report/report.html").read_text()
    data = json.loads(Path("report/report.json").read_text())
    (model,) = data
    scores = {score["name"]: score for score in model["scores"]}
    for name in ("fvd", "kvd", "fid", "is", "video-is", "clipsim", "lpips"):  # no published name without its network
        assert scores[name]["value"] is None
        assert f"{name}: not computed, because " in out
    assert scores["psnr"]["setting"]["n"] == 3
    assert scores["psnr"]["setting"]["size"] == [32, 32]
    low, high = scores["psnr"]["interval"]
    assert low <= scores["psnr"]["value"] <= high
    assert {figure["name"] for figure in model["figures"]} >= {"first_psnr", "whole", "faultless", "fault: end_jump"}
    assert [plot["title"][:10] for plot in model["plots"]] == ["Likeness t", "Change fro", "Way to the"]
    assert html.count("data:image/webp") >= 9
    assert run(*ask)[0] == 2  # it is there
    assert run(*ask, "--force")[0] == 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["nothing"], "wanted toybox, or a checkpoint's folder"),
        ([".", "."], "got . twice"),
        ([".", "/", "/tmp", "--report", "r"], "got 3 models"),
        (["--i3d", "a.png"], "these go into a report"),
        (["--report", "r", "--n", 1], "wanted 2 captions or more"),
        (["--report", "r", "--json", "j.json"], "a report has its own JSON"),
        (["--report", "r", "--n", 2, "--i3d", "a.png"], "is no safetensors file"),
    ],
)
def test_what_cannot_be_reported_is_told(here: Path, run: Run, more: list[object], says: str):
    code, _, err = run("evaluate", "toybox", *more)
    assert (code, says in err) == (2, True), err
