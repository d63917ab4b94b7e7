"""A video that goes on: what was there stays to the byte, and the new part begins where it ends."""

import json
from pathlib import Path

import numpy as np
import pytest
from command import TEXT, Run
from PIL import Image

from pixeldance.diffusion.noise import generators
from pixeldance.generate import Sampling
from pixeldance.pipeline import load
from pixeldance.video import frames_sha256, read_video, write_video


@pytest.fixture
def old(here: Path) -> np.ndarray:
    """The frames of old.mkv, 5 of 32 x 32 at 8 a second."""
    frames = np.random.default_rng(3).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    write_video("old.mkv", frames, fps=8)
    return frames


def extended(run: Run, model: Path, *arguments: object) -> np.ndarray:
    """The frames of new.mkv, which must be as many as its receipt says."""
    ask = ["extend", "old.mkv", "--model", model, "--steps", 2, "--seed", 7, "-o", "new.mkv", "--force"]
    code, _, err = run(*ask, *arguments)
    assert (code, err) == (0, "")
    frames, fps = read_video("new.mkv")
    receipt = json.loads(Path("new.json").read_text())
    assert (receipt["frames"], receipt["frames_sha256"], fps) == (len(frames), frames_sha256(frames), 8)
    return frames


def test_forwards_from_the_last_frame(old: np.ndarray, tiny_model: Path, run: Run):
    frames = extended(run, tiny_model, TEXT, "--seconds", 0.875)
    assert len(frames) == 5 + 7
    assert (frames[:5] == old).all()
    pipeline = load(tiny_model)
    asked = pipeline.instruct(TEXT, old[-1])
    clip = pipeline.render(asked, generators([7])[0], Sampling(steps=2))
    begins_again = 2  # 7 new frames are three clips of 4, and the second begins on the third frame of the first
    assert (frames[5:7] == clip[1 : 1 + begins_again]).all()
    again = extended(run, tiny_model, TEXT, "--seconds", 0.875)
    assert (again == frames).all()
    assert run("verify", "new.json")[0] == 0
    write_video("old.mkv", old[::-1], fps=8, overwrite=True)
    code, _, err = run("verify", "new.json")
    assert (code, "old.mkv is another video now" in err) == (2, True)
    without, served = ({"pictures": []}, "the receipt has the pictures []"), ({"made_from": "task: long"}, "a server")
    for changed, says in (without, served):
        Path("new.json").write_text(json.dumps(json.loads(Path("new.json").read_text()) | changed))
        code, _, err = run("verify", "new.json")
        assert (code, says in err, "Traceback" in err) == (2, True, False)


def test_backwards_without_a_picture_is_shown_in_reverse(old: np.ndarray, tiny_model: Path, run: Run):
    write_video("back.mkv", old[::-1], fps=8)
    back = extended(run, tiny_model, TEXT, "--seconds", 0.75, "--backwards")
    assert len(back) == 6 + 5
    assert (back[6:] == old).all()
    Path("old.mkv").unlink()
    Path("back.mkv").rename("old.mkv")
    assert (extended(run, tiny_model, TEXT, "--seconds", 0.75)[::-1] == back).all()


@pytest.mark.parametrize("plan", ["chain", "pyramid"])
def test_to_a_picture_and_from_one(old: np.ndarray, tiny_model: Path, run: Run, plan: str):
    to = extended(run, tiny_model, TEXT, "--seconds", 0.75, "--to", "a.png", "--plan", plan)
    assert len(to) == 11
    other = extended(run, tiny_model, TEXT, "--seconds", 0.75, "--to", "b.png", "--plan", plan)
    assert (to[:5] == other[:5]).all()
    assert not (to[-1] == other[-1]).all()
    back = extended(run, tiny_model, TEXT, "--seconds", 0.75, "--to", "a.png", "--plan", plan, "--backwards")
    assert (back[6:] == old).all()
    shown = json.loads(Path("new.json").read_text())["shown"]
    made_by = json.loads(Path("new.shots", shown[0]["call"], "receipt.json").read_text())["made_by"]
    assert shown[0]["start"] == 0  # the picture that it comes from is seen
    assert shown[-1]["stop"] == 3  # and the video's first frame only once
    with Image.open("a.png") as image:
        assert made_by["first"]["size"] == [image.height, image.width]


def test_without_a_text(old: np.ndarray, tiny_model: Path, run: Run):
    frames = extended(run, tiny_model, "--seconds", 0.375)
    assert len(frames) == 8
    (receipt,) = Path("new.shots").glob("*/receipt.json")
    made_by = json.loads(receipt.read_text())["made_by"]
    assert (made_by["text"], made_by["guidance"]) == ("", 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["old.mkv", TEXT, "--seconds", 0.3], "got 0.3 seconds, 2.4 frames at 8 a second; try 0.25"),
        (["none.mkv", TEXT, "--seconds", 1], "there is no such file"),
        (["wide.mkv", TEXT, "--seconds", 1], "got a size of 64x32"),
        (["old.mkv", "...", "--seconds", 1], "got a prompt without words"),
        (["old.mkv", TEXT, "--seconds", 1, "--to", "none.png"], "there is no such file"),
        (["old.mkv", TEXT, "--seconds", 0.25, "--to", "a.png"], "got 2 new frames to arrive at a last frame in"),
        (["old.mkv", TEXT, "--seconds", 1, "--plan", "pyramid"], "got 8 frames; a pyramid's keyframes are 3"),
        (["old.mkv", TEXT, "--seconds", 1, "--plan", "tree"], "wanted chain or pyramid"),
    ],
)
def test_bad_input_ends_in_a_message(old: np.ndarray, tiny_model: Path, run: Run, arguments: list[object], says: str):
    write_video("wide.mkv", np.zeros((2, 32, 64, 3), np.uint8), fps=8)
    before = set(Path().iterdir())
    code, _, err = run("extend", *arguments, "--model", tiny_model, "-o", "new.mkv")
    assert code == 2
    assert says in " ".join(err.split())
    assert set(Path().iterdir()) == before


def test_the_video_itself_is_never_overwritten(old: np.ndarray, tiny_model: Path, run: Run):
    code, _, err = run("extend", "old.mkv", "--seconds", 1, "--model", tiny_model, "-o", "old.mkv", "--force")
    assert code == 2
    assert "is read and would be overwritten" in err
