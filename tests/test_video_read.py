from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from test_video import clip, error, noise

from pixeldance.video import iterate_video, read_video, write_video


def encode(path: Path, frames: np.ndarray, times: list[int] | None = None, rate: int = 8, **stream: object) -> None:
    """A video as others make them, by PyAV alone: `stream` sets the pixel format and other properties."""
    kind = {".mkv": "matroska", ".webm": "webm"}.get(path.suffix, path.suffix[1:])
    with av.open(str(path), "w", format=kind) as output:
        out = output.add_stream(str(stream.pop("codec", "libx264")), rate=rate, options={"crf": "4"})
        out.height, out.width, out.pix_fmt = *frames.shape[1:3], str(stream.pop("pix_fmt", "yuv420p"))
        for name, value in stream.items():
            setattr(out.codec_context, name, value)
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=out.pix_fmt)
            picture.pts, picture.time_base = times[i] if times else i, Fraction(1, rate)
            output.mux(out.encode(picture))
        output.mux(out.encode())


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("a.mp4", {}),
        ("a.mov", {"pix_fmt": "yuv444p"}),
        ("a.avi", {"codec": "mjpeg", "pix_fmt": "yuvj444p"}),
        ("a.webm", {"codec": "libvpx-vp9"}),
        ("a.mkv", {"pix_fmt": "yuv420p10le"}),
    ],
)
def test_common_files_are_read(tmp_path: Path, name: str, stream: dict[str, object]) -> None:
    frames = clip(4)
    encode(tmp_path / name, frames, **stream)
    again, fps = read_video(tmp_path / name)
    assert fps == 8
    assert error(again, frames) < 6


def test_uneven_times_give_every_frame_once_and_the_mean_rate(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", clip(6), times=[0, 1, 5, 6, 11, 12])
    again, fps = read_video(tmp_path / "a.mp4")
    assert error(again, clip(6)) < 6
    assert 3 < fps < 5


@pytest.mark.parametrize(("degrees", "matrix"), [(90, (0, 1, -1, 0)), (180, (-1, 0, 0, -1)), (270, (0, -1, 1, 0))])
def test_a_turned_video_is_read_upright(tmp_path: Path, degrees: int, matrix: tuple[int, ...]) -> None:
    frames = clip(2, 32, 64)
    encode(tmp_path / "a.mp4", np.ascontiguousarray(np.rot90(frames, degrees // 90, axes=(1, 2))))
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the matrix of the track header: a, b, u, c, d, v
    for offset, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[at + offset : at + offset + 4] = (value << 16).to_bytes(4, "big", signed=True)
    (tmp_path / "a.mp4").write_bytes(data)
    again, _ = read_video(tmp_path / "a.mp4")
    assert again.shape == frames.shape
    assert error(again, frames) < 6


def test_animations_of_others_are_read(tmp_path: Path) -> None:
    frames = clip(4)
    pictures = [Image.fromarray(frame) for frame in frames]
    for name in ("a.gif", "a.webp"):
        pictures[0].save(tmp_path / name, save_all=True, append_images=pictures[1:], duration=100, comment=b"[]")
        again, fps = read_video(tmp_path / name)
        assert fps == 10
        assert error(again, frames) < 6


def test_a_folder_of_others_is_read_in_number_order_at_a_stated_rate(tmp_path: Path) -> None:
    frames = noise(12)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    with pytest.raises(ValueError, match="fps=8"):
        read_video(tmp_path)
    again, fps = read_video(tmp_path, fps=12)
    assert fps == 12
    np.testing.assert_array_equal(again, frames)


def test_frames_come_one_by_one(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", clip(), fps=8)
    frames, fps = iterate_video(tmp_path / "a.mkv")
    assert fps == 8
    np.testing.assert_array_equal(next(frames), clip()[0])
    np.testing.assert_array_equal(next(frames), clip()[1])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.gif", "a.webp", "a.avi", "a.webm", "a.mov"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no video at all\n" * 99,
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n",
        b"ffconcat version 1.0\nfile canary.mkv\n",
        b"\x1a\x45\xdf\xa3",
    ],
)
def test_other_content_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    write_video(tmp_path / "canary.mkv", clip(1, 8, 8), fps=8)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=r"cannot read the video .*(again|convert)"):
        read_video(tmp_path / name)


def test_other_endings_are_refused(tmp_path: Path) -> None:
    for name in ("a.m3u8", "a.txt", "a.ffconcat", "a"):
        (tmp_path / name).write_bytes(b"#EXTM3U\n")
        with pytest.raises(ValueError, match=r"know \.mp4"):
            read_video(tmp_path / name)
    with pytest.raises(ValueError, match="no such file"):
        read_video(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match=r"no \.png files"):
        read_video(tmp_path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webp", "a.gif"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.99])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, name: str, share: float) -> None:
    write_video(tmp_path / name, noise(20), fps=8)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match="cannot read the video"):
        read_video(tmp_path / name)


def test_sound_without_pictures_is_refused(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        output.mux(stream.encode(sound))
        output.mux(stream.encode())
    with pytest.raises(ValueError, match="no moving pictures"):
        read_video(tmp_path / "a.mp4")


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_by_name(tmp_path: Path, transfer: int, name: str) -> None:
    encode(tmp_path / "a.mp4", clip(1), pix_fmt="yuv420p10le", color_trc=transfer)
    with pytest.raises(ValueError, match=f"{name}.*tone-map"):
        read_video(tmp_path / "a.mp4")


def test_pixels_that_are_not_square_are_refused(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", clip(1), sample_aspect_ratio=Fraction(16, 11))
    with pytest.raises(ValueError, match=r"not square \(16/11\)"):
        read_video(tmp_path / "a.mp4")


def test_a_size_that_changes_is_refused(tmp_path: Path) -> None:
    Image.fromarray(clip()[0]).save(tmp_path / "0.png")
    Image.fromarray(clip(1, 8, 9)[0]).save(tmp_path / "1.png")
    with pytest.raises(ValueError, match="frame 1 is 9 x 8 and the first 64 x 64"):
        read_video(tmp_path, fps=8)
