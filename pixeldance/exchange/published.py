"""Published models in the form of diffusers, made into models of ours: Stable Diffusion 1 and 2, whose 2D network is
inflated (PixelDance, arXiv 2311.10982, sec. 3.2), alone or with AnimateDiff's motion modules; ModelScope and ZeroScope.

What inflation adds changes nothing at first: new temporal layers end in zeros, and the first convolution reads the
pictures with zeros. So the first output is the published model's, of Stable Diffusion frame by frame.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from pixeldance.codec import KLConfig
from pixeldance.diffusion.denoise import PredictionType
from pixeldance.diffusion.process import VP
from pixeldance.exchange import folder, geometry, names
from pixeldance.exchange.weights import neutral, taken, widened
from pixeldance.nets.text import CLIPConfig, TextConfig
from pixeldance.nets.unet import UNetConfig
from pixeldance.system import Parts, System
from pixeldance.systems import PIXELDANCE

FLAT = ("channels", "tokens", "widths", "attention", "layers", "feed_mult", "groups")
"""The fields of a UNetConfig that say what its 2D layers are; the width of heads is compared level by level."""
COUNTING = ".position_ids"  # old files have 0, 1, 2, ... among the weights
TEMPORAL = tuple(each.name for each in fields(UNetConfig) if each.name.startswith("temporal"))
"""Those that say what its temporal layers are."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published model as it was read: what its parts are, and their weights by diffusers' names.

    names: of the net's weights, ours to theirs.
    """

    net: UNetConfig
    names: names.Names
    codec: KLConfig
    text: CLIPConfig
    process: VP
    prediction: PredictionType
    weights: Mapping[str, Mapping[str, Tensor]]


def read(place: Path) -> Published:
    """The model of a folder. Raises ValueError for anything but Stable Diffusion 1 or 2, ModelScope or ZeroScope."""
    net = geometry.unet_config(folder.settings(place / "unet", "config.json"))
    process, prediction = geometry.process(folder.settings(place / "scheduler", "scheduler_config.json"))
    vae, text = (folder.weights(place / part) for part in ("vae", "text_encoder"))
    return Published(
        net=net,
        names=names.unet(net),
        codec=geometry.codec_config(folder.settings(place / "vae", "config.json")),
        text=geometry.text_config(
            folder.settings(place / "text_encoder", "config.json"),
            tokenizer=str((place / "tokenizer").absolute()),
            padding=_padding(place / "tokenizer"),
        ),
        process=process,
        prediction=prediction,
        weights={
            "unet": folder.weights(place / "unet"),
            "vae": {names.modern_vae(key): weight for key, weight in vae.items()},
            "text_encoder": {names.old_text(key): weight for key, weight in text.items() if not key.endswith(COUNTING)},
        },
    )


def inflated(published: Published, base: System = PIXELDANCE) -> System:
    """The system `base` around a published model: its geometry, text encoder, codec and process in place of its own.

    The temporal layers are the published model's, and `base`'s where it has none.
    """
    timed = TEMPORAL if published.net.temporal != "none" else ()
    theirs = {name: getattr(published.net, name) for name in (*FLAT, "head_width", *timed)}
    concat = base.condition.channels(published.net.channels)
    net = replace(base.net, **theirs, concat=concat, vector=0, film=False, carry=())
    return replace(
        base,
        codec=published.codec,
        text=published.text,
        net=net,
        process=published.process,
        prediction=published.prediction,
        vector=(),
        trained=("net",),
        step_offset=-1.0,
    )


def fill(parts: Parts, published: Published) -> None:
    """Give a new model the weights of a published one. Raises ValueError where its system is built otherwise."""
    _check(parts.system, published)
    net, codec, text = parts.net, parts.codec.net, getattr(parts.text, "model")  # noqa: B009 (a CLIPEncoder, as checked)
    wanted = {name: weight for name, weight in net.state_dict().items() if name in published.names}
    first = "conv_in.spatial.weight"
    wanted[first] = wanted[first][:, : published.net.channels]
    state = taken(published.names, published.weights["unet"], wanted, "a UNet")
    state[first] = widened(state[first], net.config.channels + net.config.concat)
    neutral(net)
    net.load_state_dict(net.state_dict() | state)
    vae = names.vae(parts_vae(parts.system))
    codec.load_state_dict(taken(vae, published.weights["vae"], codec.state_dict(), "an AutoencoderKL"))
    wanted = text.state_dict()
    text.load_state_dict(taken(names.text(wanted), published.weights["text_encoder"], wanted, "a CLIPTextModel"))


def parts_vae(system: System) -> Any:
    """The geometry of a system's autoencoder. Raises ValueError where its codec is another one."""
    if not isinstance(system.codec, KLConfig):
        raise ValueError(f"got a codec {type(system.codec).__name__}; wanted an autoencoder, KLConfig")
    return system.codec.vae


def prepare(parts: Parts, source: str, revision: str | None = None) -> None:
    """Give a new model the weights of SOURCE, a folder or a name on the hub at a commit: for `Training.prepare`."""
    fill(parts, read(folder.locate(source, revision).folder))


def _check(system: System, published: Published) -> None:
    """Raise ValueError, naming the fields, where the weights would mean something else in this system."""
    ours, theirs = system.net, published.net
    same = FLAT if theirs.temporal == "none" else (*FLAT, *TEMPORAL)
    pairs: dict[str, tuple[Any, Any]] = {f"net.{name}": (getattr(ours, name), getattr(theirs, name)) for name in same}
    levels = range(min(len(ours.widths), len(theirs.widths)))
    pairs["net.head_width"] = ([ours.heads_at(level) for level in levels], [theirs.heads_at(level) for level in levels])
    pairs["text"] = (_weighed(system.text), _weighed(published.text))
    pairs["codec"] = (system.codec, replace(published.codec, frames_at_once=system.codec.frames_at_once))
    pairs["process"] = (system.process, published.process)
    pairs["prediction"] = (system.prediction, published.prediction)
    pairs["step_offset"] = (system.step_offset, -1.0)
    odd = [f"{name}: {mine} here, {other} there" for name, (mine, other) in pairs.items() if mine != other]
    if odd:
        raise ValueError(
            f"got weights for another system ({'; '.join(odd)}); wanted the system that "
            "pixeldance.exchange.published.inflated makes for them"
        )


def _weighed(text: TextConfig) -> TextConfig:
    """What of a text encoder says what its weights are: where its tokenizer comes from does not."""
    return replace(text, tokenizer="", padding="") if isinstance(text, CLIPConfig) else text


def _padding(tokenizer: Path) -> str:
    """The token that a tokenizer pads with: "!" in Stable Diffusion 2, the end mark in 1."""
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        if (tokenizer / file).is_file():
            token = folder.settings(tokenizer, file).get("pad_token")
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                return token
    return "<|endoftext|>"
