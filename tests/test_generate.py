"""From instructions to latents: the seed contract, tau, guidance, and where the first frame comes from."""

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import TINY, random_parts
from torch import Tensor

from pixeldance.condition import MICRO, ImageSlots, ScheduledNoise, vector_width
from pixeldance.diffusion.noise import generators
from pixeldance.diffusion.process import EDM, VE, VP, Flow, Process, grid, level
from pixeldance.diffusion.resume import Point, resumable
from pixeldance.diffusion.sample import ancestral, ddim, dpmpp_2m
from pixeldance.generate import Sampling, encoded, generate, legs
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.system import Parts

TEXT = "a red circle moves right"


@pytest.fixture(scope="module")
def parts() -> Parts:
    return random_parts()


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def ask(text: str = TEXT, first: Any = 0, last: Any = 1) -> Instruction:
    """An instruction with noise pictures of these numbers; None leaves one out."""
    given = {FIRST: first, LAST: last}
    frames = {at: picture(p) if isinstance(p, int) else p for at, p in given.items() if p is not None}
    return Instruction(text=text, frames=frames, length=4, size=(32, 32))


def run(parts: Parts, *instructions: Instruction, seeds: Sequence[int] = (7,), **settings: Any) -> Tensor:
    """Latents; unless told otherwise without guidance, which takes twice as long."""
    return generate(parts, instructions, generators(seeds), Sampling(**{"guidance": 1.0} | settings))


# The seed contract: the same request, the same bytes.

REQUESTS = [ask("a red circle", i, i + 1) for i in range(6)] + [ask("a star", None, None), ask("a star", None, 3)]


def test_neighbours_and_order_change_no_bit(parts: Parts) -> None:
    seeds = range(8)
    how = {"steps": 2, "guidance": 2.0, "tau": 0.5}
    alone = [run(parts, request, seeds=[seed], **how)[0] for request, seed in zip(REQUESTS, seeds, strict=True)]
    three = run(parts, *REQUESTS[5:], seeds=seeds[5:], **how)
    eight = run(parts, *REQUESTS[::-1], seeds=seeds[::-1], **how)
    assert all(torch.equal(one, other) for one, other in zip(alone[5:], three, strict=True))
    assert all(torch.equal(one, other) for one, other in zip(alone, eight.flip(0), strict=True))


def test_a_stochastic_solver_keeps_the_contract(parts: Parts) -> None:
    both = run(parts, ask(), ask(first=2), seeds=[1, 2], solver=ancestral())
    assert torch.equal(both[1:], run(parts, ask(first=2), seeds=[2], solver=ancestral()))
    assert not torch.equal(both[1:], run(parts, ask(first=2), seeds=[2]))


def test_noised_pictures_keep_the_contract(parts: Parts) -> None:
    noisy = random_parts(replace(TINY, condition=replace(TINY.condition, noise=(0.3, 0.3), noise_at_inference=True)))
    calls = Watch(noisy).during(lambda: run(noisy, ask(), guidance=2.0, tau_steps=2))
    clean = Watch(parts).during(lambda: run(parts, ask(), guidance=2.0, tau_steps=2))
    assert all(
        torch.equal(call["concat"], calls[0]["concat"]) for call in calls[:4]
    )  # one noise for all steps and terms
    assert all(torch.equal(call["concat"][:, :, :48], calls[0]["concat"][:, :, :48]) for call in calls[4:])
    assert not any(torch.equal(one["concat"], other["concat"]) for one, other in zip(calls, clean, strict=True))
    assert torch.equal(calls[0]["x"], clean[0]["x"])
    assert torch.equal(run(noisy, ask(), tau=0.0), run(noisy, ask(last=None)))
    both = run(noisy, ask(), ask(first=2), seeds=[1, 2])
    assert torch.equal(both[1:], run(noisy, ask(first=2), seeds=[2]))


def test_noise_that_follows_the_video_fades_with_it() -> None:
    slots = replace(TINY.condition, noise=(0.0, ScheduledNoise(factor=0.5)), noise_at_inference=True)
    scheduled, clean = random_parts(replace(TINY, condition=slots)), random_parts()
    calls = Watch(scheduled).during(lambda: run(scheduled, ask(), guidance=2.0))
    bare = Watch(clean).during(lambda: run(clean, ask(), guidance=2.0))
    eps = torch.randn(48, 8, 8, generator=_after_the_start())
    for t, told, textless, without in zip(grid(TINY.process, 3)[:3], calls[::2], calls[1::2], bare[::2], strict=True):
        assert torch.equal(told["concat"], textless["concat"])
        first, last = told["concat"][0, 0, :49], told["concat"][0, 0, 49:97]
        assert torch.equal(first, without["concat"][0, 0, :49])
        share = 0.5 * float(TINY.process.sigma(t)) ** 2
        torch.testing.assert_close(last, (1 - share) ** 0.5 * without["concat"][0, 0, 49:97] + share**0.5 * eps)


def _after_the_start() -> torch.Generator:
    """The generator of `run` where the noise of a walk has been drawn from it."""
    (rng,) = generators([7])
    torch.randn(4, 48, 8, 8, generator=rng)
    return rng


def test_pictures_that_are_not_noised_take_nothing_from_the_generator(parts: Parts) -> None:
    """What the noise of training is does not touch the bytes of a stochastic solver."""
    noisy = random_parts(replace(TINY, condition=replace(TINY.condition, noise=(0.3, 0.3))))
    assert torch.equal(run(noisy, ask(), solver=ancestral()), run(parts, ask(), solver=ancestral()))


VECTOR = ("text", "fps", "size")


def test_rate_and_size_are_the_model_s_own_unless_asked_for() -> None:
    net = replace(TINY.net, vector=vector_width(VECTOR, 16))
    taught = random_parts(replace(TINY, vector=VECTOR, net=net))
    own = run(taught, replace(ask(), size=None))
    assert torch.equal(run(taught, replace(ask(), fps=TINY.fps)), own)
    assert (run(taught, replace(ask(), fps=24.0)) - own).abs().mean() > 1e-3
    wide = Watch(taught).during(lambda: run(taught, replace(ask(first=None, last=None), size=(32, 64))))
    told = Watch(taught).during(lambda: run(taught, ask(first=None, last=None)))
    for one, two in zip(wide, told, strict=True):
        starts = (16, 16 + MICRO, 16 + 2 * MICRO)
        same = [torch.equal(one["vector"][0, i : i + MICRO], two["vector"][0, i : i + MICRO]) for i in starts]
        assert same == [True, True, False], "the same rate and height, another width"
    rates = [call["vector"][0, 16 : 16 + MICRO] for call in told]
    assert [bool(rate.any()) for rate in rates] == [False] * 3 + [True] * 3, "the still has no rate, the video has"


def test_leading_frames_are_given_as_a_first_one_is() -> None:
    slots = ImageSlots(first=2)
    net = replace(TINY.net, concat=slots.channels(48))
    predicting = random_parts(replace(TINY, condition=slots, net=net))
    two = replace(ask(last=None), frames={0: picture(0), 1: picture(1)})
    calls = Watch(predicting).during(lambda: run(predicting, two))
    assert len(calls) == 3
    assert calls[0]["concat"][0, :, 48, 0, 0].tolist() == [1, 1, 0, 0]
    assert (run(predicting, two) - run(predicting, ask(last=None))).abs().mean() > 0.01


def test_a_model_without_picture_slots_makes_no_still_first() -> None:
    slots = ImageSlots(first=0, last=False)
    from_text = random_parts(replace(TINY, condition=slots, net=replace(TINY.net, concat=0)))
    calls = Watch(from_text).during(lambda: run(from_text, ask(first=None, last=None)))
    assert [call["x"].shape[1] for call in calls] == [4, 4, 4]
    with pytest.raises(ValueError, match="this model takes none"):
        run(from_text, ask(last=None))


@pytest.mark.parametrize(
    "other",
    [ask("a blue star moves left"), ask(first=5), ask(last=5), ask(last=None), ask(first=None)],
    ids=["text", "first", "last", "no last", "no first"],
)
def test_every_condition_reaches_the_video(parts: Parts, other: Instruction) -> None:
    assert (run(parts, ask()) - run(parts, other)).abs().mean() > 0.01


def test_the_seed_reaches_the_video(parts: Parts) -> None:
    assert (run(parts, ask()) - run(parts, ask(), seeds=[8])).abs().mean() > 0.01


# tau

PROCESSES: list[Process] = [
    VP(),
    VP(betas="scaled_linear", zero_terminal_snr=True),
    VP(betas="cosine", logsnr_shift=-1.8),
    VE(),
    Flow(),
    Flow(shift=3.0),
    EDM(),
]


def dropped_at(process: Process, steps: int, **settings: Any) -> tuple[float, float, int]:
    """Of the point where the last frame is dropped: its noise level, the widest grid step beside it, its number."""
    times = grid(process, steps)
    before, after = legs(process, times, Sampling(**settings))
    assert torch.equal(torch.cat([before, after[1:]]), times)
    assert before[-1] == after[0]
    levels = level(process, times)
    cut = len(before) - 1
    gaps = (levels[:-1] - levels[1:])[max(0, cut - 1) : cut + 1]
    return float(levels[cut]), float(gaps.max()), cut


@pytest.mark.parametrize("process", PROCESSES, ids=str)
@pytest.mark.parametrize("tau", [0.2, 0.4, 0.5, 0.6, 0.8])
def test_tau_means_one_noise_level_for_any_number_of_steps(process: Process, tau: float) -> None:
    wanted = (1 - tau) * float(level(process, torch.ones((), dtype=torch.float64)))
    found = {steps: dropped_at(process, steps, tau=tau) for steps in (8, 25, 50)}
    for at, gap, _ in found.values():
        assert abs(at - wanted) <= gap / 2 + 1e-12  # the nearest point of the grid
    for one, other in ((8, 25), (8, 50), (25, 50)):
        assert abs(found[one][0] - found[other][0]) <= max(found[one][1], found[other][1])


@pytest.mark.parametrize("process", PROCESSES, ids=str)
@pytest.mark.parametrize("steps", [1, 8, 25, 50])
def test_tau_0_never_follows_and_tau_1_never_drops_the_last_frame(process: Process, steps: int) -> None:
    assert dropped_at(process, steps, tau=0.0)[2] == 0
    assert dropped_at(process, steps, tau=1.0)[2] == steps


def test_tau_steps_is_a_count_of_steps() -> None:
    assert [dropped_at(VP(), 25, tau_steps=count)[2] for count in (0, 1, 12, 25)] == [0, 1, 12, 25]


def test_tau_0_equals_the_request_without_a_last_frame(parts: Parts) -> None:
    without = run(parts, ask(last=None))
    assert torch.equal(run(parts, ask(), tau=0.0), without)
    assert torch.equal(run(parts, ask(), tau_steps=0), without)
    assert not torch.equal(run(parts, ask(), tau=0.5), without)


def test_tau_1_is_the_default_and_follows_to_the_end(parts: Parts) -> None:
    whole = run(parts, ask())
    assert torch.equal(run(parts, ask(), tau=1.0), whole)
    assert torch.equal(run(parts, ask(), tau_steps=3), whole)
    assert not torch.equal(run(parts, ask(), tau_steps=2), whole)


def test_late_follows_the_last_frame_in_the_last_part_of_the_way(parts: Parts) -> None:
    assert torch.equal(run(parts, ask(), tau=0.0, late=True), run(parts, ask(last=None)))
    assert torch.equal(run(parts, ask(), tau=1.0, late=True), run(parts, ask()))
    early, late = (run(parts, ask(), tau_steps=1, late=late) for late in (False, True))
    others = [run(parts, ask()), run(parts, ask(last=None)), early]
    assert not any(torch.equal(late, other) for other in others)
    assert [dropped_at(VP(), 25, tau_steps=count, late=True)[2] for count in (0, 1, 12, 25)] == [25, 24, 13, 0]
    assert dropped_at(VP(), 25, tau=0.3, late=True) == dropped_at(VP(), 25, tau=0.7)


def test_every_step_is_seen_once_over_both_legs(parts: Parts) -> None:
    for tau in (0.0, 0.4, 1.0):
        seen: list[tuple[int, Tensor]] = []
        sampling = Sampling(steps=5, guidance=1.0, tau=tau)
        x = generate(parts, [ask()], generators([7]), sampling, lambda i, x: seen.append((i, x)))  # noqa: B023
        assert [index for index, _ in seen] == [0, 1, 2, 3, 4]
        assert torch.equal(seen[-1][1], x)


# What the net is asked


class Watch:
    """The conditions of every evaluation of a net."""

    def __init__(self, parts: Parts) -> None:
        self.calls: list[dict[str, Tensor]] = []
        self.hook = parts.net.register_forward_pre_hook(self.see, with_kwargs=True)

    def see(self, net: Any, args: tuple[Any, ...], doors: dict[str, Tensor]) -> None:
        self.calls.append({"x": args[0], "at": args[1], **doors})

    def during(self, work: Callable[[], object]) -> list[dict[str, Tensor]]:
        try:
            work()
        finally:
            self.hook.remove()
        return self.calls


def test_guidance_1_asks_once_a_step_and_any_other_twice(parts: Parts) -> None:
    counts = [len(Watch(parts).during(lambda g=g: run(parts, ask(), guidance=g))) for g in (1.0, 2.0, 0.0)]
    assert counts == [3, 6, 3]  # a term of weight 0 is not asked for either


def test_the_unconditional_term_keeps_the_pictures(parts: Parts) -> None:
    calls = Watch(parts).during(lambda: run(parts, ask(), guidance=3.0))
    for told, textless in zip(calls[::2], calls[1::2], strict=True):
        assert torch.equal(told["concat"], textless["concat"])
        assert not torch.equal(told["vector"], textless["vector"])
        assert textless["mask"].sum() == 1  # of an empty text only the first token is left


def test_guidance_is_the_weighted_sum(parts: Parts) -> None:
    text, textless = (run(parts, ask(t), steps=1, guidance=1.0) for t in (TEXT, ""))
    torch.testing.assert_close(run(parts, ask(), steps=1, guidance=3.0), 3 * text - 2 * textless)


def test_after_tau_the_last_slot_is_that_of_no_last_frame(parts: Parts) -> None:
    calls = Watch(parts).during(lambda: run(parts, ask(), tau_steps=1))
    without = Watch(parts).during(lambda: run(parts, ask(last=None)))
    assert [torch.equal(a["concat"], b["concat"]) for a, b in zip(calls, without, strict=True)] == [False, True, True]


# Fewer passes: guidance in an interval of noise levels, deep features that steps share


def test_guidance_works_in_its_interval_only(parts: Parts) -> None:
    led, bare = run(parts, ask(), guidance=3.0), run(parts, ask())
    first = level(parts.system.process, grid(parts.system.process, 3))[:2].mean().item()
    counted = Watch(parts).during(lambda: run(parts, ask(), guidance=3.0, interval=(first, 1.0)))
    assert len(counted) == 4
    assert torch.equal(run(parts, ask(), guidance=3.0, interval=(0.0, 1.0)), led)
    assert torch.equal(run(parts, ask(), guidance=3.0, interval=(0.0, 0.0)), bare)
    own = copy(parts)
    own.system = replace(parts.system, interval=(first, 1.0))
    some = run(own, ask(), guidance=3.0)
    assert torch.equal(some, run(parts, ask(), guidance=3.0, interval=(first, 1.0)))
    assert not any(torch.equal(some, other) for other in (led, bare))


def deep(parts: Parts, **settings: Any) -> str:
    """Of each pass whether the whole network (W) or the finest level (f) was computed."""
    seen: list[str] = []
    hook = parts.net.register_forward_pre_hook(
        lambda net, args, doors: seen.append("f" if doors.get("deep") else "W"), with_kwargs=True
    )
    try:
        run(parts, ask(), **settings)
    finally:
        hook.remove()
    return "".join(seen)


def test_steps_share_deep_features(parts: Parts) -> None:
    assert deep(parts, steps=5) == "WWWWW"
    assert deep(parts, steps=5, reuse=2) == "WfWfW"
    assert deep(parts, steps=5, reuse=3, guidance=3.0) == "WWffffWWff"
    assert deep(parts, steps=5, reuse=3, tau_steps=1) == "WWfWf"  # nothing is handed on over the seam
    late = level(parts.system.process, grid(parts.system.process, 4))[1:3].mean().item()
    assert deep(parts, steps=4, reuse=4, guidance=3.0, interval=(0.0, late)) == "WffWff"  # a term's first pass is whole
    plain, shared = run(parts, ask(), steps=5), run(parts, ask(), steps=5, reuse=2)
    assert torch.equal(run(parts, ask(), steps=5, reuse=1), plain)
    assert not torch.equal(shared, plain)


def test_the_terms_of_guidance_share_nothing(parts: Parts) -> None:
    calls = Watch(parts).during(lambda: run(parts, ask(), guidance=3.0, reuse=3))
    kept = [id(call["deep"]) for call in calls]
    assert kept == kept[:2] * 3
    assert kept[0] != kept[1]


def test_a_walk_goes_on_bit_equal_where_the_next_pass_is_whole(parts: Parts) -> None:
    points = list[Point]()

    def walked(rng: torch.Generator, point: Point | None = None) -> Tensor:
        solver = resumable(dpmpp_2m(), rng, point, points.append)
        return generate(parts, [ask()], [rng], Sampling(steps=5, guidance=2.0, reuse=2, solver=solver))

    unbroken = walked(generators([7])[0])
    assert points[1].done == 2
    assert torch.equal(walked(generators([7])[0], points[1]), unbroken)


SHORT = {
    "interval": {"guidance": 3.0, "interval": (0.5, 1.0)},
    "reuse": {"reuse": 2},
    "ddim": {"solver": ddim()},
    "all": {"guidance": 3.0, "interval": (0.5, 1.0), "reuse": 3, "solver": ddim()},
}


@pytest.mark.parametrize("settings", SHORT.values(), ids=SHORT)
def test_tau_keeps_its_meaning_with_fewer_passes(parts: Parts, settings: dict[str, Any]) -> None:
    without = run(parts, ask(last=None), steps=5, **settings)
    assert torch.equal(run(parts, ask(), steps=5, tau=0.0, **settings), without)
    last = [run(parts, ask(), steps=5, tau=tau, **settings) for tau in (0.5, 1.0)]
    assert not torch.equal(last[0], last[1])
    cut = len(legs(parts.system.process, grid(parts.system.process, 5), Sampling(tau=0.5))[0]) - 1
    calls = Watch(parts).during(lambda: run(parts, ask(), steps=5, tau=0.5, **settings))
    levels = [float(call["at"]) for call in calls if call["concat"][:, :, -1].any()]  # the last slot's mask
    assert len(set(levels)) == cut


# Frames


def test_latents_handed_over_equal_the_encoded_picture(parts: Parts) -> None:
    latents = encoded(parts, ask())
    assert all(isinstance(frame, Tensor) for frame in latents.frames.values())
    assert torch.equal(run(parts, latents), run(parts, ask()))


def test_without_a_first_frame_the_text_makes_an_image_first(parts: Parts) -> None:
    calls = Watch(parts).during(lambda: run(parts, ask(first=None, last=None)))
    assert [call["x"].shape[1] for call in calls] == [1, 1, 1, 4, 4, 4]
    rng = generators([7])
    still = generate(parts, [Instruction(text=TEXT, length=1, size=(32, 32))], rng, Sampling(guidance=1.0))
    video = generate(parts, [ask(first=still[0, 0], last=None)], rng, Sampling(guidance=1.0))
    assert torch.equal(video, run(parts, ask(first=None, last=None)))


def test_an_image_is_made_from_its_text(parts: Parts) -> None:
    image = run(parts, Instruction(text=TEXT, length=1))
    assert image.shape == (1, 1, 48, 8, 8)


@pytest.mark.parametrize("frame", [np.zeros((64, 64, 3), np.uint8), torch.zeros(48, 1, 1), torch.zeros(1, 48, 8, 8)])
def test_frames_of_another_size_are_refused(parts: Parts, frame: Any) -> None:
    with pytest.raises(ValueError, match=r"wanted \(48, 8, 8\).*fit it first"):
        run(parts, ask(last=frame))


def test_weights_that_are_no_numbers_are_named(parts: Parts) -> None:
    broken = random_parts()
    broken.net.conv_in.load_state_dict({k: v * math.nan for k, v in broken.net.conv_in.state_dict().items()})
    with pytest.raises(ValueError, match="not made of numbers"):
        run(broken, ask())


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "got 0 steps; wanted 1 to 1000"),
        ({"steps": 10**9}, "wanted 1 to 1000"),
        ({"guidance": math.nan}, "got a guidance scale of nan; wanted a number from 0 to 100"),
        ({"guidance": math.inf}, "wanted a number from 0 to 100"),
        ({"guidance": -1.0}, "wanted a number from 0 to 100"),
        ({"tau": 1.2}, r"got tau = 1.2; wanted 0 .* to 1"),
        ({"tau": -0.1}, "got tau"),
        ({"tau": math.nan}, "got tau = nan"),
        ({"tau": 0.5, "tau_steps": 3}, "give one of them"),
        ({"tau_steps": -1}, "wanted 0 to the number of steps"),
        ({"steps": 8, "tau_steps": 9}, "wanted 0 to the number of steps, 8"),
        ({"interval": (0.6, 0.4)}, r"got a guidance interval of \(0.6, 0.4\); wanted two noise levels"),
        ({"interval": (0.0, math.nan)}, "got a guidance interval"),
        ({"reuse": 0}, "got reuse = 0; wanted 1"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling(**settings)


def test_a_solver_goes_by_its_name_too(parts: Parts) -> None:
    assert torch.equal(run(parts, ask(), solver="ancestral"), run(parts, ask(), solver=ancestral()))


def test_more_tau_steps_than_the_model_has_steps_are_refused(parts: Parts) -> None:
    with pytest.raises(ValueError, match="wanted 0 to the number of steps, 3"):
        run(parts, ask(), tau_steps=4)


@pytest.mark.parametrize("process", [VE(), EDM()])
def test_a_walk_starts_at_the_noise_of_its_process(process: VE | EDM):
    """Variance-exploding processes start from sigma(1) eps, not from unit noise."""
    seen: list[float] = []
    parts = random_parts(replace(TINY, process=process, prediction="edm"))
    rng = generators([0])[0]
    still = Instruction(text="a red star", length=1)

    def watch(module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        seen.append(float(arguments[0].std()))

    parts.net.register_forward_pre_hook(watch)
    generate(parts, [still], [rng], Sampling(steps=1, guidance=1.0))
    # EDM's c_in brings unit variance back; unit noise would come out at 1 / sigma(1).
    assert seen[0] == pytest.approx(1.0, rel=0.05)
