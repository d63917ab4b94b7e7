from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numbered import numbered, numbers, sound, turn, write, write_pictures

from pixeldance.data.decode import decode_clip, decode_pictures, decode_through, draw_start, facts
from pixeldance.data.source import Unreadable
from pixeldance.video_read import CONTAINERS


def clip(path: Path, seed: int = 0, frames: int = 4, fps: float = 4, **settings: object) -> list[int]:
    """The numbers of the frames of a clip; the file and its bytes give the same."""
    container = CONTAINERS[path.suffix]
    both = [
        decode_clip(source, container, frames=frames, fps=fps, rng=np.random.default_rng(seed), **settings).frames
        for source in (path, path.read_bytes())
    ]
    np.testing.assert_array_equal(*both)
    return numbers(np.stack(both[0]))


def expected(times: list[float], length: float, seed: int, frames: int, fps: float) -> list[int]:
    """The frame that is shown at each time of the clip: the last one that has begun."""
    start = draw_start(length, frames=frames, fps=fps, rng=np.random.default_rng(seed))
    wanted = start + np.arange(frames) / fps
    return [int(np.searchsorted(np.array(times), t, side="right")) - 1 for t in wanted]


FILES = {
    "h264 with B-frames": ("a.mp4", {"max_b_frames": 2, "gop_size": 10}),
    "one group of pictures": ("a.mp4", {"gop_size": 1000}),
    "h264 in mkv": ("a.mkv", {"max_b_frames": 2, "gop_size": 12}),
    "vp9 in webm": ("a.webm", {"codec": "libvpx-vp9", "gop_size": 12}),
    "mpeg4 with B-frames in avi": ("a.avi", {"codec": "mpeg4", "max_b_frames": 2, "gop_size": 12}),
    "mjpeg in avi": ("a.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
    "10 bits": ("a.mov", {"pix_fmt": "yuv420p10le", "gop_size": 12}),
}


@pytest.mark.parametrize(("name", "stream"), FILES.values(), ids=FILES)
@pytest.mark.parametrize("fps", [2, 4, 12, 24])
def test_the_frames_shown_at_the_times_are_given(tmp_path: Path, name: str, stream: dict, fps: float) -> None:
    path = write(tmp_path / name, numbered(60), rate=12, **stream)
    for seed in range(4):
        assert clip(path, seed, 5, fps) == expected([i / 12 for i in range(60)], 5.0, seed, 5, fps)


@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_uneven_times_are_kept(tmp_path: Path, ending: str) -> None:
    ticks = [0, 1, 2, 10, 11, 12, 13, 30, 31, 40, 60, 61]
    path = write(tmp_path / f"a{ending}", numbered(12), rate=20, times=ticks, gop_size=4)
    length = facts(path, CONTAINERS[ending]).seconds
    assert 3.05 <= length <= 3.2
    for seed in range(6):
        assert clip(path, seed, 8, 4) == expected([t / 20 for t in ticks], length, seed, 8, 4)


def test_starts_are_spread_over_all_that_fits_and_nothing_more(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", numbered(40), rate=8)
    found = [clip(path, seed, 4, 2) for seed in range(60)]
    firsts = {frames[0] for frames in found}
    assert min(firsts) <= 2
    assert max(firsts) >= 25  # 40 frames, the last wanted one is 12 later: at most 27
    assert max(frames[-1] for frames in found) <= 39
    assert all(np.diff(frames).tolist() == [4, 4, 4] for frames in found)
    assert clip(path, 7, 4, 2) == clip(path, 7, 4, 2)


def test_a_clip_that_just_fits_is_the_whole_video(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", numbered(16), rate=4)
    assert all(clip(path, seed, 16, 4) == list(range(16)) for seed in range(5))
    assert clip(path, 0, 1, 4)[0] in range(16)
    with pytest.raises(Unreadable, match=r"too short: 4\.00 s, where 17 frames at 4 a second need more than 4\.00 s"):
        clip(path, 0, 17, 4)


def test_a_span_bounds_the_clip(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", numbered(80), rate=8, gop_size=16)
    for seed in range(10):
        frames = clip(path, seed, 4, 4, span=(5.0, 6.5))
        assert min(frames) >= 40
        assert max(frames) < 52
    with pytest.raises(Unreadable, match="too short"):
        clip(path, 0, 4, 4, span=(9.5, 12.0))


MATRIX = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


@pytest.mark.parametrize("degrees", MATRIX)
def test_a_turned_video_comes_upright(tmp_path: Path, degrees: int) -> None:
    frames = np.rot90(numbered(12, 32, 64), degrees // 90, axes=(1, 2))
    path = turn(write(tmp_path / "a.mp4", frames, rate=4), MATRIX[degrees])
    assert clip(path, 0, 12, 4) == list(range(12))
    assert facts(path, "mp4").size == (32, 64)


def test_odd_sizes_and_pixels_that_are_not_square(tmp_path: Path) -> None:
    odd = write(tmp_path / "a.mkv", numbered(8, 33, 67), codec="ffv1", pix_fmt="bgr0")
    assert facts(odd, "matroska").size == (33, 67)
    assert clip(odd, 0, 8, 8) == list(range(8))
    wide = write(tmp_path / "a.mp4", numbered(8), sample_aspect_ratio=Fraction(2, 1))
    assert facts(wide, "mp4").size == (48, 128)
    assert facts(turn(wide, MATRIX[90]), "mp4").size == (128, 48)


def reason(path: Path, **settings: object) -> str:
    with pytest.raises(Unreadable) as caught:
        clip(path, **settings)
    return str(caught.value)


def test_what_is_no_video_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_bytes(b"no video at all\n" * 99)
    assert reason(tmp_path / "empty.mp4") == "empty: the file has no bytes"
    assert reason(tmp_path / "text.mp4").startswith("not a video: it is damaged or not mp4")
    assert reason(sound(tmp_path / "sound.mp4")).startswith("not a video: it holds no moving pictures")
    assert reason(write(tmp_path / "one.mp4", numbered(1))).startswith("too short: 0.12 s")
    hdr = write(tmp_path / "hdr.mp4", numbered(16), pix_fmt="yuv420p10le", color_trc=16)
    assert reason(hdr).startswith("not readable: it is HDR (PQ)")
    with pytest.raises(Unreadable, match="missing: there is no such file"):
        decode_clip(tmp_path / "none.mp4", "mp4", frames=1, fps=4, rng=np.random.default_rng(0))


def test_a_playlist_opens_nothing(tmp_path: Path) -> None:
    canary = write(tmp_path / "canary.mkv", numbered(16))
    for text in (
        f"#EXTM3U\n#EXTINF:1,\nfile://{canary}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {canary}\n",
    ):
        for ending in (".mp4", ".mkv", ".avi"):
            (tmp_path / f"list{ending}").write_text(text)
            assert reason(tmp_path / f"list{ending}").startswith("not a video")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_what_is_cut_off_is_never_taken_for_whole(tmp_path: Path, name: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 64, 3), dtype=np.uint8)
    path = write(tmp_path / name, noise, rate=8, gop_size=8)
    data = path.read_bytes()
    if name == "a.mp4":  # with its index in front, as for the web: otherwise nothing at all can be read
        at = data.index(b"moov") - 4
        data = front(data, at)
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(Unreadable, match=r"cut off|not a video|damaged"):
        decode_through(path, CONTAINERS[path.suffix])
    with pytest.raises(Unreadable, match=r"cut off|not a video|damaged|too short"):
        decode_clip(path, CONTAINERS[path.suffix], frames=47, fps=8, rng=np.random.default_rng(0))


def front(data: bytes, moov: int) -> bytes:
    """The same mp4 with its index moved before the samples, whose places in the file it holds."""
    head = data.index(b"mdat") - 4
    index = bytearray(data[moov:])
    at = index.index(b"stco") + 8
    for entry in range(int.from_bytes(index[at : at + 4], "big")):
        place = slice(at + 4 + 4 * entry, at + 8 + 4 * entry)
        index[place] = (int.from_bytes(index[place], "big") + len(index)).to_bytes(4, "big")
    return data[:head] + bytes(index) + data[head:moov]


def test_a_whole_file_has_all_its_pictures(tmp_path: Path) -> None:
    for name, stream in FILES.values():
        assert decode_through(write(tmp_path / name, numbered(30), **stream), CONTAINERS[Path(name).suffix]) == 30


def test_pictures_are_a_video_at_the_rate_given(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "frames", numbered(24), "%05d.png")
    for seed in range(5):
        shown = decode_pictures(paths, 12, frames=5, fps=4, rng=np.random.default_rng(seed))
        assert numbers(np.stack(shown.frames)) == expected([i / 12 for i in range(24)], 2.0, seed, 5, 4)
    with pytest.raises(Unreadable, match="too short"):
        decode_pictures(paths, 24, frames=5, fps=4, rng=np.random.default_rng(0))
    still = decode_pictures(paths[7:8], 1, frames=1, fps=4, rng=np.random.default_rng(0))
    assert numbers(np.stack(still.frames)) == [7]
    with pytest.raises(Unreadable, match="one picture, where 2 frames"):
        decode_pictures(paths[:1], 1, frames=2, fps=4, rng=np.random.default_rng(0))
    (tmp_path / "frames" / "00003.png").write_bytes(b"")
    with pytest.raises(Unreadable, match="empty: the file has no bytes"):
        decode_pictures(paths, 12, frames=24, fps=12, rng=np.random.default_rng(0))
