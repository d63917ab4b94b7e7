"""The command line: one entry, `main`, and a verb a file. Nothing heavy is imported before a verb runs.

Bad input ends in a message and exit code 2, Ctrl-C in 130; a verification that fails in 1.
"""

import functools
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from pixeldance import __version__
from pixeldance.cli.calibrate import calibrate
from pixeldance.cli.data import check
from pixeldance.cli.edit import edit
from pixeldance.cli.encode import encode
from pixeldance.cli.evaluate import evaluate
from pixeldance.cli.export import export
from pixeldance.cli.extend import extend
from pixeldance.cli.film import film
from pixeldance.cli.generate import generate
from pixeldance.cli.meter import meter
from pixeldance.cli.plan import VERBS as PLANS
from pixeldance.cli.plot import plot
from pixeldance.cli.reproduce import reproduce
from pixeldance.cli.serve import serve
from pixeldance.cli.studio import studio
from pixeldance.cli.sweep import sweep
from pixeldance.cli.systems import systems
from pixeldance.cli.toybox import toybox
from pixeldance.cli.train import train
from pixeldance.cli.verify import verify

# Without rich, help is drawn in a tenth of a second instead of half a one.
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, no_args_is_help=True)


def main() -> None:
    """The program `pixeldance`."""
    # An exception where the default is to drop everything: temporary files and worker processes end with us.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    app(prog_name="pixeldance")


def version(wanted: bool) -> bool:
    if wanted:
        print(f"pixeldance {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def program(
    _: Annotated[bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Videos from a text, a first frame and a last frame: PixelDance, open and directable."""


def explained(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with the errors that bad input raises turned into messages."""

    @functools.wraps(verb)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            verb(*args, **kwargs)
        except (ValueError, OSError) as error:
            print(f"Error: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            raise typer.Exit(130) from None

    return run


for each in (
    generate,
    film,
    extend,
    edit,
    sweep,
    calibrate,
    verify,
    meter,
    train,
    export,
    plot,
    serve,
    studio,
    toybox,
    evaluate,
    reproduce,
    systems,
):
    app.command()(explained(each))
plans = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Time, memory and disk that a command will take.")
for name, verb in PLANS.items():
    plans.command(name)(explained(verb))
app.add_typer(plans, name="plan")
sets = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Look after data.")
sets.command()(explained(check))
app.command()(explained(encode))
app.add_typer(sets, name="data")
