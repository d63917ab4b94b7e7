"""Where training looks: the distributions of the noise level, as quantile functions."""

import math

import pytest
import torch

from pixeldance.training.levels import LOWEST, Discrete, Levels, LogitNormal, Noisier, Uniform

ALL: list[Levels] = [Uniform(), Discrete(), Discrete(steps=4), LogitNormal(), LogitNormal(mean=1.0, std=0.5), Noisier()]
EVENLY = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000


@pytest.mark.parametrize("levels", ALL, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_levels_rise_with_u_and_stay_between_0_and_1(levels: Levels, dtype: torch.dtype) -> None:
    # With 0 and 1 themselves: a float32 just below 1 becomes 1 when it is stratified.
    u = torch.linspace(0, 1, 1001, dtype=dtype)
    t = levels(u)
    assert t.dtype == dtype
    assert bool((t.diff() >= 0).all())
    assert float(t[0]) >= min(LOWEST, 1 / 1000)
    assert float(t[-1]) <= 1


def test_uniform_is_even() -> None:
    t = Uniform()(EVENLY)
    assert t.mean().item() == pytest.approx((1 + LOWEST) / 2, abs=1e-6)
    assert t.var().item() == pytest.approx((1 - LOWEST) ** 2 / 12, rel=1e-3)


def test_discrete_levels_are_the_steps_of_ddpm_alike() -> None:
    steps = Discrete(steps=8)(EVENLY) * 8
    assert steps.long().bincount().tolist() == [0, *[2_500] * 8]
    torch.testing.assert_close(steps, steps.round())
    thousand = Discrete()(EVENLY) * 1000
    torch.testing.assert_close(thousand, thousand.round())


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-0.5, 0.7)])
def test_logit_normal_levels_have_a_normal_logit(mean: float, std: float) -> None:
    logit = torch.logit(LogitNormal(mean=mean, std=std)(EVENLY))
    assert logit.mean().item() == pytest.approx(mean, abs=1e-3)
    assert logit.std().item() == pytest.approx(std, abs=1e-3)
    assert LogitNormal(mean=mean)(torch.tensor(0.5)).item() == pytest.approx(1 / (1 + math.exp(-mean)))


def test_impossible_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="got 0 noise levels"):
        Discrete(steps=0)
    with pytest.raises(ValueError, match="got a deviation of 0"):
        LogitNormal(std=0.0)
    with pytest.raises(ValueError, match="got a power of 0"):
        Noisier(power=0.0)


def test_a_power_of_uniform_looks_at_more_noise() -> None:
    t = Noisier(power=4.0)(torch.linspace(0, 1, 10_001))
    assert (t > 0.9).float().mean().item() == pytest.approx(1 - 0.9**4, abs=2e-3)
    assert torch.equal(Noisier(power=1.0)(t), Uniform()(t))
