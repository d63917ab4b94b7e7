"""Attention against the closed form, its masks, and token layouts that are views."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pixeldance.nets.attention import (
    Attention,
    Keys,
    SpatialTransformer,
    TransformerBlock,
    attend,
    pixels_to_tokens,
    sinusoids,
    tokens_to_pixels,
)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_the_spelled_out_attention_is_torchs() -> None:
    query, key, value = torch.randn(3, 2, 5, 4), torch.randn(3, 2, 7, 4), torch.randn(3, 2, 7, 4)
    allowed = torch.rand(3, 1, 1, 7) > 0.4
    allowed[..., 0] = True
    for mask in (None, allowed):
        expected = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        torch.testing.assert_close(attend(query, key, value, mask), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("context_width", [None, 12])
def test_what_the_mask_hides_does_not_matter(context_width: int | None) -> None:
    block = TransformerBlock(8, 4, context_width, 2).eval()
    mask = torch.tensor([[True, True, False, False], [True, True, True, False]])
    context = torch.randn(2, 4, context_width or 8)
    changed = torch.where(mask[..., None], context, 1e3 * torch.randn_like(context))
    if context_width:
        x = torch.randn(2, 5, 8)
        torch.testing.assert_close(block(x, changed, mask), block(x, context, mask), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(block(x, changed), block(x, context))
    else:  # the mask is about the tokens themselves
        torch.testing.assert_close(block(changed, None, mask)[mask], block(context, None, mask)[mask])
        assert not torch.allclose(block(changed)[mask], block(context)[mask])


def test_attention_does_not_know_the_order_of_its_tokens() -> None:
    attention, x, order = Attention(8, 4), torch.randn(2, 6, 8), torch.randperm(6)
    torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order])


def test_a_width_without_whole_heads_is_refused() -> None:
    with pytest.raises(ValueError, match="got width 10 and head width 4; wanted a whole number of heads"):
        Attention(10, 4)


def channels_last(*shape: int) -> Tensor:
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


def test_the_tokens_of_a_frame_are_a_view_and_back() -> None:
    x = channels_last(3, 8, 4, 6)
    tokens = pixels_to_tokens(x)
    assert (tokens.shape, tokens.data_ptr(), tokens.is_contiguous()) == ((3, 24, 8), x.data_ptr(), True)
    assert torch.equal(tokens[1, 2 * 6 + 3], x[1, :, 2, 3])
    back = tokens_to_pixels(tokens, 4, 6)
    assert (back.data_ptr(), back.stride()) == (x.data_ptr(), x.stride())
    assert torch.equal(back, x)


def test_a_spatial_transformer_keeps_channels_last() -> None:
    out = SpatialTransformer(8, 4, 12, 2, 4)(channels_last(2, 8, 4, 6), torch.randn(2, 5, 12))
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_sinusoids() -> None:
    at = sinusoids(torch.tensor([0.0, 1.0, 500.0]), 6)
    assert at.shape == (3, 6)
    assert at[0].tolist() == [1, 1, 1, 0, 0, 0]
    assert at[2, 1].item() == pytest.approx(math.cos(500 * 10000 ** (-1 / 3)), abs=1e-4)
    assert at[2, 5].item() == pytest.approx(math.sin(500 * 10000 ** (-2 / 3)), abs=1e-4)


@pytest.mark.parametrize(
    ("keys", "read"),
    [
        ("own", [[0], [1], [2], [3]]),
        ("first", [[0], [0, 1], [0, 2], [0, 3]]),
        ("first+previous", [[0], [0, 1], [0, 1, 2], [0, 2, 3]]),
    ],
)
def test_what_a_frame_s_pixels_attend_to(keys: Keys, read: list[list[int]]) -> None:
    """Frame i changes with itself, through its queries, and with the frames that its keys come from."""
    torch.manual_seed(0)
    block = TransformerBlock(8, 4, None, 2, keys)
    x = torch.randn(2, 4, 6, 8)  # two videos of 4 frames
    before = block(x.flatten(0, 1), frames=4).unflatten(0, (2, 4))
    found: list[list[int]] = [[] for _ in range(4)]
    for changed in range(4):
        other = x.clone()
        other[0, changed] += 1 + torch.randn(6, 8)
        after = block(other.flatten(0, 1), frames=4).unflatten(0, (2, 4))
        assert torch.equal(after[1], before[1])
        for frame in range(4):
            if not torch.allclose(after[0, frame], before[0, frame]):
                found[frame].append(changed)
    assert found == read
