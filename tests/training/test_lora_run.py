"""Training a LoRA: the base stays, the adapters are a file of their own, and a run goes on to the same bytes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import random_parts
from tiny_run import RUN, SMALLER, Colours, same
from torch import Generator, Tensor

from pixeldance import checkpoint
from pixeldance.instruction import FIRST
from pixeldance.nets.lora import LoRA
from pixeldance.pipeline import Pipeline, load
from pixeldance.training.loop import Training, train


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "base"
    checkpoint.save(folder, random_parts(SMALLER), torch.float32)
    return folder


def run(base: Path) -> Training:
    chosen = LoRA(rank=2, alpha=4.0, layers=("net.conv_in*", "net.*.spatial.*", "text.embedding"))
    return replace(RUN, init=base, lora=chosen, steps=6, rate=0.01, schedule="constant")


def made(pipe: Pipeline) -> Tensor:
    asked = pipe.instruct("yellow")
    frame = torch.zeros(SMALLER.net.channels, 8, 8)
    return pipe.latents(replace(asked, frames={FIRST: frame}), Generator().manual_seed(0))


def test_a_checkpoint_holds_the_lora_and_the_model_with_it(base: Path, tmp_path: Path):
    last = train(run(base), tmp_path, progress=False)
    merged, stacked = load(last), load(base).load_lora_weights(last / "lora", "colours")
    assert not torch.allclose(made(merged), made(load(base)), atol=1e-4)
    assert torch.allclose(made(merged), made(stacked), atol=1e-5)
    assert torch.equal(made(stacked.set_adapters({"colours": 0.0})), made(load(base)))


def test_only_layers_that_were_named_change(base: Path, tmp_path: Path):
    trained = load(train(run(base), tmp_path, progress=False)).parts.state_dict()
    changed = {name for name, weight in load(base).parts.state_dict().items() if not torch.equal(weight, trained[name])}
    assert "net.conv_in.spatial.weight" in changed
    assert "text.embedding.weight" in changed
    assert all(".spatial." in name or name.startswith(("net.conv_in", "text.embedding")) for name in changed)
    assert all(name.endswith("weight") for name in changed)


def test_it_goes_on_to_the_same_bytes(base: Path, tmp_path: Path):
    whole = train(run(base), tmp_path / "whole", progress=False)
    train(replace(run(base), steps=3), tmp_path / "parts", progress=False)
    assert same(train(run(base), tmp_path / "parts", progress=False), whole)


@pytest.mark.parametrize("odd", [{"init": None}, {"parallel": "fsdp"}, {"train": ("net.*",)}])
def test_what_does_not_go_together_is_refused(base: Path, odd: dict[str, object]):
    with pytest.raises(ValueError, match="got a LoRA with init="):
        replace(run(base), data=Colours, **odd)
