"""Muon: momentum whose matrices are made orthogonal before they are subtracted (K. Jordan et al., 2024).

    m <- beta m + (1 - beta) g,   u = (1 - beta) g + beta m,   W <- W - lr sqrt(max(1, rows / columns)) U V^T

where u = U S V^T; U V^T comes from five Newton-Schulz steps, without a decomposition. Convolutions count as
matrices (out, in x height x width); vectors follow Adam at `lr * vectors`. torch.optim.Muon takes no
convolutions and computes in bfloat16, which a CPU without such instructions does ten times slower.
"""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """`lr` is about the relative change of a step: 0.005 to 0.02 where AdamW wants 0.001.

    A group with `matrices=False` (embeddings, whose rows are vectors of their own) follows Adam like the vectors.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        vectors: float = 0.05,
        matrices: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "vectors": vectors,
            "matrices": matrices,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        if closure is not None:
            raise ValueError("Muon evaluates no closure; call backward() first, then step() without arguments.")
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and p.ndim > 1 and group["matrices"]:
                    _matrix(p, self.state[p], group)
                elif p.grad is not None:
                    _vector(p, self.state[p], group["lr"] * group["vectors"])


def orthogonal(matrix: Float[Tensor, "m n"], *, steps: int = 5) -> Float[Tensor, "m n"]:
    """About U V^T of `matrix` = U S V^T: singular values within 0.7 and 1.2, by a quintic iteration."""
    x: Tensor = matrix / (matrix.norm() + 1e-7)
    if x.shape[0] > x.shape[1]:
        wide: Tensor = orthogonal(matrix.T, steps=steps)
        return wide.transpose(0, 1)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def _matrix(p: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
    grad, beta = p.grad, group["momentum"]
    assert grad is not None
    if not state:
        state["momentum"] = torch.zeros_like(p)
    state["momentum"].lerp_(grad, 1 - beta)
    update = grad.lerp(state["momentum"], beta).flatten(1)
    scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
    p.mul_(1 - group["lr"] * group["weight_decay"])
    p.sub_(orthogonal(update).reshape(p.shape), alpha=group["lr"] * scale)


def _vector(p: Tensor, state: dict[str, Tensor], lr: float) -> None:
    grad = p.grad
    assert grad is not None
    if not state:
        state.update(step=torch.zeros(()), first=torch.zeros_like(p), second=torch.zeros_like(p))
    state["step"] += 1
    step = state["step"].item()
    state["first"].lerp_(grad, 0.1)
    state["second"].lerp_(grad.square(), 0.01)
    scale = (state["second"] / (1 - 0.99**step)).sqrt() + 1e-8
    p.sub_(state["first"] / (1 - 0.9**step) / scale, alpha=lr)
