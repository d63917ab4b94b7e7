"""The parts that see time: nothing when fresh, nothing for an image, and every regrouping a view."""

import pytest
import torch
from torch import Tensor, nn

from pixeldance.nets.attention import pixels_to_tokens
from pixeldance.nets.temporal import (
    ADAPTED,
    TemporalAdaptor,
    TemporalAttention,
    TemporalConvolution,
    TemporalShift,
    frame_positions,
    frames_to_tokens,
    height_as_time,
    time_as_height,
    tokens_to_frames,
)

B, F, C, H, W = 2, 5, 8, 4, 6
PARTS = {
    "convolution": lambda: TemporalConvolution(C, 4, layers=2),
    "attention": lambda: TemporalAttention(C, 4, mult=2, groups=4, depth=2),
    "adaptor": lambda: TemporalAdaptor(C, 4),
}


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def video() -> Tensor:
    """(b, f, c, h, w), stored (b, f, h, w, c)."""
    return torch.randn(B, F, H, W, C).permute(0, 1, 4, 2, 3)


def trained(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


def test_every_regrouping_is_a_view() -> None:
    x = video()
    frames = x.flatten(0, 1)
    tall = time_as_height(frames, F)
    views = {
        "frames": (frames, (B * F, C, H, W)),
        "time as height": (tall, (B, C, F, H * W)),
        "frames again": (height_as_time(tall, H, W), (B * F, C, H, W)),
        "spatial tokens": (pixels_to_tokens(frames), (B * F, H * W, C)),
        "space-time tokens": (x.permute(0, 1, 3, 4, 2).flatten(1, 3), (B, F * H * W, C)),
        "temporal tokens": (frames_to_tokens(frames, F), (B, H * W, F, C)),
    }
    for name, (view, shape) in views.items():
        assert view.shape == shape, name
        assert view.data_ptr() == x.data_ptr(), name
        assert view.untyped_storage().data_ptr() == x.untyped_storage().data_ptr(), name
    for name in ("frames", "time as height", "frames again"):
        assert views[name][0].is_contiguous(memory_format=torch.channels_last), name
    for name in ("spatial tokens", "space-time tokens"):
        assert views[name][0].is_contiguous(), name
    assert views["temporal tokens"][0].stride() == (F * H * W * C, C, H * W * C, 1)


def test_the_regroupings_put_everything_where_it_belongs() -> None:
    x = video()
    frames = x.flatten(0, 1)
    tall, tokens = time_as_height(frames, F), frames_to_tokens(frames, F)
    b, f, h, w = 1, 3, 2, 4
    assert torch.equal(tall[b, :, f, h * W + w], x[b, f, :, h, w])
    assert torch.equal(tokens[b, h * W + w, f], x[b, f, :, h, w])
    assert torch.equal(height_as_time(tall, H, W), frames)
    back = tokens_to_frames(tokens, H, W)
    assert torch.equal(back, frames)
    assert back.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_a_fresh_one_changes_no_bit_and_a_trained_one_does(part) -> None:
    x = video().flatten(0, 1)
    assert torch.equal(part()(x, F), x)
    out = trained(part())(x, F)
    assert not torch.allclose(out, x)
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_a_trained_one_is_off_for_images(part) -> None:
    images = video().flatten(0, 1)
    assert trained(part())(images, 1) is images


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_videos_of_a_batch_do_not_mix(part) -> None:
    module, x = trained(part()), video()
    alone = torch.cat([module(each, F) for each in x])
    torch.testing.assert_close(module(x.flatten(0, 1), F), alone)


def influence(module: nn.Module, frame: int) -> list[bool]:
    """Which frames change when one does."""
    x = video()[:1]
    changed = x.clone()
    changed[:, frame] += 1
    out, other = (module(each.flatten(0, 1), F) for each in (x, changed))
    return [not torch.equal(a, b) for a, b in zip(out, other, strict=True)]


def test_a_convolution_sees_its_neighbours() -> None:
    module = trained(TemporalConvolution(C, 4, layers=1))
    assert influence(module, 0) == [True, True, False, False, False]
    assert influence(module, 2) == [False, True, True, True, False]


def test_attention_is_bidirectional() -> None:
    module = trained(PARTS["attention"]())
    assert influence(module, 0) == influence(module, F - 1) == [True] * F


def test_directed_attention_reads_no_later_frame() -> None:
    module = trained(TemporalAttention(C, 4, mult=2, groups=4, depth=2, positions="first", sees="past"))
    assert [influence(module, frame) for frame in range(F)] == [
        [other >= frame for other in range(F)] for frame in range(F)
    ]


def test_a_shift_moves_an_eighth_each_way_and_leaves_the_rest() -> None:
    x = video()
    module = TemporalShift(C, 4)
    assert not list(module.parameters())
    out = module(x.flatten(0, 1), F)
    assert out.is_contiguous(memory_format=torch.channels_last)
    out = out.unflatten(0, (B, F))
    assert torch.equal(out[:, 1:, 0], x[:, :-1, 0])
    assert torch.equal(out[:, :-1, 1], x[:, 1:, 1])
    assert not out[:, 0, 0].any()
    assert not out[:, -1, 1].any()
    assert torch.equal(out[:, :, 2:], x[:, :, 2:])
    images = x.flatten(0, 1)
    assert module(images, 1) is images


def test_an_adaptor_has_numbers_for_each_frame_alone() -> None:
    module, x = trained(TemporalAdaptor(C, 4)), video()
    out = module(x.flatten(0, 1), F).unflatten(0, (B, F))
    frame, channel = 3, 2
    expected = x[1, frame, channel] * (1 + module.gain[frame, channel]) + module.offset[frame, channel]
    torch.testing.assert_close(out[1, frame, channel], expected)
    assert influence(module, 2) == [False, False, True, False, False]
    with pytest.raises(ValueError, match=f"got {ADAPTED + 1} frames; an adaptor has numbers for {ADAPTED}"):
        module(torch.zeros(ADAPTED + 1, C, H, W), ADAPTED + 1)


def test_attention_knows_the_frame_number() -> None:
    module, x = trained(PARTS["attention"]()), video()[:1]
    backwards = module(x.flip(1).flatten(0, 1), F).flip(0)
    assert not torch.allclose(backwards, module(x.flatten(0, 1), F), atol=1e-3)


def test_frame_positions_count_from_both_ends() -> None:
    position = frame_positions(F, 16)
    assert position.shape == (F, 16)
    since_first, until_last = position.chunk(2, dim=1)
    assert torch.equal(since_first, until_last.flip(0))
    assert len(torch.unique(since_first, dim=0)) == F
    # Of a longer video the first frame differs in how far the end is only.
    assert torch.equal(frame_positions(9, 16)[0, :8], position[0, :8])
    assert not torch.equal(frame_positions(9, 16)[0, 8:], position[0, 8:])
