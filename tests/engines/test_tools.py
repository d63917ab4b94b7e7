"""The director's tools on a pretrained pipeline: films, longer videos, sweeps and the server, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_engines
from command import Run
from serving import Bench

from pixeldance import checkpoint
from pixeldance.engines import engine
from pixeldance.image import write_image
from pixeldance.receipt import Picture, read_receipt, render
from pixeldance.serve.places import RECEIPT, open_places
from pixeldance.video import frames_sha256, read_video, write_video

pytest.importorskip("diffusers")
pytest.importorskip("ftfy")
FIRST_PICTURE, LAST_PICTURE = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
STORY = """
size: 32x32
steps: 2
shots:
  - {text: a red ball moves left, first: first.png, frames: 9}
  - {text: a blue ball, join: continue, last: last.png, frames: 8}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wan 2.2, which takes a last frame and does without one."""
    return tiny_engines.wan(tmp_path_factory.mktemp("wan22"), version="2.2")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, pixels in (("first", FIRST_PICTURE), ("last", LAST_PICTURE)):
        write_image(tmp_path / f"{name}.png", pixels)
    (tmp_path / "story.yaml").write_text(STORY)
    return tmp_path


def test_a_film_is_made_kept_verified_and_made_longer(run: Run, folder: Path, there: Path) -> None:
    asked = ("film", "story.yaml", "--model", folder, "-o", "film.mkv")
    code, out, err = run(*asked)
    assert code == 0, err
    frames, _ = read_video(there / "film.mkv")
    assert frames.shape == (17, 32, 32, 3)
    assert json.loads((there / "film.json").read_text())["model"]["sha256"] == checkpoint.model_hash(folder)
    code, out, _ = run(*asked, "--force")
    assert "all 2 clips are there" in out
    code, out, _ = run("verify", "film.json")
    assert (code, out.splitlines()[-1]) == (0, "verified")
    more = ("extend", "film.mkv", "a red ball", "--seconds", 0.5, "--steps", 1, "--model", folder, "-o", "long.mkv")
    code, _, err = run(*more)
    assert code == 0, err
    longer, _ = read_video(there / "long.mkv")
    assert len(longer) == 25
    np.testing.assert_array_equal(longer[:17], frames)


def test_an_edit_is_made_and_verified(run: Run, folder: Path, there: Path) -> None:
    write_video(there / "taken.mkv", np.random.default_rng(1).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8), fps=16)
    ends = ("--first", "first.png", "--last", "last.png")
    asked = ("--model", folder, "--size", "32x32", "--steps", 2, "--seed", 1)
    code, out, err = run("edit", "taken.mkv", "a red ball", *ends, *asked, "-o", "edited.mkv")
    assert code == 0, err
    edited, _ = read_video(there / "edited.mkv")
    assert edited.shape == (9, 32, 32, 3)
    code, out, err = run("verify", "edited.json")
    assert (code, out.splitlines()[-1]) == (0, "verified"), err


def test_what_an_engine_cannot_is_refused_before_loading(run: Run, folder: Path, there: Path) -> None:
    both = tiny_engines.wan(there / "flf")
    code, _, err = run("film", "story.yaml", "--model", both, "-o", "film.mkv")
    assert code == 2, err
    assert "story.yaml, line 5: shot 1: got no last frame; wan needs one" in err
    code, _, err = run("film", "story.yaml", "--model", folder, "--workers", 2, "-o", "film.mkv")
    assert "got --workers 2 for a pretrained pipeline" in err
    (there / "story.yaml").write_text(STORY.replace("32x32", "40x32"))
    code, _, err = run("film", "story.yaml", "--model", folder, "-o", "film.mkv")
    assert "story.yaml, line 2: size: got a size of 40x32" in err
    code, _, err = run("calibrate", folder)
    assert "got a pipeline of diffusers, which this cannot use" in err


def test_a_sweep(run: Run, folder: Path, there: Path) -> None:
    ends = ("--first", "first.png", "--last", "last.png", "--taus", "0,1")
    asked = ("--model", folder, "--frames", 5, "--size", "32x32", "--steps", 2, "--seed", 1)
    code, out, err = run("sweep", "a red ball", *ends, *asked, "-o", "sheet.png")
    assert code == 0, err
    assert out.startswith("a red ball (seed 1). tau 0: end ")


def test_the_server_makes_a_clip_and_stops_one(folder: Path, tmp_path: Path) -> None:
    places, jobs = open_places(tmp_path / "store", 3600)
    made = Bench(places=places, jobs=jobs, pipeline=engine.load(folder))
    first = Picture.of_bytes(FIRST_PICTURE, b"", "upload")
    asked = {"first": first, "last": first, "frames": 5, "fps": 16.0}
    job = made.finish(made.add(steps=2, **asked))
    assert job.state == "completed"
    receipt = read_receipt(places.result(job) / RECEIPT)
    assert receipt.frames_sha256 == frames_sha256(render(made.pipeline, receipt.request))
    long = made.add(steps=1000, **asked)
    made.work(lambda: made.now(long).done >= 1 and jobs.cancel(long.id))
    assert made.now(long).state == "cancelled"
    assert made.now(long).done < 1000
