"""The nodes by ComfyUI's V1 protocol: loaded as it loads them, checked as it checks them, executed as it executes."""

import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pixeldance.pipeline import load

PACK = Path(__file__).parents[2] / "integrations" / "comfyui"
PRIMITIVE = {"STRING": str, "INT": int, "FLOAT": float}


@pytest.fixture(scope="module")
def nodes() -> dict[str, Any]:
    """As ComfyUI's nodes.py does: a package from its path, under a name that is no identifier."""
    name = str(PACK).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, PACK / "__init__.py", submodule_search_locations=[str(PACK)])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    assert module.NODE_DISPLAY_NAME_MAPPINGS.keys() == module.NODE_CLASS_MAPPINGS.keys()
    return dict(module.NODE_CLASS_MAPPINGS)


def execute(node: Any, **given: Any) -> tuple[Any, ...]:
    """What the executor does with a node: inputs checked by their declaration, then its function by name."""
    declared = node.INPUT_TYPES()
    assert declared["required"].keys() <= given.keys()
    known = declared["required"] | declared.get("optional", {})
    for name, value in given.items():
        kind, *options = known[name]
        if isinstance(kind, list):
            assert value in kind
        elif kind in PRIMITIVE:
            assert isinstance(value, PRIMITIVE[kind])
            limits = options[0] if options else {}
            if kind != "STRING":
                assert limits.get("min", value) <= value <= limits.get("max", value)
    made = getattr(node(), node.FUNCTION)(**given)
    assert isinstance(made, tuple)
    assert len(made) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
    return made


def test_a_video_by_the_protocol(nodes: dict[str, Any], tiny_model: Path) -> None:
    (model,) = execute(nodes["PixelDanceModel"], model=str(tiny_model))
    first, last = torch.rand(2, 1, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    given = {"model": model, "prompt": "a red star moves right", "seed": 7, "tau": 0.5, "steps": 2}
    frames, fps = execute(nodes["PixelDanceVideo"], **given, image=first, last_image=last)
    assert frames.shape == (4, 32, 32, 3)
    assert frames.dtype == torch.float32
    assert 0 <= float(frames.min()) <= float(frames.max()) <= 1
    assert fps == model.system.fps
    pictures = [(each[0] * 255).round().byte().numpy() for each in (first, last)]
    own = load(tiny_model)(
        "a red star moves right", *pictures, tau=0.5, num_inference_steps=2, seed=7, output_type="np"
    )
    np.testing.assert_allclose(frames, own.frames[0], atol=1e-7)
    with pytest.raises(ValueError, match="got 3 frames; this model makes 4 or 1: try 4"):
        execute(nodes["PixelDanceVideo"], **given, frames=3)


def test_progress_and_cancel_are_comfyuis(
    nodes: dict[str, Any], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[int, int]] = []

    def stop_after_two() -> None:
        if len(done) == 2:
            raise InterruptedError

    comfy: Any = ModuleType("comfy")
    comfy.utils = SimpleNamespace(
        ProgressBar=lambda total: SimpleNamespace(update_absolute=lambda at, of: done.append((at, of)))
    )
    comfy.model_management = SimpleNamespace(throw_exception_if_processing_interrupted=stop_after_two)
    monkeypatch.setitem(sys.modules, "comfy", comfy)
    (model,) = execute(nodes["PixelDanceModel"], model=str(tiny_model))
    with pytest.raises(InterruptedError):
        execute(nodes["PixelDanceVideo"], model=model, prompt="a red star", seed=0, steps=3)
    assert done == [(1, 3), (2, 3)]


def test_the_pack_says_who_publishes_it() -> None:
    project = tomllib.loads((PACK / "pyproject.toml").read_text())
    assert project["tool"]["comfy"].keys() >= {"PublisherId", "DisplayName"}
    assert project["project"]["dependencies"] == ["pixeldance"]
