"""`pixeldance evaluate`: the figures of a model, as a table, as JSON, and as a page to look at."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from pixeldance.cli import ask

if TYPE_CHECKING:
    from pixeldance.pipeline import Pipeline

SUITE = "toybox"
PAGE, DATA = "report.html", "report.json"

Progress = Callable[[int], None]
Network = Annotated[Path | None, Option(metavar="FILE", help="Its published weights: docs/extractors.md.")]


def evaluate(
    models: Annotated[
        list[str] | None,
        Argument(metavar="[toybox] [MODEL]...", help="What is measured, and checkpoints: one, or two for a report."),
    ] = None,
    n: Annotated[
        int, Option("--n", parser=ask.whole(1, 10**6), metavar="N", help="Captions, none ever trained on.")
    ] = 200,
    report: Annotated[
        Path | None, Option("--report", metavar="DIR", help="Write a page with clips and curves, and its JSON.")
    ] = None,
    i3d: Network = None,
    inception: Network = None,
    c3d: Network = None,
    clip: Annotated[Path | None, Option(metavar="DIR", help="A folder of CLIP, as transformers has it.")] = None,
    lpips: Network = None,
    json: Annotated[Path | None, Option("--json", metavar="FILE", help="Write the figures here too.")] = None,
    model: Annotated[str | None, Option(metavar="DIR", help="A checkpoint; the model that ships.")] = None,
    threads: Annotated[int, Option(parser=ask.whole(1, 1024), metavar="N", help="Threads.")] = 1,
    force: Annotated[bool, Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Measure how a model follows a text and frames.

    The clips are held out: no model was trained on their combinations of shape, colour and motion. A report adds what
    published metrics say, where their networks are given; without them these are not computed, and proxies of other
    names stand in.
    """
    from pixeldance.atomic import atomic_file, check_file, check_folder

    folders = _folders([each for each in models or [] if each != SUITE], model)
    given = {"i3d": i3d, "inception": inception, "c3d": c3d, "clip": clip, "lpips": lpips}
    networks = {name: path for name, path in given.items() if path is not None}
    if report is None and (len(folders) > 1 or networks):
        raise ValueError("got two models, or networks of published metrics; these go into a report: --report DIR")
    if report is not None:
        if json is not None:
            raise ValueError(f"got --json and --report; a report has its own JSON, {DATA}")
        if n < 2:
            raise ValueError(f"got --n {n}; wanted 2 captions or more for the intervals of a report")
        check_folder(report, overwrite=force, only="report.*")
    if json is not None:
        check_file(json, overwrite=force)

    from json import dumps

    import torch
    from tqdm import tqdm

    from pixeldance.metrics import toybox
    from pixeldance.pipeline import load

    torch.set_num_threads(threads)
    with tqdm(total=n * len(folders), unit="clip", disable=None, leave=False) as bar:

        def counted(before: int) -> Progress:
            def progress(done: int) -> None:
                bar.update(before + done - bar.n)

            return progress

        if report is not None:
            pipelines = {name: load(folder) for name, folder in folders.items()}
            _report(pipelines, n, networks, report, lambda number: counted(number * n), force=force)
            return
        (folder,) = folders.values()
        figures = toybox.evaluate(load(folder), n=n, progress=counted(0))
    if json is not None:
        known = {name: None if math.isnan(value) else value for name, value in figures.items()}
        with atomic_file(json, overwrite=force) as part:
            part.write_text(dumps(known, indent=1) + "\n")
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:{width}}  {value:.4g}")


def _folders(words: list[str], model: str | None) -> dict[str, str | None]:
    """The models' folders by the names that a report has for them; None is the one that ships."""
    named = [*words, *([] if model is None else [model])]
    for each in named:
        if not Path(each).is_dir():
            raise ValueError(f"got {ask.shown(each)}, which is no folder; wanted {SUITE}, or a checkpoint's folder")
    if len(named) > 2:
        raise ValueError(f"got {len(named)} models; wanted one, or two to lay side by side")
    if not named:
        return {"the model that ships": None}
    short = {Path(each).absolute().name: each for each in named}
    found: dict[str, str | None] = dict(short if len(short) == len(named) else {each: each for each in named})
    if len(found) < len(named):
        raise ValueError(f"got {named[0]} twice; wanted two models to lay side by side")
    return found


def _report(
    pipelines: "dict[str, Pipeline]",
    n: int,
    networks: dict[str, Path],
    out: Path,
    progress: Callable[[int], Progress],
    *,
    force: bool,
) -> None:
    """Measure the models, and write the page and its JSON, both or none."""
    from dataclasses import asdict
    from json import dumps

    from pixeldance.atomic import atomic_folder
    from pixeldance.metrics.extractors import OPEN
    from pixeldance.metrics.report import page
    from pixeldance.metrics.toybox_report import FPS, measure

    opened = {name: OPEN[name](path) for name, path in networks.items()}
    found = [
        measure(pipeline, name, n, opened, progress(number))
        for number, (name, pipeline) in enumerate(pipelines.items())
    ]
    data = [
        {
            "name": each.name,
            "about": each.about,
            "figures": [asdict(figure) for figure in each.figures],
            "scores": [score.as_json() for score in each.scores],
            "plots": [asdict(plot) for plot in each.plots],
        }
        for each in found
    ]
    with atomic_folder(out, overwrite=force, only="report.*") as folder:
        title = " beside ".join(pipelines) + f", on {n} held-out {SUITE} captions"
        (folder / PAGE).write_text(page(found, title=title, fps=FPS), encoding="utf-8")
        (folder / DATA).write_text(dumps(data, indent=1) + "\n")
    for each in found:
        print(each.name)
        for score in each.scores:
            print(f"  {score}")
    print(out / PAGE)
