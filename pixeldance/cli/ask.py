"""What a person typed, checked: numbers, sizes and file names. Imports nothing heavy before a check needs it."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from typer import BadParameter

SEEDS = 2**32


def whole(low: int, high: int) -> Callable[[str | int], int]:
    """A parser of whole numbers from `low` to `high`; defaults pass through it too, as they are."""

    def parse(text: str | int) -> int:
        value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,30}", str(text)) else None
        if value is None or not low <= value <= high:
            raise BadParameter(f"got {shown(str(text))}; wanted a whole number from {low} to {high}")
        return value

    return parse


def number(low: float, high: float) -> Callable[[str | float], float]:
    """A parser of numbers from `low` to `high`; defaults pass through it too, as they are."""

    def parse(text: str | float) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise BadParameter(f"got {shown(str(text))}; wanted a number from {low:g} to {high:g}")
        return value

    return parse


def size(text: str) -> tuple[int, int]:
    """(width, height) of WIDTHxHEIGHT."""
    match = re.fullmatch(r"([0-9]{1,6})[xX×]([0-9]{1,6})", text)
    if match is None:
        raise ValueError(f"got --size {shown(text)}; wanted WIDTHxHEIGHT in pixels, such as 64x64")
    return int(match[1]), int(match[2])


def place(text: str, option: str) -> tuple[int, int]:
    """(x, y) of X,Y."""
    match = re.fullmatch(r"([0-9]{1,6}),([0-9]{1,6})", text)
    if match is None:
        raise ValueError(f"got {option} {shown(text)}; wanted X,Y in pixels from the left upper corner, such as 12,20")
    return int(match[1]), int(match[2])


def lora(text: str) -> tuple[str, float]:
    """(folder, scale) of FOLDER or FOLDER:SCALE; what follows the last colon is a scale if it is a number."""
    folder, _, scale = text.rpartition(":")
    try:
        float(scale)
    except ValueError:
        return text, 1.0
    return (folder, number(-100, 100)(scale)) if folder else (text, 1.0)


def colour(text: str, option: str = "--background") -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of a colour's name or #rrggbb."""
    from pixeldance.image import colour_of

    try:
        return colour_of(text)
    except ValueError:
        raise ValueError(f"got {option} {shown(text)}; wanted a colour such as white or #ff8800") from None


def one_of(*options: str) -> Callable[[str], str]:
    """A parser of a word out of a few."""

    def parse(text: str) -> str:
        if text not in options:
            raise BadParameter(f"got {shown(text)}; wanted {' or '.join(options)}")
        return text

    return parse


def plain(text: str) -> str:
    """A text that can be written as UTF-8; bytes that are none reach us as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadParameter(f"got {shown(text)}; wanted text in UTF-8") from None
    return text


def shown(text: str) -> str:
    """The text in quotes, cut where it is long, for a message."""
    return ascii(text) if len(text) <= 40 else f"{text[:40]!a}... ({len(text)} characters)"


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where the clip, its receipt and its contact sheet go; a clip that ends in / is a folder of PNGs."""

    clip: str
    receipt: Path
    sheet: Path | None

    def beside(self) -> list[Path]:
        """What there is besides the clip."""
        return [self.sheet, self.receipt] if self.sheet else [self.receipt]

    def taken(self) -> bool:
        """Whether something has the clip's name; an empty folder is nothing."""
        clip = Path(self.clip)
        return bool(os.listdir(clip)) if clip.is_dir() else os.path.lexists(clip)

    def whole(self) -> bool:
        """Whether all files are there."""
        return self.taken() and all(path.exists() for path in (Path(self.clip), *self.beside()))


def files(out: str, count: int, sheet: bool) -> list[Files]:
    """The files of `count` clips: out.mp4, or out-1.mp4, out-2.mp4, ..., each with .json beside it."""
    path = Path(out)
    is_folder = out.endswith(("/", os.sep))
    if path.name in ("", ".."):
        raise ValueError(f"got -o {shown(out)}, which names no file; wanted a name such as out.mp4")
    stem, ending = (path.name, "/") if is_folder else (path.stem, path.suffix)
    found = []
    for index in range(count):
        base = str(path.parent / (stem if count == 1 else f"{stem}-{index + 1}"))
        found.append(
            Files(clip=base + ending, receipt=Path(base + ".json"), sheet=Path(base + "-sheet.png") if sheet else None)
        )
    return found


def check(wanted: list[Files], *, force: bool, fps: float | None = None) -> None:
    """Raise ValueError now for what could not be written, or would be lost, at the end."""
    from pixeldance.atomic import check_file
    from pixeldance.video import check_output

    for each in wanted:
        check_output(each.clip, overwrite=force, fps=fps)
        for path in each.beside():
            check_file(path, overwrite=force)
        if each.receipt.exists() and not _is_receipt(each.receipt):
            raise ValueError(f"{each.receipt} is in the way of the receipt and is none; choose another name with -o")


def check_apart(wanted: list[Files], inputs: list[str]) -> None:
    """Raise ValueError where an output would replace one of the files that are read."""
    for name in (str(path) for each in wanted for path in (each.clip, *each.beside())):
        for given in inputs:
            if os.path.exists(name) and os.path.exists(given):
                holds = os.path.isdir(name) and Path(name).resolve() in Path(given).resolve().parents
                if holds or os.path.samefile(name, given):
                    raise ValueError(f"{given} is read and would be overwritten by {name}; choose another name with -o")


def _is_receipt(path: Path) -> bool:
    """Whether a file looks like a receipt of any version; what does not is not ours to overwrite."""
    try:
        return "frames_sha256" in json.loads(path.read_bytes())
    except (ValueError, TypeError):
        return False
