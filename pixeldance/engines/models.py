"""The model of a folder: a checkpoint of ours, or a pretrained pipeline of diffusers."""

from pathlib import Path

from pixeldance import checkpoint, pipeline
from pixeldance.engines import engine
from pixeldance.pipeline import Pipeline
from pixeldance.system import Maker


def described(folder: Path) -> Maker:
    """What the model can make; its weights are not opened."""
    return engine.described(folder)[1] if checkpoint.is_pipeline(folder) else checkpoint.read_system(folder)


def opened(folder: Path, memory: str | None = None) -> Pipeline:
    """The model, ready for use. Raises ValueError for a use of memory that it does not know."""
    if checkpoint.is_pipeline(folder):
        return engine.load(folder, memory or "high")
    if memory is not None:
        raise ValueError(f"got --memory {memory} for a checkpoint, which is in memory as a whole; leave it out")
    return pipeline.load(folder)
