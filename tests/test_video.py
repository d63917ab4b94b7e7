import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from pixeldance.video import check_output, frames_sha256, read_video, write_video

FORMATS = ("a.mp4", "a.mkv", "a.gif", "a.webp", "a/")
LOSSLESS = ("a.mkv", "a.webp", "a/")


def clip(f: int = 12, h: int = 64, w: int = 64) -> np.ndarray:
    """A red disc that crosses blue ground, with a green mark at the top left."""
    rows, columns = np.mgrid[:h, :w]
    frames = np.empty((f, h, w, 3), np.uint8)
    frames[:] = (30, 60, 200)
    for i, frame in enumerate(frames):
        x = w * (0.25 + 0.5 * i / f)
        frame[(rows - h / 2) ** 2 + (columns - x) ** 2 < (h / 4) ** 2] = (230, 40, 30)
        frame[: h // 8, : w // 8] = (20, 200, 40)
    return frames


def noise(f: int = 5, h: int = 32, w: int = 48) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (f, h, w, 3), dtype=np.uint8)


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("shape", [(12, 64, 64), (1, 32, 32), (3, 33, 47), (2, 1, 1), (3, 720, 90)])
def test_what_is_written_is_read_again(tmp_path: Path, name: str, shape: tuple[int, int, int]) -> None:
    path, frames = f"{tmp_path}/{name}", clip(*shape)
    write_video(path, frames, fps=8)
    again, fps = read_video(path)
    assert again.shape == frames.shape
    assert fps == 8
    if name == "a.mp4":  # half as many colours each way blur the edges, and nothing else
        assert np.median(np.abs(again.astype(int) - frames)) <= 2
        assert error(again, frames) < 8
    else:
        np.testing.assert_array_equal(again, frames)
    assert os.listdir(tmp_path) == ["a" if name == "a/" else name]


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("shape", [(5, 32, 48), (1, 31, 17)])
def test_lossless_formats_keep_every_bit_of_noise(tmp_path: Path, name: str, shape: tuple[int, int, int]) -> None:
    frames = noise(*shape)
    write_video(f"{tmp_path}/{name}", frames, fps=24)
    again, _ = read_video(f"{tmp_path}/{name}")
    assert frames_sha256(again) == frames_sha256(frames)


@pytest.mark.parametrize("name", FORMATS)
def test_frames_may_stand_still(tmp_path: Path, name: str) -> None:
    for frames in (clip()[[0, 0, 0, 1, 2, 2, 3, 3]], clip()[[0] * 5]):
        write_video(f"{tmp_path}/{name}", frames, fps=24, overwrite=True)
        again, fps = read_video(f"{tmp_path}/{name}")
        assert fps == 24
        assert again.shape == frames.shape
        assert error(again, frames) < 5


@pytest.mark.parametrize("name", FORMATS)
def test_an_iterator_gives_the_same_bytes_twice(tmp_path: Path, name: str) -> None:
    digests = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        write_video(f"{folder}/{name}", iter(clip()), fps=8, metadata={"prompt": "a red disc"})
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert digests[0] == digests[1]


@pytest.mark.parametrize("fps", [0.5, 7.5, 23.976, 29.97, Fraction(30000, 1001), 30, 50])
@pytest.mark.parametrize("name", FORMATS)
def test_the_rate_is_kept(tmp_path: Path, name: str, fps: float) -> None:
    write_video(f"{tmp_path}/{name}", clip(3, 16, 16), fps=fps)
    again, rate = read_video(f"{tmp_path}/{name}")
    assert len(again) == 3
    assert rate == pytest.approx(float(fps), rel=1e-4)


def test_mp4_suits_players_and_the_web(tmp_path: Path) -> None:
    write_video(tmp_path / "even.mp4", clip(3), fps=8)
    write_video(tmp_path / "odd.mp4", clip(3, 33, 64), fps=8)
    data = (tmp_path / "even.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat"), "it plays while it loads"
    for name, pixels, height in (("even", "yuv420p", 64), ("odd", "yuv444p", 33)):
        with av.open(str(tmp_path / f"{name}.mp4")) as source:
            context = source.streams.video[0].codec_context
            assert (context.name, context.pix_fmt, context.height) == ("h264", pixels, height)
            assert (context.colorspace, context.color_trc, context.color_primaries) == (1, 1, 1)


def test_metadata_is_stored(tmp_path: Path) -> None:
    notes = {"title": "A disc", "prompt": 'a "red" disc é', "fps": "not the rate", "long": "x" * 700}
    for name in FORMATS:
        write_video(f"{tmp_path}/{name}", clip(2), fps=8, metadata=notes)
        assert read_video(f"{tmp_path}/{name}")[1] == 8
    for name, key in (("a.mp4", "prompt"), ("a.mkv", "PROMPT")):
        with av.open(str(tmp_path / name)) as source:
            assert source.metadata[key] == notes["prompt"]
    for name, key in (("a.gif", "comment"), ("a/frame-0001.png", "Comment")):
        with Image.open(tmp_path / name) as image:
            assert b"x" * 700 in (image.info[key] if key == "comment" else image.info[key].encode())
    with Image.open(tmp_path / "a.webp") as image:
        assert "A disc" in image.getexif()[0x010E]


def test_animations_loop(tmp_path: Path) -> None:
    for name in ("a.gif", "a.webp"):
        write_video(tmp_path / name, clip(3), fps=8)
        with Image.open(tmp_path / name) as image:
            assert image.info["loop"] == 0


def test_a_gif_of_a_photograph_is_close(tmp_path: Path) -> None:
    ramp = np.mgrid[:64, :64].sum(0)[None] + 8 * np.arange(4)[:, None, None]
    frames = np.stack([ramp, 255 - ramp, ramp // 2], -1).astype(np.uint8)
    write_video(tmp_path / "a.gif", frames, fps=8)
    assert error(read_video(tmp_path / "a.gif")[0], frames) < 6


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("after", [0, 3])
def test_an_interruption_leaves_nothing(tmp_path: Path, name: str, stop: type[BaseException], after: int) -> None:
    def frames() -> Iterator[np.ndarray]:
        yield from clip()[:after]
        raise stop

    with pytest.raises(stop):
        write_video(f"{tmp_path}/{name}", frames(), fps=8)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    # The limit on the size of a file stands in for the disk: the whole file less one byte, and a tenth of it.
    code = """if True:
        import os, resource, sys
        import numpy as np
        from pixeldance.video import write_video
        frames = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)
        folder, hard = sys.argv[1], resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        for name in ("a.mp4", "a.mkv", "a.gif", "a.webp", "a/"):
            path = f"{folder}/{name}"
            write_video(path, frames, fps=8)
            size = os.path.getsize(path + "frame-0003.png" if name == "a/" else path)
            for limit in (size - 1, size // 10):
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
                try: write_video(path, frames, fps=8, overwrite=True)
                except OSError as error: print(error)
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    """
    command = [sys.executable, "-c", code, str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.count("nothing half-written was left") == 10
    assert sorted(os.listdir(tmp_path)) == ["a", "a.gif", "a.mkv", "a.mp4", "a.webp"]
    assert len(os.listdir(tmp_path / "a")) == 6
    for name in ("a.mkv", "a.webp", "a/"):
        assert len(read_video(f"{tmp_path}/{name}")[0]) == 6


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_overwritten_unasked(tmp_path: Path, name: str) -> None:
    path = f"{tmp_path}/{name}"
    write_video(path, clip(3), fps=8)
    for refused in (lambda: check_output(path), lambda: write_video(path, clip(2), fps=8)):
        with pytest.raises(ValueError, match="--force"):
            refused()
    check_output(path, overwrite=True)
    write_video(path, clip(2), fps=8, overwrite=True)
    assert len(read_video(path)[0]) == 2


@pytest.mark.parametrize(
    ("name", "fps", "message"),
    [
        ("a.avi", 8, r"'\.avi'; choose \.mp4, \.mkv, \.gif, \.webp, or a string that ends"),
        ("a", 8, "ends in"),
        ("missing/a.mp4", 8, "mkdir -p"),
        ("missing/a/", 8, "mkdir -p"),
        ("a.gif", 60, "choose 0.1 to 50, or another format"),
        ("a.mp4", 0, "choose 0.1 to 240"),
        ("a.mp4", float("nan"), "choose 0.1"),
        ("a.mkv", float("inf"), "choose 0.1"),
        ("a/", -8.0, "choose 0.1"),
    ],
)
def test_an_impossible_output_is_refused_before_any_work(tmp_path: Path, name: str, fps: float, message: str) -> None:
    def frames() -> Iterator[np.ndarray]:
        pytest.fail("a frame was asked for")
        yield from ()

    for refused in (check_output, lambda path, fps: write_video(path, frames(), fps=fps)):
        with pytest.raises(ValueError, match=message):
            refused(f"{tmp_path}/{name}", fps=fps)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.empty((0, 8, 8, 3), np.uint8), "no frames"),
        (np.zeros((2, 8, 8, 3), np.float32), r"got float32 \(8, 8, 3\)"),
        (np.zeros((2, 3, 8, 8), np.uint8), r"got uint8 \(3, 8, 8\)"),
        (np.zeros((8, 8, 3), np.uint8), r"got uint8 \(8, 3\)"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)], "frame 1 is .* one size"),
    ],
)
def test_other_frames_are_refused(tmp_path: Path, frames: np.ndarray, message: str) -> None:
    for name in FORMATS:
        with pytest.raises(ValueError, match=message):
            write_video(f"{tmp_path}/{name}", frames, fps=8)
    assert os.listdir(tmp_path) == []


def test_a_name_is_never_taken_for_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "http:").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("http:/a.mp4", "b:c.mkv", "%03d.gif"):
        write_video(name, clip(2), fps=8)
        assert len(read_video(name)[0]) == 2


def test_hash_is_of_the_raw_bytes() -> None:
    frames = noise()
    assert frames_sha256(frames) == hashlib.sha256(frames.tobytes()).hexdigest()
    assert frames_sha256(iter(frames[:, ::-1])) == hashlib.sha256(frames[:, ::-1].tobytes()).hexdigest()


def test_importing_loads_no_codec() -> None:
    code = "import sys, pixeldance.video; print('av' in sys.modules, 'torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "False False\n"
