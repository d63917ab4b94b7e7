"""Which model a name means: a checkpoint of ours, or a pretrained pipeline of diffusers, on the disk or on the hub."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from pixeldance.cli import ask

if TYPE_CHECKING:
    from pixeldance.pipeline import Pipeline
    from pixeldance.system import Maker

MemoryUse = Annotated[
    str | None,
    Option(
        "--memory",
        parser=ask.one_of("low", "mid", "high"),
        metavar="low|mid|high",
        help="Of a pretrained pipeline on a GPU: layers, parts or all of it are there at once.  [default: high]",
    ),
]
FirstFromText = Annotated[
    str | None, Option(metavar="MODEL", help="Make the first frame by this text-to-image pipeline: folder or hub name.")
]


def place(model: str) -> Path:
    """The folder of a model; of a name on the hub, OWNER/NAME or OWNER/NAME@COMMIT, what is cached or fetched of it.

    Raises ValueError, and asks nobody, for what looks like the name of a folder that is not there.
    """
    if Path(model).exists():
        return Path(model).absolute()

    from pixeldance.exchange.folder import locate

    name, _, commit = model.partition("@")
    return locate(name, commit or None).folder


def is_engine(folder: Path) -> bool:
    """Whether a folder is a pipeline of diffusers, and no checkpoint of ours."""
    from pixeldance.checkpoint import is_pipeline

    return is_pipeline(folder)


def described(folder: Path) -> "Maker":
    """What the model of a folder can make; its weights are not opened."""
    from pixeldance.engines import models

    return models.described(folder)


def opened(folder: Path, memory: str | None = None, workers: int = 1) -> "Pipeline":
    """The model of a folder. Raises ValueError for a use of memory, or several processes, that it does not know."""
    from pixeldance.engines import models

    if workers > 1 and is_engine(folder):
        raise ValueError(f"got --workers {workers} for a pretrained pipeline, which runs in one process; leave it out")
    return models.opened(folder, memory)


def dress(pipeline: "Pipeline", loras: list[tuple[str, float]], *, any_base: bool, texts: Sequence[str]) -> None:
    """Put LoRAs, (folder, scale) each, on a model, and warn of words in the texts that it does not know, and of camera
    moves that it was never shown."""
    for folder, scale in loras:
        pipeline.load_lora_weights(folder, scale=scale, any_base=any_base)
    unknown = dict.fromkeys(word for text in texts for word in pipeline.unknown_words(text))
    if unknown:
        print(
            f"Warning: this model does not know these words and leaves them out: {', '.join(unknown)}", file=sys.stderr
        )
    if pipeline.folder is not None and not is_engine(pipeline.folder):
        from pixeldance.film import camera

        if told := camera.warning(texts, pipeline.folder):
            print(f"Warning: {told}", file=sys.stderr)
