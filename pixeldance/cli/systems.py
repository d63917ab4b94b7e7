"""`pixeldance systems`: the published systems that this package knows, and what was found out about each."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

if TYPE_CHECKING:
    from pixeldance.training.recipe import Training

SystemName = Annotated[
    str | None, Option("--system", metavar="NAME", help="A published system at toy size: `pixeldance systems`.")
]


def systems(
    markdown: Annotated[bool, Option("--markdown", help="Print the page docs/systems.md instead.")] = False,
) -> None:
    """List the published systems: name, evidence, what it is.

    Evidence is what an experiment of this repository found of the system's claim: held, failed, undecided, or not yet
    run. `train --system NAME` and `generate --system NAME` use them at toy size.
    """
    from pixeldance.systems import PUBLISHED
    from pixeldance.systems.evidence import page, told

    if markdown:
        print(page(), end="")
        return
    known = {name: told(name) for name in PUBLISHED}
    wide, wider = max(map(len, known)), max(map(len, known.values()))
    for name, each in PUBLISHED.items():
        print(f"{name:{wide}}  {known[name]:{wider}}  {each.line}")


def toy_run(name: str) -> "Training":
    """The training of the system of that name at toy size; ValueError with the names there are."""
    from pixeldance.systems import PUBLISHED
    from pixeldance.systems.toy import run, toy

    if name not in PUBLISHED:
        raise ValueError(f"got --system {name!r}; wanted one of {', '.join(PUBLISHED)}")
    return run(toy(PUBLISHED[name]))


def trained(name: str) -> Path:
    """The newest checkpoint that `train --system NAME` left in runs/NAME."""
    from pixeldance.training.saves import latest

    toy_run(name)
    newest = latest(Path("runs") / name)
    if newest is None:
        raise ValueError(
            f"got --system {name} and no weights in runs/{name}; make some first: pixeldance train --system {name}"
        )
    return newest.absolute()
