from collections.abc import Callable

import pytest
import torch
from gaussian_world import moments
from hypothesis import given, settings
from hypothesis import strategies as st

from pixeldance.diffusion.noise import Iid, Mixed, Prior, Progressive, generators

LIKE = torch.zeros(1, 3, 2, 4, 4)


def batch(seeds: list[int], draws: int = 2) -> torch.Tensor:
    """What these seeds give in one batch, (draws, b, 3, 2, 4, 4)."""
    rngs = generators(seeds)
    return torch.stack([Iid()(LIKE.expand(len(seeds), *LIKE.shape[1:]), rngs) for _ in range(draws)])


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6))
@settings(max_examples=25)
def test_a_sample_has_its_own_noise_wherever_it_stands(seeds: list[int]) -> None:
    together = batch(seeds)
    for index, seed in enumerate(seeds):
        assert torch.equal(together[:, index], batch([seed])[:, 0])


def test_every_seed_draw_and_frame_has_other_noise() -> None:
    clips = batch([0, 1, 2**31, 2**32 - 1], draws=3)
    frames = clips.reshape(4 * 3 * 3, -1)
    likeness = torch.corrcoef(frames) - torch.eye(len(frames))
    assert likeness.abs().max() < 0.8


def test_standard_normal_and_independent_over_frames() -> None:
    noise = Iid()(torch.empty(2, 5, 1, 128, 128), generators([3, 4]))
    mean, cov = moments(noise)  # of 32768 samples: the tolerance is five deviations
    torch.testing.assert_close(mean, torch.zeros(5).double(), rtol=0, atol=5 / 32768**0.5)
    torch.testing.assert_close(cov, torch.eye(5).double(), rtol=0, atol=5 * (2 / 32768) ** 0.5)
    torch.testing.assert_close((noise**4).mean().item(), 3.0, rtol=0, atol=5 * (96 / noise.numel()) ** 0.5)


def test_the_dtype_of_the_video_changes_no_number() -> None:
    single = Iid()(LIKE, generators([7]))
    double = Iid()(LIKE.double(), generators([7]))
    assert double.dtype == torch.float64
    assert torch.equal(double, single.double())
    assert torch.equal(Iid()(LIKE.bfloat16(), generators([7])), single.bfloat16())


def test_torch_defaults_change_no_number() -> None:
    expected = Iid()(LIKE, generators([7]))
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.device("meta"):
            assert torch.equal(Iid()(LIKE, generators([7])), expected)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_one_generator_for_each_sample(count: int) -> None:
    with pytest.raises(ValueError, match=f"got {count} generators for a batch of 2; wanted one per sample"):
        Iid()(torch.zeros(2, 3, 1, 1, 1), generators(list(range(count))))


PRIORS = {
    "mixed": (Mixed(share=0.3), lambda apart: 0.3 if apart else 1.0),
    "all shared": (Mixed(share=1.0), lambda apart: 1.0),
    "progressive": (Progressive(correlation=0.8), lambda apart: 0.8**apart),
    "alike": (Progressive(correlation=1.0), lambda apart: 1.0),
}


@pytest.mark.parametrize(("prior", "correlation"), PRIORS.values(), ids=PRIORS)
def test_frames_share_noise_as_the_formula_says(prior: Prior, correlation: Callable[[int], float]) -> None:
    noise = prior(torch.empty(2, 5, 1, 128, 128), generators([3, 4]))
    expected = torch.tensor([[correlation(abs(i - j)) for j in range(5)] for i in range(5)]).double()
    torch.testing.assert_close(moments(noise)[1], expected, rtol=0, atol=5 * (2 / 32768) ** 0.5)
    alone = prior(torch.empty(1, 5, 1, 128, 128), generators([4]))
    assert torch.equal(noise[1], alone[0])


def test_priors_that_share_nothing_are_independent() -> None:
    like = torch.empty(1, 3, 2, 4, 4)
    independent = Iid()(like, generators([7]))
    assert torch.equal(Mixed(share=0.0)(like, generators([7])), independent)
    assert torch.equal(Progressive(correlation=0.0)(like, generators([7])), independent)


@pytest.mark.parametrize("make", [lambda: Mixed(share=1.1), lambda: Progressive(correlation=-0.1)])
def test_more_than_all_is_refused(make: Callable[[], Prior]) -> None:
    with pytest.raises(ValueError, match=r"wanted 0 .* to 1"):
        make()
