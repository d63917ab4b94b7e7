"""Which weights a training changes: parts by the system, and within them parameters by patterns of their names.

Names are those of the parts with the part's own before them: "net.conv_in.spatial.weight", "text.embedding.weight".
Patterns are those of file names (fnmatch): * stands for anything, dots included.
"""

from collections.abc import Sequence

from torch import nn

from pixeldance.nets.names import matching
from pixeldance.nets.unet import UNetConfig
from pixeldance.system import Parts


def trained_parts(parts: Parts) -> nn.ModuleDict:
    """The parts that the system says are trained, by name; all others are frozen and put into evaluation mode."""
    parts.requires_grad_(False).eval()
    return nn.ModuleDict({name: getattr(parts, name) for name in parts.system.trained}).requires_grad_().train()


def trainable(module: nn.Module, patterns: Sequence[str]) -> dict[str, nn.Parameter]:
    """The parameters of `module` whose names match a pattern, in its order; they alone require gradients from now on.

    Raises ValueError for a pattern that matches nothing, with the names nearest to it.
    """
    named = dict(module.named_parameters())
    chosen = {name: named[name] for name in matching(named, patterns)}
    if not chosen:
        raise ValueError("got no pattern of names, so that nothing would be trained; wanted at least one, such as '*'")
    for name, parameter in named.items():
        parameter.requires_grad_(name in chosen)
    return chosen


def only_time(config: UNetConfig) -> tuple[str, ...]:
    """The patterns of what inflation added to a network, `UNet.temporal_parameters`: video from an image model, whose
    own weights stay as they are."""
    return ("net.*.temporal.*", *(["net.frame_embedding.*"] if config.frame_embedding else []))
