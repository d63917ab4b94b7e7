"""Codecs: round trips, layout, streaming that holds memory down, refusals that name the way out."""

from inspect import unwrap
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pixeldance.codec import (
    PCA,
    Codec,
    CodecConfig,
    KLConfig,
    PatchConfig,
    PCAConfig,
    build_codec,
    fit_pca,
    from_pixels,
    to_pixels,
)
from pixeldance.nets.vae import VAEConfig

TINY_KL = KLConfig(
    vae=VAEConfig(widths=(8, 8), layers=1, groups=0, mid_attention=False),
    mean=(0.1, 0.2, -0.3, 0.0),
    std=(0.5, 1.0, 2.0, 1.5),
)
CONFIGS = [PatchConfig(), PatchConfig(patch=1), PCAConfig(patch=8, channels=20), TINY_KL]


@pytest.fixture
def video() -> Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 7, 16, 24, 3), dtype=np.uint8)
    return from_pixels(pixels)


@pytest.mark.parametrize("config", CONFIGS)
def test_shapes_and_layout(config: CodecConfig, video: Tensor) -> None:
    codec = build_codec(config)
    latents = codec.encode(video)
    assert latents.shape == (2, 7, codec.channels, 16 // codec.factor, 24 // codec.factor)
    decoded = codec.decode(latents)
    assert decoded.shape == video.shape
    assert decoded.abs().max() <= 1
    for tensor in (video, latents, decoded):
        assert tensor.movedim(2, -1).is_contiguous()  # stored (b, f, h, w, c)
    assert not latents.requires_grad
    assert not any(p.requires_grad for p in codec.parameters())


@pytest.mark.parametrize("patch", [1, 2, 4, 8])
def test_patches_lose_nothing(patch: int, video: Tensor) -> None:
    codec = build_codec(PatchConfig(patch=patch))
    assert torch.equal(codec.decode(codec.encode(video)), video)


def test_principal_components_keep_what_varies() -> None:
    # Patches made of 5 patterns: 5 components hold them whole, 4 do not.
    rng = torch.Generator().manual_seed(0)
    patterns, weights = torch.rand(5, 48, generator=rng) - 0.5, torch.rand(60, 5, 4, 4, generator=rng) / 3
    frames = torch.pixel_shuffle(torch.einsum("kp,nkij->npij", patterns, weights), 4)
    errors = []
    for channels in (4, 5):
        codec = build_codec(PCAConfig(patch=4, channels=channels))
        assert isinstance(codec.net, PCA)
        fit_pca(codec.net, frames)
        latents = codec.encode(frames[None])
        errors.append((codec.decode(latents) - frames[None]).abs().max().item())
        torch.testing.assert_close(latents.var(dim=(0, 1, 3, 4)).mean(), torch.tensor(1.0), rtol=0.01, atol=0)
    assert errors[0] > 1e-2
    assert errors[1] < 1e-5


def test_latents_are_normalised(video: Tensor) -> None:
    plain, ours = (
        build_codec(KLConfig(vae=TINY_KL.vae, mean=0.0, std=1.0)),
        build_codec(TINY_KL),
    )
    ours.load_state_dict(plain.state_dict())
    raw, normal = plain.encode(video), ours.encode(video)
    mean, std = (torch.tensor(value).reshape(-1, 1, 1) for value in (TINY_KL.mean, TINY_KL.std))
    torch.testing.assert_close(normal * std + mean, raw)
    torch.testing.assert_close(ours.decode(normal), plain.decode(raw))


def test_gradients_reach_the_latents(video: Tensor) -> None:
    codec = build_codec(TINY_KL)
    latents = codec.encode(video).requires_grad_()
    (grad,) = torch.autograd.grad(codec.decode(latents).square().mean(), latents)
    assert grad.abs().sum() > 0


@pytest.mark.parametrize("config", CONFIGS)
def test_stream_equals_decode_in_bounded_memory(
    config: CodecConfig, video: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = build_codec(config)
    latents = codec.encode(video)
    whole = codec.decode(latents)
    seen: list[int] = []
    decode = codec.net.decode

    def counted(z: Tensor) -> Any:
        seen.append(len(z))
        return decode(z)

    monkeypatch.setattr(codec.net, "decode", counted)
    pieces = list(codec.decode_stream(latents, frames_at_once=3))
    assert [piece.shape[1] for piece in pieces] == [3, 3, 1]
    assert max(seen) == 2 * 3  # videos x frames at once, however long the video
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-6, rtol=0)


def test_first_frames_come_before_the_last_are_decoded(video: Tensor) -> None:
    codec = build_codec(PatchConfig())
    latents = codec.encode(video)
    latents[:, 3:] = torch.nan
    first = next(codec.decode_stream(latents, frames_at_once=3))
    assert torch.equal(first, video[:, :3])


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="nearest possible size is 32 x 64"):
        build_codec(PatchConfig(patch=8)).encode(torch.zeros(1, 1, 3, 33, 61))
    with pytest.raises(ValueError, match=r"\(b, f, 48, h, w\)"):
        build_codec(PatchConfig()).decode(torch.zeros(1, 1, 4, 8, 8))
    with pytest.raises(ValueError, match="4 latent"):
        KLConfig(std=(1.0, 2.0))


def test_frame_numbers_are_latent_positions() -> None:
    assert [build_codec(PatchConfig()).latent_frame(i) for i in (0, 5, -1)] == [0, 5, -1]


def test_every_byte_survives() -> None:
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert np.array_equal(to_pixels(from_pixels(pixels)), pixels)
    assert to_pixels(torch.tensor([-3.0, 3.0, 0.0]).reshape(1, 3, 1, 1)).ravel().tolist() == [0, 255, 128]


def test_wrong_kinds_are_refused() -> None:
    # Under pytest the shape annotations would refuse first; users have only our own words.
    codec = build_codec(PatchConfig())
    with pytest.raises(ValueError, match="from_pixels"):
        unwrap(Codec.encode)(codec, torch.zeros(1, 1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ValueError, match="uint8"):
        unwrap(from_pixels)(np.zeros((1, 2, 2, 3)))
    with pytest.raises(ValueError, match="Index the batch"):
        unwrap(to_pixels)(torch.zeros(1, 1, 3, 2, 2))
