"""LoRAs by diffusers' names: peft and diffusers load what we write and compute the same; what they write, we read."""

from pathlib import Path

import pytest
import tiny_published
import torch
from command import Run
from safetensors.torch import load_file, save_file

from pixeldance import adapter
from pixeldance.exchange import lora as exchanged
from pixeldance.exchange import published
from pixeldance.nets import lora
from pixeldance.pipeline import load
from pixeldance.system import Parts

diffusers = pytest.importorskip("diffusers")
pytest.importorskip("peft")
SPATIAL = ("net.*spatial.block.self_attention*",)


def model(folder: Path) -> tuple[Parts, torch.nn.Module]:
    theirs = tiny_published.unet()
    found = published.read(tiny_published.write(folder, theirs))
    parts = Parts(published.inflated(found)).eval()
    published.fill(parts, found)
    return parts, theirs


def trained(parts: Parts, layers: tuple[str, ...], alpha: float = 6.0) -> None:
    rng = torch.Generator().manual_seed(1)
    for weight in lora.attach(parts, lora.LoRA(rank=2, alpha=alpha, layers=layers), rng).values():
        weight.data = torch.randn(weight.shape, generator=rng) * 0.3


@torch.no_grad()
def test_diffusers_computes_the_same_with_ours(tmp_path: Path) -> None:
    parts, theirs = model(tmp_path / "sd")
    trained(parts, SPATIAL)
    exchanged.write(tmp_path / "lora", parts)
    x, tokens, steps = torch.randn(2, 1, 4, 8, 8), torch.randn(2, 5, 12), torch.tensor([5, 700])
    before = theirs(x[:, 0], steps, tokens).sample
    theirs.load_lora_adapter(load_file(tmp_path / "lora" / exchanged.FILE), prefix="unet")
    wanted = theirs(x[:, 0], steps, tokens).sample
    found = parts.net(x, steps.float(), tokens=tokens, concat=torch.randn(2, 1, 5, 8, 8))[:, 0]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    assert (wanted - before).abs().max() > 0.01


@torch.no_grad()
def test_there_and_back_with_layers_that_only_we_have(tmp_path: Path) -> None:
    parts, _ = model(tmp_path / "sd")
    trained(parts, ("net.*attention*", "text.model.*q_proj"))
    exchanged.write(tmp_path / "lora", parts)
    names = load_file(tmp_path / "lora" / exchanged.FILE)
    assert {key.split(".")[0] for key in names} == {"unet", "text_encoder", "pixeldance"}
    x, steps = torch.randn(1, 3, 4, 8, 8), torch.tensor([500.0])
    doors = {"tokens": parts.text(["red ball"]).tokens, "concat": torch.randn(1, 3, 5, 8, 8)}
    wanted = parts.net(x, steps, **doors)
    lora.remove(parts)
    read = exchanged.read(tmp_path / "lora", parts.system)
    adapter.apply(parts, read, base=None, name="back", any_base=True)
    torch.testing.assert_close(parts.net(x, steps, **doors), wanted, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="does not say on which model"):
        adapter.apply(parts, read, base="hash", name="again")


def test_older_names_and_alpha_are_read_and_others_refused(tmp_path: Path) -> None:
    parts, _ = model(tmp_path / "sd")
    trained(parts, SPATIAL)
    exchanged.write(tmp_path / "lora", parts)
    file = tmp_path / "lora" / exchanged.FILE
    stored = load_file(file)
    old = {key.replace("lora_A", "lora.down").replace("lora_B", "lora.up"): each for key, each in stored.items()}
    layer = next(iter(old)).partition(".lora.")[0]
    save_file(old | {f"{layer}.alpha": torch.tensor(1.0)}, file)
    read = exchanged.read(tmp_path / "lora", parts.system)
    assert (read.alpha, len(read.state)) == (1.0, len(stored))
    save_file({"unet.no.such.layer.lora_A.weight": torch.zeros(1, 1)}, file)
    with pytest.raises(ValueError, match="a layer that this model has not"):
        exchanged.read(tmp_path / "lora", parts.system)
    file.write_bytes(b"\x80\x04N.")
    with pytest.raises(ValueError, match="wanted a LoRA in the form of diffusers"):
        exchanged.read(tmp_path / "lora", parts.system)


def test_the_command_takes_a_lora_out_and_in(run: Run, tiny_model: Path, tmp_path: Path) -> None:
    pipe = load(tiny_model)
    trained(pipe.parts, ("net.*attention*",), alpha=2.0)  # of rank 2: their form knows no other alpha
    adapter.save(tmp_path / "ours", pipe.parts, base=pipe.model_hash)
    code, _, err = run("export", tiny_model, "--lora", tmp_path / "ours", "-o", tmp_path / "theirs")
    assert code == 0, err
    code, _, err = run("export", tiny_model, "--lora", tmp_path / "theirs", "--format", "peft", "-o", tmp_path / "back")
    assert code == 0, err
    before, after = (adapter.load(tmp_path / name) for name in ("ours", "back"))
    assert before.base == after.base == pipe.model_hash
    assert before.state.keys() == after.state.keys()
    assert all(torch.equal(weight, after.state[key]) for key, weight in before.state.items())
    code, _, err = run("export", tiny_model, "--format", "peft", "-o", tmp_path / "no")
    assert code == 2
    assert "only LoRAs have that form" in err
