"""Training on drawings of the last frame: how often, and that a run without them is what it was."""

from typing import Any

import pytest
import torch
from tiny import TINY
from torch import Generator

from pixeldance.data.clip import Example
from pixeldance.instruction import LAST, Instruction
from pixeldance.training.objective import Objective

SHAPE = (TINY.net.channels, 2, 2)


def example(*, drawn: bool = True) -> Example:
    """A clip whose frame i holds the number i everywhere; its drawing is -1 everywhere."""
    latents = torch.arange(6).float()[:, None, None, None].expand(6, *SHAPE).contiguous()
    return Example(text="a red star", latents=latents, drawn=torch.full(SHAPE, -1.0) if drawn else None)


def instructed(objective: Objective, clip: Example, times: int = 400) -> list[tuple[Instruction, float]]:
    """Instructions, each with the next number of its generator: whether as many were drawn before."""
    found = []
    for seed in range(times):
        rng = Generator().manual_seed(seed)
        found.append((objective.instruct(clip, rng), torch.rand(1, generator=rng).item()))
    return found


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_so_many_of_the_last_frames_given_are_the_drawing(share: float):
    asked = [each for each, _ in instructed(Objective(draft=share, drop_last=0.5), example())]
    given = [float(each.frames[LAST].mean()) for each in asked if LAST in each.frames]
    assert len(given) / len(asked) == pytest.approx(0.5, abs=0.08)
    assert given.count(-1.0) / len(given) == pytest.approx(share, abs=0.08)
    assert set(given) - {-1.0} == ({3.0, 4.0, 5.0} if share < 1 else set())
    assert all(float(each.frames[0].mean()) == 0 for each in asked)


def test_without_drafts_every_number_is_what_it_was():
    """The place of the last frame and all that is drawn after it."""
    plain, drawn = instructed(Objective(), example(drawn=False), 50), instructed(Objective(), example(), 50)
    for (one, after), (other, too) in zip(plain, drawn, strict=True):
        assert after == too
        assert (one.text, one.frames.keys()) == (other.text, other.frames.keys())
        assert all(torch.equal(one.frames[index], other.frames[index]) for index in one.frames)
    rng = Generator().manual_seed(7)
    drop_last, _, place = torch.rand(3, generator=rng).tolist()
    after = torch.rand(1, generator=rng).item()
    asked, noted = instructed(Objective(drop_last=0.0), example(), 8)[7]
    assert 0 <= drop_last < 1
    assert float(asked.frames[LAST].mean()) == 5 - int(place * 3)
    assert noted == after


@pytest.mark.parametrize("settings", [{"draft": 1.5}, {"draft": -0.1}, {"draft": float("nan")}])
def test_impossible_shares_are_refused(settings: dict[str, Any]):
    with pytest.raises(ValueError, match=r"got draft=.*; wanted a probability"):
        Objective(**settings)


def test_a_clip_without_a_drawing_is_refused_where_one_is_to_be_taken():
    with pytest.raises(ValueError, match="got a clip without a drawing of its last frame, and draft > 0"):
        Objective(draft=1.0, drop_last=0.0).instruct(example(drawn=False), Generator())
    assert not Objective(draft=1.0, drop_last=1.0).instruct(example(drawn=False), Generator()).frames.keys() - {0}
