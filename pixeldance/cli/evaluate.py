"""`pixeldance evaluate`: the figures of a model, as a table and as JSON."""

import math
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pixeldance.cli import ask


def evaluate(
    suite: Annotated[str, Argument(parser=ask.one_of("toybox"), metavar="toybox", help="What is measured.")],
    n: Annotated[
        int, Option("--n", parser=ask.whole(1, 10**6), metavar="N", help="Captions, none ever trained on.")
    ] = 200,
    json: Annotated[Path | None, Option("--json", metavar="FILE", help="Write the figures here too.")] = None,
    model: Annotated[str | None, Option(metavar="DIR", help="A checkpoint; the model that ships.")] = None,
    threads: Annotated[int, Option(parser=ask.whole(1, 1024), metavar="N", help="Threads.")] = 1,
    force: Annotated[bool, Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Measure how a model follows a text and frames.

    The clips are held out: no model was trained on their combinations of shape, colour and motion.
    """
    from pixeldance.atomic import atomic_file, check_file

    if json is not None:
        check_file(json, overwrite=force)

    from json import dumps

    import torch
    from tqdm import tqdm

    from pixeldance.metrics import toybox
    from pixeldance.pipeline import load

    torch.set_num_threads(threads)
    pipeline = load(model)
    with tqdm(total=n, unit="clip", disable=None, leave=False) as bar:

        def progress(done: int) -> None:
            bar.update(done - bar.n)

        figures = toybox.evaluate(pipeline, n=n, progress=progress)
    if json is not None:
        known = {name: None if math.isnan(value) else value for name, value in figures.items()}
        with atomic_file(json, overwrite=force) as part:
            part.write_text(dumps(known, indent=1) + "\n")
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:{width}}  {value:.4g}")
