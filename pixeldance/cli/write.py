"""What verbs write: a clip with its receipt and its contact sheet."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pixeldance.cli import ask

if TYPE_CHECKING:
    from pixeldance.receipt import Picture, Rendered
    from pixeldance.video import Video


def write_clip(
    files: ask.Files,
    video: "Video",
    receipt: "Rendered",
    rows: "Sequence[tuple[str, Video]]",
    ends: "tuple[Picture | None, Picture | None]",
    *,
    fps: float,
    force: bool,
) -> None:
    """All files of a clip, or none of them: the others are complete before the first one gets its name.

    rows, ends: what the contact sheet shows, if one is wanted, and the first and last frame asked for beside it.
    """
    from PIL import Image

    from pixeldance.atomic import atomic_file
    from pixeldance.sheet import contact_sheet
    from pixeldance.video import write_video

    with ExitStack() as stack:
        stack.enter_context(atomic_file(files.receipt, overwrite=force)).write_text(receipt.text(), encoding="utf-8")
        if files.sheet:
            first, last = (None if picture is None else picture.pixels() for picture in ends)
            part = stack.enter_context(atomic_file(files.sheet, overwrite=force))
            Image.fromarray(contact_sheet(rows, first=first, last=last)).save(part, format="PNG")
        write_video(files.clip, video, fps=fps, overwrite=force)
