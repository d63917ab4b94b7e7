"""Inversion against the truth of the Gaussian world, and there and back with a network."""

from dataclasses import replace

import pytest
import torch
from gaussian_world import PROCESSES, ar1
from tiny import random_parts
from tiny_run import SMALLER

from pixeldance.diffusion.invert import invert
from pixeldance.diffusion.process import VP, grid
from pixeldance.diffusion.sample import ddim, sample
from pixeldance.generate import Sampling, Start, generate
from pixeldance.instruction import FIRST, LAST, Instruction


@pytest.mark.parametrize("name", ["scaled_linear", "shifted", "ve", "shifted_flow"])
def test_it_finds_the_noise_that_the_flow_leads_to(name: str):
    """To first order: with four times the steps the error is a quarter, or little more."""
    process, world = PROCESSES[name], ar1()
    x0, errors = world.draw((1, 4, 4)).float(), []
    for steps in (40, 160):
        times = grid(process, steps, start=0.7)
        truth = world.flow(process, x0, times[-1], times[0])
        found = invert(world.denoiser(process), x0, times, process)
        errors.append(float((found - truth).abs().max() / truth.abs().max()))
    assert errors[1] < 0.06
    assert errors[1] < errors[0] / 2.5


@pytest.mark.parametrize("name", ["cosine", "zero_snr", "flow"])
def test_the_way_back_ends_where_it_began(name: str):
    process, world = PROCESSES[name], ar1()
    x0, errors = world.draw((1, 4, 4)).float(), []
    for steps in (10, 40, 160):
        times = grid(process, steps)
        noise = invert(world.denoiser(process), x0, times, process)
        back = sample(world.denoiser(process), noise, times, process, ddim())
        errors.append(float((back - x0).abs().max()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.1


def test_a_grid_that_ends_elsewhere_is_refused():
    with pytest.raises(ValueError, match=r"got times .*; wanted a falling grid of 2 or more that ends at 0"):
        invert(lambda x, t: x, torch.zeros(1, 1), torch.tensor([1.0, 0.5]), VP())
    with pytest.raises(ValueError, match="wanted a falling grid of 2 or more"):
        invert(lambda x, t: x, torch.zeros(1, 1), torch.tensor([0.0]), VP())


PARTS = random_parts(replace(SMALLER, sizes=((16, 16),)))
ASKED = Instruction(
    text="a red circle moves right",
    frames={
        index: torch.randn(48, 4, 4, generator=torch.Generator().manual_seed(index + 2)) for index in (FIRST, LAST)
    },
    length=4,
    size=(16, 16),
)
LATENTS = torch.randn(4, 48, 4, 4, generator=torch.Generator().manual_seed(9))


def from_start(strength: float, steps: int, asked: Instruction = ASKED, guidance: float = 1.0) -> torch.Tensor:
    sampling = Sampling(steps=steps, guidance=guidance, solver=ddim())
    start = Start(latents=LATENTS, instruction=ASKED, strength=strength)
    return generate(PARTS, [asked], [torch.Generator().manual_seed(0)], sampling, start=start)[0]


def test_a_network_gives_its_video_back():
    """Relative error of the latents, at full strength, with the request that they were inverted with."""
    errors = [float((from_start(1.0, steps) - LATENTS).norm() / LATENTS.norm()) for steps in (5, 15, 45)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert errors[2] < 0.1


def test_the_strength_is_how_much_may_change():
    other = replace(ASKED, frames={index: -latent for index, latent in ASKED.frames.items()})
    assert torch.equal(from_start(0.0, 10, other), LATENTS)
    changes = [float((from_start(strength, 10, other) - LATENTS).norm()) for strength in (0.1, 0.5, 1.0)]
    assert 0 < changes[0] < changes[1] < changes[2]


def test_a_start_leaves_nothing_to_chance():
    sampling = Sampling(steps=3, solver=ddim())
    start = Start(latents=LATENTS, instruction=ASKED, strength=0.5)
    one, other = (
        generate(PARTS, [ASKED], [torch.Generator().manual_seed(seed)], sampling, start=start) for seed in (0, 1)
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"latents": LATENTS[:2]}, r"got a start of \(1, 2, 48, 4, 4\) for videos of \(1, 4, 48, 4, 4\)"),
        ({"instruction": replace(ASKED, length=1)}, "got a start of"),
        ({"strength": 1.5}, "got a strength of 1.5; wanted 0"),
        ({"strength": float("nan")}, "got a strength of nan"),
    ],
)
def test_impossible_starts_are_refused(start: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        generate(
            PARTS,
            [ASKED],
            [torch.Generator()],
            Sampling(steps=2),
            start=Start(**{"latents": LATENTS, "instruction": ASKED, "strength": 0.5} | start),
        )
