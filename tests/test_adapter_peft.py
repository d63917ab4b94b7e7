"""A LoRA of ours opens in peft and one of peft's in ours, with equal outputs on every kind of layer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TINY, random_parts
from torch import Tensor, nn

from pixeldance import adapter
from pixeldance.diffusion.denoise import Cond
from pixeldance.nets import lora
from pixeldance.nets.lora import LoRA

peft = pytest.importorskip("peft")

LAYERS = ("net.*", "text.*")


@torch.no_grad()
def output(text: nn.Module, net: nn.Module) -> Tensor:
    """What text encoder and net make of one fixed input, in float64: peft adds up in another order."""
    for module in (text, net):
        module.double()
    rng = torch.Generator().manual_seed(0)
    code = text(["a red circle", "a blue square moves left"])
    x, concat = (torch.randn(2, 4, channels, 8, 8, generator=rng).double() for channels in (48, TINY.net.concat))
    cond = Cond(tokens=code.tokens, mask=code.mask, concat=concat, vector=code.vector)
    return net(x, torch.tensor([300.0, 700.0]), **cond.doors())


@torch.no_grad()
def shake(weights: dict[str, Tensor]) -> None:
    rng = torch.Generator().manual_seed(1)
    for weight in weights.values():
        weight.add_(0.1 * torch.randn(weight.shape, generator=rng))


def peft_output(model: Any) -> Tensor:
    return output(model.base_model.model.text, model.base_model.model.net)


def test_ours_opens_in_peft(tmp_path: Path) -> None:
    parts = random_parts()
    before = output(parts.text, parts.net)
    shake(lora.attach(parts, LoRA(rank=3, alpha=5.0, layers=LAYERS), torch.Generator().manual_seed(0)))
    ours = output(parts.text, parts.net)
    assert (ours - before).abs().max() > 0.1
    adapter.save(tmp_path / "lora", parts, base=None)
    model = peft.PeftModel.from_pretrained(random_parts(), str(tmp_path / "lora")).eval()
    theirs = {name for name, layer in model.named_modules() if isinstance(layer, peft.tuners.lora.LoraLayer)}
    assert theirs == {
        f"base_model.model.{name}" for name in lora.adaptable(parts) if name.startswith(("net.", "text."))
    }
    torch.testing.assert_close(peft_output(model), ours, rtol=0, atol=1e-6)


TARGETS = r"text\.embedding|net\.(conv_out|.*query|.*convs\.0)"
RANKS = {"rank_pattern": {"conv_out": 5}}


@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, RANKS], ids=["plain", "rslora", "ranks"])
def test_one_of_peft_opens_in_ours(tmp_path: Path, settings: dict[str, Any]) -> None:
    config = peft.LoraConfig(r=3, lora_alpha=5, target_modules=TARGETS, **settings)
    model = peft.get_peft_model(random_parts(), config).eval()
    shake({name: weight for name, weight in model.named_parameters() if "lora_" in name})
    theirs = peft_output(model)
    model.save_pretrained(str(tmp_path / "lora"))
    bases = [layer.base_layer for layer in model.modules() if isinstance(layer, peft.tuners.lora.LoraLayer)]
    assert {kind for kind in lora.KINDS for layer in bases if isinstance(layer, kind)} == {*lora.KINDS} - {nn.Conv1d}

    parts = random_parts()
    before = output(parts.text, parts.net)
    read = adapter.load(tmp_path / "lora")
    assert read.base is None
    with pytest.raises(ValueError, match="does not say on which model it was trained"):
        adapter.apply(parts, read, base="0" * 64, name="one")
    adapter.apply(parts, read, base="0" * 64, name="one", any_base=True)
    ours = output(parts.text, parts.net)
    assert (ours - before).abs().max() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("settings", [{"use_dora": True}, {"lora_bias": True}, {"modules_to_save": ["norm_out"]}])
def test_what_is_more_than_a_lora_is_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    config = peft.LoraConfig(r=2, target_modules=["net.conv_in.spatial"], **settings)
    peft.get_peft_model(random_parts(), config).save_pretrained(str(tmp_path / "lora"))
    with pytest.raises(ValueError, match=f"got {next(iter(settings))} = .*; wanted a plain LoRA"):
        adapter.load(tmp_path / "lora")
