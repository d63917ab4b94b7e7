"""Letting the last frame go on the way (PixelDance, arXiv 2311.10982, sec. 3.3) in pipelines that were made without it.

The network of the pipeline is watched from outside: from the step at which tau is reached, what it is given is what it
would be given without a last frame. The pipeline's own code is neither changed nor copied.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pixeldance.generate import Sampling

Given = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Lastless:
    """given: the keyword arguments of a network as they would be without the last frame, out of those with it.
    made: its output in the form of that with it, out of (output, arguments with it)."""

    given: Callable[[Given], Given]
    made: Callable[[Any, Given], Any] = lambda output, given: output


@dataclass(kw_only=True)
class Walk:
    """Where a pipeline is on its way: how many steps are done."""

    sampling: Sampling
    scheduler: Any
    done: int = 0

    def lets_go(self) -> bool:
        """Whether the step that comes is one without the last frame."""
        return (self.done >= cut(self.scheduler.sigmas, self.sampling)) != self.sampling.late


def cut(sigmas: Tensor, sampling: Sampling) -> int:
    """The number of steps before the seam on a grid of a rectified flow: sigma falls to 0, alpha = 1 - sigma.

    The measure is the noise angle's, as in `pixeldance.generate.legs`: the nearest point of the grid is taken.
    """
    if sampling.tau_steps is not None:
        steps = min(sampling.tau_steps, len(sigmas) - 1)
        return len(sigmas) - 1 - steps if sampling.late else steps
    noise = torch.atan2(sigmas.double(), 1 - sigmas.double())
    way = 1 - noise / noise[0]
    return int((way - (1 - sampling.tau if sampling.late else sampling.tau)).abs().argmin())


@contextmanager
def watched(networks: list[nn.Module], walk: Walk, lastless: Lastless) -> Iterator[None]:
    """While it lasts, the networks are given no last frame at the steps at which the walk lets it go."""
    with ExitStack() as stack:
        for network in networks:
            before: list[Given] = []

            def enter(_: nn.Module, args: Any, given: Given, before: list[Given] = before) -> Any:
                if not walk.lets_go():
                    return None
                before.append(given)
                return args, lastless.given(given)

            def leave(_: nn.Module, args: Any, output: Any, before: list[Given] = before) -> Any:
                return lastless.made(output, before.pop()) if before else output

            stack.callback(network.register_forward_pre_hook(enter, with_kwargs=True).remove)
            stack.callback(network.register_forward_hook(leave).remove)
        yield
