"""What a training changes is chosen by name, and all else stands still."""

from dataclasses import replace

import pytest
import torch
from tiny import TINY, random_parts
from torch import nn

from pixeldance.data.clip import Example
from pixeldance.nets.unet import UNet, UNetConfig
from pixeldance.system import Parts, System
from pixeldance.training.freeze import only_time, trainable, trained_parts
from pixeldance.training.objective import Objective, loss

NET_ONLY = replace(TINY, trained=("net",))


def requiring(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("system", [TINY, NET_ONLY], ids=["text and net", "net"])
def test_the_system_says_which_parts_train(system: System) -> None:
    parts = Parts(system).train()
    trained = trained_parts(parts)
    assert tuple(trained) == system.trained
    for name in ("codec", "text", "net"):
        part = getattr(parts, name)
        trains = name in system.trained
        assert all(p.requires_grad == trains for p in part.parameters()), name
        assert all(module.training == trains for module in part.modules()), name


def test_the_names_are_those_of_the_parts() -> None:
    parts = Parts(TINY)
    chosen = trainable(trained_parts(parts), ("*",))
    assert chosen.keys() == {f"text.{n}" for n, _ in parts.text.named_parameters()} | {
        f"net.{n}" for n, _ in parts.net.named_parameters()
    }
    assert chosen["net.conv_in.spatial.weight"] is parts.net.conv_in.spatial.weight


def test_patterns_choose_and_freeze_the_rest() -> None:
    parts = Parts(TINY)
    trained = trained_parts(parts)
    chosen = trainable(trained, ("net.conv_in.*", "text.embedding.weight"))
    assert requiring(trained) == set(chosen)
    assert {name.rsplit(".", 1)[0] for name in chosen} >= {"text.embedding", "net.conv_in.spatial"}
    assert all(name.startswith(("net.conv_in.", "text.embedding.")) for name in chosen)
    # Chosen anew, in the order of the module.
    assert list(trainable(trained, ("text.*",))) == [f"text.{name}" for name, _ in parts.text.named_parameters()]
    assert not requiring(parts.net)


@pytest.mark.parametrize("frame_embedding", [True, False])
def test_only_time_is_what_inflation_added(frame_embedding: bool) -> None:
    net = replace(TINY.net, frame_embedding=frame_embedding)
    trained = trained_parts(Parts(replace(TINY, net=net)))
    chosen = trainable(trained, only_time(net))
    unet = trained["net"]
    assert isinstance(unet, UNet)
    assert chosen.keys() == {f"net.{name}" for name, _ in unet.temporal_parameters()}
    assert any("frame_embedding" in name for name in chosen) == frame_embedding
    assert 0 < sum(p.numel() for p in chosen.values()) < sum(p.numel() for p in unet.parameters())


def test_a_pattern_that_matches_nothing_is_refused_with_what_is_near() -> None:
    trained = trained_parts(Parts(TINY))
    before = requiring(trained)
    with pytest.raises(ValueError, match=r"got 'net.conv_inn.spatial.weight'.*near.*net.conv_in.spatial.weight"):
        trainable(trained, ("*", "net.conv_inn.spatial.weight"))
    with pytest.raises(ValueError, match="got no pattern of names"):
        trainable(trained, ())
    image = UNetConfig(channels=4, concat=0, tokens=8, widths=(8,), attention=(True,), head_width=8, temporal="none")
    with pytest.raises(ValueError, match="temporal"):
        trainable(nn.ModuleDict({"net": UNet(replace(image, groups=4))}), only_time(image))
    assert requiring(trained) == before


@pytest.mark.parametrize("patterns", [only_time(TINY.net), ("net.up.*",), ("net.norm_out.*", "text.embedding.weight")])
def test_a_loss_reaches_what_was_chosen_and_nothing_else(patterns: tuple[str, ...]) -> None:
    parts = random_parts()
    chosen = trainable(trained_parts(parts), patterns)
    rng = torch.Generator().manual_seed(0)
    batch = [Example(text="a red star", latents=torch.randn(4, 48, 8, 8, generator=rng)) for _ in range(2)]
    torch.autograd.backward(loss(parts, Objective(), batch, torch.tensor([0.3, 0.9]), [rng] * 2))
    touched = {name for name, weight in parts.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert touched == set(chosen)
