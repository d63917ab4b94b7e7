"""Receipts: complete, exact, and able to tell what was changed."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import TINY, random_parts

import pixeldance
from pixeldance import checkpoint
from pixeldance.metrics.meter import meter
from pixeldance.pipeline import Pipeline
from pixeldance.receipt import Picture, Receipt, Request, printable, read_receipt, render, verify
from pixeldance.video import frames_sha256, write_video


@pytest.fixture(scope="module")
def pipe(tiny_model: Path) -> Pipeline:
    return pixeldance.load(tiny_model)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("given") / "first.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return path


def request(file: Path, **changes: Any) -> Request:
    picture = Picture.of(np.array(Image.open(file)), str(file))
    asked: dict[str, Any] = {
        "prompt": "a red circle and a gryphon",
        "first": picture,
        "last": None,
        "fit": "pad",
        "background": "white",
        "frames": 4,
        "width": 32,
        "height": 32,
        "fps": 8.0,
        "steps": 1,
        "guidance": 1.0,
        "tau": 1.0,
        "tau_steps": None,
        "seed": 7,
    }
    return Request(**asked | changes)


def made(pipe: Pipeline, folder: Path, file: Path, clip: str = "c.mkv") -> tuple[Path, np.ndarray]:
    """A clip with its receipt, as the command line leaves them."""
    asked = request(file)
    video = render(pipe, asked)
    write_video(f"{folder}/{clip}", video, fps=8)
    path = folder / "c.json"
    path.write_text(Receipt.of(f"{folder}/{clip}", video, asked, pipe, 1.0).text())
    return path, video


def test_the_rate_asked_for_is_that_of_the_motion(file: Path) -> None:
    assert request(file, fps=12.0).instruction(TINY).fps == 12.0


def change(path: Path, **values: Any) -> None:
    """Change fields of a receipt on disk; a__b is the field b of a."""
    data = json.loads(path.read_text())
    for name, value in values.items():
        *outer, last = name.split("__")
        record = data
        for step in outer:
            record = record[step]
        record[last] = value
    path.write_text(json.dumps(data))


def test_a_receipt_says_what_a_clip_was_made_from(pipe: Pipeline, tmp_path: Path, file: Path) -> None:
    path, video = made(pipe, tmp_path, file)
    read = read_receipt(path)
    assert read.request == request(file)
    assert read.clip == "c.mkv"
    assert read.frames_sha256 == frames_sha256(video)
    assert read.unknown_words == ("gryphon",)
    assert read.model.sha256 == checkpoint.model_hash(Path(read.model.folder or ""))
    assert read.versions["torch"] == torch.__version__
    assert set(read.versions) == {"pixeldance", "torch", "python", "platform", "processor"}
    assert read.threads == torch.get_num_threads()
    assert read.request.first is not None
    assert read.request.first.path == str(file)
    assert read.request.first.sha256 == checkpoint.file_sha256(file)
    np.testing.assert_array_equal(read.request.first.pixels(), np.array(Image.open(file)))


@pytest.mark.parametrize("clip", ["c.mkv", "c.webp", "c/", "C.MKV"])
def test_a_lossless_clip_verifies_by_its_frames(pipe: Pipeline, tmp_path: Path, file: Path, clip: str) -> None:
    path, _ = made(pipe, tmp_path, file, clip)
    assert read_receipt(path).clip == clip
    verdict = verify(path, pipe)
    assert verdict.same
    assert "rendered again: the same frames" in verdict.report[0]
    assert verdict.report[1].endswith("decodes to the same frames")


def test_a_lossy_or_missing_clip_is_not_compared(pipe: Pipeline, tmp_path: Path, file: Path) -> None:
    path, _ = made(pipe, tmp_path, file, "c.mp4")
    assert verify(path, pipe).report[1].endswith("c.mp4 is not lossless: not compared")
    (tmp_path / "c.mp4").unlink()
    verdict = verify(path, pipe)
    assert verdict.same
    assert verdict.report[1].endswith("c.mp4 is not here: not compared")


def test_a_changed_clip_is_found(pipe: Pipeline, tmp_path: Path, file: Path) -> None:
    path, video = made(pipe, tmp_path, file)
    video[2, 3, 4, 0] ^= 1
    write_video(tmp_path / "c.mkv", video, fps=8, overwrite=True)
    verdict = verify(path, pipe)
    assert not verdict.same
    assert verdict.report[1].endswith("decodes to other frames: it was changed")
    (tmp_path / "c.mkv").write_bytes((tmp_path / "c.mkv").read_bytes()[:-100])
    verdict = verify(path, pipe)
    assert not verdict.same
    assert "its end is missing" in verdict.report[1]


@pytest.mark.parametrize("changes", [{"request__seed": 8}, {"request__guidance": 3.0}, {"frames_sha256": "0" * 64}])
def test_a_changed_receipt_is_found(pipe: Pipeline, tmp_path: Path, file: Path, changes: dict[str, Any]) -> None:
    path, _ = made(pipe, tmp_path, file)
    change(path, **changes)
    verdict = verify(path, pipe)
    assert not verdict.same
    assert verdict.report[0].startswith("rendered again: other frames")
    assert "the receipt was changed" in verdict.report[1]


def test_the_meter_is_read_again(pipe: Pipeline, tmp_path: Path, file: Path) -> None:
    path, video = made(pipe, tmp_path, file)
    read = read_receipt(path)
    assert read.meter == meter(video, np.array(Image.open(file)), fps=8.0)
    assert "first_psnr" in read.meter
    change(path, meter__frozen=0.9)
    verdict = verify(path, pipe)
    assert not verdict.same
    assert "the meter reads otherwise: frozen; the receipt was changed" in verdict.report
    change(path, versions__pixeldance="0.0")  # whose meter may have been another
    assert verify(path, pipe).same
    change(path, versions__pixeldance=pixeldance.__version__, meter={})  # a receipt from before there was a meter
    assert verify(path, pipe).same


def test_other_software_and_another_model_are_named_as_causes(pipe: Pipeline, tmp_path: Path, file: Path) -> None:
    path, _ = made(pipe, tmp_path, file)
    checkpoint.save(tmp_path / "other", random_parts(replace(TINY, fps=9.0), seed=1))
    change(path, threads=1000, versions__torch="1.0")
    verdict = verify(path, pixeldance.load(tmp_path / "other"))
    assert not verdict.same
    for cause in ("this is another model (hash", f"torch is {torch.__version__} here and was 1.0 then", "1000 then"):
        assert cause in verdict.report[1]
    assert verify(path, pipe).same  # what did not change the frames is no difference


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"receipt": 2}, "is not a receipt: receipt: Input should be 1"),
        ({"threads": 10**9}, "threads: Input should be less than or equal to 1024"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
        ({"request__seed": "7"}, "request.seed: Input should be a valid integer"),
        ({"request__seed": -1}, "got seed -1"),
        ({"request__seed": 2**80}, "got seed"),
        ({"request__steps": 0}, "got 0 steps"),
        ({"request__steps": 10**9}, "got 1000000000 steps"),
        ({"request__frames": 10**9}, "this model makes 4 or 1"),
        ({"request__width": 33}, "this model makes 32x32"),
        ({"request__prompt": ""}, "got an empty prompt"),
        (
            {"request__first__png": "data:image/gif;base64,AAAA"},
            "got a picture that begins 'data:image/gif;base64,AAAA'",
        ),
        ({"request__first__png": "data:image/png;base64,AAA"}, "wanted data:image/png;base64, and base64"),
        ({"request__first__png": "data:image/png;base64,AAAA"}, "cannot read the image of 3 bytes"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_impossible_receipts_are_refused(
    pipe: Pipeline, tmp_path: Path, file: Path, changes: dict[str, Any], message: str
) -> None:
    path, _ = made(pipe, tmp_path, file)
    change(path, **changes)
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        verify(path, pipe)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"receipt": NaN}'])
def test_what_is_no_receipt_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is not a receipt: .*give the \.json beside a clip"):
        read_receipt(path)
    with pytest.raises(ValueError, match="which is no file"):
        read_receipt(tmp_path / "nowhere.json")


def test_a_picture_bomb_in_a_receipt_is_refused(pipe: Pipeline, tmp_path: Path, file: Path) -> None:
    path, _ = made(pipe, tmp_path, file)
    Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")
    png = base64.b64encode((tmp_path / "bomb.png").read_bytes()).decode()
    change(path, request__first__png=f"data:image/png;base64,{png}")
    with pytest.raises(ValueError, match="9000 x 9000 pixels, and more than"):
        verify(path, pipe)


def test_a_model_made_in_memory_gives_no_receipt(file: Path) -> None:
    with pytest.raises(ValueError, match="made in memory, which has no hash"):
        Receipt.of("c.mkv", np.zeros((1, 8, 8, 3), np.uint8), request(file), Pipeline(random_parts()), 1.0)


def test_names_that_are_no_unicode_can_be_written(pipe: Pipeline, file: Path) -> None:
    odd = b"caf\xe9/\xff.png".decode("utf-8", "surrogateescape")
    assert printable(odd) == r"caf\udce9/\udcff.png"
    text = Receipt.of(odd, np.zeros((1, 8, 8, 3), np.uint8), request(file, prompt="ein Café ☕"), pipe, 1.0).text()
    assert json.loads(text)["request"]["prompt"] == "ein Café ☕"
    assert base64.b64decode(json.loads(text)["request"]["first"]["png"].partition(",")[2]).startswith(b"\x89PNG")
