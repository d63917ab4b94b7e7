"""`pixeldance edit`: the ends as they were edited, clips that walk along, a receipt that makes it again."""

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from command import TEXT, Run, listing
from PIL import Image

from pixeldance.diffusion.noise import generators
from pixeldance.generate import Sampling
from pixeldance.image import fit
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.metrics.meter import meter
from pixeldance.pipeline import load
from pixeldance.video import frames_sha256, read_video, write_video


@pytest.fixture
def old(here: Path) -> np.ndarray:
    """The frames of old.mkv, 6 of 32 x 32 at 8 a second: two clips of 4, the second from the third frame on."""
    frames = np.random.default_rng(3).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    write_video("old.mkv", frames, fps=8)
    write_video("short.mkv", frames[:4], fps=8)
    return frames


def edited(run: Run, model: Path, *arguments: object, video: str = "old.mkv") -> tuple[np.ndarray, str]:
    """The frames of new.mkv, which must be those of its receipt, and what was printed."""
    ask = ["edit", video, TEXT, "--model", model, "--steps", 2, "--seed", 7, "-o", "new.mkv", "--force"]
    code, out, err = run(*ask, *arguments)
    assert (code, err) == (0, "")
    frames, fps = read_video("new.mkv")
    assert (json.loads(Path("new.json").read_text())["frames_sha256"], fps) == (frames_sha256(frames), 8)
    return frames, out


def ends() -> list[np.ndarray]:
    return [np.array(Image.open(name).convert("RGB")) for name in ("a.png", "b.png")]


def test_a_clip_is_generated_between_the_edited_ends(old: np.ndarray, tiny_model: Path, run: Run):
    frames, out = edited(run, tiny_model, "--first", "a.png", "--last", "b.png", video="short.mkv")
    pipeline = load(tiny_model)
    asked = pipeline.instruct(TEXT, "a.png", "b.png")
    assert (frames == pipeline.render(asked, generators([7])[0], Sampling(steps=2))).all()
    assert "4 frames of 32x32 in 1 clip, seed 7" in out
    assert "outside_psnr: not computed, because the edit is nearly everywhere" in out
    assert run("verify", "new.json")[0] == 0


def test_a_longer_video_is_walked_along_and_latents_are_handed_on(old: np.ndarray, tiny_model: Path, run: Run):
    frames, out = edited(run, tiny_model, "--first", "a.png", "--last", "b.png")
    assert (len(frames), "in 2 clips" in out) == (6, True)
    pipeline, sampling, (first, last) = load(tiny_model), Sampling(steps=2), ends()

    def clip(pictures: dict[int, object], seed: int) -> object:
        asked = Instruction(text=TEXT, frames=pictures, length=4, size=(32, 32), fps=8.0)  # type: ignore[arg-type]
        return pipeline.latents(asked, generators([seed])[0], sampling)

    one = clip({FIRST: first}, 7)
    two = clip({FIRST: one[2], LAST: last}, 8)  # type: ignore[index]
    wanted = [pipeline.decode(each[None])[0] for each in (one, two)]  # type: ignore[index]
    assert (frames == np.concatenate([wanted[0][:3], wanted[1][1:]])).all()
    read = json.loads(Path("new.json").read_text())["meter"]
    assert read == pytest.approx(meter(frames, first, last, 8.0), abs=1e-6)
    code, out, _ = run("verify", "new.json")
    assert (code, "verified" in out) == (0, True)


def test_strength_0_is_the_video_itself(old: np.ndarray, tiny_model: Path, run: Run):
    """The tiny codec loses nothing."""
    frames, _ = edited(run, tiny_model, "--first", "a.png", "--last", "b.png", "--strength", 0)
    assert (frames == old).all()
    much, _ = edited(run, tiny_model, "--first", "a.png", "--last", "b.png", "--strength", 1)
    other, _ = edited(run, tiny_model, "--first", "a.png", "--last", "b.png", "--strength", 1, "--seed", 9)
    assert (much != old).any()
    assert (much == other).all()  # all noise is the video's own


def test_with_the_videos_own_ends_and_text_its_noise_gives_the_video_back(old: np.ndarray, tiny_model: Path, run: Run):
    """In all clips, those before the last too, whose end nobody gives."""
    for frame, name in ((old[0], "own_first.png"), (old[-1], "own_last.png")):
        Image.fromarray(frame).save(name)
    own = ("--first", "own_first.png", "--last", "own_last.png", "--source-text", TEXT, "--guidance", 1)
    frames, out = edited(run, tiny_model, *own, "--strength", 1, "--steps", 12)
    errors = np.abs(frames.astype(float) - old).mean(axis=(1, 2, 3))
    assert errors.max() < 30  # 46 where clips before the last are inverted beside an end that the edit does not give
    assert np.abs(np.diff(old.astype(float), axis=0)).mean() > 80
    assert "identity: not computed, because an end is the video's own" in out


def test_an_edit_from_the_videos_noise_is_verified_with_that_video(old: np.ndarray, tiny_model: Path, run: Run):
    settings = ("--strength", 0.7, "--source-text", "a blue star moves left")
    edited(run, tiny_model, "--first", "a.png", "--last", "b.png", *settings)
    assert run("verify", "new.json")[0] == 0
    Path("elsewhere").mkdir()
    for name in ("new.json", "new.mkv", "old.mkv"):
        Path(name).rename(Path("elsewhere", name))
    assert run("verify", "elsewhere/new.json")[0] == 0  # the video is found beside the receipt
    write_video("elsewhere/old.mkv", old[::-1], fps=8, overwrite=True)
    code, _, err = run("verify", "elsewhere/new.json")
    assert (code, "is another video now" in err) == (2, True)
    Path("elsewhere/old.mkv").unlink()
    code, _, err = run("verify", "elsewhere/new.json")
    assert (code, "which is not here; put it beside the receipt" in err) == (2, True)


def test_a_changed_receipt_is_found(old: np.ndarray, tiny_model: Path, run: Run):
    edited(run, tiny_model, "--first", "a.png", "--last", "b.png", video="short.mkv")
    record = json.loads(Path("new.json").read_text())
    record["request"]["seed"] = 8
    Path("new.json").write_text(json.dumps(record))
    code, out, _ = run("verify", "new.json")
    assert (code, "NOT verified" in out) == (1, True)


def test_ends_are_made_of_the_videos_own(old: np.ndarray, tiny_model: Path, run: Run):
    """At strength 0 nothing but the receipt shows the ends; each way is one."""
    mask = np.zeros((32, 32), np.uint8)
    mask[4:12, 4:12] = 255
    Image.fromarray(mask).save("m.png")
    Image.fromarray(mask[::-1]).save("n.png")
    Image.fromarray(np.full((4, 4, 3), 9, np.uint8)).save("p.png")
    file = Path("ed.py")
    file.write_text("import sys\nfrom PIL import Image\nImage.open(sys.argv[1]).rotate(180).save(sys.argv[2])\n")
    command = f"{shlex.quote(sys.executable)} {file}"

    def given(*arguments: object) -> list[np.ndarray]:
        edited(run, tiny_model, *arguments, "--strength", 0)
        from pixeldance.edit.receipt import read_edit

        request = read_edit(Path("new.json")).request
        assert str(arguments[0]) in request.first.path
        return [request.first.pixels(), request.last.pixels()]

    first, last = given("--mask", "m.png", "--last-mask", "n.png", "--colour", "#10f020")
    assert (first != old[0]).any(axis=-1)[4:12, 4:12].mean() > 0.9
    assert (first[mask == 0] == old[0][mask == 0]).all()
    assert (last[mask[::-1] == 0] == old[-1][mask[::-1] == 0]).all()
    first, last = given("--paste", "p.png", "--at", "2,3", "--last-at", "20,8")
    assert (first[3:7, 2:6] == 9).all()
    assert (last[8:12, 20:24] == 9).all()
    first, last = given("--edit-with", command)
    assert (first == old[0, ::-1, ::-1]).all()
    assert (last == old[-1, ::-1, ::-1]).all()


@pytest.mark.parametrize("rule", ["pad", "crop"])
def test_a_video_of_another_size_is_fitted(old: np.ndarray, tiny_model: Path, run: Run, rule: str):
    wide = np.random.default_rng(4).integers(0, 256, (4, 40, 64, 3), dtype=np.uint8)
    write_video("wide.mkv", wide, fps=8)
    frames, _ = edited(
        run, tiny_model, "--first", "a.png", "--last", "b.png", "--strength", 0, "--fit", rule, video="wide.mkv"
    )
    assert (frames == np.stack([fit(frame, size=(32, 32), rule=rule) for frame in wide])).all()


def test_the_sheet(old: np.ndarray, tiny_model: Path, run: Run):
    _, out = edited(run, tiny_model, "--first", "a.png", "--last", "b.png", "--sheet", video="short.mkv")
    assert "new-sheet.png" in out
    with Image.open("new-sheet.png") as sheet:
        assert sheet.width > sheet.height > 200


ENDS = ["--first", "a.png", "--last", "b.png"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["old.mkv"], "got no edit; wanted all options of one of these ways: --first --last; --mask --last-mask"),
        (["old.mkv", "--first", "a.png"], "got --first; wanted all options"),
        (
            ["old.mkv", *ENDS, "--paste", "a.png", "--at", "0,0"],
            "got --first, --last, --paste, --at, --last-at; wanted",
        ),
        (["old.mkv", "--mask", "a.png", "--colour", "red"], "got --mask, --colour; wanted all options"),
        (["old.mkv", "--mask", "a.png", "--last-mask", "a.png", "--colour", "reddish"], "got --colour 'reddish'"),
        (["old.mkv", "--paste", "a.png", "--at", "here"], "got --at 'here'; wanted X,Y in pixels"),
        (["old.mkv", "--paste", "a.png", "--at", "1,0"], "got a patch of 32x32 at 1,0 of a picture of 32x32"),
        (["old.mkv", "--edit-with", "no-such-editor"], "the editor no-such-editor could not be started"),
        (["old.mkv", *ENDS, "--source-text", "a star"], "got --source-text 'a star' without --strength"),
        (["old.mkv", *ENDS, "--strength", "2"], "wanted a number from 0 to 1"),
        (["none.mkv", *ENDS], "there is no such file"),
        (["three.mkv", *ENDS], "got a video of 3 frames; this model's clips have 4 or more"),
    ],
)
def test_bad_input_ends_in_a_message(old: np.ndarray, tiny_model: Path, run: Run, arguments: list[str], says: str):
    write_video("three.mkv", old[:3], fps=8)
    before = listing(Path())
    code, _, err = run("edit", arguments[0], TEXT, *arguments[1:], "--model", tiny_model, "-o", "new.mkv")
    assert code == 2
    assert says in " ".join(err.split())
    assert listing(Path()) == before


@pytest.mark.parametrize("taken", ["old.mkv", "a.png"])
def test_what_is_read_is_never_overwritten(old: np.ndarray, tiny_model: Path, run: Run, taken: str):
    Path("a-sheet.png").symlink_to("a.png")
    out = "a.mkv" if taken == "a.png" else taken
    code, _, err = run("edit", "old.mkv", TEXT, *ENDS, "--model", tiny_model, "-o", out, "--sheet", "--force")
    assert (code, "is read and would be overwritten" in err) == (2, True)
