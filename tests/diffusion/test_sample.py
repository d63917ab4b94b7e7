"""The walk itself: histories, legs, callbacks, randomness, and what is refused."""

from collections.abc import Callable

import pytest
import torch
from gaussian_world import PROCESSES, ar1, reaches_zero_snr
from torch import Tensor

from pixeldance.diffusion.denoise import Denoise
from pixeldance.diffusion.noise import Iid, generators
from pixeldance.diffusion.process import VP, Flow, Process, grid
from pixeldance.diffusion.sample import (
    Step,
    ancestral,
    annealed_langevin,
    ddim,
    dpmpp_2m,
    heun,
    predictor_corrector,
    sample,
)

COSINE = VP(betas="cosine")
WORLD = ar1()
RANDOM = {"ancestral": ancestral(), "langevin": annealed_langevin(2), "pc": predictor_corrector()}
EXACT = {"ddim": ddim(), "heun": heun(), "dpmpp_2m": dpmpp_2m()}


def start(b: int = 1) -> Tensor:
    return torch.randn(b, 4, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def noise_from(seeds: list[int]) -> Callable[[Tensor], Tensor]:
    rngs = generators(seeds)
    return lambda like: Iid()(like, rngs)


def counted(denoise: Denoise, levels: list[float]) -> Denoise:
    def counting(x: Tensor, t: Tensor) -> Tensor:
        assert t.ndim == 0
        levels.append(t.item())
        return denoise(x, t)

    return counting


@pytest.mark.parametrize(("name", "evaluations"), [("ddim", 5), ("heun", 9), ("dpmpp_2m", 5)])
def test_evaluations(name: str, evaluations: int) -> None:
    levels: list[float] = []
    times = grid(COSINE, 5, start=0.9)
    sample(counted(WORLD.denoiser(COSINE), levels), start(), times, COSINE, EXACT[name])
    assert len(levels) == evaluations
    assert set(levels) == set(times[:-1].tolist())  # never at t = 0


@pytest.mark.parametrize("name", EXACT)
def test_the_end_of_a_grid_is_the_clean_estimate_and_a_grid_of_one_time_is_no_step(name: str) -> None:
    x, denoise = start(), WORLD.denoiser(COSINE)
    last = sample(denoise, x, torch.tensor([0.5, 0.0]).double(), COSINE, EXACT[name])
    assert torch.equal(last, denoise(x, torch.tensor(0.5).double()))
    assert torch.equal(sample(denoise, x, torch.tensor([0.5]).double(), COSINE, EXACT[name]), x)


@pytest.mark.parametrize("name", [*EXACT, *RANDOM])
def test_the_state_is_float32(name: str) -> None:
    seen: list[torch.dtype] = []
    for x in (start().double(), start().bfloat16()):
        denoise = counted(lambda x, t: seen.append(x.dtype) or 0.5 * x, [])
        out = sample(denoise, x, grid(COSINE, 3, start=0.9), COSINE, {**EXACT, **RANDOM}[name], noise_from([0]))
        assert out.dtype == torch.float32
    assert set(seen) == {torch.float32}


# --- legs ---


def test_a_seam_between_two_legs_resets_the_history() -> None:
    times, denoise = grid(COSINE, 10, start=0.9), WORLD.denoiser(COSINE)
    for cut in (3, 7):
        half = sample(denoise, start(), times[: cut + 1], COSINE, dpmpp_2m())
        seam = sample(denoise, half, times[cut : cut + 2], COSINE, dpmpp_2m())
        first_order = sample(denoise, half, times[cut : cut + 2], COSINE, ddim())
        torch.testing.assert_close(seam, first_order)  # DPM-Solver++ without a history is DDIM
        whole = sample(denoise, start(), times[: cut + 2], COSINE, dpmpp_2m())
        assert (whole - seam).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["ddim", "heun", "ancestral", "pc"])
def test_steps_without_memory_do_not_feel_a_seam(name: str) -> None:
    step, times, denoise = {**EXACT, **RANDOM}[name], grid(COSINE, 8, start=0.9), WORLD.denoiser(COSINE)
    whole = sample(denoise, start(), times, COSINE, step, noise_from([3]))
    noise = noise_from([3])
    half = sample(denoise, start(), times[:5], COSINE, step, noise)
    assert torch.equal(sample(denoise, half, times[4:], COSINE, step, noise), whole)


def test_a_predictor_keeps_its_history_between_corrections() -> None:
    times, denoise = grid(COSINE, 8, start=0.9), WORLD.denoiser(COSINE)
    alone = sample(denoise, start(), times, COSINE, dpmpp_2m())
    assert torch.equal(sample(denoise, start(), times, COSINE, predictor_corrector(dpmpp_2m(), 0)), alone)
    corrected = sample(denoise, start(), times, COSINE, predictor_corrector(dpmpp_2m()), noise_from([0]))
    assert not torch.allclose(corrected, alone, atol=0.01)


@pytest.mark.parametrize("process", [p for p in PROCESSES.values() if reaches_zero_snr(p)], ids=repr)
@pytest.mark.parametrize(
    "step", [ddim(), ddim(1.0), dpmpp_2m(), predictor_corrector()], ids=lambda step: step.__qualname__
)
def test_zero_snr_at_the_top_of_a_grid_is_no_obstacle(process: Process, step: Step) -> None:
    """The estimate from pure noise is the mean; with it the first step keeps the noise and adds the right signal."""
    denoise, x = WORLD.denoiser(process), start()
    assert torch.isfinite(sample(denoise, x, grid(process, 4), process, step, noise_from([0]))).all()
    u = torch.tensor(0.9).double()
    found = sample(denoise, x, torch.stack([torch.ones_like(u), u]), process, ddim())
    mean = WORLD.mean.float()[:, None, None, None]
    torch.testing.assert_close(found, process.alpha(u).float() * mean + process.sigma(u).float() * x)
    upwards = grid(process, 4)[:-1].flip(0)
    for inversion in (ddim(), dpmpp_2m()):
        assert torch.isfinite(sample(denoise, x, upwards, process, inversion)).all()


# --- on_step ---


def test_on_step_sees_every_step_and_may_stop_the_walk() -> None:
    times, denoise = grid(COSINE, 6, start=0.9), WORLD.denoiser(COSINE)
    seen: list[tuple[int, Tensor]] = []
    last = sample(denoise, start(), times, COSINE, ddim(), on_step=lambda i, x: seen.append((i, x)))
    assert [index for index, _ in seen] == [0, 1, 2, 3, 4, 5]
    assert torch.equal(seen[-1][1], last)
    assert torch.equal(seen[2][1], sample(denoise, start(), times[:4], COSINE, ddim()))

    def stop(index: int, x: Tensor) -> None:
        if index == 2:
            raise KeyboardInterrupt

    levels: list[float] = []
    with pytest.raises(KeyboardInterrupt):
        sample(counted(denoise, levels), start(), times, COSINE, ddim(), on_step=stop)
    assert levels == times[:3].tolist()


# --- randomness ---


@pytest.mark.parametrize("name", RANDOM)
def test_a_clip_is_the_same_wherever_it_stands_in_a_batch(name: str) -> None:
    """To the bit, with a denoiser that is too; the corrector's step size must come from its own clip alone."""

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        return 0.7 * x

    times, x = grid(COSINE, 5, start=0.9), start(3) * torch.tensor([0.1, 1.0, 10.0]).reshape(3, 1, 1, 1, 1)
    together = sample(denoise, x, times, COSINE, RANDOM[name], noise_from([5, 6, 7]))
    for index in range(3):
        row = slice(index, index + 1)
        assert torch.equal(together[row], sample(denoise, x[row], times, COSINE, RANDOM[name], noise_from([5 + index])))


@pytest.mark.parametrize("name", RANDOM)
def test_seeds_are_what_makes_a_clip(name: str) -> None:
    times, denoise = grid(COSINE, 5, start=0.9), WORLD.denoiser(COSINE)
    one, same, other = (sample(denoise, start(), times, COSINE, RANDOM[name], noise_from([s])) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert (one - other).abs().max() > 0.05


# --- refusals ---


@pytest.mark.parametrize("step", [ddim(0.3), *RANDOM.values(), predictor_corrector(ddim())])
def test_a_stochastic_step_wants_noise(step: Step) -> None:
    with pytest.raises(ValueError, match="pass noise=, or use a step without randomness"):
        sample(WORLD.denoiser(COSINE), start(), grid(COSINE, 3, start=0.9), COSINE, step)


@pytest.mark.parametrize("name", EXACT)
def test_a_deterministic_step_draws_none(name: str) -> None:
    def noise(like: Tensor) -> Tensor:
        raise AssertionError("a deterministic step drew noise")

    sample(WORLD.denoiser(COSINE), start(), grid(COSINE, 3, start=0.9), COSINE, EXACT[name], noise)


@pytest.mark.parametrize("step", [heun(), annealed_langevin()], ids=["heun", "langevin"])
@pytest.mark.parametrize("process", [COSINE, Flow()], ids=repr)
def test_steps_that_need_signal_refuse_zero_snr(process: Process, step: Step) -> None:
    down = torch.tensor([1.0, 0.5]).double()
    for times in (down, down.flip(0)):
        with pytest.raises(ValueError, match="start the grid below it, or use dpmpp_2m or ddim"):
            sample(WORLD.denoiser(process), start(), times, process, step, noise_from([0]))


@pytest.mark.parametrize("step", [ddim(0.5), ancestral(), predictor_corrector()])
def test_inversion_is_deterministic(step: Step) -> None:
    with pytest.raises(ValueError, match="inversion is deterministic: use eta = 0"):
        sample(WORLD.denoiser(COSINE), start(), torch.tensor([0.1, 0.5]).double(), COSINE, step, noise_from([0]))


@pytest.mark.parametrize("step", [*EXACT.values(), *RANDOM.values()])
def test_no_step_leaves_clean_data(step: Step) -> None:
    with pytest.raises(ValueError, match="begin at the smallest t > 0"):
        sample(WORLD.denoiser(COSINE), start(), torch.tensor([0.0, 0.5]).double(), COSINE, step, noise_from([0]))


@pytest.mark.parametrize("eta", [-0.1, 1.1, float("nan"), float("inf")])
def test_eta_is_a_share(eta: float) -> None:
    with pytest.raises(ValueError, match="wanted a number from 0"):
        ddim(eta)
