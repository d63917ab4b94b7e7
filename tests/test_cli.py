"""The command line: whole paths through the real program, and every bad input that it must survive."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import PROGRAM, TEXT, Run, listing, program
from PIL import Image
from tiny import TINY, random_parts

from pixeldance import __version__, checkpoint
from pixeldance.video import frames_sha256, read_video, write_video

# Help


@pytest.mark.parametrize("arguments", [["--help"], ["generate", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from pixeldance.cli import main; sys.argv[1:] = " + repr(arguments) + "\n"
        "try: main()\n"
        "except SystemExit: print('loaded', {'torch', 'numpy', 'av', 'PIL', 'rich'} & sys.modules.keys())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "loaded set()"
    assert __version__ in out or "Usage: pixeldance" in out


@pytest.mark.parametrize(
    "verb", ["generate", "film", "extend", "sweep", "calibrate", "verify", "train", "toybox", "evaluate", "meter"]
)
def test_every_verb_explains_itself(run: Run, verb: str) -> None:
    code, out, _ = run(verb, "--help")
    assert code == 0
    assert f"Usage: pixeldance {verb}" in out
    assert run(verb, "--nonsense")[0] == 2


# Whole paths


def test_a_request_becomes_a_clip_a_sheet_and_a_receipt(here: Path, tiny_model: Path) -> None:
    ask = ["generate", TEXT, "--first", "a.png", "--last", "b.png", "--model", tiny_model, "--seed", 7]
    with program(*ask, "--tau", 0.5, "--sheet", "-o", "out.mkv") as made:
        out, err = made.communicate()
    assert (made.returncode, err) == (0, "")  # quiet, as this is no terminal
    assert re.fullmatch(r"out.mkv: 4 frames of 32x32, seed 7, [\d.]+ s\nout-sheet.png\nout.json\n", out)
    receipt = json.loads(Path("out.json").read_text())
    frames, fps = read_video("out.mkv")
    assert (frames.shape, fps) == ((4, 32, 32, 3), 8)
    assert receipt["frames_sha256"] == frames_sha256(frames)
    assert receipt["model"] == {"folder": str(tiny_model), "sha256": checkpoint.model_hash(tiny_model), "loras": []}
    asked = receipt["request"]
    wanted = {"prompt": TEXT, "seed": 7, "tau": 0.5, "tau_steps": None, "steps": 3, "guidance": 2.0, "fps": 8.0}
    assert {name: asked[name] for name in wanted} == wanted
    assert (asked["first"]["path"], asked["last"]["path"]) == ("a.png", "b.png")
    with Image.open("out-sheet.png") as sheet:
        assert sheet.width > 6 * 128  # two given pictures before four frames
    assert set(listing(here)) == {"a.png", "b.png", "out.mkv", "out.json", "out-sheet.png"}

    with program("verify", "out.json") as verified:
        out, err = verified.communicate()
    assert (verified.returncode, err) == (0, "")
    assert out.splitlines()[1:] == ["out.mkv decodes to the same frames", "verified"]


def test_many_clips_are_the_same_for_any_number_of_workers(here: Path, tiny_model: Path, run: Run) -> None:
    ask = ["generate", TEXT, "--first", "a.png", "--model", tiny_model, "--count", 3, "--steps", 2, "--seed", 2**31]
    with program(*ask, "--workers", 2, "-o", "c.mkv") as made:
        out, err = made.communicate()
    assert (made.returncode, err) == (0, "")
    assert [line.split(":")[0] for line in out.splitlines()] == [
        f"c-{i}.{e}" for i in (1, 2, 3) for e in ("mkv", "json")
    ]
    code, _, _ = run(*ask, "-o", "d.mkv")
    assert code == 0
    hashes = []
    for number in (1, 2, 3):
        c, d = (json.loads(Path(f"{name}-{number}.json").read_text()) for name in "cd")
        assert c["request"] == d["request"]
        assert c["request"]["seed"] == 2**31 + number - 1
        assert c["clip"] == f"c-{number}.mkv"
        assert c["frames_sha256"] == d["frames_sha256"]
        assert Path(f"c-{number}.mkv").read_bytes() == Path(f"d-{number}.mkv").read_bytes()
        hashes.append(c["frames_sha256"])
    assert len(set(hashes)) == 3
    code, _, _ = run(*ask[:-1], 2**31 + 2, "--count", 1, "-o", "e.mkv")
    assert json.loads(Path("e.json").read_text())["frames_sha256"] == hashes[2]


@pytest.mark.parametrize("out", ["c.mp4", "c.gif", "c.webp", "c/", "C.MKV"])
def test_the_ending_chooses_the_format(here: Path, tiny_model: Path, run: Run, out: str) -> None:
    ask = ["generate", TEXT, "--first", "a.png", "--model", tiny_model, "--steps", 1, "--fps", 12.5, "-o", out]
    code, told, err = run(*ask)
    assert (code, err) == (0, "")
    frames, fps = read_video(out)
    assert frames.shape == (4, 32, 32, 3)
    assert fps == 12.5
    base = out.split(".")[0].rstrip("/")
    assert json.loads(Path(f"{base}.json").read_text())["clip"] == out
    assert told.splitlines()[1:] == [f"{base}.json"]


def test_a_text_alone_is_enough_and_its_seed_is_told(here: Path, tiny_model: Path, run: Run) -> None:
    ask = ["generate", "a red circle, a gryphon", "--last", "b.png", "--model", tiny_model, "--steps", 1]
    code, out, err = run(*ask, "-o", "out.mkv")
    assert (code, err) == (0, "Warning: this model does not know these words and leaves them out: gryphon\n")
    receipt = json.loads(Path("out.json").read_text())
    assert receipt["unknown_words"] == ["gryphon"]
    assert f"seed {receipt['request']['seed']}," in out
    assert run(*ask, "-o", "other.mkv")[0] == 0
    assert json.loads(Path("other.json").read_text())["request"]["seed"] != receipt["request"]["seed"]


def test_pictures_are_fitted_as_told_and_kept_in_the_receipt(here: Path, tiny_model: Path, run: Run) -> None:
    wide = Image.new("RGBA", (64, 32), (0, 0, 0, 0))
    wide.paste((0, 0, 255, 255), (0, 0, 8, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    wide.save("wide.png", exif=exif)
    ask = ["generate", TEXT, "--first", "wide.png", "--model", tiny_model, "--steps", 1]
    assert run(*ask, "--background", "lime", "-o", "pad.mkv")[0] == 0
    assert run(*ask, "--background", "#ff0000", "--fit", "crop", "-o", "crop.mkv")[0] == 0
    from pixeldance.receipt import read_receipt

    pad, crop = (read_receipt(Path(name)).request for name in ("pad.json", "crop.json"))
    assert (pad.fit, pad.background, crop.fit, crop.background) == ("pad", "lime", "crop", "#ff0000")
    assert pad.first is not None
    assert crop.first is not None
    top, middle = (pad.first.pixels()[row, 16].astype(int) for row in (1, 20))
    assert abs(top - (0, 0, 255)).max() < 8  # upright: the blue bar is at the top
    assert abs(middle - (0, 255, 0)).max() < 8
    assert (crop.first.pixels() == (255, 0, 0)).all()  # the blue bar is cut off


def test_finished_files_are_only_replaced_by_force(here: Path, tiny_model: Path, run: Run) -> None:
    ask = ["generate", TEXT, "--first", "a.png", "--model", tiny_model, "--steps", 1, "--sheet", "-o", "out.webp"]
    assert run(*ask, "--seed", 1)[0] == 0
    before = listing(here)
    for there in ("out.webp", "out.json", "out-sheet.png"):
        for other in {"out.webp", "out.json", "out-sheet.png"} - {there}:
            Path(other).rename(other + ".away")
        code, _, err = run(*ask, "--seed", 2)
        assert code == 2
        assert err.startswith(f"Error: {there} exists and a finished result is never overwritten unasked")
        for away in here.glob("*.away"):
            away.rename(away.with_suffix(""))
    assert listing(here) == before
    assert run(*ask, "--seed", 2, "--force")[0] == 0
    after = listing(here)
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in ("out.webp", "out.json", "out-sheet.png"))


# Ctrl-C


def interrupted(number: int, *arguments: object) -> tuple[int, bytes]:
    """Start a long rendering on a terminal, send it a signal in mid-render: (exit code, what the terminal showed)."""
    terminal, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    command = [*PROGRAM, *map(str, arguments)]
    shown = b""

    def read() -> bytes:
        ready, _, _ = select.select([terminal], [], [], 240)
        assert ready, f"nothing more was shown after {shown[-1000:]!r}"
        try:
            return os.read(terminal, 4096)
        except OSError:  # all that held the terminal have ended, the workers too
            return b""

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=its_end, start_new_session=True) as rendering:
        os.close(its_end)
        try:
            while not re.search(rb"[1-9]\d*/\d+ \[\d\d:\d\d<", shown):  # steps done of all, with the time left
                more = read()
                assert more, f"it ended by itself: {shown!r}"
                shown += more
            # Ctrl-C reaches every process of the terminal, other signals the one that they are sent to.
            os.killpg(rendering.pid, number) if number == signal.SIGINT else rendering.send_signal(number)
            while more := read():
                shown += more
            return rendering.wait(), shown
        finally:
            rendering.kill()
            os.close(terminal)


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_in_mid_render_leaves_nothing(here: Path, tiny_model: Path, workers: int) -> None:
    before = listing(here)
    ask = ["generate", TEXT, "--first", "a.png", "--model", tiny_model, "--steps", 1000, "--sheet", "-o", "out.mkv"]
    code, shown = interrupted(signal.SIGINT, *ask, "--count", 2, "--workers", workers)
    assert code == 130
    assert b"/2000 [" in shown
    assert b"Traceback" not in shown
    assert listing(here) == before


@pytest.mark.parametrize(("number", "wanted"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_half_folder(here: Path, number: int, wanted: int) -> None:
    before = sorted(os.listdir(here))
    code, shown = interrupted(number, "toybox", "--count", 10**6, "-o", "toys")
    assert code == wanted
    assert b"Traceback" not in shown
    assert sorted(os.listdir(here)) == before


@pytest.mark.parametrize("stage", ["video_file", "contact_sheet"])
def test_ctrl_c_while_files_are_written_leaves_nothing(
    here: Path, tiny_model: Path, run: Run, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    import pixeldance.sheet
    import pixeldance.video

    def stop(*_: object, **__: object) -> Iterator[None]:
        raise KeyboardInterrupt

    module = pixeldance.video if stage == "video_file" else pixeldance.sheet
    monkeypatch.setattr(module, stage, stop)
    before = os.listdir(here)
    ask = ["generate", TEXT, "--first", "a.png", "--model", tiny_model, "--steps", 1, "--sheet", "-o", "out.mkv"]
    code, _, err = run(*ask)
    assert (code, err) == (130, "stopped\n")
    assert os.listdir(here) == before


# verify


def test_a_failed_verification_has_exit_code_1(here: Path, tiny_model: Path, run: Run) -> None:
    ask = ["generate", TEXT, "--first", "a.png", "--model", tiny_model, "--steps", 1]
    assert run(*ask, "-o", "out.mkv")[0] == 0
    frames, _ = read_video("out.mkv")
    write_video("out.mkv", 255 - frames, fps=8, overwrite=True)
    code, out, _ = run("verify", "out.json")
    assert code == 1
    assert out.splitlines()[1:] == ["out.mkv decodes to other frames: it was changed", "NOT verified"]
    checkpoint.save(here / "other", random_parts(seed=1))
    checkpoint.save(here / "older", random_parts(replace(TINY, frames=(8, 1))))
    code, out, _ = run("verify", "out.json", "--model", "other")
    assert code == 1
    assert "likely because this is another model (hash" in out
    assert run("verify", "out.json", "--model", "older")[0] == 2  # it makes no 4 frames
    receipt = json.loads(Path("out.json").read_text())
    receipt["model"]["folder"] = "/nowhere/model"
    Path("out.json").write_text(json.dumps(receipt))
    code, _, err = run("verify", "out.json")
    assert code == 2
    assert "names the model /nowhere/model, which is not here; say where it is with --model" in err


# The other verbs


def test_toybox_writes_captioned_clips(here: Path, run: Run) -> None:
    ask = ["toybox", "--count", 3, "--size", 32, "--frames", 5, "--seed", 40]
    code, out, err = run(*ask, "--ending", "mkv", "-o", "toys")
    assert (code, err) == (0, "")
    assert out == "toys: 3 clips with captions\ntoys/toybox-sheet.png\n"
    names = [f"toybox-{number}.{ending}" for number in range(3) for ending in ("mkv", "txt")]
    assert sorted(os.listdir("toys")) == sorted([*names, "toybox-sheet.png"])
    from pixeldance.data.toybox import clip

    for number in range(3):
        wanted = clip(40 + number, size=(32, 32), frames=5)
        frames, fps = read_video(f"toys/toybox-{number}.mkv")
        np.testing.assert_array_equal(frames, wanted.video)
        assert fps == wanted.fps
        assert Path(f"toys/toybox-{number}.txt").read_text() == wanted.text + "\n"

    before = listing(here)
    code, _, err = run(*ask, "-o", "toys")
    assert (code, listing(here)) == (2, before)
    assert "never overwritten unasked" in err
    assert run(*ask, "--ending", "png", "-o", "toys", "--force")[0] == 0
    assert len(os.listdir("toys/toybox-0")) == 5
    Path("toys/mine.doc").touch()
    code, _, err = run(*ask, "-o", "toys", "--force")
    assert code == 2
    assert "it holds mine.doc" in err


EXPERIMENT = """
from dataclasses import replace
from pathlib import Path
from neighbour import STEPS
from tiny_run import RUN

def config(batch: int = 2, rate: float = 1e-3, note: Path = Path("none"), name: str = "x"):
    assert isinstance(note, Path)
    return replace(RUN, batch=batch, rate=rate, steps=STEPS)
"""


def test_train_runs_an_experiment_and_goes_on_with_it(here: Path, run: Run) -> None:
    Path("lab").mkdir()
    Path("lab/neighbour.py").write_text("STEPS = 2\n")
    Path("lab/small.py").write_text(EXPERIMENT)
    code, out, err = run("train", "lab/small.py", "rate=0.002")
    assert (code, out) == (0, "runs/small/step-0000002\n")
    assert err == "runs/small: a new run\n"
    more = ["--steps", 3, "--out", "runs/small"]
    code, _, err = run("train", "lab/small.py", *more)
    assert code == 2
    assert "rate: began with 0.002, got 0.001" in err
    code, out, err = run("train", "lab/small.py", "rate=2e-3", "note=a/b", *more)
    assert (code, out) == (0, "runs/small/step-0000003\n")
    assert err == "runs/small: going on from step-0000002\n"
    log = Path("runs/small/log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [0, 1, 2]
    assert run("generate", TEXT, "--model", "runs/small/step-0000003", "--steps", 1, "-o", "out.mp4")[0] == 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("batch", "got 'batch'; this experiment takes batch, rate, note, name"),
        ("size=3", "got 'size=3'; this experiment takes batch"),
        ("batch=two", "got 'batch=two'; wanted batch as int"),
    ],
)
def test_settings_that_an_experiment_does_not_take_are_refused(
    here: Path, run: Run, setting: str, message: str
) -> None:
    Path("neighbour.py").write_text("STEPS = 2\n")
    Path("lab.py").write_text(EXPERIMENT)
    code, _, err = run("train", "lab.py", setting)
    assert code == 2
    assert message in err


def test_a_setting_without_a_default_is_asked_for(here: Path, run: Run) -> None:
    Path("lab.py").write_text("def config(videos: str, steps: int = 1): ...\n")
    code, _, err = run("train", "lab.py", "steps=3")
    assert code == 2
    assert "got no videos; this experiment takes videos, steps, as NAME=VALUE" in err


def test_a_run_without_a_number_for_its_loss_ends_in_1(here: Path, run: Run) -> None:
    Path("lab.py").write_text(
        "from dataclasses import replace\nfrom tiny_run import RUN, Colours\n"
        "def config(): return replace(RUN, data=lambda: Colours(unsound=(0, 9)), nan_skips=0, batch=2)\n"
    )
    code, _, err = run("train", "lab.py")
    assert code == 1
    assert "Error: got no number for the loss or its gradient in 1 steps in a row" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "wanted a Python file"),
        ("x = (", "which is no Python"),
        ("x = 1", "whose config() gives NoneType"),
        ("def config(): return 1", "whose config() gives int; wanted a function config() -> "),
        ("def config(): open('nowhere')", "No such file or directory: 'nowhere'"),
    ],
)
def test_what_is_no_experiment_is_refused(here: Path, run: Run, content: str | None, message: str) -> None:
    if content is not None:
        Path("lab.py").write_text(content)
    code, _, err = run("train", "lab.py")
    assert code == 2
    assert message in err
    assert not Path("runs").exists()


def test_evaluate_prints_and_writes_the_table(
    here: Path, tiny_model: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixeldance.metrics import toybox

    def evaluate(pipeline: Any, *, n: int, progress: Callable[[int], None]) -> dict[str, float]:
        for done in range(n):
            progress(done + 1)
        return {"first_psnr": 31.4159, "end_jump": float("nan"), "n": n}

    monkeypatch.setattr(toybox, "evaluate", evaluate)
    ask = ["evaluate", "toybox", "--n", 3, "--model", tiny_model, "--json", "table.json"]
    code, out, err = run(*ask)
    assert (code, err) == (0, "")
    assert out == "first_psnr  31.42\nend_jump    nan\nn           3\n"
    assert json.loads(Path("table.json").read_text()) == {"first_psnr": 31.4159, "end_jump": None, "n": 3}
    code, _, err = run(*ask)
    assert code == 2
    assert "table.json exists" in err
    assert run(*ask, "--force")[0] == 0
    assert run("evaluate", "nothing")[0] == 2
