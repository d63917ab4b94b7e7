"""The director's meter: each planted fault moves its own reading over its limit, and real clips have none."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from command import Run
from PIL import Image

from pixeldance.data.toybox import WORLD, clip_and_scene
from pixeldance.data.toybox.motion import cut_frame
from pixeldance.metrics.meter import READINGS, meter, metered
from pixeldance.video import iterate_video, write_video

MOVING = replace(WORLD, motions=("right", "left", "up", "down"), cut=0.0, moving_camera=0.0, two=0.0)


@pytest.fixture(scope="module")
def video() -> np.ndarray:
    """Something that moves over stripes."""
    world = replace(MOVING, textures=("stripes",), backgrounds=("brown", "grey"), speeds=("fast",))
    return clip_and_scene(5, world=world)[0].video


def faults(video: np.ndarray, first: np.ndarray | None = None, last: np.ndarray | None = None) -> set[str]:
    return set(metered(np.clip(video, 0, 255).astype(np.uint8), first, last, 8.0).faults())


def ramp(low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, 16)[:, None, None, None]


def test_a_clean_clip_has_no_fault(video: np.ndarray):
    read = metered(video, video[0], video[-1], 8.0)
    assert read.faults() == []
    assert set(read.readings) == set(READINGS)
    assert (read.cuts, read.seams) == ([], [])
    assert read.readings["first_psnr"] == read.readings["end_copy"] == 100
    assert read.readings["landing"] == 1
    assert 0.5 < read.readings["end_jump"] < 2
    assert read.readings == meter(video, video[0], video[-1], 8.0)
    assert set(READINGS) - set(meter(video)) == {"first_psnr", "landing", "end_copy", "strobe_hz"}


def test_the_frames_that_were_asked_for(video: np.ndarray):
    other = clip_and_scene(6, world=MOVING)[0].video[8]
    assert faults(video, first=other) == {"first_psnr"}
    assert faults(video, last=other) == {"landing"}
    back = np.concatenate([video[:8], video[7::-1]])
    assert "landing" in faults(back, first=video[0], last=video[15])
    assert meter(back, last=video[15])["landing"] < 0.2
    assert "landing" not in meter(video, video[0], video[0])  # nowhere to go


def test_a_frozen_end(video: np.ndarray):
    frozen = video[np.minimum(np.arange(16), 9)]
    assert meter(frozen)["frozen"] == pytest.approx(6 / 15)
    assert "frozen" in faults(frozen)
    doubled = video[np.minimum(np.arange(16), np.arange(16) // 5 * 5 + 3)]  # every 5th frame shown twice
    assert "frozen" not in faults(doubled)


def test_a_jump_at_the_end(video: np.ndarray):
    turned = video[np.r_[0:8, 6:-1:-1, 15]]
    assert "end_jump" in faults(turned)
    assert meter(turned)["end_jump"] > 3
    two = metered(video[:2])
    assert two.readings["end_jump"] == 0


def test_steps_that_vary_are_no_jump_at_the_end():
    long = clip_and_scene(5, world=MOVING, frames=32)[0].video
    uneven = long[np.cumsum([0, *([1, 1, 3] * 5)])]  # the last step is three times the median one
    assert meter(uneven)["end_jump"] < 1.3
    late = long[[*range(13), 15, 17]]  # a move that gets faster two steps before the end
    assert meter(late)["end_jump"] < 1.3 < 1.5 < meter(long[[*range(14), 17]])["end_jump"]


def test_what_moves_melts(video: np.ndarray):
    weight = np.clip((np.arange(16) - 2) / 6, 0, 1)[:, None, None, None]
    melted = video + weight * (video.mean(axis=0) - video)
    assert "dissolve" in faults(melted)
    assert meter(melted.astype(np.uint8))["dissolve"] > 0.5 > 0.2 > meter(video)["dissolve"]
    assert meter(melted[::-1].astype(np.uint8))["dissolve"] == 0  # it gets clearer
    assert meter(np.repeat(video[:1], 16, axis=0))["dissolve"] == 0  # nothing moves


def test_flicker_is_seen_in_the_dark(video: np.ndarray):
    gains = 1 + 0.06 * np.random.default_rng(0).standard_normal(16)[:, None, None, None]
    assert "flicker" in faults(video / 6 * gains)
    assert "flicker" not in faults(video / 6)


def test_a_cross_fade(video: np.ndarray):
    faded = video[0] + ramp(0, 1) * (video[-1].astype(float) - video[0])
    assert meter(faded.astype(np.uint8))["crossfade"] > 0.9
    assert faults(faded) == {"crossfade"}
    assert meter(video)["crossfade"] < 0.3


def test_cuts_are_found_at_their_frames_and_spoil_nothing_else():
    found = []
    for seed in range(12):
        clip, scene = clip_and_scene(seed, world=replace(MOVING, cut=1.0))
        read = metered(clip.video)
        found.append(read.cuts == [cut_frame(scene, 16)])
        assert set(read.faults()) <= {"cuts"}
    assert sum(found) >= 11


def test_a_seam_is_no_cut(video: np.ndarray):
    joined = video.astype(float)
    joined[6:] += 14
    read = metered(joined.clip(0, 255).astype(np.uint8))
    assert (read.cuts, read.seams) == ([], [6])


def test_light_that_flashes_flickers_or_burns_out(video: np.ndarray):
    alternating = np.where(np.arange(16) % 2, 1.0, 0.6)[:, None, None, None]
    strobed = metered((video * alternating).astype(np.uint8), fps=8.0)
    assert {"strobe", "strobe_hz"} <= set(strobed.faults())
    assert strobed.readings["strobe"] == pytest.approx(7 / 16)
    assert strobed.readings["strobe_hz"] == pytest.approx(3.5)
    gains = 1 + 0.05 * np.random.default_rng(0).standard_normal(16)[:, None, None, None]
    assert "flicker" in faults(video * gains)
    white = video.copy()
    white[7:10] = 255
    assert "whiteout" in faults(white)
    assert meter(white)["whiteout"] == pytest.approx(3 / 16)
    assert not {"strobe", "flicker"} & faults(white)  # a single flash is neither


@pytest.mark.parametrize("sign", [1, -1])
def test_slow_drifts(video: np.ndarray, sign: int):
    reddened = video + sign * ramp(0, 30) * np.array([1.0, 0.0, -1.0])
    assert meter(reddened.clip(0, 255).astype(np.uint8))["drift_colour"] == pytest.approx(30, abs=5)
    assert faults(reddened) == {"drift_colour"}
    grey = video.mean()
    gain = 2.0 ** ramp(0, sign)
    assert "drift_contrast" in faults((video - grey) * gain + grey)


def test_a_thing_that_pales_on_a_plain_ground():
    world = replace(MOVING, textures=("plain",), backgrounds=("white",), colours=("yellow",), motions=("shrink",))
    shrinking = clip_and_scene(1, world=world)[0].video
    ground = shrinking[0, 0, 0].astype(float)
    paler = (shrinking - ground) * ramp(1, 0.5) + ground  # nearly as light as the ground from the start
    assert "drift_contrast" not in faults(shrinking)
    assert "drift_contrast" in faults(paler)


def test_a_slow_blur(video: np.ndarray):
    from PIL import ImageFilter

    blurred = [Image.fromarray(f).filter(ImageFilter.GaussianBlur(i / 10)) for i, f in enumerate(video)]
    assert "drift_sharpness" in faults(np.stack([np.asarray(each) for each in blurred]))


def test_size_hardly_matters(video: np.ndarray):
    large = np.stack([np.asarray(Image.fromarray(f).resize((192, 192), Image.Resampling.BICUBIC)) for f in video])
    small, big = meter(video), meter(large)
    for name in ("end_jump", "frozen", "crossfade", "cuts", "seams", "strobe", "flicker", "drift_colour"):
        assert big[name] == pytest.approx(small[name], abs=0.15)


@pytest.mark.parametrize("shape", [(2, 64, 64), (3, 16, 16), (5, 17, 200), (40, 70, 66)])
def test_any_shape_can_be_read(shape: tuple[int, int, int]):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert np.isfinite(list(meter(noise, noise[0], noise[-1], 8.0).values())).all()
    flat = np.full((*shape, 3), 255, np.uint8)
    assert metered(flat).readings["whiteout"] == 1


def test_impossible_questions_are_refused(video: np.ndarray):
    with pytest.raises(ValueError, match="got a video of 1 frames"):
        meter(video[:1])
    with pytest.raises(ValueError, match="got frames of 64x15 pixels"):
        meter(video[:, :15])
    with pytest.raises(ValueError, match="got an asked frame of 32x64 and a video of 64x64"):
        meter(video, last=video[0, :, :32])


def test_the_command_line_tells_readings_and_places(run: Run, tmp_path: Path, video: np.ndarray):
    other = clip_and_scene(6, world=replace(MOVING, backgrounds=("white",)))[0].video
    path, first = tmp_path / "c.mkv", tmp_path / "first.png"
    write_video(path, np.concatenate([video[:8], other[8:]]), fps=8)
    Image.fromarray(video[0]).save(first)
    code, out, err = run("meter", path, "--first", first, "--last", first)
    assert (code, err) == (0, "")
    assert "cuts before frame 8 (1.00 s)" in out
    assert any(line.split()[:3] == ["first_psnr", "100", "ok"] for line in out.splitlines())
    assert any(line.split()[:3] == ["cuts", "1", "FAULT"] for line in out.splitlines())
    code, out, _ = run("meter", path, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["cuts"] == [8]
    assert "cuts" in told["faults"]
    assert told["readings"]["strobe_hz"] == 0
    code, _, err = run("meter", tmp_path / "nothing.mp4")
    assert code == 2
    assert "there is no such file" in err


def test_real_cuts_are_found_in_real_footage(films: Path):
    frames, fps = iterate_video(films / "bikes.mp4")
    read = metered(islice(frames, 100), fps=fps)
    assert read.cuts == [30, 76]
    assert not {"end_jump", "frozen", "crossfade", "seams", "flicker", "whiteout"} & set(read.faults())


@pytest.mark.slow
def test_all_cuts_of_a_film_are_found(run: Run, films: Path):
    code, out, err = run("meter", films / "bikes.mp4", "--json")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert told["cuts"] == [30, 76, 137, 187, 242]
    assert "cuts" in told["faults"]
