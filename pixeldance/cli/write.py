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
    again: bool = False,
) -> None:
    """All files of a clip, or none of them: all are complete before the first one gets its name.

    The clip gets its name last, so that a receipt without a clip is what a process leaves that was killed in between.
    Only where another clip is replaced it comes first, when the receipt of that one is gone: at no moment a clip lies
    beside the receipt of another one.

    rows, ends: what the contact sheet shows, if one is wanted, and the first and last frame asked for beside it.
    again: the receipt that is there is what a killed process left of the same clip: it is written again, and a sheet
    that is there is kept.
    """
    from PIL import Image

    from pixeldance.atomic import atomic_file
    from pixeldance.sheet import contact_sheet
    from pixeldance.video import video_file

    def clip() -> None:
        stack.enter_context(video_file(files.clip, video, fps=fps, overwrite=force))

    def sheet() -> None:
        if files.sheet and not (again and files.sheet.exists()):
            first, last = (None if picture is None else picture.pixels() for picture in ends)
            part = stack.enter_context(atomic_file(files.sheet, overwrite=force))
            Image.fromarray(contact_sheet(rows, first=first, last=last)).save(part, format="PNG")

    def told() -> None:
        part = stack.enter_context(atomic_file(files.receipt, overwrite=force or again))
        part.write_text(receipt.text(), encoding="utf-8")

    replaces = files.taken()
    with ExitStack() as stack:  # what is begun last gets its name first
        for begin in (told, sheet, clip) if replaces else (clip, sheet, told):
            begin()
        if replaces:
            files.receipt.unlink(missing_ok=True)
