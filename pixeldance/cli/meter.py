"""`pixeldance meter`: what is wrong with a video, as a table of readings with their limits."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from pixeldance.cli import ask

if TYPE_CHECKING:
    from pixeldance.metrics.meter import Metered


def meter(
    video: Annotated[Path, Argument(metavar="FILE", help="A video of any kind, or a folder of PNGs.")],
    first: Annotated[str | None, Option(metavar="IMAGE", help="The first frame that was asked for.")] = None,
    last: Annotated[str | None, Option(metavar="IMAGE", help="The last frame that was asked for.")] = None,
    fit: Annotated[
        str,
        Option(parser=ask.one_of("pad", "crop"), metavar="pad|crop", help="Pictures of another shape: bars, or cut."),
    ] = "pad",
    background: Annotated[str, Option(metavar="COLOUR", help="What shows where a picture is transparent.")] = "white",
    json: Annotated[bool, Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Read what is wrong with a video: jumps, cuts, rests, fades, flicker, drift.

    Exit code 0 whatever it finds.
    """
    colour = ask.colour(background)

    from pixeldance import image
    from pixeldance.metrics.meter import metered
    from pixeldance.video import iterate_video

    frames, fps = iterate_video(video)
    start = next(frames)
    size = (start.shape[0], start.shape[1])
    asked_first, asked_last = (
        None if path is None else image.fit(image.read_image(path, background=colour), size=size, rule=fit)
        for path in (first, last)
    )
    read = metered(chain([start], frames), asked_first, asked_last, fps)
    print(_as_json(read) if json else _as_table(read, fps))


def _as_json(read: "Metered") -> str:
    from json import dumps

    return dumps({"readings": read.readings, "faults": read.faults(), "cuts": read.cuts, "seams": read.seams}, indent=1)


def _as_table(read: "Metered", fps: float) -> str:
    from pixeldance.metrics.meter import READINGS

    faults = read.faults()
    lines = []
    for name, value in read.readings.items():
        known = READINGS[name]
        verdict = "FAULT" if name in faults else "ok" if known.limit() else ""
        lines.append(f"{name:16} {value:10.4g}  {verdict:6} {known.limit():15} {known.says} ({known.unit})")
    for what, places in (("cuts", read.cuts), ("seams", read.seams)):
        if places:
            told = ", ".join(f"{place} ({place / fps:.2f} s)" for place in places)
            lines.append(f"{what} before frame {told}")
    lines.append(f"faults: {', '.join(faults) or 'none'}")
    return "\n".join(lines)
