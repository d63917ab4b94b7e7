"""Stable Video Diffusion as a system of ours: its parts to 1e-5, its clip, and to the byte what goes out again."""

import json
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_engines
import tiny_published
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from pixeldance import checkpoint
from pixeldance.codec import Codec, build_codec
from pixeldance.diffusion.noise import generators
from pixeldance.exchange import folder, geometry, names, stable_video
from pixeldance.exchange.weights import over_time, taken
from pixeldance.generate import Sampling, encoded, generate
from pixeldance.instruction import FIRST, Instruction
from pixeldance.pipeline import Pipeline
from pixeldance.system import Parts

diffusers = pytest.importorskip("diffusers")


def autoencoder() -> Any:
    theirs = diffusers.AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2, layers_per_block=2
    )
    return tiny_published.randomised(theirs, seed=1, std=0.15)


def codec_of(place: Path) -> Codec:
    config = geometry.codec_config(folder.settings(place, "config.json"))
    codec = build_codec(config)
    codec.net.load_state_dict(taken(names.vae(config.vae), folder.weights(place), codec.net.state_dict(), "a VAE"))
    return codec


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@torch.no_grad()
def test_its_autoencoder_is_itself_and_sees_the_frames_of_one_video(tmp_path: Path) -> None:
    theirs = autoencoder()
    theirs.save_pretrained(tmp_path)
    codec = codec_of(tmp_path)
    video = torch.rand(2, 3, 3, 16, 24) * 2 - 1
    latents = codec.encode(video)
    close(latents[1], theirs.encode(video[1]).latent_dist.mean * theirs.config.scaling_factor)
    wanted = theirs.decode(latents.flatten(0, 1) / theirs.config.scaling_factor, num_frames=3).sample
    assert wanted.std() > 0.1
    close(codec.decode(latents).flatten(0, 1), wanted.clamp(-1, 1))
    alone = theirs.decode(latents[0, :1] / theirs.config.scaling_factor, num_frames=1).sample
    close(codec.decode(latents[:1, :1])[0], alone.clamp(-1, 1))
    assert (wanted[:1] - alone).abs().max() > 0.01, "the other frames changed nothing"


@torch.no_grad()
def test_a_long_video_is_decoded_in_the_same_pieces_as_a_stream(tmp_path: Path) -> None:
    autoencoder().save_pretrained(tmp_path)
    codec = codec_of(tmp_path)
    codec.frames_at_once = 2
    latents = torch.randn(2, 3, 4, 4, 4)
    whole = codec.decode(latents)
    close(torch.cat(list(codec.decode_stream(latents)), dim=1), whole)
    close(whole[:, :2], codec.decode(latents[:, :2]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_autoencoder_goes_back_to_its_bytes(dtype: torch.dtype, tmp_path: Path) -> None:
    autoencoder().to(dtype).save_pretrained(tmp_path)
    codec = codec_of(tmp_path)
    stored, table = load_file(tmp_path / "diffusion_pytorch_model.safetensors"), names.vae(codec.net.config)
    back = over_time({table[name]: weight.to(dtype) for name, weight in codec.net.state_dict().items()})
    assert back.keys() == stored.keys()
    assert all(torch.equal(weight, stored[name]) for name, weight in back.items())
    config = geometry.codec_config(folder.settings(tmp_path, "config.json"))
    assert checkpoint.from_json(checkpoint.to_json(config)) == config
    assert geometry.codec_config(geometry.codec_json(config)) == config


def test_other_autoencoders_are_refused() -> None:
    settings = {"_class_name": "AutoencoderKLTemporalDecoder", "block_out_channels": [32], "layers_per_block": 1}
    with pytest.raises(ValueError, match="layers_per_block=1; this network has layers_per_block=2 only"):
        geometry.codec_config(settings)
    with pytest.raises(ValueError, match="got a AutoencoderKLWan; wanted AutoencoderKL or"):
        geometry.codec_config(settings | {"_class_name": "AutoencoderKLWan"})


SIZE = (16, 24)


def picture(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_engines.svd(tmp_path_factory.mktemp("svd"), number=256, layers=2)


@pytest.fixture(scope="module")
def stock(stored: Path) -> Any:
    pipe = diffusers.StableVideoDiffusionPipeline.from_pretrained(stored)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def parts(stored: Path) -> Parts:
    return stable_video.read(stored, SIZE)


@pytest.mark.parametrize("steps", [5, pytest.param(25, marks=pytest.mark.slow)])
def test_the_clip_is_theirs(steps: int, stock: Any, parts: Parts) -> None:
    """With every setting another than its own. To 10^-4: docs/weights.md has what float32 leaves of it."""
    asked = {"image": Image.fromarray(picture()), "height": SIZE[0], "width": SIZE[1], "num_inference_steps": steps}
    told = {"fps": 12, "motion_bucket_id": 40, "noise_aug_strength": 0.1, "max_guidance_scale": 2.5}
    rng = torch.Generator().manual_seed(7)
    wanted = stock(**asked, **told, generator=rng, output_type="latent").frames
    slots = replace(parts.system.condition, pixel_noise=0.1)
    ours = copy(parts)
    ours.system = replace(parts.system, condition=slots)
    instruction = Instruction(frames={FIRST: picture()}, length=6, fps=12.0, motion=40.0)
    found = generate(ours, [instruction], generators([7]), Sampling(steps=steps, guidance=2.5))
    assert wanted.std() > 0.3
    assert (found - wanted).abs().max() < 1e-4


def test_what_is_asked_for_changes_the_clip(parts: Parts) -> None:
    asked = Instruction(frames={FIRST: picture()}, length=6)
    own, *others = (
        generate(parts, [each], generators([7]), Sampling(steps=1))
        for each in (
            asked,
            replace(asked, fps=20.0),
            replace(asked, motion=1.0),
            replace(asked, frames={FIRST: picture(1)}),
        )
    )
    assert all((other - own).abs().max() > 1e-3 for other in others)


@torch.no_grad()
@pytest.mark.parametrize("size", [SIZE, (300, 500)])
def test_the_picture_is_seen_as_theirs_is(stock: Any, parts: Parts, size: tuple[int, int]) -> None:
    wanted = stock._encode_image(Image.fromarray(picture(1, size)), "cpu", 1, False)
    pixels = torch.from_numpy(picture(1, size)).permute(2, 0, 1) / 127.5 - 1
    code = parts.text([pixels, None])
    close(code.tokens[:1], wanted)
    assert wanted.std() > 0.1
    assert code.tokens[1].eq(0).all()


def test_latents_of_the_shot_before_are_seen_too(parts: Parts) -> None:
    by_pixels = encoded(parts, Instruction(frames={FIRST: picture()}, length=6))
    by_latents = encoded(parts, Instruction(frames=by_pixels.frames, length=6))
    latents = torch.as_tensor(by_pixels.frames[FIRST])
    assert torch.equal(torch.as_tensor(by_latents.frames[FIRST]), latents)
    close(by_latents.seen[FIRST], parts.codec.decode(latents[None, None])[0, 0])


def test_it_is_a_checkpoint_and_goes_back_to_its_bytes(stored: Path, parts: Parts, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "ours", parts, torch.float32)
    stable_video.write(tmp_path / "theirs", checkpoint.load(tmp_path / "ours"), stored)
    files = sorted(file.relative_to(stored) for file in stored.rglob("*.*") if file.suffix in (".json", ".safetensors"))
    assert len(files) == 9
    for file in files:
        if file.suffix == ".json":
            assert (tmp_path / "theirs" / file).read_bytes() == (stored / file).read_bytes()
        else:
            before, after = load_file(stored / file), load_file(tmp_path / "theirs" / file)
            assert before.keys() == after.keys()
            assert all(torch.equal(weight, after[name]) for name, weight in before.items())
    other = replace(parts.system, fps=8.0)
    with pytest.raises(ValueError, match="got a system other than that of"):
        stable_video.write(tmp_path / "no", Parts(other), stored)


def test_requests_that_it_cannot_fill_are_refused(parts: Parts) -> None:
    pipe = Pipeline(parts)
    with pytest.raises(ValueError, match="got no first frame, which this model reads in the text's place"):
        pipe.instruct("")
    with pytest.raises(ValueError, match="this model reads 0 words"):
        pipe.instruct("a red ball", picture())
    assert pipe.instruct("", picture()).length == 6


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("unet/config.json", {"addition_time_embed_dim": 32}, "addition_time_embed_dim=32; this network has 256"),
        ("scheduler/scheduler_config.json", {"use_karras_sigmas": None}, "use_karras_sigmas=None; this network has"),
        ("scheduler/scheduler_config.json", {"sigma_max": None}, "sigma_max=None; wanted both numbers"),
        ("image_encoder/config.json", {"image_size": 336}, "image_size=336; this network has image_size=224"),
    ],
)
def test_what_is_built_otherwise_is_refused(
    stored: Path, file: str, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    for each in stored.rglob("*.json"):
        (tmp_path / each.relative_to(stored)).parent.mkdir(exist_ok=True)
        (tmp_path / each.relative_to(stored)).write_text(each.read_text())
    (tmp_path / file).write_text(json.dumps(json.loads((tmp_path / file).read_text()) | change))
    with pytest.raises(ValueError, match=message):
        stable_video.system(tmp_path)
