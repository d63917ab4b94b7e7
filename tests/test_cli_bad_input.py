"""Bad input to the command line: exit code 2, nothing written, and a message that says what was got and wanted."""

import json
import resource
import subprocess
import sys
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from command import TEXT, Run, listing
from PIL import Image

from pixeldance.pipeline import SHIPPED
from pixeldance.video import write_video


def spoil(model: Path, how: str) -> str:
    """A copy of a checkpoint in the working folder, spoilt: its name."""
    copy = Path(how)
    copy.mkdir()
    for file in model.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    net, config = copy / "net.safetensors", copy / "config.json"
    data = bytearray(net.read_bytes())
    if how == "truncated":
        net.write_bytes(data[:-1000])
    elif how == "flipped":
        data[len(data) // 2] ^= 4
        net.write_bytes(data)
    elif how == "newer":
        config.write_text(config.read_text().replace('"version": 1', '"version": 2'))
    elif how == "damaged":
        config.write_text(config.read_text()[:-5])
    elif how == "changed":
        config.write_text(config.read_text().replace('"fps": 8.0', '"fps": 9.0'))
    elif how == "pickled":
        config.unlink()
        (copy / "model.pt").touch()
    return how


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "damaged or cut short"),
        ("flipped", "damaged or cut short: its SHA-256 is"),
        ("newer", "got checkpoint version 2, this pixeldance reads version 1"),
        ("damaged", "not the config of a checkpoint"),
        ("changed", "damaged"),
        ("pickled", "got a pickle, which can run code when opened"),
    ],
)
def test_bad_checkpoints_are_refused(here: Path, tiny_model: Path, run: Run, how: str, message: str) -> None:
    name = spoil(tiny_model, how)
    before = listing(here)
    code, out, err = run("generate", TEXT, "--model", name, "-o", "out.mkv")
    assert (code, out) == (2, "")
    assert message in err
    assert listing(here) == before


@cache
def bomb() -> bytes:
    """A PNG of 81 million pixels in ten kilobytes."""
    data = BytesIO()
    Image.new("1", (9000, 9000)).save(data, format="PNG")
    return data.getvalue()


def bad_pictures() -> None:
    """Pictures that cannot be taken, in the working folder."""
    Path("text.png").write_text("hello")
    Path("empty.png").touch()
    Path("cut.png").write_bytes(Path("a.png").read_bytes()[:2000])
    Path("drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    Image.new("RGB", (8, 8)).save("a.bmp")
    Image.new("RGB", (8, 8)).save("a.gif")
    Path("bomb.png").write_bytes(bomb())
    images = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    images[0].save("moving.webp", save_all=True, append_images=images[1:])
    Path("folder.mkv").mkdir()
    Path("notes.json").write_text("{}")
    Path("weights.pt").write_bytes(b"\x80\x04N.")


BAD: list[tuple[list[object], str]] = [
    # pictures
    (["--first", "nowhere.png"], "cannot read the image nowhere.png: there is no such file; give the path of a PNG"),
    (["--last", "."], "that is not a file"),
    (["--first", "text.png"], "want PNG or JPEG or WEBP; convert it first"),
    (["--first", "empty.png"], "got an empty file, want PNG"),
    (["--first", "cut.png"], "cannot read the image cut.png"),
    (["--first", "drawing.svg"], "got an SVG drawing, want PNG"),
    (["--last", "a.bmp"], "got a BMP, want PNG"),
    (["--last", "a.gif"], "got a GIF, want PNG"),
    (["--first", "moving.webp"], "it is animated; save the one frame you mean"),
    (["--first", "bomb.png"], "has 9000 x 9000 pixels, and more than"),
    (["--first", "a.png", "--frames", 1], "got a picture for a video of one frame"),
    (["--fit", "stretch"], "'--fit': got 'stretch'; wanted pad or crop"),
    (["--background", "reddish"], "got --background 'reddish'; wanted a colour"),
    (["--background", "#ff000080"], "wanted a colour such as white"),
    # numbers
    (["--steps", 0], "'--steps': got '0'; wanted a whole number from 1 to 1000"),
    (["--steps", "1e3"], "'--steps': got '1e3'"),
    (["--steps", 10**40], "'--steps': got"),
    (["--frames", 10**9], "got 1000000000 frames; this model makes 4 or 1: try 4"),
    (["--frames", 15], "got 15 frames; this model makes 4 or 1: try 4"),
    (["--frames", 0], "'--frames': got '0'"),
    (["--guidance", "nan"], "'--guidance': got 'nan'; wanted a number from 0 to 100"),
    (["--guidance", "inf"], "'--guidance': got 'inf'"),
    (["--guidance", "much"], "'--guidance': got 'much'"),
    (["--tau", 1.2], "'--tau': got '1.2'; wanted a number from 0 to 1"),
    (["--tau", -0.1], "'--tau': got '-0.1'"),
    (["--tau", "nan"], "'--tau': got 'nan'"),
    (["--tau", 0.5, "--tau-steps", 2], "got --tau 0.5 and --tau-steps 2; give one of them"),
    (["--tau-steps", 4], "got tau_steps = 4; wanted 0 to the number of steps, 3"),
    (["--tau-steps", -1], "'--tau-steps': got '-1'"),
    (["--seed", -1], "'--seed': got '-1'; wanted a whole number from 0 to 4294967295"),
    (["--seed", 1.5], "'--seed': got '1.5'"),
    (["--seed", 2**80], "'--seed': got"),
    (["--seed", 2**32 - 1, "--count", 2], "wanted all seeds below 2^32"),
    (["--fps", 0], "'--fps': got '0'; wanted a number from 0.1 to 240"),
    (["--fps", "nan"], "'--fps': got 'nan'"),
    (["--fps", 60, "-o", "out.gif"], "cannot write out.gif at 60.0 frames per second; choose 0.1 to 50"),
    (["--size", "1x1"], "got a size of 1x1 (width x height); this model makes 32x32: try 32x32"),
    (["--size", "3x"], "got --size '3x'; wanted WIDTHxHEIGHT in pixels, such as 64x64"),
    (["--size", "-32x32"], "got --size '-32x32'"),
    (["--size", "0x0"], "got a size of 0x0"),
    (["--count", 0], "'--count': got '0'; wanted a whole number from 1"),
    (["--count", "many"], "'--count': got 'many'"),
    (["--workers", 0], "'--workers': got '0'"),
    (["--threads", 0], "'--threads': got '0'"),
    # where it is to go
    (["-o", "out.xyz"], "got the ending '.xyz'; choose .mp4, .mkv, .gif, .webp"),
    (["-o", "out"], "got the ending ''"),
    (["-o", ""], "got -o '', which names no file"),
    (["-o", "/"], "which names no file"),
    (["-o", "nowhere/out.mp4"], "the folder nowhere does not exist; create it"),
    (["-o", "a.png/out.mp4"], "does not exist"),
    (["-o", "/proc/out.mp4"], "no file can be made in /proc"),
    (["-o", "folder.mkv"], "a folder has that name"),
    (["-o", "x" * 300 + ".mp4"], "File name too long"),
    (["-o", "notes.mkv", "--force"], "notes.json is in the way of the receipt and is none"),
    (["-o", "moving.webp", "--first", "moving.webp", "--force"], "moving.webp is read and would be overwritten"),
    (["-o", "b.mkv", "--last", "./b-sheet.png", "--sheet", "--force"], "b-sheet.png is read and would be overwritten"),
    (["-o", "frames/", "--first", "frames/frame-0000.png", "--force"], "would be overwritten by frames/"),
    # models
    (["--model", "nowhere"], "nowhere: no such folder; wanted a folder in the form of diffusers"),
    (["--model", "a.png"], "got no config.json"),
    (["--model", "weights.pt"], "got a pickle, which can run code"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda value: str(value)[:60])
def test_bad_input_is_explained(here: Path, tiny_model: Path, run: Run, arguments: list[object], message: str) -> None:
    bad_pictures()
    Path("b-sheet.png").write_bytes(Path("b.png").read_bytes())
    write_video("frames/", np.zeros((1, 32, 32, 3), np.uint8), fps=8)
    before = listing(here)
    given = ["--model", tiny_model] * ("--model" not in arguments) + ["-o", "out.mkv"] * ("-o" not in arguments)
    code, out, err = run("generate", TEXT, *given, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert listing(here) == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got an empty prompt; wanted words for what the video shows"),
        (" \n", "got an empty prompt"),
        ("red " * 2**18, "got a prompt of 1,048,576 characters; this model reads 47 words"),
        ("\udcff", "wanted text in UTF-8"),
    ],
    ids=["empty", "blank", "1 MB", "no UTF-8"],
)
def test_bad_texts_are_explained(here: Path, tiny_model: Path, run: Run, text: str, message: str) -> None:
    code, out, err = run("generate", text, "--model", tiny_model, "-o", "out.mkv")
    assert (code, out) == (2, "")
    assert message in err
    assert len(err) < 1000
    assert len(listing(here)) == 2


def test_bad_input_is_found_before_torch_is_loaded(here: Path) -> None:
    code = (
        "import sys; from pixeldance.cli import app\n"
        "try: app(['generate', 'a red circle', '--first', 'nowhere.png', '-o', 'out.mkv'])\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n"
    assert done.stderr.startswith("Error: cannot read the image nowhere.png")


def test_missing_arguments_are_explained(run: Run) -> None:
    assert run("generate")[0] == 2
    assert run("generate", TEXT)[0] == 2
    assert run("verify", "nowhere.json")[0] == 2
    assert run("toybox", "--size", 33, "-o", "nowhere-to-be")[0] == 2
    assert run("nonsense")[0] == 2
    assert not Path("nowhere-to-be").exists()


def test_a_full_disk_is_explained(here: Path, tiny_model: Path, run: Run) -> None:
    before, limits = listing(here), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        code, out, err = run("generate", TEXT, "--model", tiny_model, "--steps", 1, "-o", "out.mkv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (code, out) == (2, "")
    assert "out.mkv could not be written" in err
    assert listing(here) == before


def test_the_shipped_model_is_the_default(here: Path, run: Run) -> None:
    code, _, err = run("generate", TEXT, "--first", "a.png", "--steps", 1, "--guidance", 1, "-o", "out.mkv")
    if not SHIPPED.exists():
        assert code == 2
        assert "got no config.json" in err
        return
    assert code == 0
    assert json.loads(Path("out.json").read_text())["model"]["folder"] is None
    assert run("verify", "out.json")[0] == 0
