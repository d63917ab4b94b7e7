"""Export in the form of diffusers: stock classes open the stock parts, and stock from_pretrained the whole."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_published
import torch
from command import Run
from safetensors.torch import load_file
from tiny import ILLUSTRATED, REFINED, TINY, random_parts

from pixeldance import checkpoint
from pixeldance.condition import ImageSlots
from pixeldance.exchange import published
from pixeldance.exchange.export import export
from pixeldance.image import write_image
from pixeldance.nets.lora import LoRA, attach
from pixeldance.pipeline import Pipeline, load
from pixeldance.system import Parts
from pixeldance.systems import PIXELDANCE

diffusers = pytest.importorskip("diffusers")

# A process of its own: what it knows of the model is the folder.
OPEN = """
import sys
import numpy as np
from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained(sys.argv[1], custom_pipeline=sys.argv[1], trust_remote_code=True)
pipe.set_progress_bar_config(disable=True)
asked = [{"image": sys.argv[3], "tau": 0.5}, {}]
np.save(sys.argv[4], np.concatenate([pipe(sys.argv[2], seed=7, output_type="np", **each).frames for each in asked]))
if len(sys.argv) > 5:
    pipe.save_pretrained(sys.argv[5])
print(type(pipe).__name__, pipe.components.keys())
"""


def opened(folder: Path, text: str, picture: Path, result: Path, *more: Path) -> np.ndarray:
    """What stock diffusers makes of an exported model: a video that starts on the picture, and one from text alone."""
    command = [sys.executable, "-c", OPEN, str(folder), text, str(picture), str(result), *map(str, more)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PixelDancePipeline")
    return np.load(result)


def made(pipe: Pipeline, text: str, picture: Path) -> np.ndarray:
    """The same two of our own pipeline."""
    asked: list[dict[str, Any]] = [{"image": picture, "tau": 0.5}, {}]
    return np.concatenate([pipe(text, seed=7, output_type="np", **each).frames for each in asked])


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    write_image(tmp_path / "first.png", pixels)
    return tmp_path / "first.png"


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pipeline]:
    """A model with Stable Diffusion's autoencoder and text encoder, and its checkpoint's folder."""
    folder = tmp_path_factory.mktemp("stable")
    found = published.read(tiny_published.write(folder / "sd", tiny_published.unet()))
    base = replace(PIXELDANCE, sizes=((16, 16),), frames=(3, 1), steps=2, condition=ImageSlots())
    parts = Parts(published.inflated(found, base)).eval().requires_grad_(False)
    published.fill(parts, found)
    checkpoint.save(folder / "model", parts)
    return folder, load(folder / "model")


def test_a_fresh_process_opens_it_and_makes_the_same_video(
    stable: tuple[Path, Pipeline], picture: Path, tmp_path: Path
) -> None:
    _, pipe = stable
    export(pipe, tmp_path / "out")
    wanted = made(pipe, "a red ball", picture)
    got = opened(tmp_path / "out", "a red ball", picture, tmp_path / "video.npy", tmp_path / "again")
    np.testing.assert_array_equal(got, wanted)
    index = json.loads((tmp_path / "again" / "model_index.json").read_text())
    assert index["vae"] == ["diffusers", "AutoencoderKL"]


def test_the_stock_parts_are_stock(stable: tuple[Path, Pipeline], tmp_path: Path) -> None:
    import transformers

    folder, pipe = stable
    export(pipe, tmp_path / "out")
    vae, info = diffusers.AutoencoderKL.from_pretrained(tmp_path / "out" / "vae", output_loading_info=True)
    assert not any(info.values())
    text = transformers.CLIPTextModel.from_pretrained(tmp_path / "out" / "text_encoder", dtype=torch.float32)
    words = transformers.CLIPTokenizer.from_pretrained(tmp_path / "out" / "tokenizer")
    ids = words(["a red ball"], padding="max_length", max_length=8, return_tensors="pt").input_ids
    with torch.no_grad():
        torch.testing.assert_close(text(ids).last_hidden_state, pipe.parts.text(["a red ball"]).tokens)
        z = torch.randn(1, 4, 4, 4)
        torch.testing.assert_close(vae.decode(z).sample, pipe.parts.codec.net.decode(z), atol=1e-5, rtol=0)
    before = load_file(folder / "sd" / "vae" / "diffusion_pytorch_model.safetensors")
    after = load_file(tmp_path / "out" / "vae" / "diffusion_pytorch_model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(weight, before[key].half()) for key, weight in after.items())


def test_parts_that_no_stock_class_knows_go_out_as_ours(picture: Path, tmp_path: Path, run: Run) -> None:
    system = replace(REFINED, trained=("net",), text_to_image=ILLUSTRATED.text_to_image)
    model, parts = tmp_path / "model", random_parts(system)
    assert parts.refiner is not None
    torch.nn.init.normal_(parts.refiner.unet.conv_out.weight)
    checkpoint.save(model, parts)
    code, out, err = run("export", model, "--format", "diffusers", "-o", tmp_path / "out")
    assert (code, out) == (0, f"{tmp_path / 'out'}\n"), err
    card = (tmp_path / "out" / "README.md").read_text()
    assert checkpoint.model_hash(model) in card
    assert "pipeline_tag: image-to-video" in card
    assert "4 or 1 frames of 32x32 at 8 frames per second" in card
    wanted = made(load(model), "a red star moves right", picture)
    got = opened(tmp_path / "out", "a red star moves right", picture, tmp_path / "video.npy")
    np.testing.assert_array_equal(got, wanted)
    code, _, err = run("export", model, "-o", tmp_path / "out")
    assert code == 2
    assert "exists" in err


def test_a_model_with_loras_on_it_is_refused(tmp_path: Path) -> None:
    parts = Parts(TINY)
    attach(parts, LoRA(rank=1, layers=("net.*attention*",)), torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="LoRA"):
        export(Pipeline(parts), tmp_path / "out")
    assert not (tmp_path / "out").exists()
