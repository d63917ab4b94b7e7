"""Muon: its matrices' steps are orthogonal, it fits a small convolution, and it refuses a closure."""

import pytest
import torch
from torch import nn

from pixeldance.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(8, 8), (6, 30), (30, 6)])
def test_singular_values_become_about_one(shape: tuple[int, int]) -> None:
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape, generator=torch.Generator().manual_seed(0))))
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_first_step_has_the_stated_size() -> None:
    net = nn.Linear(16, 4)
    before = net.weight.detach().clone()
    muon = Muon(net.parameters(), lr=0.1, weight_decay=0.0)
    net(torch.randn(32, 16)).square().sum().backward()
    muon.step()
    moved = torch.linalg.svdvals(before - net.weight.detach())
    assert moved.min() > 0.05
    assert moved.max() < 0.13


def test_it_learns_a_convolution() -> None:
    torch.manual_seed(0)
    target, net = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
    muon = Muon(net.parameters(), lr=0.02, vectors=0.5)
    x = torch.randn(8, 3, 12, 12)
    losses = []
    for step in range(150):
        muon.param_groups[0]["lr"] = 0.02 * (1 - step / 150)
        loss = (net(x) - target(x)).square().mean()
        muon.zero_grad()
        loss.backward()
        muon.step()
        losses.append(loss.item())
    assert losses[-1] < 0.01 * losses[0]


def test_closures_are_refused() -> None:
    with pytest.raises(ValueError, match="backward"):
        Muon(nn.Linear(2, 2).parameters(), lr=0.1).step(lambda: 0.0)
