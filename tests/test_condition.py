"""c_image = [f_first, PADs, f_last]: where the given frames stand, what stands elsewhere, and who noises them."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from pixeldance.condition import ImageSlots, condition
from pixeldance.diffusion.denoise import Cond
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.nets.text import TextCode

SHAPE = C, H, W = 3, 4, 6
FIRST_LATENT, LAST_LATENT = torch.full(SHAPE, 2.0), torch.full(SHAPE, 3.0)
BOTH = Instruction(text="two", frames={FIRST: FIRST_LATENT, LAST: LAST_LATENT}, length=5)
ONLY_FIRST, ONLY_TEXT = BOTH.without(frame=LAST), replace(BOTH, frames={})
CLEAN = ImageSlots(noise=(0.0, 0.0))
LAYOUTS = [
    replace(CLEAN, mask=mask, tile=tile, pad=pad)
    for mask in (True, False)
    for tile in (True, False)
    for pad in (0.0, -0.5)
]


def text(texts: Sequence[str]) -> TextCode:
    """Tokens that hold the length of the text."""
    tokens = torch.tensor([float(len(each)) for each in texts])[:, None, None].expand(-1, 2, 4)
    return TextCode(tokens, torch.ones(len(texts), 2, dtype=torch.bool), tokens[:, 0])


def encode(instruction: Instruction, frame: int) -> Tensor:
    return torch.as_tensor(instruction.frames[frame])


def conditioned(
    *instructions: Instruction, slots: ImageSlots = CLEAN, rngs: Sequence[Generator] | None = None, vector: bool = True
) -> Cond:
    return condition(instructions, text=text, slots=slots, shape=SHAPE, encode=encode, rngs=rngs, vector=vector)


def concat(*instructions: Instruction, slots: ImageSlots = CLEAN, rngs: Sequence[Generator] | None = None) -> Tensor:
    out = conditioned(*instructions, slots=slots, rngs=rngs).concat
    assert out is not None
    assert out.shape == (len(instructions), instructions[0].length, slots.channels(C), H, W)
    return out


def values(frames: Tensor) -> list[list[float]]:
    """What every channel of each frame holds everywhere."""
    assert torch.equal(frames, frames[..., :1, :1].expand_as(frames))
    return frames[..., 0, 0].tolist()


@pytest.mark.parametrize("pad", [0.0, -0.5])
def test_frames_stand_at_their_places_in_time(pad: float) -> None:
    (video,) = concat(BOTH, slots=replace(CLEAN, pad=pad))
    gap = [pad] * 3 + [0]
    assert values(video) == [[2, 2, 2, 1], gap, gap, gap, [3, 3, 3, 1]]


def test_frames_tiled_over_time() -> None:
    (video,) = concat(BOTH, slots=replace(CLEAN, tile=True))
    assert values(video) == [[2, 2, 2, 1, 3, 3, 3, 1]] * 5


def test_without_the_mask_channel() -> None:
    slots = replace(CLEAN, mask=False)
    assert values(concat(BOTH, slots=slots)[0]) == [[2] * 3, *[[0] * 3] * 3, [3] * 3]
    assert values(concat(BOTH, slots=replace(slots, tile=True))[0]) == [[2, 2, 2, 3, 3, 3]] * 5


@pytest.mark.parametrize("slots", LAYOUTS, ids=lambda s: f"mask={s.mask} tile={s.tile} pad={s.pad}")
def test_a_dropped_frame_is_padding_with_a_zero_flag(slots: ImageSlots) -> None:
    both, first, none = concat(BOTH, ONLY_FIRST, ONLY_TEXT, slots=slots)
    nothing, flag = [slots.pad] * 3, [0.0] * slots.mask
    if slots.tile:
        assert values(first) == [[2, 2, 2, *[1.0] * slots.mask, *nothing, *flag]] * 5
        assert values(none) == [2 * [*nothing, *flag]] * 5
    else:
        assert torch.equal(first[:-1], both[:-1])
        assert values(first[-1:]) == [[*nothing, *flag]]
        assert values(none) == [[*nothing, *flag]] * 5


def test_frames_are_dropped_in_the_instruction() -> None:
    assert torch.equal(concat(BOTH.without(frame=LAST)), concat(ONLY_FIRST))
    assert torch.equal(concat(BOTH.without(text=True)), concat(BOTH))


@pytest.mark.parametrize("slots", LAYOUTS, ids=lambda s: f"mask={s.mask} tile={s.tile} pad={s.pad}")
def test_one_frame_has_one_place(slots: ImageSlots) -> None:
    image = replace(BOTH, length=1)
    first = [2.0, 2.0, 2.0, *[1.0] * slots.mask]
    assert values(concat(image, slots=slots)[0])[0][: len(first)] == first
    last = concat(image.without(frame=FIRST), slots=slots)
    assert values(last[0])[0][-len(first) :] == [3.0, 3.0, 3.0, *[1.0] * slots.mask]


@pytest.mark.parametrize("slots", LAYOUTS, ids=lambda s: f"mask={s.mask} tile={s.tile} pad={s.pad}")
def test_stored_with_the_channels_last(slots: ImageSlots) -> None:
    out = concat(BOTH, ONLY_FIRST, slots=slots)
    assert out.permute(0, 1, 3, 4, 2).is_contiguous()


def generators(*seeds: int) -> list[Generator]:
    return [Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("noise", [(0.1, 0.1), (0.0, 0.3), (0.5, 0.0), (1.0, 0.25)])
def test_noise_has_the_stated_share_by_slot(noise: tuple[float, float]) -> None:
    shape = (4, 64, 64)
    given = {frame: torch.randn(shape, generator=Generator().manual_seed(frame + 9)) for frame in (FIRST, LAST)}
    out = condition(
        [Instruction(frames=given, length=5)],
        text=text,
        slots=ImageSlots(noise=noise),
        shape=shape,
        encode=encode,
        rngs=generators(0),
    ).concat
    assert out is not None
    for place, share, latent in ((0, noise[0], given[FIRST]), (-1, noise[1], given[LAST])):
        noised = out[0, place, :4]
        if share == 0:
            assert torch.equal(noised, latent)
        added = noised - (1 - share) ** 0.5 * latent
        assert added.var().item() == pytest.approx(share, rel=0.05, abs=1e-7)
        assert noised.var().item() == pytest.approx(1, rel=0.05)
        assert out[0, place, 4].eq(1).all(), "the flag is never noised"
    assert out[0, 1:-1].eq(0).all(), "nor is the padding"


def test_noise_comes_from_the_generators_alone() -> None:
    slots = replace(CLEAN, noise=(0.1, 0.1))
    assert torch.equal(concat(BOTH, slots=slots), concat(BOTH)), "none without generators"
    noised = concat(BOTH, BOTH, slots=slots, rngs=generators(1, 2))
    assert not torch.equal(noised[0], noised[1])
    assert torch.equal(noised[1:], concat(BOTH, slots=slots, rngs=generators(2))), "whoever else is in the batch"


def test_the_text_reaches_its_doors() -> None:
    cond = conditioned(BOTH, BOTH.without(text=True))
    assert cond.tokens is not None
    assert cond.mask is not None
    assert cond.vector is not None
    assert cond.tokens[:, 0, 0].tolist() == cond.vector[:, 0].tolist() == [3, 0]
    assert cond.mask.shape == (2, 2)
    assert conditioned(BOTH, vector=False).vector is None


def test_other_frame_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got pictures for frames \[-2, 3\].*first \(0\) and a last \(-1\)"):
        concat(replace(BOTH, frames={0: FIRST_LATENT, 3: FIRST_LATENT}), replace(BOTH, frames={-2: LAST_LATENT}))


def test_one_length_a_batch() -> None:
    with pytest.raises(ValueError, match=r"got instructions of \[5, 8\] frames in one batch; wanted one length"):
        concat(BOTH, replace(BOTH, length=8))
