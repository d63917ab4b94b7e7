"""The LoRA that ships is small and belongs to the model that ships."""

from pathlib import Path

from pixeldance import adapter, checkpoint
from pixeldance.pipeline import SHIPPED

SKETCHES = SHIPPED.parent / "sketches"


def test_it_was_trained_on_the_weights_that_ship():
    """Where this fails, weights/small was replaced: train experiments/sketches.py again, or remove weights/sketches."""
    assert adapter.load(SKETCHES).base == checkpoint.model_hash(SHIPPED)


def test_it_is_small_and_nothing_else_lies_beside_it():
    sizes = {file.name: file.stat().st_size for file in Path(SKETCHES).iterdir()}
    assert set(sizes) == {"README.md", "adapter_config.json", "adapter_model.safetensors", "pixeldance.json"}
    assert sum(sizes.values()) < 2_000_000
