"""`pixeldance train`: run an experiment file, or go on with its run."""

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from pixeldance.cli import ask

if TYPE_CHECKING:
    from pixeldance.training.loop import Training


def train(
    experiment: Annotated[Path, Argument(metavar="EXPERIMENT", help="A Python file with config() -> Training.")],
    out: Annotated[
        Path | None, Option(metavar="DIR", help="Folder of the run; runs/ and the experiment's name.")
    ] = None,
    steps: Annotated[
        int | None, Option(parser=ask.whole(1, 10**9), metavar="N", help="Steps in all; the experiment's own.")
    ] = None,
    threads: Annotated[
        int | None, Option(parser=ask.whole(1, 1024), metavar="N", help="Threads; as many as torch likes.")
    ] = None,
) -> None:
    """Train a model as an experiment file says.

    The same command again continues the run.
    """
    if experiment.suffix != ".py" or not experiment.is_file():
        raise ValueError(
            f"got the experiment {experiment}; wanted a Python file, such as experiments/small_pixeldance.py"
        )
    folder = Path("runs") / experiment.stem if out is None else out

    from dataclasses import replace

    import torch

    from pixeldance.training import loop

    if threads is not None:
        torch.set_num_threads(threads)
    run = _config(experiment)
    newest = loop.latest(folder)
    print(f"{folder}: {'a new run' if newest is None else f'going on from {newest.name}'}", file=sys.stderr)
    loop.train(run if steps is None else replace(run, steps=steps), folder, progress=sys.stderr.isatty())
    print(loop.latest(folder))


def _config(experiment: Path) -> "Training":
    """What config() of a Python file gives. The file may import what lies beside it, as when it is run itself."""
    from pixeldance.training.loop import Training

    spec = importlib.util.spec_from_file_location(experiment.stem, experiment)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[experiment.stem] = module
    sys.path.insert(0, str(experiment.parent.absolute()))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ValueError(f"got the experiment {experiment}, which is no Python: {error}") from None
    run = module.config() if hasattr(module, "config") else None
    if not isinstance(run, Training):
        raise ValueError(
            f"got the experiment {experiment}, whose config() gives {type(run).__name__}; wanted a function "
            "config() -> pixeldance.training.loop.Training"
        )
    return run
