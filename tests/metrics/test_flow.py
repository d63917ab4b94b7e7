"""Motion measures on pictures that move by known amounts, and measures on embeddings."""

import sys

import numpy as np
import pytest
from PIL import Image

from pixeldance.metrics.embedding import clipsim, consistency, consistency_with_first
from pixeldance.metrics.flow import flicker, followed, motion_magnitude, optical_flow, warped, warping_error

H, W = 64, 96


def panning(step: float, frames: int = 4) -> np.ndarray:
    """A smooth random texture that moves to the left by `step` pixels a frame."""
    rng = np.random.default_rng(0)
    wide = Image.fromarray(rng.integers(0, 256, (16, 64, 3), dtype=np.uint8)).resize(
        (384, 96), Image.Resampling.BICUBIC
    )
    boxes = [(i * step + 20, 10, i * step + 20 + W, 10 + H) for i in range(frames)]
    return np.stack([np.asarray(wide.resize((W, H), Image.Resampling.BICUBIC, box=box)) for box in boxes])


@pytest.mark.parametrize("step", [0.5, 2.0, 5.0])
def test_a_pan_is_measured_and_followed(step: float):
    video = panning(step)
    flow = optical_flow(video[0], video[1])
    assert np.median(flow[..., 0]) == pytest.approx(-step, abs=0.1)
    assert np.median(flow[..., 1]) == pytest.approx(0, abs=0.1)
    assert motion_magnitude(video) == pytest.approx(step / H, rel=0.15)
    unmoved = np.mean((video[1:] / 255 - video[:-1] / 255) ** 2)
    assert warping_error(video) < 0.1 * unmoved


def test_what_does_not_follow_raises_the_warping_error():
    video = panning(2.0)
    noisy = np.clip(video + np.random.default_rng(1).normal(0, 20, video.shape), 0, 255).astype(np.uint8)
    assert warping_error(noisy) > 5 * warping_error(video)
    still = video[:1].repeat(3, axis=0)
    assert motion_magnitude(still) == 0
    assert warping_error(still) == 0
    assert flicker(still) == 0
    dark = np.zeros((3, 8, 8, 3), np.uint8)
    dark[1] = 51
    assert flicker(dark) == pytest.approx(0.2)


def test_warping_reads_between_pixels_and_holds_the_border():
    ramp = np.arange(20.0)[None].repeat(16, axis=0)
    moved = warped(ramp, np.full((16, 20, 2), (0.25, 7.0), np.float32))
    np.testing.assert_allclose(moved[:, :-1], ramp[:, :-1] + 0.25)
    assert (moved[:, -1] == 19).all()


def test_what_is_hidden_is_not_followed():
    there, back = np.zeros((2, 16, 20, 2), np.float32)
    there[:, :5] = (3, 0)  # moves to where something else stands still
    back[:, 15:] = (-4, 0)
    there[:, 18:] = (5, 0)  # leaves the picture
    seen = followed(there, back)
    assert not seen[:, :5].any()
    assert seen[:, 5:15].all()
    assert not seen[:, 15:].any()


def test_impossible_questions_are_refused(monkeypatch: pytest.MonkeyPatch):
    for measure in (motion_magnitude, warping_error, flicker):
        with pytest.raises(ValueError, match="got 1 frames"):
            measure(panning(1.0, frames=1))
    with pytest.raises(ValueError, match="wanted 16 x 16 or more"):
        optical_flow(*np.zeros((2, 8, 32, 3), np.uint8))
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ValueError, match=r"pip install 'pixeldance\[metrics\]'"):
        motion_magnitude(panning(1.0))


def test_embeddings_are_compared_by_their_direction():
    turning = np.array([[1.0, 0], [0, 2], [-3, 0], [0, -1]])
    assert consistency(turning) == pytest.approx(0)
    assert consistency_with_first(turning) == pytest.approx(-1 / 3)
    assert consistency(turning[[0, 0, 0]]) == consistency_with_first(turning[[0, 0]]) == pytest.approx(1)
    assert clipsim(turning[:2], np.array([1.0, 1.0])) == pytest.approx(np.sqrt(0.5))
    for call in (consistency, consistency_with_first):
        with pytest.raises(ValueError, match="got 1 frames"):
            call(turning[:1])
    with pytest.raises(ValueError, match="length 0"):
        clipsim(turning, np.zeros(2))
    with pytest.raises(ValueError, match="NaN"):
        consistency(turning * np.nan)
