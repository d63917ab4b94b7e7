"""Deep features kept from one step to the next (DeepCache, arXiv 2312.00858): of neighbouring noise levels they differ
little, and only the finest level of the network, a third of it in the small model, is computed at every step.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from pixeldance.diffusion.denoise import Cond, Denoiser
from pixeldance.diffusion.guide import Model


def reused(denoiser: Denoiser, whole: Callable[[float], bool]) -> Model:
    """The denoiser with the deep features of its last whole pass; good for one video under one condition.

    It passes through the whole network where nothing is kept yet and at the times t for which whole(t). What it kept
    is no part of a solver's memory: a walk that is broken off can go on with the same numbers at such times only
    (`diffusion.resume`). The network must take `deep`, as `UNet.forward` does.
    """
    kept = dict[str, Tensor]()

    def net(*given: Tensor, **doors: Any) -> Tensor:
        return denoiser.net(*given, deep=kept, **doors)

    shallow = replace(denoiser, net=net)

    def denoise(x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        if whole(float(t.max())):
            kept.clear()
        return shallow(x, t, cond)

    return denoise
