"""Points on the way to a video as files: whole or not at all, to the bit, and never unpickled."""

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pixeldance.atomic import atomic_file
from pixeldance.diffusion.resume import Point, Reached

VERSION = "1"


def save_point(path: Path, point: Point, request: str) -> None:
    """Write a point of the video that `request` asks for, in the place of an earlier one.

    Raises OSError, saying so, on a full disk; the earlier one is then still there.
    """
    tensors = {f"x.{i}": each.x for i, each in enumerate(point.reached)}
    tensors |= {f"rng.{i}": each.rng for i, each in enumerate(point.reached)}
    tensors |= {f"memory.{i}": each for i, each in enumerate(point.memory or ())}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    about = {
        "version": VERSION,
        "sha256": _digest(tensors),
        "request": _sha256(request),
        "done": json.dumps([each.done for each in point.reached]),
        "memory": str(-1 if point.memory is None else len(point.memory)),
    }
    data = save(tensors, about)
    with atomic_file(path, overwrite=True) as part:
        part.write_bytes(data)


def read_point(path: Path, request: str) -> Point | None:
    """The point of such a request; None where there is none, or one that is damaged or of something else: to begin
    anew costs time, and a wrong video would cost trust."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("version") != VERSION or about.get("request") != _sha256(request):
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if about["sha256"] != _digest(tensors):
            return None
        reached = tuple(
            Reached(done=done, x=tensors[f"x.{i}"], rng=tensors[f"rng.{i}"])
            for i, done in enumerate(json.loads(about["done"]))
        )
        count = int(about["memory"])
        memory = None if count < 0 else tuple(tensors[f"memory.{i}"] for i in range(count))
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return Point(reached=reached, memory=memory)


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
