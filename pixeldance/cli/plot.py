"""`pixeldance plot`: the curves of training runs as a picture."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pixeldance.cli import ask


def plot(
    runs: Annotated[list[Path], Argument(metavar="RUN...", help="Folders of runs, or their log.jsonl.")],
    out: Annotated[Path, Option("--out", "-o", metavar="FILE", help="A picture: .png, .svg or .pdf.")],
    smooth: Annotated[
        int, Option(parser=ask.whole(1, 10**6), metavar="STEPS", help="Steps that the smoothed loss averages.")
    ] = 100,
    force: Annotated[bool, Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Draw loss, gradient, rate, speed and figures of one or more runs."""
    from pixeldance.atomic import atomic_file, check_file

    if out.suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"got -o {out}; wanted a name that ends in .png, .svg or .pdf")
    check_file(out, overwrite=force)

    from pixeldance.training.plot import draw

    figure = draw(runs, smooth=smooth)
    with atomic_file(out, overwrite=force) as part, part.open("wb") as file:
        figure.savefig(file, format=out.suffix[1:])
    print(out)
