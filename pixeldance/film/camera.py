"""Camera words: how a person says what the camera does, how a text does, and which of them a model was ever shown.

A vocabulary cannot tell the last: a word that the model can read may never have stood beside a camera that moved. So a
checkpoint records the world that it was trained on (`about.world` in its config.json, written by `recorded`).
"""

import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixeldance.data.toybox.world import World

CAMERA = {
    "pan left": "the camera pans left",
    "pan right": "the camera pans right",
    "pan up": "the camera pans up",
    "pan down": "the camera pans down",
    "zoom in": "the camera zooms in",
    "zoom out": "the camera zooms out",
    "close-up": "close-up",
    "rotate": "the camera rotates",
    "circle": "the camera circles around",
    "follow": "the camera follows",
    "static": "the camera is still",
}
"""Camera words and how a text says them."""
STILL = "static"


def said(text: str, camera: str | None) -> str:
    """A text with what the camera does behind it. Raises ValueError for a word that is none of CAMERA."""
    if camera is None:
        return text
    if camera not in CAMERA:
        raise ValueError(f"got the camera {camera[:40]!r}; wanted one of {', '.join(CAMERA)}")
    return f"{text.rstrip(' ,.')}, {CAMERA[camera]}"


def words_in(text: str) -> list[str]:
    """The camera words of a text, in whichever of the toybox's phrasings, in the order of CAMERA."""
    lower = " ".join(text.lower().split())
    return [word for word, phrases in _phrases().items() if any(re.search(rf"\b{p}\b", lower) for p in phrases)]


def recorded(world: "World") -> dict[str, Any]:
    """What a checkpoint says of the world that it was trained on, for `checkpoint.save(..., about={"world": ...})`."""
    return asdict(world)


def taught(folder: Path) -> set[str] | None:
    """The camera words that the model of a checkpoint was shown; None where it does not say what it was trained on."""
    from pixeldance import checkpoint

    world = checkpoint.read_config(folder)["about"].get("world")
    if not isinstance(world, dict) or not {"moving_camera", "cameras"} <= world.keys():
        return None
    return {STILL, *(world["cameras"] if world["moving_camera"] else ())}


def warning(texts: Iterable[str], folder: Path) -> str | None:
    """What is to be told of camera words that the model of a checkpoint was never shown; None where there are none."""
    known = taught(folder)
    if known is None:
        return None
    new = dict.fromkeys(word for text in texts for word in words_in(text) if word not in known)
    if not new:
        return None
    rest = ", ".join(word for word in CAMERA if word in known)
    return f"this model was trained without these camera moves and will not make them: {', '.join(new)}; it has {rest}"


def _phrases() -> dict[str, tuple[str, ...]]:
    from pixeldance.data.toybox.caption import CAMERAS

    table = {word: {phrase, *CAMERAS.get("still" if word == STILL else word, ())} for word, phrase in CAMERA.items()}
    table["zoom in"] -= table["close-up"]
    return {word: tuple(map(re.escape, sorted(phrases))) for word, phrases in table.items()}
