"""A convolution over time whose weight gradient is matrix products: torch's parameters and values, trained faster.

    dW[:, :, i] = sum over frames t and pixels p of g[t, p] x[t + i, p]'

oneDNN's own takes 2 to 4 times as long (benchmarks/README.md). Time is the height of an image here, as in
`temporal.py`, and is padded at its end, so that t + i is a fixed distance in memory and every shift a view.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class TimeConv(nn.Conv2d):
    """nn.Conv2d of an odd kernel (k, 1) and padding (k // 2, 0). In float32 on a CPU it can be differentiated once."""

    def forward(self, input: Float[Tensor, "b c f hw"]) -> Float[Tensor, "b d f hw"]:
        kind = input.device.type
        pays = kind == "cpu" and input.dtype == torch.float32 and not torch.is_autocast_enabled(kind)
        if not (pays and torch.is_grad_enabled()):
            return super().forward(input)
        return _Convolve.apply(input, self.weight, self.bias)  # type: ignore[no-untyped-call]


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=(weight.shape[2] // 2, 0))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        to_x, to_weight, to_bias = ctx.needs_input_grad
        return (
            input_gradient(x, g, weight) if to_x else None,
            weight_gradient(x, g, weight.shape[2]) if to_weight else None,
            g.sum((0, 2, 3)) if to_bias else None,
        )


def input_gradient(
    x: Float[Tensor, "b c f p"], g: Float[Tensor, "b d f p"], weight: Float[Tensor, "d c k 1"]
) -> Float[Tensor, "b c f p"]:
    """What the gradient g of the output means for x, in x's memory order, which torch.nn.grad would lose."""
    at = ([1, 1], [weight.shape[2] // 2, 0], [1, 1], False, [0, 0], 1)  # stride, padding, dilation, ..., groups
    gradient: Tensor = torch.ops.aten.convolution_backward(g, x, weight, None, *at, [True, False, False])[0]
    return gradient


def weight_gradient(
    x: Float[Tensor, "b c f p"], g: Float[Tensor, "b d f p"], kernel: int
) -> Float[Tensor, "d c {kernel} 1"]:
    """What g means for the weights."""
    reach = kernel // 2
    rows, gradients = (F.pad(each.permute(0, 2, 3, 1), (0, 0, 0, 0, 0, reach)).flatten(0, 2) for each in (x, g))
    found = []
    for shift in ((index - reach) * x.shape[3] for index in range(kernel)):
        before, after = max(0, -shift), max(0, shift)
        found.append(gradients[before : len(rows) - after].T @ rows[after : len(rows) - before])
    return torch.stack(found, dim=-1)[..., None]
