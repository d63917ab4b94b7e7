"""A server's LoRAs: the folders in one folder, called by their names. No part of a path ever comes from a client."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pixeldance import adapter
from pixeldance.pipeline import Pipeline
from pixeldance.serve.refused import invalid
from pixeldance.serve.tasks import LoraAsked

MOST = 4  # on one video
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def found(folder: Path | None, base: str) -> dict[str, Path]:
    """The LoRAs in a folder by name. Raises ValueError for a folder that is none, and for anything in it that is no
    LoRA of the model with the hash `base`: better at the start than in a job."""
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ValueError(f"got --loras {folder}, which is no folder; wanted one with a folder for each LoRA")
    known = {}
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name.startswith("."):
            continue
        if NAME.fullmatch(path.name) is None:
            raise ValueError(f"got a LoRA called {path.name!a}; wanted letters, digits, dots, dashes: rename it")
        read = adapter.load(path)
        if read.base is not None and read.base != base:
            raise ValueError(f"{path} was trained on another model ({read.base[:12]}); take it out of {folder}")
        known[path.name] = path
    return known


def asked(text: str | None, known: Sequence[str]) -> tuple[LoraAsked, ...]:
    """The LoRAs in a request, "style" or "style:0.8", parted by commas. Raises Refused for others than are `known`."""
    if text is None or not text.strip():
        return ()
    wanted = []
    for part in text.split(","):
        name, _, scale = part.strip().partition(":")
        if name not in known:
            have = ", ".join(known) or "none"
            raise invalid(f"got the LoRA {name[:64]!r}; this server has: {have}", "lora", "lora_not_found")
        try:
            number = float(scale) if scale else 1.0
        except ValueError:
            number = float("nan")
        if not -100 <= number <= 100:
            raise invalid(f"got the scale {scale[:20]!r} of {name}; wanted a number from -100 to 100", "lora")
        wanted.append(LoraAsked(name=name, scale=number))
    if len(wanted) > MOST or len({each.name for each in wanted}) < len(wanted):
        raise invalid(f"got {len(wanted)} LoRAs; wanted each once, and {MOST} at most", "lora")
    return tuple(wanted)


def spelled(loras: Sequence[LoraAsked]) -> str | None:
    """LoRAs as a request names them; the inverse of `asked`."""
    return ",".join(f"{each.name}:{each.scale!r}" for each in loras) or None


@contextmanager
def worn(pipeline: Pipeline, loras: Sequence[LoraAsked], known: Mapping[str, Path]) -> Iterator[None]:
    """The pipeline with these LoRAs on it while the body runs. Raises ValueError for one that is gone by now."""
    try:
        for each in loras:
            if each.name not in known:
                raise ValueError(f"the LoRA {each.name} is not here any more")
            pipeline.load_lora_weights(known[each.name], each.name, each.scale)
        yield
    finally:
        if loras:
            pipeline.unload_lora_weights()
