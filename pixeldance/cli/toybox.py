"""`pixeldance toybox`: captioned clips of the procedural world as files."""

from pathlib import Path
from typing import Annotated

from typer import Option

from pixeldance.cli import ask

ENDINGS = ("mp4", "mkv", "gif", "webp", "png")
NAMES = "toybox-*"
SHOWN = 16  # clips on the sheet


def toybox(
    out: Annotated[str, Option("--out", "-o", metavar="DIR", help="A folder, which is made.")],
    count: Annotated[int, Option(parser=ask.whole(1, 10**6), metavar="N", help="Clips.")] = 8,
    size: Annotated[int, Option(parser=ask.whole(1, 10**6), metavar="PIXELS", help="Width and height.")] = 64,
    seed: Annotated[
        int, Option(parser=ask.whole(0, ask.SEEDS - 1), metavar="N", help="Of the first clip; the others follow.")
    ] = 0,
    frames: Annotated[int, Option(parser=ask.whole(1, 1000), metavar="N", help="Length.")] = 16,
    ending: Annotated[
        str, Option(parser=ask.one_of(*ENDINGS), metavar="|".join(ENDINGS), help="Kind of file; png: folders.")
    ] = "mp4",
    force: Annotated[bool, Option("--force", help="Replace a folder of such clips.")] = False,
) -> None:
    """Make captioned clips of coloured shapes that move.

    Beside each lies its caption, a .txt, and beside all a contact sheet of the first ones.
    """
    from tqdm import tqdm

    from pixeldance.atomic import atomic_folder
    from pixeldance.data.toybox import clip
    from pixeldance.image import write_image
    from pixeldance.sheet import contact_sheet
    from pixeldance.video import write_video

    shown = []
    with atomic_folder(out, overwrite=force, only=NAMES) as folder:
        for number in tqdm(range(count), unit="clip", disable=None, leave=False):
            made = clip(seed + number, size=(size, size), frames=frames)
            base = f"{folder}/toybox-{number:0{len(str(count))}d}"
            write_video(base + ("/" if ending == "png" else f".{ending}"), made.video, fps=made.fps)
            Path(base + ".txt").write_text(made.text + "\n", encoding="utf-8")
            if number < SHOWN:
                shown.append((made.text, made.video))
        write_image(folder / "toybox-sheet.png", contact_sheet(shown, columns=min(frames, 16)))
    print(f"{out}: {count} clips with captions")
    print(Path(out) / "toybox-sheet.png")
