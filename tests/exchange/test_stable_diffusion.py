"""Stable Diffusion in and out: its own outputs to 1e-5, its own bytes, and nothing but whole, safe files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_published
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pixeldance.condition import ImageSlots
from pixeldance.diffusion.denoise import Cond
from pixeldance.exchange import folder, geometry, names, published
from pixeldance.exchange.weights import given
from pixeldance.nets.unet import UNetConfig
from pixeldance.nets.vae import VAEConfig
from pixeldance.system import Parts, System
from pixeldance.systems import PIXELDANCE

pytest.importorskip("diffusers")

SMALL = replace(
    PIXELDANCE,
    net=replace(PIXELDANCE.net, temporal_convolutions=1, temporal_attentions=1, frame_embedding=True),
    condition=ImageSlots(noise=(0.0, 0.0)),
    sizes=((16, 16),),
    frames=(3, 1),
)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_published.write(tmp_path_factory.mktemp("sd"), tiny_published.unet(), "v_prediction")


@pytest.fixture(scope="module")
def parts(stored: Path) -> Parts:
    found = published.read(stored)
    made = Parts(published.inflated(found, SMALL)).eval().requires_grad_(False)
    published.fill(made, found)
    return made


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize(("heads", "linear"), [(2, True), (2, False), ([2, 4], True)])
def test_the_first_output_is_stable_diffusions_frame_by_frame(
    heads: int | list[int], linear: bool, tmp_path: Path
) -> None:
    theirs = tiny_published.unet(heads, linear)
    found = published.read(tiny_published.write(tmp_path, theirs))
    parts = Parts(published.inflated(found, SMALL)).eval()
    published.fill(parts, found)
    x, tokens, pictures = torch.randn(2, 3, 4, 8, 12), torch.randn(2, 5, 12), torch.randn(2, 3, 5, 8, 12)
    steps = torch.tensor([10, 999])
    out = parts.net(x, steps.float(), tokens=tokens, concat=pictures)
    wanted = torch.stack([theirs(x[:, frame], steps, tokens).sample for frame in range(3)], dim=1)
    close(out, wanted)
    assert wanted.std() > 0.01


@torch.no_grad()
def test_the_whole_denoiser_is_told_stable_diffusions_steps(stored: Path, parts: Parts) -> None:
    """Our t = (k + 1) / 1000 is their step k, in the noise and in what the network is told."""
    import diffusers

    scheduler = diffusers.DDIMScheduler.from_pretrained(stored / "scheduler", clip_sample=False)
    scheduler.set_timesteps(1000)
    theirs = diffusers.UNet2DConditionModel.from_pretrained(stored / "unet")
    x, tokens = torch.randn(1, 3, 4, 8, 8), parts.text(["red ball"]).tokens
    found = parts.denoiser(
        x, torch.tensor(0.5, dtype=torch.float64), Cond(tokens=tokens, concat=torch.zeros(1, 3, 5, 8, 8))
    )
    for frame in range(3):
        predicted = theirs(x[:, frame], 499, tokens).sample
        close(found[:, frame], scheduler.step(predicted, 499, x[:, frame]).pred_original_sample)


@torch.no_grad()
def test_codec_and_text_are_theirs(stored: Path, parts: Parts) -> None:
    import diffusers
    import transformers

    vae = diffusers.AutoencoderKL.from_pretrained(stored / "vae")
    video = torch.rand(1, 2, 3, 16, 24) * 2 - 1
    latents = parts.codec.encode(video)
    close(latents[0], vae.encode(video[0]).latent_dist.mean * vae.config.scaling_factor)
    close(parts.codec.decode(latents)[0], vae.decode(latents[0] / vae.config.scaling_factor).sample.clamp(-1, 1))
    text = transformers.CLIPTextModel.from_pretrained(stored / "text_encoder")
    words = transformers.CLIPTokenizer.from_pretrained(stored / "tokenizer")
    ids = words(["a red ball"], padding="max_length", max_length=8, return_tensors="pt").input_ids
    close(parts.text(["a red ball"]).tokens, text(ids).last_hidden_state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_out_of_what_came_in_is_the_same_to_the_byte(stored: Path, parts: Parts, dtype: torch.dtype) -> None:
    """Half precision too: our float32 holds every number of it."""
    found = published.read(stored)
    theirs = {part: {key: each.to(dtype) for key, each in found.weights[part].items()} for part in found.weights}
    published.fill(parts, replace(found, weights=theirs))
    text = parts.text.state_dict()
    for part, state, named in (
        ("unet", parts.net.state_dict(), found.names),
        ("vae", parts.codec.net.state_dict(), names.vae(parts.codec.net.config)),
        ("text_encoder", {key.removeprefix("model."): each for key, each in text.items()}, None),
    ):
        if part == "unet":
            state["conv_in.spatial.weight"] = state["conv_in.spatial.weight"][:, :4]
        like = {key: tuple(each.shape) for key, each in theirs[part].items()}
        back = given(named or names.text(state), state, like)
        assert back.keys() == theirs[part].keys()
        for key, each in back.items():
            assert torch.equal(each.to(dtype), theirs[part][key]), key
    published.fill(parts, found)


def test_settings_go_there_and_back(parts: Parts) -> None:
    system = parts.system
    flat = replace(UNetConfig(), concat=0, temporal="none")
    per_level = replace(flat, head_width=(40, 80, 160, 160))
    for config in (flat, per_level):
        assert geometry.unet_config(geometry.unet_json(config)) == config
    assert geometry.codec_config(geometry.codec_json(system.codec)) == system.codec
    again = geometry.text_config(geometry.text_json(system.text), tokenizer=system.text.tokenizer, padding="!")
    assert again == system.text


def test_the_real_geometries_have_the_real_names() -> None:
    """Stable Diffusion 1.5's and 2.1's, without their weights."""
    import diffusers

    with torch.device("meta"):
        for config in (
            UNetConfig(concat=0, temporal="none"),
            UNetConfig(head_width=(40, 80, 160, 160), tokens=768, concat=0, temporal="none"),
        ):
            theirs = diffusers.UNet2DConditionModel.from_config(geometry.unet_json(config)).state_dict()
            assert set(names.unet(config).values()) == set(theirs)
        theirs = diffusers.AutoencoderKL.from_config(geometry.codec_json(PIXELDANCE.codec)).state_dict()
        assert set(names.vae(VAEConfig()).values()) == set(theirs)


def test_the_old_names_of_the_autoencoders_attention_are_read(stored: Path, tmp_path: Path) -> None:
    """As the files of Stable Diffusion 1 and 2 have them."""
    copy = tiny_published.write(tmp_path, tiny_published.unet())
    file = copy / "vae" / "diffusion_pytorch_model.safetensors"
    now = {new: old for old, new in names.OLD_VAE.items()}
    old = {}
    for key, weight in load_file(file).items():
        place, found, layer = key.partition(".attentions.0.")
        name, _, kind = layer.rpartition(".")
        old[f"{place}{found}{now.get(name, name)}.{kind}" if found else key] = weight
    assert any(".query." in key for key in old)
    save_file(old, file)
    assert published.read(copy).weights["vae"].keys() == published.read(stored).weights["vae"].keys()


# What is refused.


def edited(stored: Path, tmp_path: Path, file: str, **changes: object) -> Path:
    copy = tiny_published.write(tmp_path, tiny_published.unet())
    (copy / file).write_text(json.dumps(json.loads((copy / file).read_text()) | changes))
    return copy


@pytest.mark.parametrize(
    ("file", "changes", "told"),
    [
        ("unet/config.json", {"class_embed_type": "timestep"}, "class_embed_type='timestep'"),
        ("unet/config.json", {"in_channels": 9}, "not one for inpainting"),
        ("unet/config.json", {"_class_name": "FluxTransformer2DModel"}, "got a FluxTransformer2DModel"),
        ("unet/config.json", {"layers_per_block": 2}, "other weights than its settings say"),
        ("unet/config.json", {"block_out_channels": [8, 24]}, r"of \(16\D.*; its settings make \(24\D"),
        ("vae/config.json", {"use_quant_conv": False}, "use_quant_conv=False"),
        ("scheduler/scheduler_config.json", {"beta_end": 0.5}, "got a scheduler with betas"),
        ("text_encoder/config.json", {"layer_norm_eps": 1e-6}, "layer_norm_eps"),
    ],
)
def test_what_is_built_otherwise_is_refused(
    stored: Path, tmp_path: Path, file: str, changes: dict[str, object], told: str
) -> None:
    copy = edited(stored, tmp_path, file, **changes)

    def take() -> None:
        found = published.read(copy)
        published.fill(Parts(published.inflated(found, SMALL)), found)

    with pytest.raises(ValueError, match=told):
        take()


def test_weights_for_another_system_are_refused_field_by_field(stored: Path, parts: Parts) -> None:
    other: System = replace(parts.system, prediction="eps", step_offset=0.0)
    with pytest.raises(ValueError, match=r"prediction: eps here, v there; step_offset: 0\.0 here"):
        published.fill(Parts(other), published.read(stored))


@pytest.mark.parametrize("name", ["../text_encoder/model.safetensors", "/etc/passwd", "a/b.safetensors", "x.bin"])
def test_an_index_that_points_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    index = tmp_path / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"conv_in.weight": name}}))
    with pytest.raises(ValueError, match="wanted the name of a safetensors file beside it"):
        folder.weights(tmp_path)


def test_shards_are_read_as_one(stored: Path, tmp_path: Path) -> None:
    tiny_published.unet().save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    whole = folder.weights(stored / "unet")
    for key, weight in folder.weights(tmp_path).items():
        assert torch.equal(whole.pop(key), weight)
    assert not whole
    index = tmp_path / "diffusion_pytorch_model.safetensors.index.json"
    placed = json.loads(index.read_text())
    placed["weight_map"].popitem()
    index.write_text(json.dumps(placed))
    with pytest.raises(ValueError, match="disagree on what there is"):
        folder.weights(tmp_path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04N.")
    with pytest.raises(ValueError, match="a pickle, which can run code"):
        folder.weights(tmp_path)


def test_the_hub_is_not_asked_when_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such folder; wanted"):
        folder.locate("no-such-folder")
    import huggingface_hub.constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"not to be had from the hub \(HF_HUB_OFFLINE is set\)"):
        folder.locate("owner/name")


def test_a_mistyped_folder_is_told_before_the_hub_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("it was asked"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "wan").mkdir(parents=True)
    for name in ("runs/wam", "run/wan"):
        with pytest.raises(ValueError, match=rf"{name}: .* \(the nearest is runs/wan\); .* on the hub say {name}@main"):
            folder.locate(name)
    with pytest.raises(ValueError, match="runs/other: no such folder; for the model of that name on the hub"):
        folder.locate("runs/other")
    with pytest.raises(ValueError, match=r"a checkpoint, or OWNER/NAME on the hub \(the nearest is .*/runs/wan\)"):
        folder.locate(str(tmp_path / "runs" / "wen"))


def test_a_name_on_the_hub_is_pinned_to_its_commit(
    monkeypatch: pytest.MonkeyPatch, stored: Path, tmp_path: Path
) -> None:
    """Out of the hub's own cache, offline: a folder for the commit, and `main` that points to it."""
    import huggingface_hub.constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--owner--name"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    (cached / "snapshots").mkdir()
    (cached / "snapshots" / commit).symlink_to(stored)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    for revision in (None, commit):
        found = folder.locate("owner/name", revision)
        assert found.revision == commit
        assert published.read(found.folder).net.widths == tiny_published.WIDTHS
