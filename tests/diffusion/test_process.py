import math

import numpy as np
import pytest
import torch
from gaussian_world import PROCESSES, reaches_zero_snr
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pixeldance.diffusion.process import (
    EDM,
    VE,
    VP,
    Flow,
    Process,
    corrupt,
    grid,
    level,
    logsnr,
    noise_share,
    per_sample,
    share_at_step,
    time_of_ratio,
)

every_process = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES.keys())
LINE = torch.linspace(0, 1, 1001, dtype=torch.float64)


def at(t: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(t, dtype=dtype)


def discrete_alpha_bar(betas: str) -> np.ndarray:
    """alpha_bar of DDPM's steps 1..1000, as the papers' own code makes it."""
    if betas == "linear":
        beta = np.linspace(1e-4, 0.02, 1000)
    else:
        beta = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    return np.cumprod(1 - beta)


# --- the processes ---


@every_process
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_clean_data_is_exact_at_zero(process: Process, dtype: torch.dtype) -> None:
    assert process.alpha(at(0.0, dtype)) == 1
    assert process.sigma(at(0.0, dtype)) == 0
    assert process.alpha(at(0.5, dtype)).dtype == process.sigma(at(0.5, dtype)).dtype == dtype


@given(
    st.floats(-12, 12),
    st.sampled_from(["linear", "scaled_linear", "cosine"]),
    st.booleans(),
    st.sampled_from([torch.float32, torch.float64]),
)
@settings(max_examples=40)
def test_clean_data_is_exact_at_zero_for_any_shift(shift: float, betas: str, zero: bool, dtype: torch.dtype) -> None:
    process = VP(betas=betas, logsnr_shift=shift, zero_terminal_snr=zero)
    assert process.alpha(at(0.0, dtype)) == 1
    assert process.sigma(at(0.0, dtype)) == 0


@pytest.mark.parametrize("name", [name for name, process in PROCESSES.items() if isinstance(process, VP)])
def test_vp_preserves_variance(name: str) -> None:
    alpha, sigma = PROCESSES[name].alpha(LINE), PROCESSES[name].sigma(LINE)
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(LINE), rtol=0, atol=1e-14)


@every_process
def test_noise_only_grows(process: Process) -> None:
    assert (process.alpha(LINE).diff() <= 0).all()
    assert (process.sigma(LINE).diff() >= 0).all()
    assert (logsnr(process, LINE).diff() < 0).all()
    assert (level(process, LINE).diff() > 0).all()


@every_process
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_level_is_a_scale_from_clean_to_pure_noise(process: Process, dtype: torch.dtype) -> None:
    scale = level(process, LINE.to(dtype))
    assert scale[0] == 0
    assert 0.9 < scale[-1] <= 1
    assert (scale[-1] == 1) == reaches_zero_snr(process)


def test_level_is_the_time_of_the_cosine_process() -> None:
    torch.testing.assert_close(level(VP(betas="cosine"), LINE), LINE)
    torch.testing.assert_close(level(Flow(), at(0.5)), at(0.5))


@every_process
def test_the_noise_share_is_the_variance_that_is_noise(process: Process) -> None:
    share = noise_share(process, LINE)
    assert share[0] == 0
    torch.testing.assert_close(share, torch.sin(level(process, LINE) * math.pi / 2) ** 2)


@pytest.mark.parametrize("betas", ["linear", "scaled_linear"])
def test_the_share_at_a_step_of_ddpm(betas: str) -> None:
    for step in (1, 100, 1000):
        assert share_at_step(VP(betas=betas), step) == pytest.approx(1 - discrete_alpha_bar(betas)[step - 1], rel=1e-9)
    assert share_at_step(VP(), 0) == 0
    assert share_at_step(VP(), 100) == pytest.approx(0.10, abs=0.005), "the level at which PixelDance noises pictures"
    for step in (-1, 1001):
        with pytest.raises(ValueError, match=f"got step {step}; wanted one of this process, 0 to 1000"):
            share_at_step(VP(), step)


@pytest.mark.parametrize("betas", ["linear", "scaled_linear"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_discrete_betas_are_the_papers(betas: str, dtype: torch.dtype) -> None:
    steps = torch.arange(1, 1001, dtype=torch.float64) / 1000
    alpha_bar = VP(betas=betas).alpha(steps.to(dtype)).double() ** 2
    tolerance = 1e-12 if dtype == torch.float64 else 1e-4  # half a percent of a step is what float32 tells of t
    np.testing.assert_allclose(alpha_bar.numpy(), discrete_alpha_bar(betas), rtol=tolerance)


def test_discrete_betas_between_steps() -> None:
    log_alpha_bar = 2 * VP().alpha(at(0.5) + torch.tensor([0.0, 0.00025, 0.001]).double()).log()
    torch.testing.assert_close(log_alpha_bar[1], 0.75 * log_alpha_bar[0] + 0.25 * log_alpha_bar[2])


def test_the_number_of_discrete_steps() -> None:
    alpha = VP(steps=10).alpha(at(0.3))
    np.testing.assert_allclose(alpha.item() ** 2, np.prod(1 - np.linspace(1e-4, 0.02, 10)[:3]))


def test_cosine() -> None:
    torch.testing.assert_close(VP(betas="cosine").alpha(LINE), torch.cos(LINE * math.pi / 2), rtol=0, atol=1e-9)
    torch.testing.assert_close(VP(betas="cosine").sigma(LINE), torch.sin(LINE * math.pi / 2), rtol=0, atol=1e-9)


@given(st.floats(-8, 8), st.sampled_from(["linear", "scaled_linear", "cosine"]), st.booleans(), st.floats(0.01, 0.99))
@settings(max_examples=40)
def test_logsnr_shift_adds(shift: float, betas: str, zero: bool, t: float) -> None:
    plain, shifted = (VP(betas=betas, logsnr_shift=s, zero_terminal_snr=zero) for s in (0.0, shift))
    difference = logsnr(shifted, at(t)) - logsnr(plain, at(t))
    assert difference.item() == pytest.approx(shift, abs=1e-7)


@pytest.mark.parametrize("betas", ["linear", "scaled_linear"])
def test_zero_terminal_snr(betas: str) -> None:
    process = VP(betas=betas, zero_terminal_snr=True)
    assert process.alpha(at(1.0)) == 0
    assert process.sigma(at(1.0)) == 1
    # Algorithm 1 of arXiv 2305.08891 on the discrete steps; it keeps alpha of step 1, we that of step 0.
    alpha = discrete_alpha_bar(betas) ** 0.5
    papers = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    ours = process.alpha(torch.arange(1, 1001, dtype=torch.float64) / 1000)
    np.testing.assert_allclose(ours.numpy(), papers, atol=4e-5)


def test_zero_terminal_snr_changes_nothing_where_it_holds() -> None:
    both = [VP(betas="cosine", zero_terminal_snr=zero).alpha(LINE) for zero in (False, True)]
    torch.testing.assert_close(*both, rtol=1e-12, atol=0)


def test_variance_exploding() -> None:
    process = VE(sigma_min=0.02, sigma_max=30.0)
    assert (process.alpha(LINE) == 1).all()
    assert process.sigma(at(1.0)).item() == pytest.approx(30.0)
    assert process.sigma(at(1e-12)).item() == pytest.approx(0.02)
    ratios = process.sigma(LINE[2:]) / process.sigma(LINE[1:-1])  # NCSN's levels are a geometric sequence
    torch.testing.assert_close(ratios, torch.full_like(ratios, 1500**1e-3))


@given(st.floats(0.05, 20), st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=40)
def test_flow(shift: float, dtype: torch.dtype) -> None:
    process, t = Flow(shift=shift), LINE.to(dtype)
    assert process.alpha(at(1.0, dtype)) == 0  # exactly, whatever the shift
    torch.testing.assert_close(process.alpha(t) + process.sigma(t), torch.ones_like(t))
    torch.testing.assert_close(process.sigma(t) / process.alpha(t), shift * t / (1 - t))


def test_edm_walks_karras_levels() -> None:
    steps = 18
    t = torch.linspace(1, 0, steps, dtype=torch.float64)[:-1]
    i = np.arange(steps - 1)
    karras = (80 ** (1 / 7) + i / (steps - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    np.testing.assert_allclose(EDM().sigma(t).numpy(), karras)
    assert EDM().sigma(at(1e-12)).item() == pytest.approx(0.002)
    assert (EDM().alpha(LINE) == 1).all()


# --- corrupt ---


def test_levels_run_along_the_first_axes() -> None:
    x = torch.zeros(3, 3, 3, 3, 3)
    assert per_sample(torch.zeros(3), x).shape == (3, 1, 1, 1, 1)
    assert per_sample(torch.zeros(3, 3), x).shape == (3, 3, 1, 1, 1)
    assert per_sample(torch.zeros(()), x).shape == ()


@every_process
def test_corrupt_levels_by_sample_and_by_frame(process: Process) -> None:
    # Batch, frames, rows and columns are equally many: a level on the wrong axis would still broadcast.
    x0, eps = torch.randn(2, 3, 3, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([[0.0, 0.3, 0.9], [0.5, 0.1, 1.0], [0.2, 0.7, 0.6]], dtype=torch.float64)
    by_frame = corrupt(process, x0, eps, t)
    for b in range(3):
        for f in range(3):
            expected = process.alpha(t[b, f]) * x0[b, f] + process.sigma(t[b, f]) * eps[b, f]
            torch.testing.assert_close(by_frame[b, f], expected)
    assert torch.equal(by_frame[0, 0], x0[0, 0])
    by_sample = corrupt(process, x0, eps, t[0])
    torch.testing.assert_close(by_sample[1], corrupt(process, x0[1:2], eps[1:2], t[0, 1])[0])


def test_corrupt_keeps_the_dtype_of_the_video() -> None:
    x = torch.ones(2, 1, 1, 1, 1)
    for t in (at(0.5), torch.full((2,), 0.5, dtype=torch.float64)):
        assert corrupt(Flow(), x, x, t).dtype == torch.float32


# --- grids ---


@every_process
@pytest.mark.parametrize("spacing", ["uniform", "lowest", "logsnr", "karras"])
@pytest.mark.parametrize(("steps", "start"), [(1, 1.0), (2, 1.0), (10, 0.6)])
def test_a_grid_falls_from_start_to_zero(process: Process, spacing: str, steps: int, start: float) -> None:
    times = grid(process, steps, spacing, start=start)
    assert times.dtype == torch.float64
    assert len(times) == steps + 1
    assert times[0] == start
    assert times[-1] == 0
    assert (times.diff() < 0).all()


@every_process
@pytest.mark.parametrize("spacing", ["logsnr", "karras"])
def test_what_a_spacing_is_even_in(process: Process, spacing: str) -> None:
    times = grid(process, 12, spacing, start=0.9, end=0.01)[:-1]
    assert times[-1].item() == pytest.approx(0.01)
    ratio = process.sigma(times) / process.alpha(times)
    gaps = (ratio.log() if spacing == "logsnr" else ratio ** (1 / 7)).diff()
    torch.testing.assert_close(gaps, gaps.mean().expand(11), rtol=1e-6, atol=0)


def test_uniform_grid() -> None:
    torch.testing.assert_close(grid(Flow(), 4, start=0.8), torch.tensor([0.8, 0.6, 0.4, 0.2, 0]).double())


@pytest.mark.parametrize("how", [("karras", {"end": 1e-9}), ("lowest", {})], ids=str)
def test_karras_grid_is_edms_own(how: tuple[str, dict[str, float]]) -> None:
    spacing, ends = how
    sigma = EDM().sigma(grid(EDM(), 10, spacing, **ends))[:-1]
    i = np.arange(10)
    karras = (80 ** (1 / 7) + i / 9 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    np.testing.assert_allclose(sigma.numpy(), karras, rtol=1e-6)


@pytest.mark.parametrize("name", ["cosine", "flow", "zero_snr"])
def test_a_grid_from_zero_snr_spends_one_step_on_it(name: str) -> None:
    ratios = logsnr(PROCESSES[name], grid(PROCESSES[name], 10, "logsnr")[:-1])
    assert ratios[0] == -torch.inf
    assert torch.isfinite(ratios[1:]).all()
    torch.testing.assert_close(ratios[2:].diff(), (ratios[2] - ratios[1]).expand(7), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("steps", "options"),
    [(0, {}), (5, {"start": 1.5}), (5, {"start": 0.0}), (5, {"end": 0.0}), (5, {"start": 0.1, "end": 0.2})],
)
def test_numbers_that_make_no_grid(steps: int, options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="wanted steps >= 1 and 0 < end < start <= 1"):
        grid(VP(), steps, "logsnr", **options)
    with pytest.raises(ValueError, match="wanted steps"):
        grid(VP(), 5, "logsnr", start=math.nan)


def test_a_grid_that_could_not_fall() -> None:
    with pytest.raises(ValueError, match="wanted a smaller end"):
        grid(VP(betas="cosine"), 5, "logsnr", end=0.99999)  # both ends beyond the heaviest noise it tells apart


@given(st.sampled_from(list(PROCESSES.values())), st.lists(st.floats(0.001, 0.999), min_size=1, max_size=5))
@settings(max_examples=20)
def test_time_of_ratio_inverts(process: Process, times: list[float]) -> None:
    t = torch.tensor(times, dtype=torch.float64)
    torch.testing.assert_close(time_of_ratio(process, process.sigma(t) / process.alpha(t)), t, rtol=1e-7, atol=1e-9)
