"""`pixeldance plan`: what a command will take in time, memory and disk, from a quick probe of this machine."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from pixeldance.cli import ask
from pixeldance.cli.options import Count, Frames, Guidance, ModelFolder, Size, Steps, Threads, Workers

if TYPE_CHECKING:
    from pixeldance.forecast import Forecast
    from pixeldance.pipeline import Pipeline
    from pixeldance.receipt import Request

Json = Annotated[bool, Option("--json", help="For programs: seconds and bytes, each as low, likely and high.")]


def plan_generate(
    frames: Frames = None,
    size: Size = None,
    steps: Steps = None,
    guidance: Guidance = None,
    model: ModelFolder = None,
    count: Count = 1,
    still: Annotated[bool, Option("--still", help="The first frame comes from the text too.")] = False,
    workers: Workers = 1,
    threads: Threads = 1,
    out: Annotated[Path, Option("--out", "-o", metavar="DIR", help="Where the clips will be.")] = Path(),
    json: Json = False,
) -> None:
    """What `pixeldance generate` will take: the likely value and a band that holds the true one nine times in ten.

    Some passes of the network are tried on this machine as it is now. What cannot fit is refused before, with the
    change with which it would.
    """
    width, height = (None, None) if size is None else ask.size(size)

    import time

    import numpy as np
    import torch

    from pixeldance import forecast
    from pixeldance.generate import Sampling
    from pixeldance.instruction import FIRST
    from pixeldance.pipeline import instruct, load

    if model is not None and not (Path(model) / "config.json").is_file():
        raise ValueError(
            f"got --model {ask.shown(model)}; wanted the folder of a checkpoint: pipelines are not forecast"
        )
    torch.set_num_threads(threads)
    begin = time.perf_counter()
    pipeline = load(model)
    started = time.perf_counter() - begin + IMPORTS
    asked = instruct(pipeline.system, "a video", num_frames=frames, height=height, width=width)
    if not still and FIRST in pipeline.system.condition.places and asked.length > 1:
        picture = np.zeros((*(asked.size or pipeline.system.size(None, None)), 3), np.uint8)
        asked = instruct(pipeline.system, "a video", picture, num_frames=frames, height=height, width=width)
    sampling = Sampling(steps=steps, guidance=guidance)
    found = forecast.clips(pipeline, asked, sampling, count=count, workers=workers, started=started)
    forecast.check_disk(found, out)
    _tell(found, json)


def plan_train(
    experiment: Annotated[Path, Argument(metavar="EXPERIMENT", help="A Python file with config(...) -> Training.")],
    settings: Annotated[
        list[str] | None, Argument(metavar="[NAME=VALUE]...", help="What its config takes.", show_default=False)
    ] = None,
    out: Annotated[Path, Option("--out", "-o", metavar="DIR", help="Where the run will be.")] = Path("runs"),
    threads: Annotated[
        int | None, Option(parser=ask.whole(1, 1024), metavar="N", help="Threads; as many as torch likes.")
    ] = None,
    json: Json = False,
) -> None:
    """What `pixeldance train` will take in one process: some of its steps are done, and nothing of them is kept."""
    import torch

    from pixeldance import forecast
    from pixeldance.cli.train import configured
    from pixeldance.training.forecast import training

    if threads is not None:
        torch.set_num_threads(threads)
    found = training(configured(experiment, settings or []))
    forecast.check_disk(found, out)
    _tell(found, json)


MANY = 20  # clips: from here on they are foretold
IMPORTS = 2.5
"""Seconds until torch is there, on one core of an AMD EPYC."""


def foretell(pipeline: "Pipeline", request: "Request", count: int, workers: int, out: Path) -> None:
    """Say on stderr what many clips of one request will take, before the first is begun. Raises ValueError for what
    does not fit. Nothing for few clips, which take no longer than the probe, and for pretrained pipelines."""
    from pixeldance import forecast
    from pixeldance.pipeline import Pipeline

    if count < MANY or type(pipeline) is not Pipeline:
        return
    asked = request.instruction(pipeline.system)
    found = forecast.clips(pipeline, asked, request.sampling(), count=count, workers=workers)
    forecast.check_disk(found, out)
    print("\n".join(found.lines()[:3]), file=sys.stderr)


def _tell(found: "Forecast", json: bool) -> None:
    if json:
        from dataclasses import asdict
        from json import dumps

        print(dumps(asdict(found), indent=1))
    else:
        print("\n".join(found.lines()))


VERBS: dict[str, Callable[..., None]] = {"generate": plan_generate, "train": plan_train}
