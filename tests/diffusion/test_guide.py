import itertools
from collections.abc import Callable

import pytest
import torch
from gaussian_world import PROCESSES, GaussianWorld, ar1, ends, moments
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pixeldance.diffusion.denoise import Cond, Denoise
from pixeldance.diffusion.guide import Window, clip, guided, hold, steer, windows
from pixeldance.diffusion.noise import Iid, generators
from pixeldance.diffusion.process import VP, Flow, Process, corrupt, grid, per_sample
from pixeldance.diffusion.sample import ancestral, ddim, dpmpp_2m, sample

COSINE = VP(betas="cosine")
T = torch.tensor(0.4, dtype=torch.float64)


def mixture(worlds: list[GaussianWorld], process: Process) -> tuple[Callable[..., Tensor], list[Cond]]:
    """A model that knows several worlds; condition i asks for world i."""
    conds = [Cond(vector=torch.full((1, 1), float(index))) for index in range(len(worlds))]

    def model(x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        assert cond.vector is not None
        return worlds[int(cond.vector)].denoiser(process)(x, t)

    return model, conds


def noise_like(rngs: list[torch.Generator]) -> Callable[[Tensor], Tensor]:
    return lambda like: Iid()(like, rngs)


# --- guided ---


@given(
    st.lists(st.floats(-8, 8), min_size=1, max_size=3), st.sampled_from(list(PROCESSES.values())), st.floats(0.05, 0.95)
)
@settings(max_examples=25)
def test_guidance_means_the_same_in_x0_and_eps(free: list[float], process: Process, t: float) -> None:
    weights = [*free, 1 - sum(free)]
    worlds = [ar1(3, 0.2 + 0.2 * i, 0.5 + 0.2 * i) for i in range(len(weights))]
    model, conds = mixture(worlds, process)
    x, level = worlds[0].marginal(process, t).draw((1, 4, 4)), torch.tensor(t).double()
    alpha, sigma = ends(process, t)
    eps = sum(w * (x - alpha * model(x, level, cond)) / sigma for w, cond in zip(weights, conds, strict=True))
    found = guided(model, list(zip(weights, conds, strict=True)))(x, level)
    torch.testing.assert_close(found, (x - sigma * eps) / alpha, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("weight", [0.3, 1.7, -0.4])
def test_guidance_follows_the_product_of_densities(weight: float) -> None:
    """p^w q^(1-w) of two Gaussians is Gaussian, of precision w P + (1 - w) Q; its score gives the estimate."""
    worlds, process = [ar1(4, 0.8, 0.7), ar1(4, 0.3, 0.9)], COSINE
    model, conds = mixture(worlds, process)
    x = worlds[0].marginal(process, T).draw((1, 8, 8))
    noisy = [world.marginal(process, T) for world in worlds]
    mix = [weight, 1 - weight]
    precisions = [w * torch.linalg.inv(world.cov) for w, world in zip(mix, noisy, strict=True)]
    precision = sum(precisions)
    mean = torch.linalg.solve(precision, sum(p @ world.mean for p, world in zip(precisions, noisy, strict=True)))
    score = -(precision @ (x.flatten(2) - mean[:, None])).reshape(x.shape)
    alpha, sigma = ends(process, T)
    found = guided(model, list(zip(mix, conds, strict=True)))(x, T)
    torch.testing.assert_close(found, (x + sigma**2 * score) / alpha)


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_what_guidance_samples(scale: float) -> None:
    """Of two worlds of one covariance, guidance at scale s makes N(s m + (1 - s) n, C), exactly."""
    asked = ar1()
    plain = GaussianWorld(-0.5 * asked.mean + 0.2, asked.cov)
    model, (cond, without) = mixture([asked, plain], COSINE)
    x = torch.randn(1, 4, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    denoise = guided(model, [(scale, cond), (1 - scale, without)])
    mean, cov = moments(sample(denoise, x, grid(COSINE, 40, "logsnr"), COSINE, dpmpp_2m()))
    torch.testing.assert_close(mean, scale * asked.mean + (1 - scale) * plain.mean, rtol=0, atol=0.07)
    torch.testing.assert_close(cov, asked.cov, rtol=0, atol=0.07)


def test_a_term_of_weight_zero_is_not_computed() -> None:
    asked = []

    def model(x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        asked.append(cond)
        return x

    conds = [Cond(), Cond(), Cond()]
    x = torch.randn(1, 1, 1, 2, 2)
    found = guided(model, [(1.0, conds[0]), (0.0, conds[1]), (0.0, conds[2])])(x, T)
    assert len(asked) == 1
    assert asked[0] is conds[0]
    assert torch.equal(found, x)


@pytest.mark.parametrize("weights", [(2.0,), (1.0, 0.5), (2.0, -1.01), (), (float("nan"), 1.0)])
def test_weights_must_sum_to_one(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"wanted 1, e\.g\. \[\(2, cond\), \(-1, without\)\]"):
        guided(lambda x, t, cond: x, [(weight, Cond()) for weight in weights])


# --- hold ---


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("process", [VP(), COSINE, Flow()], ids=repr)
def test_what_is_held_follows_the_forward_marginal(process: Process, eta: float) -> None:
    world, times = ar1(), grid(process, 12)
    rngs = generators([5])
    known = torch.linspace(-2, 2, 96 * 96).reshape(1, 1, 1, 96, 96).expand(1, 4, 1, 96, 96)
    mask = torch.tensor([True, False, False, True])[None, :, None, None, None]
    start = corrupt(process, known, Iid()(known, rngs), times[0])
    seen = []
    denoise = hold(world.denoiser(process), known, mask)
    last = sample(denoise, start, times, process, ddim(eta), noise_like(rngs), lambda index, x: seen.append(x))
    for x, t in zip(seen[:-1], times[1:], strict=False):
        alpha, sigma = ends(process, t)
        mean, cov = moments(((x - alpha * known) / sigma)[:, [0, 3]])
        torch.testing.assert_close(mean, torch.zeros(2).double(), rtol=0, atol=5 / 96)
        torch.testing.assert_close(cov, torch.eye(2).double(), rtol=0, atol=5 * 2**0.5 / 96)
    assert torch.equal(last[:, [0, 3]], known[:, [0, 3]])
    moved = (((seen[-2] - ends(process, times[-2])[0] * known) / ends(process, times[-2])[1]) - start)[:, 0].std()
    assert (moved < 0.05) == (eta == 0)  # the noise of the start stays where nothing is random, and is renewed else


def test_hold_leaves_the_rest_alone() -> None:
    x, known = torch.randn(2, 2, 3, 1, 2, 2)
    mask = torch.rand(2, 3, 1, 2, 2) < 0.5
    found = hold(lambda x, t: 2 * x, known, mask)(x, T)
    assert torch.equal(found[mask], known[mask])
    assert torch.equal(found[~mask], 2 * x[~mask])


# --- steer ---


@pytest.mark.parametrize("by_frame", [False, True])
def test_steering_by_the_likelihood_is_conditioning(by_frame: bool) -> None:
    """loss = -log p(known | x_t) with scale sigma^2 / alpha makes the denoiser of the conditional world."""
    world, frames, values = ar1(5), [0, 4], torch.tensor([1.5, -0.7]).double()
    process = COSINE
    t = torch.tensor([[0.4], [0.7]], dtype=torch.float64).expand(2, 5) if by_frame else T
    x = world.marginal(process, T).draw((1, 4, 4), batch=2)
    variance = [world.uncertainty(process, level)[frames][:, frames] for level in (t[:, 0] if by_frame else (T, T))]
    precision = torch.linalg.inv(torch.stack(variance))

    def minus_log_likelihood(x0: Tensor) -> Tensor:
        off = x0[:, frames].flatten(2) - values[:, None]
        return 0.5 * (off * (precision @ off)).sum((1, 2))

    steered = steer(world.denoiser(process), minus_log_likelihood, lambda t: process.sigma(t) ** 2 / process.alpha(t))
    rest = world.given(frames, values.tolist()).span(slice(1, 4))
    found = steered(x, t)
    torch.testing.assert_close(found[:, 1:4], rest.denoiser(process)(x[:, 1:4], t[:, 1:4] if by_frame else t))
    torch.testing.assert_close(found[:, frames], values[:, None, None, None].expand(2, 2, 1, 4, 4))


def test_steering_samples_the_conditional_world() -> None:
    world, process = ar1(), COSINE
    known = world.given([0], [1.5])

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        variance = world.uncertainty(process, t)[0, 0]
        return steer(
            world.denoiser(process),
            lambda x0: 0.5 * (x0[:, 0] - 1.5).square() / variance,
            lambda t: process.sigma(t) ** 2 / process.alpha(t),
        )(x, t)

    times = grid(process, 40, "logsnr", start=0.98)
    x = known.marginal(process, 0.98).draw((1, 64, 64))
    mean, cov = moments(sample(denoise, x, times, process, dpmpp_2m()))
    assert mean[0].item() == pytest.approx(1.5, abs=1e-3)
    torch.testing.assert_close(mean, known.mean, rtol=0, atol=0.05)
    torch.testing.assert_close(cov, known.cov, rtol=0, atol=0.05)


def reconstruction(weight: float, process: Process) -> float:
    """The mean of frame 1 where frame 0 is 1.5, sampled by replacement and `weight` of VDM's gradient."""
    world = five_frames()
    rngs = generators([0])
    x = Iid()(torch.empty(1, 5, 1, 48, 48), rngs)
    known, mask = torch.full_like(x, 1.5), torch.tensor([True, *[False] * 4])[None, :, None, None, None]
    denoise: Denoise = world.denoiser(process)
    if weight:
        denoise = steer(
            denoise,
            lambda x0: ((x0 - known) * mask).square().flatten(1).sum(1),
            lambda t: weight * process.alpha(t) / 2,
        )
    times = grid(process, 60)
    return sample(hold(denoise, known, mask), x, times, process, ancestral(), noise_like(rngs))[:, 1].mean().item()


def five_frames() -> GaussianWorld:
    index = torch.arange(5, dtype=torch.float64)
    return GaussianWorld(torch.zeros(5).double(), torch.exp(-0.3 * (index[:, None] - index).abs()))


def test_replacement_is_weak_and_reconstruction_guidance_the_cure() -> None:
    """arXiv 2204.03458, sec. 3.1, in numbers: replacement alone reaches half of what frame 0 should do to frame 1."""
    truth = five_frames().given([0], [1.5]).mean[1].item()
    replaced, guided_by_gradient = (reconstruction(weight, COSINE) for weight in (0.0, 2.0))
    assert truth == pytest.approx(1.11, abs=0.01)
    assert replaced == pytest.approx(0.57, abs=0.05)
    assert guided_by_gradient == pytest.approx(0.91, abs=0.05)


def test_steering_works_where_gradients_are_off_and_leaves_none_behind() -> None:
    world, x = ar1(), torch.randn(1, 4, 1, 2, 2)
    steered = steer(world.denoiser(COSINE), lambda x0: x0.square(), 0.3)
    expected = steered(x, T)
    weight = torch.linalg.solve(world.marginal(COSINE, T).cov, ends(COSINE, T)[0] * world.cov).T
    x0 = world.denoiser(COSINE)(x, T)
    gradient = (2 * weight.T @ x0.flatten(2).double()).reshape(x.shape)
    torch.testing.assert_close(expected, (x0 - 0.3 * gradient).float())
    assert not expected.requires_grad
    assert not x.requires_grad
    with torch.no_grad():
        assert torch.equal(steered(x, T), expected)
    with torch.inference_mode():
        assert torch.equal(steered(x.clone(), T), expected)


# --- windows ---


@given(st.integers(1, 9), st.data())
@settings(max_examples=25)
def test_windows_merge_by_least_squares(f: int, data: st.DataObject) -> None:
    """Exact denoisers of overlapping windows; the merge minimises the sum of squared distances to all of them."""
    world, process = ar1(f), Flow()
    ends_of = st.tuples(st.integers(0, f - 1), st.integers(1, f)).map(lambda p: slice(p[0], max(p[0] + 1, p[1])))
    spans = [*data.draw(st.lists(ends_of, max_size=4)), slice(0, (f + 1) // 2), slice((f + 1) // 2 - 1, f)]
    t = data.draw(st.sampled_from([T, torch.full((2,), 0.3).double(), torch.linspace(0.1, 0.9, 2 * f).reshape(2, f)]))
    x = world.marginal(process, T).draw((1, 2, 2), batch=2)

    def part(level: Tensor, span: slice) -> Tensor:
        return level[:, span] if level.ndim == 2 else level

    rows = torch.cat([torch.eye(f).double()[span] for span in spans])
    wanted = torch.cat([world.span(span).denoiser(process)(x[:, span], part(t, span)) for span in spans], 1)
    merged = torch.linalg.lstsq(rows.expand(2, -1, -1), wanted.flatten(2)).solution.reshape(x.shape)
    found = windows(lambda span: world.span(span).denoiser(process), spans)(x, t)
    torch.testing.assert_close(found, merged)


def test_windows_must_cover_every_frame() -> None:
    denoise = windows(lambda span: lambda x, t: x, [slice(0, 2), slice(3, 4)])
    with pytest.raises(ValueError, match=r"leave out frames \[2, 4\]; wanted spans that cover all frames"):
        denoise(torch.zeros(1, 5, 1, 1, 1), T)


@given(st.integers(1, 12), st.data())
def test_the_windows_of_a_video_cover_it_and_none_is_longer(length: int, data: st.DataObject) -> None:
    stride, frames = data.draw(st.integers(1, length)), data.draw(st.integers(1, 40))
    spans = Window(length=length, stride=stride).spans(frames)
    if frames <= length:
        assert spans == [slice(None)]
        return
    covered = [index for span in spans for index in range(frames)[span]]
    assert set(covered) == set(range(frames))
    assert {span.stop - span.start for span in spans} == {length}
    assert all(0 < later.start - earlier.start <= stride for earlier, later in itertools.pairwise(spans))


def test_one_window_over_all_is_the_denoiser_itself() -> None:
    def denoise(x: Tensor, t: Tensor) -> Tensor:
        return -x

    assert windows(lambda span: denoise, [slice(None)]) is denoise
    with pytest.raises(ValueError, match="wanted 1 <= stride <= length"):
        Window(length=4, stride=5)


def test_guidance_may_rise_from_frame_to_frame() -> None:
    model, conds = mixture([ar1(4, 0.5), ar1(4, 0.9)], COSINE)
    x = torch.randn(2, 4, 1, 3, 3)
    weight = torch.tensor([1.0, 1.5, 2.0, 4.0])
    found = guided(model, [(weight, conds[0]), (1 - weight, conds[1])])(x, T)
    for frame, scale in enumerate(weight.tolist()):
        alike = guided(model, [(scale, conds[0]), (1 - scale, conds[1])])(x, T)
        torch.testing.assert_close(found[:, frame], alike[:, frame])
    with pytest.raises(ValueError, match="sum to"):
        guided(model, [(weight, conds[0]), (1 - weight.flip(0), conds[1])])


# --- clip, and all of them together ---


def test_clip() -> None:
    x = torch.tensor([-3.0, -1.0, 0.2, 1.0, 7.0]).reshape(1, 5, 1, 1, 1)
    assert clip(lambda x, t: x)(x, T).flatten().tolist() == pytest.approx([-1, -1, 0.2, 1, 1])
    assert clip(lambda x, t: x, 0.0, 2.0)(x, T).flatten().tolist() == pytest.approx([0, 0, 0.2, 1, 2])


def test_they_nest_and_pass_the_level_on() -> None:
    levels = []

    def model(x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        levels.append(t)
        return 3 * x

    x, t = torch.ones(2, 4, 1, 1, 1), torch.linspace(0.1, 0.8, 8).reshape(2, 4)
    mask = torch.tensor([True, False, False, False])[None, :, None, None, None]
    inner = windows(lambda span: guided(model, [(2.0, Cond()), (-1.0, Cond())]), [slice(0, 3), slice(2, 4)])
    found = hold(clip(steer(inner, lambda x0: x0, per_level)), torch.zeros_like(x), mask)(x, t)
    assert [tuple(level.shape) for level in levels] == [(2, 3), (2, 3), (2, 2), (2, 2)]
    assert torch.equal(levels[2], t[:, 2:])
    torch.testing.assert_close(found, torch.where(mask, 0.0, (3 - 3 * per_sample(per_level(t), x)).clamp(-1, 1)))


def per_level(t: Tensor) -> Tensor:
    return 1 + t
