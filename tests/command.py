"""The command line as the tests use it: in this process, or as the real program."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROGRAM = [sys.executable, "-m", "pixeldance"]
TEXT = "a red circle moves right"
Result = tuple[int, str, str]
Run = Callable[..., Result]


def in_process(capsys: pytest.CaptureFixture[str], *arguments: object) -> Result:
    """Run the command line in this process: (exit code, stdout, stderr)."""
    from pixeldance.cli import app

    with pytest.raises(SystemExit) as end:
        app([str(argument) for argument in arguments], prog_name="pixeldance")
    return int(end.value.code or 0), *capsys.readouterr()


def program(*arguments: object, **settings: Any) -> "subprocess.Popen[str]":
    """Start the real program."""
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings)


def listing(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, hidden ones too, with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
