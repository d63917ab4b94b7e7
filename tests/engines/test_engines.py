"""Pretrained pipelines as engines, end to end in diffusers' own classes; tau against their own calls, to the bit."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_engines
import tiny_published
import torch
from command import Run

from pixeldance import checkpoint
from pixeldance.diffusion.noise import generators
from pixeldance.diffusion.process import Flow
from pixeldance.engines import engine
from pixeldance.engines.engine import Engine
from pixeldance.engines.still import still
from pixeldance.engines.tau import cut
from pixeldance.generate import Sampling, legs
from pixeldance.image import write_image
from pixeldance.instruction import FIRST, Instruction
from pixeldance.pipeline import instruct

pytest.importorskip("diffusers")
pytest.importorskip("ftfy")
FIRST_PICTURE, LAST_PICTURE = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
STEPS = 4


@pytest.fixture(scope="module")
def wan22(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return engine.load(tiny_engines.wan(tmp_path_factory.mktemp("wan22"), version="2.2"))


@pytest.fixture(scope="module")
def ltx(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return engine.load(tiny_engines.ltx(tmp_path_factory.mktemp("ltx")))


@pytest.fixture(scope="module")
def flf(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return engine.load(tiny_engines.wan(tmp_path_factory.mktemp("flf")))


@pytest.fixture(scope="module")
def framepack(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return engine.load(tiny_engines.framepack(tmp_path_factory.mktemp("framepack")))


def asked(made: Engine, *, last: bool = True, frames: int = 9) -> Instruction:
    pictures = (FIRST_PICTURE, LAST_PICTURE if last else None)
    return instruct(made.system, "a red ball moves left", *pictures, num_frames=frames, height=32, width=32)


def render(made: Engine, instruction: Instruction, **settings: Any) -> np.ndarray:
    return made.render(instruction, generators([7])[0], Sampling(steps=STEPS, guidance=2.0, **settings))


def test_the_seam_lies_where_our_own_models_have_it() -> None:
    for shift, steps in ((1.0, 10), (3.0, 25), (7.0, 8)):
        process, times = Flow(shift=shift), torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        for tau in (0.0, 0.3, 0.5, 0.62, 1.0):
            for late in (False, True):
                sampling = Sampling(tau=tau, late=late)
                assert cut(process.sigma(times), sampling) == len(legs(process, times, sampling)[0]) - 1
        assert cut(process.sigma(times), Sampling(tau_steps=3)) == 3


@pytest.mark.parametrize("name", ["wan22", "ltx"])
def test_tau_is_the_pipelines_own_call_with_or_without_the_last_frame(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Engine = request.getfixturevalue(name)
    before = made.kind.arguments
    # Else LTX draws noise for the tokens of all pictures at every step, and so other noise where there are more.
    quiet = {"image_cond_noise_scale": 0.0} if name == "ltx" else {}
    monkeypatch.setattr(made, "kind", replace(made.kind, arguments=lambda ask: before(ask) | quiet))
    both, alone = asked(made), asked(made, last=False)
    whole, none = render(made, both), render(made, alone)
    assert whole.shape == (9, 32, 32, 3)
    assert not np.array_equal(whole, none)
    np.testing.assert_array_equal(render(made, both, tau=1.0), whole)
    np.testing.assert_array_equal(render(made, both, tau=0.0), none)
    np.testing.assert_array_equal(render(made, both, tau_steps=STEPS), whole)
    part = render(made, both, tau_steps=2)
    assert not np.array_equal(part, whole)
    assert not np.array_equal(part, none)
    np.testing.assert_array_equal(render(made, both), whole)  # nothing is left on the network


def test_a_model_for_two_frames_needs_both_and_lets_the_last_go(flf: Engine) -> None:
    whole = render(flf, asked(flf))
    np.testing.assert_array_equal(render(flf, asked(flf)), whole)
    assert not np.array_equal(render(flf, asked(flf), tau=0.5), whole)
    with pytest.raises(
        ValueError, match=r"got no last frame; wan needs one; engines that do without it: .*ltx, framepack"
    ):
        asked(flf, last=False)


def test_a_video_in_sections_lets_its_last_frame_go(framepack: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    both, alone = asked(framepack, frames=73), asked(framepack, last=False, frames=73)
    # Else the last picture takes from the generator what the sections are drawn from.
    before = framepack.pipe.prepare_image_latents
    monkeypatch.setattr(framepack.pipe, "prepare_image_latents", lambda *args, generator, **rest: before(*args, **rest))
    whole, none = render(framepack, both), render(framepack, alone)
    assert whole.shape == (73, 32, 32, 3)
    assert not np.array_equal(whole, none)
    np.testing.assert_array_equal(render(framepack, both, tau=0.0), none)
    part = render(framepack, both, tau_steps=2)
    assert not np.array_equal(part, whole)
    assert not np.array_equal(part, none)
    np.testing.assert_array_equal(render(framepack, both, late=True, tau_steps=STEPS), whole)
    with pytest.raises(ValueError, match=r"framepack makes 36k \+ 1, at least 37 and at most 1000: try 37 or 73"):
        framepack.abilities.length(49)


@pytest.mark.parametrize("name", ["ltx", "framepack"])
def test_it_stops_where_it_is_told_to(name: str, request: pytest.FixtureRequest) -> None:
    made: Engine = request.getfixturevalue(name)
    instruction = asked(made, frames={"ltx": 9, "framepack": 73}[name])
    seen = []

    def on_step(index: int, latents: torch.Tensor) -> None:
        seen.append(index)
        if index == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.render(instruction, generators([0])[0], Sampling(steps=STEPS, tau=0.5), on_step)
    assert seen == [0, 1]
    seen.clear()
    made.render(instruction, generators([0])[0], Sampling(steps=1), lambda index, _: seen.append(index))
    assert seen == [0]


@pytest.mark.parametrize(("name", "length"), [("ltx", 9), ("framepack", 37)])
def test_shots_are_handed_on_as_pixels(name: str, length: int, request: pytest.FixtureRequest) -> None:
    made: Engine = request.getfixturevalue(name)
    alone = asked(made, last=False, frames=length)
    before = made.latents(alone, generators([7])[0], Sampling(steps=STEPS, guidance=2.0))
    frames = made.decode(before[None])[0]
    np.testing.assert_array_equal(frames, render(made, alone))
    chained = Instruction(text="a red ball", frames={FIRST: before[-1]}, length=length, size=(32, 32))
    given = Instruction(text="a red ball", frames={FIRST: frames[-1]}, length=length, size=(32, 32))
    np.testing.assert_array_equal(render(made, chained), render(made, given))


@pytest.mark.parametrize("kind", ["svd", "i2vgen", "cogvideox", "skyreels"])
def test_the_others_make_a_video_from_a_first_frame(kind: str, tmp_path: Path) -> None:
    made = engine.load(getattr(tiny_engines, kind)(tmp_path / kind))
    frames = {"svd": 4, "i2vgen": 4}.get(kind, 9)
    instruction = asked(made, last=False, frames=frames)
    video = render(made, instruction)
    assert video.shape == (frames, 32, 32, 3)
    np.testing.assert_array_equal(render(made, instruction), video)
    other = Instruction(text="a blue ball", frames={FIRST: LAST_PICTURE}, length=frames, size=(32, 32))
    assert not np.array_equal(render(made, other), video)
    assert made.unknown_words("a red ball") == (["a", "red", "ball"] if kind == "svd" else [])
    if kind == "cogvideox":
        with pytest.raises(ValueError, match="cogvideox makes one size only: try 32x32"):
            made.abilities.size(48, 48)
    if made.abilities.last == "refused":
        with pytest.raises(
            ValueError, match=rf"got a last frame; {made.kind.name} takes none; engines that take it: .*ltx"
        ):
            asked(made, frames=frames)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"num_frames": 10}, r"wan makes 4k \+ 1, at most 1000: try 9 or 13"),
        ({"height": 40}, r"got a size of 832x40 .* wan makes multiples of 16: try 832x32"),
        ({"image": None}, "got no first frame; wan needs one; engines that do without it: ltx"),
    ],
)
def test_what_it_cannot_is_refused_before_loading(
    flf: Engine, tmp_path: Path, settings: dict[str, Any], told: str
) -> None:
    """From the settings alone: there are no weights in this folder."""
    for file in flf.folder.rglob("*.json"):
        copy = tmp_path / file.relative_to(flf.folder)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(file.read_bytes())
    _, abilities = engine.described(tmp_path)
    pictures = {"image": FIRST_PICTURE, "last_image": LAST_PICTURE}
    with pytest.raises(ValueError, match=told):
        instruct(abilities, "a red ball", **pictures | settings)


def test_unsafe_and_unknown_folders_are_refused(flf: Engine, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(ValueError, match=r"got a FluxPipeline, which is no engine; engines are wan \(Wan"):
        engine.load(tmp_path)
    with pytest.raises(ValueError, match="got memory 'low', which moves parts to a GPU"):
        engine.load(flf.folder, "low")
    index = flf.folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    with pytest.raises(ValueError, match="wanted the name of a safetensors file beside it"):
        engine.load(flf.folder)
    index.unlink()


def test_the_command_renders_and_verifies(run: Run, ltx: Engine, tmp_path: Path) -> None:
    for name, pixels in (("first", FIRST_PICTURE), ("last", LAST_PICTURE)):
        write_image(tmp_path / f"{name}.png", pixels)
    ends = ("--first", tmp_path / "first.png", "--last", tmp_path / "last.png", "--tau", 0.5)
    asked = ("--model", ltx.folder, "--frames", 9, "--size", "32x32", "--steps", 2, "--seed", 1)
    code, _, err = run("generate", "a red ball moves left", *ends, *asked, "-o", tmp_path / "out.mkv")
    assert code == 0, err
    receipt = json.loads((tmp_path / "out.json").read_text())
    assert receipt["model"] == {"folder": str(ltx.folder), "sha256": checkpoint.model_hash(ltx.folder), "loras": []}
    code, out, _ = run("verify", tmp_path / "out.json")
    assert (code, out.splitlines()[-1]) == (0, "verified")
    code, _, err = run("generate", "a red ball", *ends, *asked, "--frames", 8, "-o", tmp_path / "no.mkv")
    assert code == 2
    assert "got 8 frames; ltx makes 8k + 1, at most 1000: try 1 or 9" in err
    code, _, err = run("generate", "a red ball", "--memory", "low", "-o", tmp_path / "no.mkv")
    assert "got --memory low for a checkpoint" in err


def test_a_text_makes_the_first_frame(run: Run, ltx: Engine, tmp_path: Path) -> None:
    import diffusers

    stored = tiny_published.write(tmp_path / "parts", tiny_published.unet())
    parts: dict[str, Any] = {
        "unet": diffusers.UNet2DConditionModel.from_pretrained(stored / "unet"),
        "vae": diffusers.AutoencoderKL.from_pretrained(stored / "vae"),
        "text_encoder": tiny_published.text_encoder(),
        "tokenizer": tiny_published.tokenizer(tmp_path / "words"),
        "scheduler": diffusers.DDIMScheduler.from_pretrained(stored / "scheduler"),
    }
    none = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    diffusers.StableDiffusionPipeline(**parts, **none).save_pretrained(tmp_path / "sd")
    picture = still(tmp_path / "sd", "a red ball", height=32, width=32, seed=3)
    assert picture.shape == (32, 32, 3)
    asked = ("--model", ltx.folder, "--frames", 9, "--size", "32x32", "--steps", 1, "--seed", 3)
    made = ("generate", "a red ball", "--first-from-text", tmp_path / "sd", *asked, "-o", tmp_path / "out.mkv")
    code, _, err = run(*made)
    assert code == 0, err
    receipt = json.loads((tmp_path / "out.json").read_text())
    assert receipt["request"]["first"]["path"] == str(tmp_path / "sd")
    with pytest.raises(ValueError, match="which makes no pictures from texts"):
        still(ltx.folder, "a red ball", height=32, width=32, seed=3)
