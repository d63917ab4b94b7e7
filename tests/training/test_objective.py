"""The instruction a clip is trained on, and the loss that is taken of it."""

import pytest
import torch
from tiny import TINY

from pixeldance.instruction import FIRST, LAST
from pixeldance.system import Parts
from pixeldance.training.objective import Example, Objective, loss

LATENT = TINY.net.channels


def example(frames: int = 6, focus: float = 0.0) -> Example:
    """A clip whose frame i holds the number i everywhere."""
    latents = torch.arange(frames).float()[:, None, None, None].expand(frames, LATENT, 8, 8).contiguous()
    return Example(text="a red star", latents=latents, focus=torch.full((frames, 8, 8), focus))


def instructed(objective: Objective, clip: Example, times: int = 2000) -> list:
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


def test_the_loss_is_a_function_of_the_generator():
    torch.manual_seed(0)
    parts = Parts(TINY)
    batch = [example(), example()]
    values = [loss(parts, Objective(), batch, torch.Generator().manual_seed(seed)).item() for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_focus_moves_the_loss_to_the_object():
    """With the error confined to the object, the weighted loss exceeds the plain one by exactly the weight's ratio."""
    torch.manual_seed(0)
    parts = Parts(TINY)
    half = example()
    half.focus[:, :4] = 1.0
    generator = torch.Generator
    plain = loss(parts, Objective(), [half], generator().manual_seed(0)).item()
    top = loss(parts, Objective(focus=1e6), [half], generator().manual_seed(0)).item()
    bottom_half = example()
    bottom_half.focus[:, 4:] = 1.0
    bottom = loss(parts, Objective(focus=1e6), [bottom_half], generator().manual_seed(0)).item()
    assert (top + bottom) / 2 == pytest.approx(plain, rel=1e-3)
    assert top != pytest.approx(bottom, rel=1e-3)
