"""Rules that hold frames of a model that was never taught to take any, against the truth of a Gaussian world."""

import pytest
import torch
from gaussian_world import ar1

from pixeldance.diffusion.given import Held, Reconstruct, Replace
from pixeldance.diffusion.noise import Iid, generators
from pixeldance.diffusion.process import VP, grid
from pixeldance.diffusion.sample import ddim, sample

COSINE = VP(betas="cosine")
WORLD = ar1(4, 0.9)


def second_frame(rule: Held) -> float:
    """The mean of frame 1 where frame 0 is held at 1.5."""
    known = torch.full((1, 4, 1, 32, 32), 1.5)
    mask = torch.zeros(1, 4, 1, 1, 1, dtype=torch.bool)
    mask[:, 0] = True
    rngs = generators([5])
    denoise = rule(WORLD.denoiser(COSINE), known, mask, COSINE)
    x = sample(denoise, Iid()(known, rngs), grid(COSINE, 40, start=0.99), COSINE, ddim(1.0), lambda e: Iid()(e, rngs))
    assert torch.equal(x[:, 0], known[:, 0])
    return float(x[0, 1].mean())


def test_guidance_is_nearer_to_the_truth_than_replacement() -> None:
    truth = float(WORLD.given([0], [1.5]).mean[1])
    replaced, guided = second_frame(Replace()), second_frame(Reconstruct(weight=2.0))
    assert abs(guided - truth) < 0.7 * abs(replaced - truth)
    assert float(WORLD.mean[1]) < replaced < guided


def test_the_step_is_the_gradient_of_the_miss() -> None:
    """For a linear denoiser x0 = a x the gradient is 2 a (a x - known) on the held frame and 0 elsewhere."""
    x, known = torch.randn(1, 2, 1, 2, 2), torch.randn(1, 2, 1, 2, 2)
    mask = torch.tensor([False, True]).reshape(1, 2, 1, 1, 1)
    t = torch.tensor(0.3)

    def denoise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return 0.5 * (x + x.flip(1))  # each frame's estimate reads both

    found = Reconstruct(weight=3.0)(denoise, known, mask, COSINE)(x, t)
    estimate = denoise(x, t)
    assert torch.equal(found[:, 1], known[:, 1])
    expected = estimate[:, 0] - 1.5 * COSINE.alpha(t) * (estimate[:, 1] - known[:, 1])
    torch.testing.assert_close(found[:, 0], expected)


def test_no_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got a weight of 0.*Replace\(\)"):
        Reconstruct(weight=0)
