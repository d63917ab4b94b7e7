"""Checkpoints come back bit by bit, or are refused with the reason; nothing half-written is ever seen, nothing runs."""

import json
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TINY, random_parts

from pixeldance import checkpoint
from pixeldance.codec import KLConfig
from pixeldance.condition import ImageSlots, ScheduledNoise
from pixeldance.diffusion.process import EDM, VE, VP, Flow
from pixeldance.generate import Sampling, generate
from pixeldance.instruction import Instruction
from pixeldance.nets.text import CLIPConfig
from pixeldance.nets.vae import VAEConfig
from pixeldance.system import Parts, System
from pixeldance.systems import PIXELDANCE, SMALL_PIXELDANCE

LEARNED = replace(TINY, codec=KLConfig(vae=VAEConfig(latent_channels=48, widths=(8, 8), layers=1, groups=4), std=2.5))


@pytest.fixture(scope="module")
def parts() -> Parts:
    return random_parts(LEARNED)


@pytest.fixture
def folder(parts: Parts, tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "model", parts)
    return tmp_path / "model"


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def test_float32_comes_back_to_the_bit(parts: Parts, tmp_path: Path) -> None:
    about = {"steps": 7, "note": "held-out words"}
    checkpoint.save(tmp_path / "model", parts, torch.float32, about)
    names = ["codec.safetensors", "config.json", "net.safetensors", "text.safetensors"]
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == names
    again = checkpoint.load(tmp_path / "model")
    assert again.system == parts.system
    assert again.state_dict().keys() == parts.state_dict().keys()
    for key, value in parts.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    assert not again.training
    assert not any(parameter.requires_grad for parameter in again.parameters())
    assert checkpoint.read_config(tmp_path / "model")["about"] == about


def test_float16_is_rounded_once_and_half_as_large(parts: Parts, folder: Path, tmp_path: Path) -> None:
    again = checkpoint.load(folder)
    for key, value in parts.state_dict().items():
        assert torch.equal(again.state_dict()[key], value.half().float()), key
    checkpoint.save(tmp_path / "again", again)
    checkpoint.save(tmp_path / "large", parts, torch.float32)
    sizes = {name: (tmp_path / name / "net.safetensors").stat().st_size for name in ("model", "again", "large")}
    assert sizes["model"] == sizes["again"] < 0.75 * sizes["large"]
    assert checkpoint.model_hash(tmp_path / "again") == checkpoint.model_hash(folder)
    assert checkpoint.model_hash(tmp_path / "large") != checkpoint.model_hash(folder)


@pytest.mark.parametrize(
    "system",
    [
        PIXELDANCE,
        SMALL_PIXELDANCE,
        LEARNED,
        replace(TINY, process=VE(), prediction="edm"),
        replace(TINY, process=EDM(), prediction="edm"),
        replace(TINY, process=Flow(), prediction="flow"),
        replace(TINY, process=VP(betas="linear"), condition=replace(TINY.condition, noise=(0.0, 0.3), pad=-1.0)),
        replace(TINY, condition=replace(TINY.condition, noise=(ScheduledNoise(most=0.2), 0.3)), trained=("net",)),
    ],
)
def test_every_record_comes_back_through_json(system: System) -> None:
    assert checkpoint.from_json(json.loads(json.dumps(checkpoint.to_json(system)))) == system


def test_a_part_in_bytes_is_off_by_half_a_step_at_most_and_the_others_by_nothing(parts: Parts, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "model", parts, torch.float32, rounded=("net",))
    again = checkpoint.load(tmp_path / "model").state_dict()
    for name, weight in parts.state_dict().items():
        if name.startswith("net.") and weight.ndim > 1:
            rows, off = weight.flatten(1), (again[name] - weight).flatten(1).abs()
            assert bool((off <= rows.abs().amax(1, keepdim=True) / 127 * 0.51).all()), name
            assert bool(off.any()), name
        else:
            assert torch.equal(again[name], weight), name
    checkpoint.save(tmp_path / "twice", checkpoint.load(tmp_path / "model"), torch.float32, rounded=("net",))
    assert checkpoint.file_sha256(tmp_path / "twice" / "net.safetensors") == checkpoint.file_sha256(
        tmp_path / "model" / "net.safetensors"
    )


def test_a_system_stored_before_it_had_these_settings_means_what_it_meant() -> None:
    stored = checkpoint.to_json(TINY)
    for name in ("vector", "trained"):
        del stored[name]
    for name in ("first", "last"):
        del stored["condition"][name]
    assert checkpoint.from_json(stored) == TINY


def clip_system(tokenizer: Path) -> System:
    """The paper's doors at tiny size: CLIP's tokens, no vector, c_image in time."""
    tokens = ["!", "a", "b", "a</w>", "b</w>", "ab</w>", "<|startoftext|>", "<|endoftext|>"]
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (tokenizer / "merges.txt").write_text("#version: 0.2\na b</w>\n")
    size = {"width": 16, "layers": 1, "heads": 2, "feed_width": 16, "length": 6, "vocabulary_size": len(tokens)}
    net = replace(TINY.net, vector=0, concat=ImageSlots().channels(48))
    text, slots = CLIPConfig(tokenizer=str(tokenizer), **size), ImageSlots()
    return replace(TINY, text=text, net=net, condition=slots, vector=(), trained=("net",))


def test_a_clip_model_comes_back_and_generates_the_same(tmp_path: Path) -> None:
    made = random_parts(clip_system(tmp_path / "tokenizer"))
    checkpoint.save(tmp_path / "model", made, torch.float32)
    again = checkpoint.load(tmp_path / "model")

    def latents(parts: Parts, text: str) -> torch.Tensor:
        asked = Instruction(text=text, frames={0: torch.ones(48, 8, 8)}, length=4)
        return generate(parts, [asked], [torch.Generator().manual_seed(1)], Sampling(steps=2))

    assert torch.equal(latents(again, "ab a"), latents(made, "ab a"))
    assert not torch.allclose(latents(made, "b b"), latents(made, "ab a"), atol=1e-3)


# Damage. Every message names the file, and what was got and wanted.

FILES = ("codec.safetensors", "net.safetensors", "text.safetensors")


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_is_refused(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    for kept in (0, 7, len(data) // 2, len(data) - 1):
        (folder / name).write_bytes(data[:kept])
        with pytest.raises(ValueError, match=rf"{name}: damaged or cut short: its SHA-256 is .*copy it again"):
            checkpoint.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_refused(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    for place in (0, 40, len(data) // 2, len(data) - 1):
        data[place] ^= 1
        (folder / name).write_bytes(data)
        with pytest.raises(ValueError, match=f"{name}: damaged or cut short"):
            checkpoint.load(folder)
        data[place] ^= 1
    (folder / name).write_bytes(data)
    checkpoint.load(folder)


def test_a_changed_setting_is_refused(folder: Path) -> None:
    edit(folder, lambda config: config["system"]["codec"].update(std=2.25))
    with pytest.raises(ValueError, match=r"config\.json: damaged: its system does not fit its SHA-256"):
        checkpoint.load(folder)
    edit(folder, lambda config: config["sha256"].pop("system"))
    assert checkpoint.load(folder).system.codec == replace(LEARNED.codec, std=2.25)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_part_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{name}: missing; wanted a folder with config.json"):
        checkpoint.load(folder)


def test_a_part_without_its_hash_is_refused(folder: Path) -> None:
    edit(folder, lambda config: config["sha256"].pop("net"))
    with pytest.raises(ValueError, match="wanted one each for codec, text, net"):
        checkpoint.load(folder)


def test_every_file_of_a_checkpoint_is_checked_also_those_that_loading_needs_not(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    more = tmp_path / "training" / "more.safetensors"
    checkpoint.write_tensors({"step": torch.tensor(7)}, more)
    checkpoint.write(tmp_path, parts.system, parts.state_dict())
    checkpoint.check(tmp_path)
    more.write_bytes(more.read_bytes()[:-1] + b"\1")
    checkpoint.load(tmp_path)
    with pytest.raises(ValueError, match=r"training/more\.safetensors: damaged or cut short"):
        checkpoint.check(tmp_path)
    more.unlink()
    with pytest.raises(ValueError, match=r"training/more\.safetensors: missing"):
        checkpoint.check(tmp_path)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused(folder: Path, version: object) -> None:
    edit(folder, lambda config: config.update(version=version))
    with pytest.raises(ValueError, match=f"got checkpoint version {version}, this pixeldance reads version 1"):
        checkpoint.load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '{"version": 1}', '{"version": 1, "sha256": {}}'])
def test_a_config_of_another_form_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json: not the config of a checkpoint"):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda system: system["net"].update(kind="Transformer"),
            "got a record of kind 'Transformer'; known are System",
        ),
        (lambda system: system["net"].update(kind=["UNetConfig"]), r"got a record of kind \['UNetConfig'\]"),
        (lambda system: system["net"].pop("kind"), "got a record of kind None"),
        (lambda system: system["net"].update(depth=3), "got settings that UNetConfig does not take.*depth"),
        (lambda system: system.pop("net"), "got settings that System does not take.*net"),
        (lambda system: system.update(kind="WordConfig"), "got settings that WordConfig does not take"),
        (lambda system: system["net"].update(widths=[8, 32]), r"net\.safetensors: its tensors do not fit the system"),
    ],
)
def test_settings_that_are_not_ours_are_refused(folder: Path, change: Callable, message: str) -> None:
    edit(folder, lambda config: (change(config["system"]), config["sha256"].pop("system")))
    with pytest.raises(ValueError, match=message):
        checkpoint.load(folder)


def test_a_system_that_is_none_is_refused(folder: Path) -> None:
    edit(folder, lambda config: (config.update(system=config["system"]["net"]), config["sha256"].pop("system")))
    with pytest.raises(ValueError, match="got UNetConfig for its system"):
        checkpoint.load(folder)


class Canary:
    """Unpickling it leaves a file behind."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """The file that appears if anything is unpickled."""
    pickle.loads(pickle.dumps(Canary(tmp_path / "canary")))
    (tmp_path / "canary").unlink()  # so it does sing
    return tmp_path / "canary"


@pytest.mark.parametrize("ending", ["pt", "pth", "ckpt", "bin", "pkl"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_pickle_is_refused_and_never_opened(tmp_path: Path, canary: Path, ending: str, inside: bool) -> None:
    file = tmp_path / "model" / f"weights.{ending}"
    file.parent.mkdir()
    torch.save({"net": Canary(canary)}, file)
    with pytest.raises(ValueError, match="got a pickle, which can run code when opened; wanted a folder with config"):
        checkpoint.load(file.parent if inside else file)
    assert not canary.exists()


def test_a_pickle_under_our_name_is_refused_and_never_opened(folder: Path, canary: Path) -> None:
    torch.save({"net": Canary(canary)}, folder / "net.safetensors")
    hashed = checkpoint.file_sha256(folder / "net.safetensors")
    edit(folder, lambda config: config["sha256"].update(net=hashed))
    with pytest.raises(ValueError, match=r"net\.safetensors: not a safetensors file"):
        checkpoint.load(folder)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["none", "empty", "file.txt"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").touch()
    with pytest.raises(ValueError, match=rf"{name}: got no config\.json; wanted a folder with config\.json and codec"):
        checkpoint.load(tmp_path / name)


# Writing: all or nothing, and never over something.


def test_a_checkpoint_is_never_overwritten(parts: Parts, folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    with pytest.raises(ValueError, match="exists and a finished result is never overwritten"):
        checkpoint.save(folder, parts, torch.float32)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_save_that_fails_leaves_nothing(parts: Parts, tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        checkpoint.save(tmp_path / "model", parts, about={"not": object()})
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from pixeldance import checkpoint
from tiny import random_parts
write, files = checkpoint.save_file, []
def save_file(state, file):
    files.append(file)
    write(state, file)
    if len(files) == {files}:
        os.truncate(file, 100)
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.save_file = save_file
checkpoint.save(Path({folder!r}), random_parts())
"""


def test_a_killed_save_is_never_seen(parts: Parts, tmp_path: Path) -> None:
    target = tmp_path / "step-0000001"
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(target), files=2)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not target.exists()
    left = [path.name for path in tmp_path.iterdir()]
    assert left
    assert all(name.startswith(".") for name in left), "what is left is hidden, and no name of a checkpoint"
    checkpoint.save(target, parts)
    checkpoint.load(target)
