"""`pixeldance data check`: a set gone through before training meets it."""

import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Exit, Option

from pixeldance.cli import ask

Specs = Annotated[
    list[str],
    Argument(metavar="DATA...", help="Folders of videos, or NAME:PATH such as ucf101:PATH?split=train01."),
]
Workers = Annotated[int, Option(parser=ask.whole(0, 256), metavar="N", help="Processes that read; 0: this one.")]
SHOWN = 20  # unreadable clips on the terminal; the JSON has all


def check(
    data: Specs,
    frames: Annotated[
        int | None, Option(parser=ask.whole(1, 10_000), metavar="N", help="Length of a clip.  [default: 16]")
    ] = None,
    fps: Annotated[
        float | None, Option(parser=ask.number(0.1, 240), metavar="X", help="Frames a second.  [default: 4]")
    ] = None,
    quick: Annotated[bool, Option("--quick", help="Ends and a clip of each video, not all its frames.")] = False,
    json: Annotated[Path | None, Option("--json", metavar="FILE", help="Write the report here.")] = None,
    workers: Workers = 0,
    force: Annotated[bool, Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Find what in a set cannot be used.

    Every video is decoded. Exit code 1 if one is unreadable, or a shard is not whole.
    """
    from pixeldance.atomic import atomic_file, check_file

    if json is not None:
        check_file(json, overwrite=force)

    from json import dumps

    from tqdm import tqdm

    from pixeldance.data.check import check_all, damaged_shards, report
    from pixeldance.data.datasets import open_source

    source = open_source(*map(spec, data), frames=frames, fps=fps)
    clips = check_all(source, quick=quick, workers=workers)
    bar = tqdm(clips, total=len(source), unit="clip", disable=None, leave=False)
    found = report(list(bar), damaged_shards(source))
    if json is not None:
        with atomic_file(json, overwrite=force) as part:
            part.write_text(dumps(found, indent=1) + "\n")
    for shard in found["damaged_shards"]:
        print(f"{shard['name']}: {shard['reason']}", file=sys.stderr)
    for clip in found["unreadable"][:SHOWN]:
        print(f"{clip['name']}: {clip['reason']}", file=sys.stderr)
    if len(found["unreadable"]) > SHOWN:
        print(f"and {len(found['unreadable']) - SHOWN} more, which --json lists", file=sys.stderr)
    print(f"{found['readable']} of {found['clips']} clips can be used")
    for reason, count in found["reasons"].items():
        print(f"{count:8} {reason}")
    if found["seconds"]:
        print("seconds: {total} in all, {shortest} to {longest}, median {median}".format(**found["seconds"]))
    if found["sizes"]:
        print("sizes: " + ", ".join(f"{size} ({count})" for size, count in list(found["sizes"].items())[:SHOWN]))
    if found["unreadable"] or found["damaged_shards"]:
        raise Exit(1)


def spec(text: str) -> str:
    """What a person named: a spec, or a folder of videos."""
    return f"folder:{text}" if Path(text).is_dir() else text
