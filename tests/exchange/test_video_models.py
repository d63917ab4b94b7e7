"""AnimateDiff's motion modules and ModelScope's network in our form: their own outputs to 1e-5."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_published
import torch
from safetensors.torch import load_file

from pixeldance.condition import ImageSlots
from pixeldance.exchange import names, published, stable_video
from pixeldance.exchange.animatediff import PLACES, animated
from pixeldance.exchange.weights import given
from pixeldance.nets.attention import sinusoids
from pixeldance.nets.temporal import interleaved
from pixeldance.system import Parts
from pixeldance.systems import PIXELDANCE

diffusers = pytest.importorskip("diffusers")

BARE = replace(
    PIXELDANCE,
    condition=ImageSlots(first=0, last=False),
    net=replace(PIXELDANCE.net, concat=0),
    sizes=((16, 16),),
    frames=(4, 1),
)
"""Neither network takes pictures; with slots for them they are read with zeros."""


def adapter(middle: bool, **settings: Any) -> Any:
    made = diffusers.MotionAdapter(
        block_out_channels=tiny_published.WIDTHS,
        motion_layers_per_block=1,
        motion_num_attention_heads=2,
        motion_norm_num_groups=tiny_published.GROUPS,
        use_motion_mid_block=middle,
        **settings,
    )
    return tiny_published.randomised(made, seed=5)


@torch.no_grad()
@pytest.mark.parametrize("middle", [True, False])
def test_animatediff_is_itself_and_goes_back_to_its_bytes(middle: bool, tmp_path: Path) -> None:
    flat, motion = tiny_published.unet(heads=2), adapter(middle)
    image = tiny_published.write(tmp_path / "image", flat)
    motion.save_pretrained(tmp_path / "motion")
    found = animated(published.read(image), tmp_path / "motion")
    parts = Parts(published.inflated(found, BARE)).eval()
    published.fill(parts, found)

    theirs = diffusers.UNetMotionModel.from_unet2d(flat, motion).eval()
    x, tokens, steps = torch.randn(2, 4, 4, 8, 8), torch.randn(2, 5, 12), torch.tensor([7, 640])
    per_frame = tokens.repeat_interleave(4, dim=0)
    wanted = theirs(x.transpose(1, 2), steps, per_frame).sample.transpose(1, 2)
    torch.testing.assert_close(parts.net(x, steps.float(), tokens=tokens), wanted, atol=1e-5, rtol=0)
    still = torch.stack([flat(x[:, frame], steps, tokens).sample for frame in range(4)], dim=1)
    assert (wanted - still).abs().max() > 0.01, "the motion modules changed nothing"

    stored = load_file(tmp_path / "motion" / "diffusion_pytorch_model.safetensors")
    places = {key: stored.pop(key) for key in list(stored) if key.endswith(PLACES)}
    back = given(found.names, parts.net.state_dict(), {key: tuple(each.shape) for key, each in stored.items()})
    assert all(torch.equal(each, stored[key]) for key, each in back.items())
    assert places
    assert all(torch.equal(each[0], interleaved(*each.shape[1:])) for each in places.values())


def test_motion_modules_for_another_model_are_refused(tmp_path: Path) -> None:
    image = published.read(tiny_published.write(tmp_path / "image", tiny_published.unet(heads=2)))
    adapter(True).save_pretrained(tmp_path / "motion")
    config = tmp_path / "motion" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"motion_num_attention_heads": 4}))
    with pytest.raises(ValueError, match=r"motion_num_attention_heads: got \[2, 4\], wanted \[4, 8\]"):
        animated(image, tmp_path / "motion")


@torch.no_grad()
def test_modelscope_is_itself(tmp_path: Path) -> None:
    theirs = diffusers.UNet3DConditionModel(
        block_out_channels=tiny_published.WIDTHS,
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=tiny_published.TOKEN_WIDTH,
        attention_head_dim=4,
        norm_num_groups=tiny_published.GROUPS,
    )
    theirs = tiny_published.randomised(theirs)
    found = published.read(tiny_published.write(tmp_path, theirs))
    x, tokens, steps = torch.randn(2, 4, 4, 8, 8), torch.randn(2, 5, 12), torch.tensor([7, 640])
    wanted = theirs(x.transpose(1, 2), steps, tokens).sample.transpose(1, 2)
    for base, doors in ((BARE, {}), (PIXELDANCE, {"concat": torch.randn(2, 4, 5, 8, 8)})):
        parts = Parts(published.inflated(found, base)).eval()
        published.fill(parts, found)
        torch.testing.assert_close(parts.net(x, steps.float(), tokens=tokens, **doors), wanted, atol=1e-5, rtol=0)
    like = {key: tuple(each.shape) for key, each in found.weights["unet"].items()}
    state = parts.net.state_dict()
    state["conv_in.spatial.weight"] = state["conv_in.spatial.weight"][:, :4]
    back = given(found.names, state, like)
    assert back.keys() == like.keys()
    assert all(torch.equal(each, found.weights["unet"][key]) for key, each in back.items())


def svd_network() -> Any:
    theirs = diffusers.UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=12,
        num_attention_heads=(2, 4),
        projection_class_embeddings_input_dim=24,
        addition_time_embed_dim=8,
    )
    return tiny_published.randomised(theirs, std=0.1)


@torch.no_grad()
def test_stable_videos_network_is_itself_and_goes_back_to_its_bytes(tmp_path: Path) -> None:
    theirs = svd_network()
    theirs.save_pretrained(tmp_path)
    net = stable_video.network(tmp_path).eval()
    x, tokens, concat = torch.randn(2, 3, 4, 8, 8), torch.randn(2, 1, 12), torch.randn(2, 3, 4, 8, 8)
    steps, numbers = torch.tensor([-0.7, 1.6]), [6.0, 127.0, 0.02]
    both, ids = torch.cat([x, concat], dim=2), torch.tensor([numbers] * 2)
    wanted = theirs(both, steps[0], tokens, ids).sample[:1], theirs(both, steps[1], tokens, ids).sample[1:]
    vector = sinusoids(torch.tensor(numbers), 8).flatten().expand(2, -1)
    got = net(x, steps, tokens=tokens, concat=concat, vector=vector)
    assert got.std() > 0.1
    torch.testing.assert_close(got, torch.cat(wanted), atol=1e-5, rtol=0)
    other = net(x.flip(1), steps, tokens=tokens, concat=concat.flip(1), vector=vector).flip(1)
    assert (other - got).abs().max() > 1e-3, "the order of the frames changed nothing"
    stored = load_file(tmp_path / "diffusion_pytorch_model.safetensors")
    like = {key: tuple(each.shape) for key, each in stored.items()}
    back = given(names.unet(net.config), net.state_dict(), like)
    assert all(torch.equal(each, stored[key]) for key, each in back.items())
    assert len(back) == len(net.state_dict())
    still = net(x[:, :1], steps, tokens=tokens, concat=concat[:, :1], vector=vector)
    assert still.isfinite().all()


def test_another_video_network_is_refused(tmp_path: Path) -> None:
    tiny_published.unet().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="got a UNet2DConditionModel; wanted UNetSpatioTemporalConditionModel"):
        stable_video.network(tmp_path)
