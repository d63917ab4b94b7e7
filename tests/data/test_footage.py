"""Real films: what seeking gives against a decoding of the whole file."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pixeldance.data.decode import decode_clip, decode_through, draw_start, facts
from pixeldance.data.source import Unreadable
from pixeldance.video_read import upright


@pytest.fixture(scope="module")
def decoded(films: Path) -> dict[str, list[tuple[Fraction, np.ndarray]]]:
    """Every frame of the two smaller films with its time."""
    found = {}
    for name in ("bikes", "carphone_pristine"):
        with av.open(str(films / f"{name}.mp4")) as file:
            (stream,) = file.streams.video
            found[name] = [(p.pts * p.time_base, upright(p)) for p in file.decode(stream)]
    return found


@pytest.mark.parametrize("fps", [4, 25, Fraction(30000, 1001), 50])
@pytest.mark.parametrize("name", ["bikes", "carphone_pristine"])
def test_clips_have_the_frames_of_a_full_decode(films: Path, decoded: dict, name: str, fps: float) -> None:
    file, frames = films / f"{name}.mp4", 6
    length = facts(file, "mp4").seconds
    for seed in range(3):
        shown = decode_clip(file, "mp4", frames=frames, fps=float(fps), rng=np.random.default_rng(seed))
        start = draw_start(length, frames=frames, fps=float(fps), rng=np.random.default_rng(seed))
        for number, frame in enumerate(shown.frames):
            time = Fraction(start).limit_denominator(1_000_000) + number / Fraction(fps)
            np.testing.assert_array_equal(frame, [f for t, f in decoded[name] if t <= time][-1])


def test_facts_of_the_films(films: Path) -> None:
    bikes, car = facts(films / "bikes.mp4", "mp4"), facts(films / "carphone_pristine.mp4", "mp4")
    assert (bikes.seconds, bikes.size) == (10.0, (272, 640))
    assert (round(car.seconds, 3), car.size) == (4.004, (144, 193))  # 176 pixels of 128:117
    assert decode_through(films / "carphone_pristine.mp4", "mp4") == 120


def test_flipped_bytes_are_found(films: Path) -> None:
    data, rng, reasons = (films / "carphone_pristine.mp4").read_bytes(), np.random.default_rng(0), []
    for _ in range(10):
        broken = bytearray(data)
        at = int(rng.integers(60_000, data.index(b"moov") - 16))
        broken[at : at + 8] = rng.bytes(8)
        try:
            decode_through(bytes(broken), "mp4")
        except Unreadable as error:
            reasons.append(str(error).partition(":")[0])
    assert set(reasons) <= {"damaged", "cut off"}
    assert len(reasons) >= 8  # what is still a legal stream cannot be told from what was meant


@pytest.mark.slow
def test_a_film_with_one_key_frame(films: Path) -> None:
    file = films / "bigbuckbunny.mp4"
    with av.open(str(file)) as opened:
        whole = [upright(picture) for picture in opened.decode(video=0)]
    for seed in range(4):
        shown = decode_clip(file, "mp4", frames=8, fps=4, rng=np.random.default_rng(seed))
        start = draw_start(5.28, frames=8, fps=4, rng=np.random.default_rng(seed))
        for number, frame in enumerate(shown.frames):
            np.testing.assert_array_equal(frame, whole[int((start + number / 4) * 25 + 1e-9)])
