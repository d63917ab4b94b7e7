"""The autoencoder is Stable Diffusion's: same size, same outputs as diffusers' from the same weights."""

import pytest
import torch
from torch import Tensor

from pixeldance.nets.vae import SMALL_VAE, AutoencoderKL, VAEConfig

TINY = VAEConfig(widths=(8, 16, 16), layers=1, groups=4)

# Ours -> diffusers', by parts of a key; the blocks of a level are mapped in `diffusers_key`.
RENAMES = (
    (".mid.0.", ".mid_block.resnets.0."),
    (".mid.1.norm.", ".mid_block.attentions.0.group_norm."),
    (".mid.1.to_out.", ".mid_block.attentions.0.to_out.0."),
    (".mid.1.", ".mid_block.attentions.0."),
    (".mid.2.", ".mid_block.resnets.1."),
    (".norm_out.", ".conv_norm_out."),
    (".shortcut.", ".conv_shortcut."),
    ("post_quant.", "post_quant_conv."),
)


def diffusers_key(key: str) -> str:
    if key.startswith("quant."):
        return key.replace("quant.", "quant_conv.")
    parts = key.split(".")
    if parts[1] == "levels":
        side = "down" if parts[0] == "encoder" else "up"
        sampler = parts[4] == "conv"
        place = f"{side}samplers.0" if sampler else f"resnets.{parts[3]}"
        key = ".".join([parts[0], f"{side}_blocks.{parts[2]}", place, *parts[4:]])
    for ours, theirs in RENAMES:
        key = key.replace(ours, theirs)
    return key


def test_default_is_stable_diffusions_size() -> None:
    with torch.device("meta"):
        net = AutoencoderKL(VAEConfig())
    assert sum(p.numel() for p in net.parameters()) == 83_653_863
    assert net.config.factor == 8


@pytest.fixture
def frames() -> Tensor:
    return torch.rand(2, 3, 24, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_outputs_equal_diffusers(frames: Tensor) -> None:
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    theirs = diffusers.AutoencoderKL(
        block_out_channels=TINY.widths,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=TINY.layers,
        norm_num_groups=TINY.groups,
        latent_channels=TINY.latent_channels,
    ).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    weights = theirs.state_dict()
    net = AutoencoderKL(TINY)
    keys = {key: diffusers_key(key) for key in net.state_dict()}
    assert sorted(keys.values()) == sorted(weights)
    net.load_state_dict({ours: weights[key] for ours, key in keys.items()})
    with torch.no_grad():
        mean, logvar = net.encode(frames)
        expected = theirs.encode(frames).latent_dist
        torch.testing.assert_close(mean, expected.mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(logvar, expected.logvar, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(net.decode(mean), theirs.decode(mean).sample, atol=1e-5, rtol=1e-5)


def test_small_one(frames: Tensor) -> None:
    net = AutoencoderKL(SMALL_VAE)
    assert 1_000_000 < sum(p.numel() for p in net.parameters()) < 2_000_000
    assert not any("norm" in name for name, _ in net.named_parameters())
    mean, logvar = net.encode(frames)
    assert mean.shape == logvar.shape == (2, 16, 3, 2)
    assert net.decode(mean).shape == frames.shape


def test_groups_must_divide() -> None:
    with pytest.raises(ValueError, match="groups=0"):
        VAEConfig(widths=(24, 48))
