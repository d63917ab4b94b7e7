"""Going on with a broken-off walk: from every step, for every solver, to the same bits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import TINY, random_parts
from torch import Tensor

from pixeldance.diffusion.noise import generators
from pixeldance.diffusion.resume import Point, resumable
from pixeldance.diffusion.sample import Step, ancestral, dpmpp_2m
from pixeldance.generate import Sampling, generate
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.system import Parts

PICTURES = {at: np.random.default_rng(at + 1).integers(0, 256, (32, 32, 3), dtype=np.uint8) for at in (FIRST, LAST)}
ASKED = {
    "both frames": Instruction(text="a red star", frames=PICTURES, length=4, size=(32, 32)),
    "text alone": Instruction(text="a red star", length=4, size=(32, 32)),
}


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def noisy() -> Parts:
    """A model that draws noise for its pictures too: the order of all draws counts."""
    return random_parts(replace(TINY, condition=replace(TINY.condition, noise=(0.3, 0.3), noise_at_inference=True)))


def walk(parts: Parts, asked: Instruction, solver: Step, point: Point | None = None) -> tuple[Tensor, list[Point]]:
    """The latents, and the points on the way."""
    (rng,) = generators([7])
    points: list[Point] = []
    steps = resumable(solver, rng, point, points.append)
    return generate(parts, [asked], [rng], Sampling(steps=3, guidance=1.0, tau=0.5, solver=steps)), points


@pytest.mark.parametrize(
    ("given", "solver"),
    [("both frames", dpmpp_2m()), ("text alone", dpmpp_2m()), ("text alone", ancestral())],
    ids=["a multistep solver", "two walks", "a solver that draws"],
)
def test_from_every_step_the_walk_ends_in_the_same_bits(noisy: Parts, given: str, solver: Step) -> None:
    asked = ASKED[given]
    (rng,) = generators([7])
    plain = generate(noisy, [asked], [rng], Sampling(steps=3, guidance=1.0, tau=0.5, solver=solver))
    whole, points = walk(noisy, asked, solver)
    assert torch.equal(whole, plain)
    assert [point.done for point in points] == list(range(1, 4 if asked.frames else 7))
    for point in points:
        resumed, more = walk(noisy, asked, solver, point)
        assert torch.equal(resumed, whole)
        assert [each.done for each in more] == [each.done for each in points[point.done :]]


def test_a_walk_may_be_broken_off_again_and_again(noisy: Parts) -> None:
    whole, _ = walk(noisy, ASKED["text alone"], dpmpp_2m())
    point, kept = None, []
    for stop in (1, 3, 5, 6):
        (rng,) = generators([7])

        def note(each: Point, stop: int = stop) -> None:
            if each.done == stop:
                kept.append(each)
                raise Killed

        how = Sampling(steps=3, guidance=1.0, tau=0.5, solver=resumable(dpmpp_2m(), rng, point, note))
        with pytest.raises(Killed):
            generate(noisy, [ASKED["text alone"]], [rng], how)
        point = kept[-1]
    resumed, more = walk(noisy, ASKED["text alone"], dpmpp_2m(), point)
    assert torch.equal(resumed, whole)
    assert more == []


def test_what_was_done_is_not_done_again(noisy: Parts) -> None:
    _, points = walk(noisy, ASKED["both frames"], dpmpp_2m())
    calls: list[object] = []
    hook = noisy.net.register_forward_pre_hook(lambda *_: calls.append(None))
    walk(noisy, ASKED["both frames"], dpmpp_2m(), points[1])
    hook.remove()
    assert len(calls) == 1


def test_a_point_of_another_video_is_refused(noisy: Parts) -> None:
    _, points = walk(noisy, ASKED["text alone"], dpmpp_2m())
    with pytest.raises(ValueError, match="begin it anew"):
        walk(noisy, ASKED["both frames"], dpmpp_2m(), points[0])


def test_a_memory_that_a_point_cannot_hold_is_refused(noisy: Parts) -> None:
    def counting(*given: Any) -> tuple[Tensor, Any]:
        return given[1], {"steps": 1}

    with pytest.raises(ValueError, match="remembers dict"):
        walk(noisy, ASKED["both frames"], counting)
