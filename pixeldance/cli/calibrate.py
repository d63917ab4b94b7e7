"""`pixeldance calibrate`: measure what the words of the end-frame dial mean for a model."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pixeldance.cli import ask
from pixeldance.cli.options import Force, Threads


def calibrate(
    model: Annotated[Path, Argument(metavar="MODEL", help="A checkpoint; the calibration is kept in its folder.")],
    pairs: Annotated[
        int, Option(parser=ask.whole(1, 100_000), metavar="N", help="First and last frames, each made ten times.")
    ] = 40,
    threads: Threads = 1,
    force: Force = False,
) -> None:
    """Measure what tau does to a model's ends, for `generate --end`.

    The curve and the words chosen from it go into calibration.json beside the weights, bound to their hash.
    """
    import torch
    from tqdm import tqdm

    from pixeldance.atomic import check_file
    from pixeldance.metrics.calibration import FILE, TAUS, write
    from pixeldance.metrics.calibration import calibrate as measure
    from pixeldance.pipeline import load

    folder = model.absolute()
    if folder.is_dir():
        check_file(folder / FILE, overwrite=force)
    torch.set_num_threads(threads)
    pipeline = load(folder)
    with tqdm(total=pairs * len(TAUS), unit="clip", disable=None, leave=False) as bar:
        known = measure(pipeline, pairs, progress=bar.update)
    place = write(known, folder, overwrite=force)
    print("tau   similarity (dB)        end jump  smooth")
    for point in known.curve:
        jump = ("-", "-") if point.end_jump is None else (f"{point.end_jump:.2f}", f"{point.smooth:.0%}")
        between = f"{point.similarity:.1f} ({point.low:.1f} to {point.high:.1f})"
        print(f"{point.tau:<4g}  {between:21}  {jump[0]:8}  {jump[1]}")
    for word, tau in known.words.items():
        print(f"{word}: tau {tau:g}")
    print(place)
