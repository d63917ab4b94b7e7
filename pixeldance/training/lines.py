"""The files of JSON lines in a run's folder: appended to as it goes on, and cut back where it goes on again."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixeldance.atomic import atomic_file

STEPS, FIGURES, QUARANTINE = "log.jsonl", "figures.jsonl", "quarantine.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; none where it does not exist, and without a last one that was cut short."""
    if not path.exists():
        return []
    found = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(text))
        except ValueError:
            break  # killed while writing it
    return found


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line, in one write. What is no number becomes null: JSON has no word for it."""
    with path.open("a", encoding="utf-8") as file:
        file.write(_text(line))


def cut(path: Path, step: int) -> None:
    """Leave of a file only the whole lines of steps before `step`."""
    if path.exists():
        kept = [line for line in read(path) if line["step"] < step]
        with atomic_file(path, overwrite=True) as part:
            part.write_text("".join(map(_text, kept)), encoding="utf-8")


def _text(line: Mapping[str, Any]) -> str:
    known = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in line.items()}
    return json.dumps(known) + "\n"
