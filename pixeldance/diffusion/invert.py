"""Inversion: the noise that a deterministic walk turns into a given video (DDIM, arXiv 2010.02502, sec. 4.3).

    x_1 = alpha_1 x0                                    at the lowest noise of the grid, whose noise is not known yet
    x_u = alpha_u x0_hat + sigma_u eps_hat              from there on, DDIM's own step on the rising grid

The way back down the same grid ends at x0 but for an error of first order in the length of the steps, as long as the
denoiser tells what it is given: one that loses detail of x0 loses it here too.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from pixeldance.diffusion.denoise import Denoise
from pixeldance.diffusion.process import Process
from pixeldance.diffusion.sample import ddim, sample


def invert(
    denoise: Denoise,
    x0: Float[Tensor, "b ..."],
    times: Float[Tensor, "n"],
    process: Process,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Float[Tensor, "b ..."]:
    """x at times[0] for the falling grid `times`, whose last is 0, that `ddim()` is then to walk down to x0.

    Raises ValueError for a grid that does not end at 0.
    """
    if len(times) < 2 or times[-1] != 0:
        raise ValueError(f"got times {times.tolist()}; wanted a falling grid of 2 or more that ends at 0")
    rising = times.flip(0)[1:]
    return sample(denoise, process.alpha(rising[0]) * x0, rising, process, ddim(), None, on_step)
