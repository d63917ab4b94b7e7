"""c_image = [f_first, PADs, f_last]: where the given frames stand, what stands elsewhere, and who noises them; and what
the network is told as a vector."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from pixeldance.condition import (
    MICRO,
    ImageSlots,
    ScheduledNoise,
    VectorPart,
    condition,
    noised,
    picture_noise,
    vector_width,
)
from pixeldance.diffusion.denoise import Cond
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.nets.attention import sinusoids
from pixeldance.nets.text import TextCode

SHAPE = C, H, W = 3, 4, 6
FIRST_LATENT, LAST_LATENT = torch.full(SHAPE, 2.0), torch.full(SHAPE, 3.0)
BOTH = Instruction(text="two", frames={FIRST: FIRST_LATENT, LAST: LAST_LATENT}, length=5)
ONLY_FIRST, ONLY_TEXT = BOTH.without(frame=LAST), replace(BOTH, frames={})
CLEAN = ImageSlots()
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


def conditioned(
    *instructions: Instruction, slots: ImageSlots = CLEAN, vector: tuple[VectorPart, ...] = ("text",)
) -> Cond:
    return condition(instructions, text=text, slots=slots, shape=SHAPE, vector=vector)


def concat(*instructions: Instruction, slots: ImageSlots = CLEAN) -> Tensor:
    out = conditioned(*instructions, slots=slots).concat
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


def leading(k: int, length: int = 5, *, last: bool = False) -> Instruction:
    """Leading frame i holds i + 2 everywhere, the last frame 9."""
    frames = {index: torch.full(SHAPE, index + 2.0) for index in range(k)}
    return Instruction(frames=frames | ({LAST: torch.full(SHAPE, 9.0)} if last else {}), length=length)


def test_leading_frames_stand_at_their_places_in_time() -> None:
    slots = replace(CLEAN, first=3)
    nothing = [0.0] * 4
    shown = [[2, 2, 2, 1], [3, 3, 3, 1], [4, 4, 4, 1], nothing, nothing]
    assert values(concat(leading(3), slots=slots)[0]) == shown
    assert values(concat(leading(3, last=True), slots=slots)[0]) == [*shown[:4], [9, 9, 9, 1]]
    assert values(concat(leading(1), slots=slots)[0]) == [shown[0], *[nothing] * 4]
    assert slots.channels(C) == C + 1
    assert values(concat(leading(2, last=True), slots=replace(slots, mask=False))[0])[:2] == [[2] * 3, [3] * 3]


def test_a_leading_frame_goes_before_a_last_one_in_the_same_place() -> None:
    (video,) = concat(leading(3, length=3, last=True), slots=replace(CLEAN, first=3))
    assert values(video)[-1] == [4, 4, 4, 1]


def test_a_network_without_slots_has_no_picture_condition() -> None:
    none = ImageSlots(first=0, last=False)
    assert none.channels(C) == 0
    assert conditioned(ONLY_TEXT, slots=none).concat is None
    only_last = ImageSlots(first=0)
    assert values(concat(ONLY_TEXT, slots=only_last)[0]) == [[0.0] * 4] * 5
    assert values(concat(BOTH.without(frame=FIRST), slots=only_last)[0])[-1] == [3, 3, 3, 1]


@pytest.mark.parametrize(
    ("slots", "asked", "message"),
    [
        (CLEAN, leading(2), r"frames \[1\]; this model takes a first \(0\) and a last \(-1\) frame"),
        (CLEAN, replace(BOTH, frames={-2: LAST_LATENT}), r"frames \[-2\]; this model takes a first"),
        (ImageSlots(last=False), BOTH, r"frames \[-1\]; this model takes a first \(0\) frame"),
        (ImageSlots(first=0), BOTH, r"frames \[0\]; this model takes a last \(-1\) frame"),
        (ImageSlots(first=0, last=False), BOTH, r"frames \[-1, 0\]; this model takes none"),
        (ImageSlots(first=3), leading(4), r"frames \[3\]; this model takes leading \(0 to 2\) and a last \(-1\) frame"),
        (ImageSlots(first=3), leading(3, length=2), r"got pictures for frames \[2\] of a video of 2, counted from 0"),
    ],
)
def test_pictures_without_a_slot_are_refused(slots: ImageSlots, asked: Instruction, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conditioned(asked, slots=slots)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first": 2, "tile": True}, r"got tiled slots for frames \(0, 1, -1\); only a first frame is tiled"),
        ({"first": 0, "tile": True}, r"frames \(-1,\); only a first frame is tiled, alone or with a last one"),
        ({"pixel_noise": -0.1}, "got pixel_noise=-0.1; wanted a deviation"),
        ({"first": -1}, "got slots for -1 leading frames"),
        ({"noise": (1.5, 0.0)}, "got a share of noise of 1.5; wanted 0 .* to 1"),
        ({"noise": (0.0, -0.1)}, "got a share of noise of -0.1"),
    ],
)
def test_impossible_slots_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageSlots(**settings)


# Noise


def generator(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def given(k: int, *, last: bool = True) -> Instruction:
    """Normal latents for k leading frames and the last one."""
    frames = (*range(k), *([LAST] if last else []))
    return Instruction(frames={f: torch.randn(4, 64, 64, generator=generator(f + 9)) for f in frames}, length=5)


def with_noise(asked: Instruction, slots: ImageSlots, *, seed: int = 0, video: float = 0.5) -> Instruction:
    return noised(asked, slots, picture_noise(asked, slots, generator(seed)), video)


def shares(asked: Instruction, slots: ImageSlots, video: float = 0.5) -> dict[int, float]:
    """The share of noise in each picture, read off as the variance of what was added to sqrt(1 - share) of it."""
    found = {}
    for frame, latent in asked.frames.items():
        seen = torch.as_tensor(with_noise(asked, slots, video=video).frames[frame])
        found[frame] = 1 - (torch.linalg.vecdot(seen.flatten(), latent.flatten()) / latent.square().sum()).item() ** 2
        assert seen.var().item() == pytest.approx(1, rel=0.05)
    return found


@pytest.mark.parametrize("noise", [(0.1, 0.1), (0.0, 0.3), (0.5, 0.0), (1.0, 0.25)])
def test_noise_has_the_stated_share_by_slot(noise: tuple[float, float]) -> None:
    asked, slots = given(3), ImageSlots(first=3, noise=noise)
    for frame, share in shares(asked, slots).items():
        wanted = noise[frame == LAST]
        assert share == pytest.approx(wanted, abs=0.03)
        if wanted == 0:
            assert torch.equal(with_noise(asked, slots).frames[frame], asked.frames[frame])


def test_noise_that_follows_the_video() -> None:
    slots = ImageSlots(noise=(0.2, ScheduledNoise(factor=0.5, most=0.3)))
    for video, wanted in ((0.0, 0.0), (0.2, 0.1), (0.5, 0.25), (0.6, 0.3), (1.0, 0.3)):
        found = shares(given(1), slots, video)
        assert found[LAST] == pytest.approx(wanted, abs=0.03)
        assert found[FIRST] == pytest.approx(0.2, abs=0.03)
    clean = with_noise(given(1), slots, video=0.0)
    assert torch.equal(clean.frames[LAST], given(1).frames[LAST])


@pytest.mark.parametrize("settings", [{"factor": -1.0}, {"most": 1.1}, {"most": -0.1}])
def test_impossible_schedules_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="wanted factor >= 0 and most from 0 to 1"):
        ScheduledNoise(**settings)


def test_noise_is_drawn_for_what_is_noised_alone() -> None:
    rng, slots = generator(0), ImageSlots(noise=(0.0, 0.1))
    assert picture_noise(given(1), slots, rng).keys() == {LAST}
    untouched = rng.get_state()
    assert picture_noise(given(1, last=False), slots, rng) == {}
    assert torch.equal(rng.get_state(), untouched)
    seen = with_noise(BOTH, replace(slots, noise=(0.1, 0.1)))
    (video,) = concat(seen)
    assert video[0, C].eq(1).all(), "the flag is never noised"
    assert video[1:-1].eq(0).all(), "nor is the padding"
    dropped = with_noise(BOTH, slots).without(frame=LAST)
    assert torch.equal(concat(dropped), concat(ONLY_FIRST)), "and a frame dropped later leaves none behind"


def test_noise_comes_from_the_generator_alone() -> None:
    slots = ImageSlots(noise=(0.1, 0.1))
    one, again, other = (with_noise(BOTH, slots, seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(one.frames[frame], again.frames[frame]) for frame in BOTH.frames)
    assert not any(torch.equal(one.frames[frame], other.frames[frame]) for frame in BOTH.frames)
    assert not torch.equal(one.frames[FIRST] - FIRST_LATENT, one.frames[LAST] - LAST_LATENT)


# Words and numbers


def test_the_text_reaches_its_doors() -> None:
    cond = conditioned(BOTH, BOTH.without(text=True))
    assert cond.tokens is not None
    assert cond.mask is not None
    assert cond.vector is not None
    assert cond.tokens[:, 0, 0].tolist() == cond.vector[:, 0].tolist() == [3, 0]
    assert cond.mask.shape == (2, 2)
    assert conditioned(BOTH, vector=()).vector is None


def vector(*instructions: Instruction, parts: tuple[VectorPart, ...]) -> Tensor:
    out = conditioned(*instructions, vector=parts).vector
    assert out is not None
    assert out.shape == (len(instructions), vector_width(parts, 4))
    return out


def test_rate_and_size_join_the_text_in_the_order_stated() -> None:
    asked = replace(BOTH, fps=8.0, size=(48, 64))
    words, rate, height, width = torch.full((4,), 3.0), *(sinusoids(torch.tensor(n), MICRO) for n in (8.0, 48, 64))
    assert torch.equal(vector(asked, parts=("text",))[0], words)
    assert torch.equal(vector(asked, parts=("text", "fps", "size"))[0], torch.cat([words, rate, height, width]))
    assert torch.equal(vector(asked, parts=("size", "text"))[0], torch.cat([height, width, words]))
    assert torch.equal(vector(asked, parts=("fps",))[0], rate)


def test_rates_and_sizes_that_are_not_known_are_zeros() -> None:
    asked = replace(BOTH, fps=8.0, size=(48, 64))
    unknown = vector(asked, BOTH, replace(asked, fps=0.0), parts=("fps", "size"))
    assert unknown[1].eq(0).all()
    assert [row[:MICRO].square().sum().item() for row in unknown] == pytest.approx([MICRO / 2, 0, MICRO / 2])
    image = replace(asked, frames={}, length=1)
    assert vector(image, parts=("fps",)).eq(0).all(), "an image has no rate"
    assert vector(image, parts=("size",)).ne(0).any()


def test_motion_and_the_noise_in_the_pixels_are_told_as_numbers() -> None:
    asked = replace(BOTH, fps=8.0, motion=90.0)
    told = condition(
        [asked, replace(asked, motion=None)],
        text=text,
        slots=replace(CLEAN, pixel_noise=0.02),
        shape=SHAPE,
        vector=("fps-1", "motion", "noise"),
    ).vector
    assert told is not None
    wanted = torch.cat([sinusoids(torch.tensor(number), MICRO) for number in (7.0, 90.0, 0.02)])
    assert torch.equal(told[0], wanted)
    assert told.shape == (2, vector_width(("fps-1", "motion", "noise"), 4))
    assert told[1, MICRO : 2 * MICRO].eq(0).all(), "what is not known is zeros"


def test_an_encoder_may_read_the_first_frame_in_the_texts_place() -> None:
    slots = ImageSlots(last=False, mask=False, tile=True, scale=0.5)
    asked, pixels = replace(ONLY_FIRST, seen={FIRST: torch.ones(3, 8, 12)}), []

    def look(pictures: Sequence[Tensor | None]) -> TextCode:
        pixels.extend(pictures)
        return text(["first" if each is not None else "" for each in pictures])

    cond = condition([asked, replace(asked, frames={})], text=look, slots=slots, shape=SHAPE, reads="picture")
    assert pixels == [asked.seen[FIRST], None]
    assert cond.concat is not None
    assert [values(row) for row in cond.concat] == [[[1.0] * 3] * 5, [[0.0] * 3] * 5], "in all frames, and scaled"
    with pytest.raises(ValueError, match="got a first frame as latents alone; this model also reads its pixels"):
        condition([ONLY_FIRST], text=look, slots=slots, shape=SHAPE, reads="picture")


def test_one_length_a_batch() -> None:
    with pytest.raises(ValueError, match=r"got instructions of \[5, 8\] frames in one batch; wanted one length"):
        concat(BOTH, replace(BOTH, length=8))
