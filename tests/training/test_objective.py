"""The instruction a clip is trained on, and the loss that is taken of it."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny import TINY, random_parts
from torch import Generator, Tensor

from pixeldance.condition import ImageSlots, ScheduledNoise, vector_width
from pixeldance.data.clip import Example
from pixeldance.diffusion.denoise import Cond, Denoiser
from pixeldance.diffusion.process import EDM, VP, Flow, Process
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.system import Parts, System
from pixeldance.training.levels import Discrete, LogitNormal
from pixeldance.training.objective import Objective, Weight, loss, misplaced

LATENT = TINY.net.channels


def example(frames: int = 6) -> Example:
    """A clip whose frame i holds the number i everywhere."""
    latents = torch.arange(frames).float()[:, None, None, None].expand(frames, LATENT, 8, 8).contiguous()
    return Example(text="a red star", latents=latents)


def noisy(seed: int, frames: int = 4, **about: Any) -> Example:
    """A clip of noise, at the usual deviation of latents."""
    rng = Generator().manual_seed(seed)
    return Example(text="a red star", latents=torch.randn(frames, LATENT, 8, 8, generator=rng), **about)


def rngs(count: int) -> list[Generator]:
    return [Generator().manual_seed(seed) for seed in range(count)]


def taken(parts: Parts, objective: Objective, *batch: Example, t: Sequence[float] = (0.5,), **how: Any) -> float:
    """The loss of clips at level t, each with a generator of its own."""
    levels = torch.tensor(t).expand(len(batch)) if len(t) == 1 else torch.tensor(t)
    with torch.no_grad():
        return loss(parts, objective, batch, levels, rngs(len(batch)), **how).item()


def instructed(objective: Objective, clip: Example, times: int = 1000) -> list[Instruction]:
    rng = torch.Generator().manual_seed(0)
    return [objective.instruct(clip, rng) for _ in range(times)]


def test_the_first_frame_is_always_the_true_one():
    assert all(float(each.frames[FIRST].mean()) == 0 for each in instructed(Objective(), example(), 100))


@pytest.mark.parametrize(("last_of", "chosen"), [(1, {5}), (3, {3, 4, 5})])
def test_the_last_frame_comes_from_the_last_k(last_of: int, chosen: set[int]):
    frames = [int(e.frames[LAST].mean()) for e in instructed(Objective(last_of=last_of, drop_last=0), example())]
    assert set(frames) == chosen
    for each in chosen:
        assert frames.count(each) / len(frames) == pytest.approx(1 / len(chosen), abs=0.04)


@pytest.mark.parametrize("eta", [0.0, 0.25, 1.0])
def test_the_last_frame_is_dropped_eta_of_the_time(eta: float):
    dropped = [LAST not in each.frames for each in instructed(Objective(drop_last=eta), example())]
    assert sum(dropped) / len(dropped) == pytest.approx(eta, abs=0.03)


def test_the_text_is_dropped_independently_of_the_last_frame():
    each = instructed(Objective(drop_text=0.2, drop_last=0.5), example())
    textless = [not e.text for e in each]
    both = [not e.text and LAST not in e.frames for e in each]
    assert sum(textless) / len(each) == pytest.approx(0.2, abs=0.03)
    assert sum(both) / len(each) == pytest.approx(0.1, abs=0.03)


def test_an_image_is_told_by_its_text_alone():
    assert all(not e.frames and e.length == 1 for e in instructed(Objective(), example(frames=1), 50))


@pytest.mark.parametrize("given", [0, 1, 3])
def test_the_first_k_frames_are_the_true_ones(given: int):
    for each in instructed(Objective(given=given, drop_last=0.5), example(), 100):
        assert {frame: float(latent.mean()) for frame, latent in each.frames.items() if frame != LAST} == {
            index: index for index in range(given)
        }
    assert all(e.frames.keys() - {LAST} == set() for e in instructed(Objective(given=0), example(), 20))
    assert not any(e.frames for e in instructed(Objective(given=0, drop_last=1), example(), 20))


def test_the_last_frame_is_none_of_those_given():
    drawn = {int(e.frames[LAST].mean()) for e in instructed(Objective(given=4, drop_last=0), example(), 200)}
    assert drawn == {4, 5}


def test_a_clip_without_a_frame_to_learn_is_refused():
    with pytest.raises(ValueError, match=r"got a clip of 3 frames with the first 3 given.*wanted longer clips"):
        Objective(given=3).instruct(example(3), Generator())
    assert Objective(given=3).instruct(example(1), Generator()).frames == {}


def test_rate_and_size_are_those_of_the_clip():
    for clip in (example(), replace(example(), fps=12.0, size=(48, 64))):
        (asked,) = instructed(Objective(), clip, 1)
        assert (asked.fps, asked.size) == (clip.fps, clip.size)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"given": -1}, "got given=-1"),
        ({"last_of": 0}, "last_of=0; wanted"),
        ({"drop_last": 1.1}, "got drop_last=1.1"),
        ({"drop_text": -0.1}, "drop_text=-0.1; wanted probabilities"),
        ({"drop_last": float("nan")}, "wanted probabilities"),
    ],
)
def test_impossible_objectives_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Objective(**settings)


# Levels


def test_stratified_levels_have_one_in_every_part():
    rng = Generator().manual_seed(0)
    for _ in range(20):
        t = Objective().draw(8, rng)
        assert ((t - 1e-3) / (1 - 1e-3) * 8).floor().tolist() == list(range(8))
    drawn = Objective(stratified=False).draw(8, rng)
    assert drawn.diff().lt(0).any(), "one by one they come in no order"


@pytest.mark.parametrize("stratified", [True, False])
def test_levels_come_from_the_distribution_stated(stratified: bool):
    steps = Objective(levels=Discrete(steps=10), stratified=stratified).draw(1000, Generator().manual_seed(0)) * 10
    torch.testing.assert_close(steps, steps.round())
    assert set(steps.round().tolist()) == set(range(1, 11))
    normal = Objective(levels=LogitNormal(mean=2.0, std=0.5), stratified=stratified)
    logit = torch.logit(normal.draw(4000, Generator().manual_seed(0)))
    assert logit.mean().item() == pytest.approx(2, abs=0.05)
    assert logit.std().item() == pytest.approx(0.5, abs=0.02)


# The loss


def silent(system: System = TINY) -> Parts:
    """Networks whose output is zero: the error is then the target itself."""
    parts = random_parts(system)
    parts.net.conv_out.load_state_dict({k: v * 0 for k, v in parts.net.conv_out.state_dict().items()})
    return parts


TARGETS = {
    "eps": (VP(), lambda a, s, x0, eps: eps),
    "v": (VP(betas="cosine"), lambda a, s, x0, eps: a * eps - s * x0),
    "x0": (VP(betas="scaled_linear"), lambda a, s, x0, eps: x0),
    "flow": (Flow(), lambda a, s, x0, eps: eps - x0),
}
WEIGHTS = {
    "eps": lambda snr, cap: min(snr, cap) / snr,
    "v": lambda snr, cap: min(snr, cap) / (snr + 1),
    "x0": lambda snr, cap: min(snr, cap),
}


@pytest.mark.parametrize("prediction", TARGETS)
@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_the_loss_is_the_squared_error_of_the_target(prediction: Any, t: float):
    process, target = TARGETS[prediction]
    clip, level = noisy(1), torch.tensor(t)
    eps = torch.randn(clip.latents.shape, generator=rngs(1)[0])
    wanted = target(process.alpha(level), process.sigma(level), clip.latents, eps).square().mean().item()
    assert taken(silent(replace(TINY, process=process, prediction=prediction)), Objective(), clip, t=[t]) == (
        pytest.approx(wanted, rel=1e-4)
    )


def level_weight(weight: Weight, process: Process, prediction: Any, t: Tensor) -> Tensor:
    return weight.by_level(Denoiser(torch.nn.Identity(), process, prediction), t)


@pytest.mark.parametrize("prediction", WEIGHTS)
def test_min_snr_in_each_prediction(prediction: Any):
    """The three forms of arXiv 2303.09556, sec. 3.4."""
    process, t = VP(betas="cosine"), torch.linspace(0.05, 0.95, 19)
    snr = (process.alpha(t) / process.sigma(t)) ** 2
    assert float(snr.min()) < 5 < float(snr.max())
    wanted = torch.tensor([WEIGHTS[prediction](value, 5) for value in snr.tolist()])
    torch.testing.assert_close(level_weight(Weight(cap=5), process, prediction, t), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("cap", "floor"), [(5.0, 0.0), (4.0, 1.0), (0.0, 1.0), (float("inf"), 0.0)])
def test_a_weight_means_the_same_error_of_x0_for_every_prediction(cap: float, floor: float):
    process, t = VP(betas="cosine"), torch.linspace(0.05, 0.95, 19)
    snr = (process.alpha(t) / process.sigma(t)) ** 2
    for prediction in ("eps", "v", "x0", "flow", "edm"):
        x = torch.zeros(19, 1, 1, 1, 1)
        # How far x0 moves where the network's output moves by 1.
        one, none = (
            Denoiser(lambda x, c_noise, out=out, **doors: x + out, process, prediction)(x, t, Cond()) for out in (1, 0)
        )
        of_x0 = level_weight(Weight(cap=cap, floor=floor), process, prediction, t) / (one - none).flatten() ** 2
        torch.testing.assert_close(of_x0, floor + snr.clamp(max=cap), rtol=1e-4, atol=1e-5)


def test_known_losses_are_points_of_one_family():
    process, t = VP(betas="cosine"), torch.linspace(0.05, 0.95, 19)
    for prediction, weight in (
        ("eps", Weight(cap=float("inf"))),
        ("v", Weight(cap=float("inf"), floor=1.0)),
        ("x0", Weight(cap=0.0, floor=1.0)),
    ):
        plain = level_weight(Weight(), process, prediction, t)
        assert plain.eq(1).all()
        torch.testing.assert_close(level_weight(weight, process, prediction, t), plain, rtol=1e-4, atol=1e-5)
    assert level_weight(Weight(), EDM(), "edm", t).eq(1).all()


@pytest.mark.parametrize("settings", [{"floor": 1.0}, {"cap": -1.0}, {"focus": -1.0}, {"cap": 5.0, "floor": -1.0}])
def test_impossible_weights_are_refused(settings: dict[str, float]):
    with pytest.raises(ValueError, match="wanted numbers of 0 or more, and a cap where there is a floor"):
        Weight(**settings)


def test_each_clip_counts_with_the_weight_of_its_level():
    parts, clips = random_parts(), [noisy(1), noisy(2)]
    weight = Weight(cap=4.0, floor=1.0)
    t = torch.tensor([0.1, 0.8])
    alone = [
        loss(parts, Objective(), [clip], level[None], [rng]).item()
        for clip, level, rng in zip(clips, t, rngs(2), strict=True)
    ]
    first, second = weight.by_level(parts.denoiser, t).tolist()
    assert first != pytest.approx(second)
    wanted = (first * alone[0] + second * alone[1]) / 2
    assert taken(parts, Objective(weight=weight), *clips, t=t.tolist()) == pytest.approx(wanted, rel=1e-5)


def halves() -> tuple[Example, Example]:
    """One clip with the object in its upper half, and in its lower."""
    clip, upper = noisy(1), torch.zeros(4, 8, 8)
    upper[:, :4] = 1.0
    return replace(clip, focus=upper), replace(clip, focus=1 - upper)


def test_focus_moves_the_loss_to_the_object():
    parts, (upper, lower) = random_parts(), halves()
    plain = taken(parts, Objective(), upper)
    top, bottom = (taken(parts, Objective(weight=Weight(focus=1e6)), clip) for clip in (upper, lower))
    assert (top + bottom) / 2 == pytest.approx(plain, rel=1e-4)
    assert abs(top - bottom) > 1e-3 * plain
    some = taken(parts, Objective(weight=Weight(focus=3.0)), upper)
    assert some == pytest.approx((4 * top + bottom) / 5, rel=1e-4)


def test_where_objects_are_not_known_all_places_count_alike():
    parts, unknown = random_parts(), noisy(1)
    weight = Weight(focus=5.0)
    everywhere = replace(unknown, focus=torch.full((4, 8, 8), 0.5))
    assert weight.by_place(unknown).eq(1).all()
    assert taken(parts, Objective(weight=weight), unknown) == taken(parts, Objective(), unknown)
    assert taken(parts, Objective(weight=weight), everywhere) == pytest.approx(taken(parts, Objective(), unknown))
    assert taken(parts, Objective(weight=weight), unknown, halves()[0]) > 0, "both kinds share a batch"


def test_however_a_batch_is_split_the_parts_average_to_it():
    parts = random_parts()
    objective = Objective(weight=Weight(cap=5.0, focus=4.0), drop_text=0.5)
    batch, generators = [noisy(1), halves()[0], noisy(3), halves()[1]], rngs(4)
    t = objective.draw(4, Generator().manual_seed(0))
    whole = taken(parts, objective, *batch, t=t.tolist())
    pieces = [loss(parts, objective, batch[i : i + 2], t[i : i + 2], generators[i : i + 2]).item() for i in (0, 2)]
    assert sum(pieces) / 2 == pytest.approx(whole, rel=1e-5)


def test_the_loss_is_a_function_of_its_generators():
    parts, batch, t = random_parts(), [noisy(1), noisy(2)], torch.tensor([0.3, 0.7])
    values = [
        loss(parts, Objective(), batch, t, [Generator().manual_seed(seed + i) for i in range(2)]).item()
        for seed in (1, 1, 5)
    ]
    assert values[0] == values[1] != values[2]


# What the network is told


def doors(parts: Parts, objective: Objective, *batch: Example, **how: Any) -> dict[str, Tensor]:
    """The condition that the network got while the loss was taken."""
    seen: dict[str, Tensor] = {}
    hook = parts.net.register_forward_pre_hook(
        lambda net, args, told: seen.update(told, x=args[0], autocast=torch.is_autocast_enabled("cpu")),
        with_kwargs=True,
    )
    try:
        taken(parts, objective, *batch, **how)
    finally:
        hook.remove()
    return seen


def slotted(slots: ImageSlots) -> System:
    return replace(TINY, condition=slots, net=replace(TINY.net, concat=slots.channels(LATENT)))


def test_pictures_are_noised_as_the_system_says():
    always = Objective(drop_last=0)
    share = ScheduledNoise(factor=0.5, most=0.3)
    system = slotted(ImageSlots(noise=(0.0, share)))
    parts = random_parts(system)
    clip, clean = noisy(1), doors(random_parts(slotted(ImageSlots())), always, noisy(1))["concat"]
    for t in (0.2, 0.5, 1.0):
        told = doors(parts, always, clip, t=[t])["concat"]
        assert torch.equal(told[:, 0], clean[:, 0]), "the first frame is kept"
        video = 1 - float(system.process.alpha(torch.tensor(t))) ** 2
        wanted = min(0.3, 0.5 * video)
        added = told[0, -1, :LATENT] - (1 - wanted) ** 0.5 * clean[0, -1, :LATENT]
        assert added.var().item() == pytest.approx(wanted, rel=0.1)


def test_k_frames_reach_the_slots_of_k_frames():
    parts = random_parts(slotted(ImageSlots(first=3)))
    told = doors(parts, Objective(given=3, drop_last=1.0), noisy(1, frames=5))["concat"]
    assert torch.equal(told[0, :3, :LATENT], noisy(1, frames=5).latents[:3])
    assert told[0, :, LATENT, 0, 0].tolist() == [1, 1, 1, 0, 0]
    with pytest.raises(ValueError, match=r"got pictures for frames \[1, 2\]; this model takes a first"):
        taken(random_parts(), Objective(given=3), noisy(1))


def test_a_network_without_pictures_learns_from_text_alone():
    parts = random_parts(slotted(ImageSlots(first=0, last=False)))
    told = doors(parts, Objective(given=0, drop_last=1.0), noisy(1))
    assert told["concat"] is None
    assert taken(parts, Objective(given=0, drop_last=1.0), noisy(1)) > 0


def test_rate_and_size_reach_the_network():
    parts_of = ("text", "fps", "size")
    system = replace(TINY, vector=parts_of, net=replace(TINY.net, vector=vector_width(parts_of, 16)))
    parts = random_parts(system)
    losses = {
        taken(parts, Objective(), noisy(1, fps=fps, size=size))
        for fps in (None, 4.0, 8.0)
        for size in (None, (32, 32), (32, 64))
    }
    assert len(losses) == 9
    assert len({taken(random_parts(), Objective(), noisy(1, fps=fps)) for fps in (None, 4.0)}) == 1


def test_in_half_precision_the_networks_alone_are_half():
    parts = random_parts()
    read: list[bool] = []
    parts.text.register_forward_pre_hook(lambda text, args: read.append(torch.is_autocast_enabled("cpu")))
    half = doors(parts, Objective(), noisy(1), precision=torch.bfloat16)
    assert (half["autocast"], read) == (True, [True])
    assert half["x"].dtype == half["concat"].dtype == torch.float32
    full = doors(parts, Objective(), noisy(1))
    assert full["autocast"] is False
    assert torch.equal(full["x"], half["x"])
    values = [taken(parts, Objective(), noisy(1), precision=p) for p in (torch.float32, torch.bfloat16)]
    assert values[0] != values[1]
    assert values[1] == pytest.approx(values[0], rel=0.02)
    # With an output of zero nothing is left but the objective, which must not feel the precision.
    objective = [taken(silent(), Objective(), noisy(1), precision=p) for p in (torch.float32, torch.bfloat16)]
    assert objective[0] == objective[1]
    stored = replace(noisy(1), latents=noisy(1).latents.half())
    assert taken(parts, Objective(), stored) == taken(
        parts, Objective(), replace(stored, latents=stored.latents.float())
    )


@pytest.mark.parametrize("given", [0, 1, 3])
def test_images_leave_the_sense_of_time_alone(given: int):
    parts = random_parts(slotted(ImageSlots(first=3))).requires_grad_(True)
    timed = {f"net.{name}" for name, _ in parts.net.temporal_parameters()}

    def touched(frames: int) -> set[str]:
        parts.zero_grad(set_to_none=True)
        batch = [noisy(1, frames), noisy(2, frames)]
        torch.autograd.backward(loss(parts, Objective(given=given), batch, torch.tensor([0.3, 0.7]), rngs(2)))
        return {name for name, weight in parts.named_parameters() if weight.grad is not None}

    image, video = touched(1), touched(4)
    assert image & timed == set()
    assert video - image == timed


def located(*places: tuple[int, int]) -> Example:
    """A clip whose object fills one position in each frame."""
    focus = torch.zeros(len(places), 8, 8)
    for frame, place in enumerate(places):
        focus[frame][place] = 1.0
    return noisy(0, len(places), focus=focus)


def test_an_object_found_where_it_is_costs_nothing_and_one_that_is_lost_log_of_the_positions():
    clip = located((0, 0), (3, 5))
    assert clip.focus is not None
    sure = {"place": 100 * clip.focus[None]}
    assert misplaced(sure, [clip]).item() == pytest.approx(0.0, abs=1e-4)
    assert misplaced({"place": torch.zeros(1, 2, 8, 8)}, [clip]).item() == pytest.approx(math.log(64), rel=1e-5)


def test_frames_that_show_no_object_are_not_asked():
    clip = located((0, 0), (3, 5))
    assert clip.focus is not None
    half_gone = replace(clip, focus=clip.focus * torch.tensor([1.0, 0.0])[:, None, None])
    gone = replace(clip, focus=torch.zeros_like(clip.focus))
    nowhere = {"place": torch.zeros(1, 2, 8, 8)}
    assert misplaced(nowhere, [half_gone]).item() == pytest.approx(math.log(64), rel=1e-5)
    assert misplaced(nowhere, [gone]).item() == 0.0


def test_the_place_of_the_object_is_learned_with_the_video():
    system = replace(TINY, net=replace(TINY.net, locate=True))
    parts, clip = random_parts(system), located((0, 0), (1, 1), (2, 2), (3, 3))
    plain, asked = (taken(parts, Objective(locate=weight), clip) for weight in (0.0, 0.5))
    assert asked > plain
    parts.requires_grad_(True)
    loss(parts, Objective(locate=0.5), [clip], torch.tensor([0.5]), rngs(1)).backward()
    assert parts.net.locate is not None
    assert parts.net.locate.weight.grad is not None
    assert parts.net.locate.weight.grad.norm() > 0


def test_a_place_that_nobody_knows_is_not_asked_for():
    with pytest.raises(ValueError, match=r"wanted a network with UNetConfig\(locate=True\)"):
        taken(random_parts(), Objective(locate=0.5), located((0, 0), (1, 1), (2, 2), (3, 3)))
    with pytest.raises(ValueError, match="clips that know their objects"):
        taken(random_parts(replace(TINY, net=replace(TINY.net, locate=True))), Objective(locate=0.5), noisy(0))
