"""`pixeldance train`: run an experiment file, or go on with its run."""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Exit, Option

from pixeldance.cli import ask
from pixeldance.cli.systems import SystemName, toy_run

if TYPE_CHECKING:
    from pixeldance.training.loop import Training


def train(
    experiment: Annotated[
        Path | None,
        Argument(metavar="EXPERIMENT", help="A Python file with config(...) -> Training.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None, Argument(metavar="[NAME=VALUE]...", help="What its config takes.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, Option("--out", "-o", metavar="DIR", help="Folder of the run; runs/ and the experiment's name.")
    ] = None,
    init: Annotated[
        str | None,
        Option(
            metavar="WEIGHTS",
            help="Start from: a checkpoint; or a published model's folder, or OWNER/NAME[@COMMIT] on the hub.",
        ),
    ] = None,
    system: SystemName = None,
    steps: Annotated[
        int | None, Option(parser=ask.whole(1, 10**9), metavar="N", help="Steps in all; the experiment's own.")
    ] = None,
    threads: Annotated[
        int | None, Option(parser=ask.whole(1, 1024), metavar="N", help="Threads; as many as torch likes.")
    ] = None,
) -> None:
    """Train a model as an experiment file says, or a published system at toy size.

    The same command again continues the run. Ctrl-C and SIGTERM end it with a checkpoint: exit code 130 or 143. Several
    processes: torchrun --nproc-per-node 8 -m pixeldance train EXPERIMENT
    """
    if (experiment is None) == (system is None):
        raise ValueError(f"got the experiment {experiment} and --system {system}; wanted one of them")
    if experiment is not None:
        _check(experiment)
    folder = out or Path("runs") / (experiment.stem if experiment is not None else str(system))

    import os
    from dataclasses import replace

    import torch

    from pixeldance.training import loop

    if threads is not None:
        torch.set_num_threads(threads)
    run = configured(experiment, settings or []) if experiment is not None else toy_run(str(system))
    if init is not None:
        run = _started(run, init, folder)
    main = os.environ.get("RANK", "0") == "0"
    newest = loop.latest(folder)
    if main:
        print(f"{folder}: {'a new run' if newest is None else f'going on from {newest.name}'}", file=sys.stderr)
    try:
        saved = loop.train(run if steps is None else replace(run, steps=steps), folder, progress=sys.stderr.isatty())
    except FloatingPointError as error:
        print(f"Error: {error}", file=sys.stderr)
        raise Exit(1) from None
    if main:
        print(saved)


def _started(run: "Training", weights: str, folder: Path) -> "Training":
    """The run from other weights: a checkpoint's, or a published model's, at a commit that the run's record names."""
    from dataclasses import replace
    from functools import partial

    from pixeldance.exchange.folder import locate
    from pixeldance.exchange.published import prepare
    from pixeldance.training.recipe import kept

    place = Path(weights)
    if place.is_dir() and not (place / "model_index.json").is_file() and not (place / "unet").is_dir():
        return replace(run, init=place)
    name, _, commit = weights.partition("@")
    before = kept(folder).get("prepare") or {}
    if not commit and before.get("source") == name:  # what a name on the hub means may change under a run
        commit = before.get("revision") or ""
    origin = locate(name, commit or None)
    source = name if origin.revision else str(origin.folder)
    return replace(run, init=None, prepare=partial(prepare, source=source, revision=origin.revision))


def _check(experiment: Path) -> None:
    """Raise ValueError unless it is a Python file."""
    if experiment.suffix != ".py" or not experiment.is_file():
        raise ValueError(
            f"got the experiment {experiment}; wanted a Python file, such as experiments/small_pixeldance.py"
        )


def configured(experiment: Path, settings: list[str]) -> "Training":
    """What config() of a Python file gives. The file may import what lies beside it, as when it is run itself."""
    _check(experiment)

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
    run = module.config(**_arguments(module.config, settings)) if hasattr(module, "config") else None
    if not isinstance(run, Training):
        raise ValueError(
            f"got the experiment {experiment}, whose config() gives {type(run).__name__}; wanted a function "
            "config() -> pixeldance.training.loop.Training"
        )
    return run


def _arguments(config: Callable[..., Any], settings: list[str]) -> dict[str, Any]:
    """NAME=VALUE texts as arguments of a function, each of its parameter's type: text, a number or a path."""
    taken = inspect.signature(config, eval_str=True).parameters
    found = dict[str, Any]()
    for each in settings:
        name, equals, text = each.partition("=")
        if not equals or name not in taken:
            raise ValueError(f"got {ask.shown(each)}; this experiment takes {_listed(taken)}")
        kind = taken[name].annotation
        try:
            found[name] = kind(text) if kind in (int, float, Path) else text
        except ValueError:
            raise ValueError(f"got {ask.shown(each)}; wanted {name} as {kind.__name__}") from None
    missing = [name for name, each in taken.items() if each.default is each.empty and name not in found]
    if missing:
        raise ValueError(f"got no {', '.join(missing)}; this experiment takes {_listed(taken)}, as NAME=VALUE")
    return found


def _listed(taken: Any) -> str:
    return ", ".join(taken) or "no settings"
