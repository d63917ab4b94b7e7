"""Pixels become latents, with their rate, size and focus; latents pass through; mixed sizes are refused."""

import numpy as np
import pytest
import torch

from pixeldance.codec import PatchConfig, build_codec, to_pixels
from pixeldance.data.clip import Clip, Example
from pixeldance.data.encode import encode

CODEC = build_codec(PatchConfig(patch=4))


def noise(frames: int = 3, height: int = 8, width: int = 16) -> Clip:
    rng = np.random.default_rng(frames)
    focus = np.zeros((frames, height, width), np.bool_)
    focus[:, :4, :2] = True  # half of the first position, in every frame
    pixels = rng.integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
    return Clip(video=pixels, text="noise", fps=7.0, focus=focus)


def test_pixels_are_encoded():
    clip = noise()
    one, other = encode(CODEC, [clip, clip])
    assert np.array_equal(to_pixels(CODEC.decode(one.latents[None])[0]), clip.video)
    assert torch.equal(one.latents, other.latents)
    assert (one.text, one.fps, one.size) == ("noise", 7.0, (8, 16))
    wanted = torch.zeros(3, 2, 4)
    wanted[:, 0, 0] = 0.5**0.5
    assert one.focus is not None
    assert torch.equal(one.focus, wanted)


def test_an_image_is_the_first_frame():
    clip = noise()
    (whole,), (image,) = encode(CODEC, [clip]), encode(CODEC, [clip], image=True)
    assert torch.equal(image.latents, whole.latents[:1])
    assert image.focus is not None
    assert len(image.focus) == 1
    example = Example(text="a", latents=whole.latents)
    (first,) = encode(CODEC, [example], image=True)
    assert torch.equal(first.latents, whole.latents[:1])
    assert first.focus is None


def test_examples_pass_through():
    example = Example(text="a", latents=torch.zeros(2, 48, 2, 2))
    assert encode(CODEC, [example])[0] is example


def test_a_batch_has_one_size():
    with pytest.raises(ValueError, match=r"shapes \[\(3, 8, 16, 3\), \(3, 16, 16, 3\)\] in one batch"):
        encode(CODEC, [noise(), noise(height=16)])
