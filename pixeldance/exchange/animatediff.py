"""AnimateDiff's motion modules (arXiv 2307.04725): attention over time for the network of a Stable Diffusion 1.

They stand behind every layer of every level, in the middle too in version 2, and know the frames by their number from
the first. All else is the image model's that they are put on.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pixeldance.exchange import folder, names
from pixeldance.exchange.geometry import Json
from pixeldance.exchange.published import Published
from pixeldance.nets.unet import UNetConfig

PLACES = ".pos_embed.pe"
"""A module's table of frame numbers, which is a formula and so no weight of ours."""


def animated(published: Published, place: Path) -> Published:
    """An image model with the motion modules of a folder. Raises ValueError where they fit another geometry."""
    settings = folder.settings(place, "config.json")
    net = geometry(published.net, settings)
    weights = {key: weight for key, weight in folder.weights(place).items() if not key.endswith(PLACES)}
    together = {**published.weights["unet"], **weights}
    return replace(
        published,
        net=net,
        names={**published.names, **names.motion(net)},
        weights={**published.weights, "unet": together},
    )


def geometry(flat: UNetConfig, settings: Json) -> UNetConfig:
    """The geometry of an image model with the motion modules of a MotionAdapter's settings."""
    heads = settings.get("motion_num_attention_heads", 8)
    wanted: dict[str, tuple[Any, Any]] = {
        "block_out_channels": (tuple(settings["block_out_channels"]), flat.widths),
        "motion_layers_per_block": (settings.get("motion_layers_per_block", 2), flat.layers),
        "motion_norm_num_groups": (settings.get("motion_norm_num_groups", 32), flat.groups),
        "motion_num_attention_heads": (
            [width // heads for width in flat.widths],
            [flat.heads_at(level) for level in range(len(flat.widths))],
        ),
        "motion_transformer_layers_per_block": (settings.get("motion_transformer_layers_per_block", 1), 1),
        "motion_mid_block_layers_per_block": (settings.get("motion_mid_block_layers_per_block", 1), 1),
        "conv_in_channels": (settings.get("conv_in_channels"), None),
    }
    odd = [f"{name}: got {got}, wanted {fits}" for name, (got, fits) in wanted.items() if got != fits]
    if odd:
        raise ValueError(f"got motion modules that do not fit this image model ({'; '.join(odd)}); take its own")
    return replace(
        flat,
        temporal="attention+convolution",
        temporal_convolutions=0,
        temporal_attentions=2,
        temporal_norm="video",
        temporal_positions="first",
        temporal_everywhere=True,
        temporal_middle=bool(settings.get("use_motion_mid_block", True)),
    )
