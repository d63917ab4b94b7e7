"""Values that are computed again in the backward pass rather than kept for it: less memory, the same gradients.

What is computed again ends with the last input that is needed: of layer(norm(x)) that is the norm, not the layer.
"""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def recomputed(function: Callable[[*Ts], T], *args: *Ts) -> T:
    """function(*args), of which a backward pass keeps the arguments only; it must not draw random numbers."""
    if not torch.is_grad_enabled():
        return function(*args)
    return cast(T, checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False))


def after(norm: Callable[[Tensor], Tensor] | None, layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """layer(norm(x)), of which a backward pass keeps x only; layer(x) without a norm."""
    if norm is None:
        return layer(x)
    return recomputed(lambda x: layer(norm(x)), x)
