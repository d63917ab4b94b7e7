"""`pixeldance studio`: the model behind a web page on this machine, for a person rather than a program."""

import webbrowser
from typing import Annotated

from typer import Option

from pixeldance.cli.options import ModelFolder, Threads
from pixeldance.cli.serve import Keep, LoraFolder, Memory, Port, StoreFolder, Workers, start


def studio(
    port: Port = 8000,
    model: ModelFolder = None,
    store: StoreFolder = None,
    loras: LoraFolder = None,
    workers: Workers = 1,
    threads: Threads = 1,
    memory: Memory = None,
    keep: Keep = 24.0 * 365,
    opened: Annotated[bool, Option("--open/--no-open", help="Open it in the browser.")] = True,
) -> None:
    """Direct the model on a web page: draw the last frame, turn the dial, watch, compare, film.

    It is the server of `pixeldance serve` on this machine alone, with the same store; here results are kept for a year.
    docs/studio.md shows it.
    """
    start(
        port=port,
        model=model,
        store=store,
        loras=loras,
        workers=workers,
        threads=threads,
        memory=memory,
        keep=keep,
        on_start=lambda address: webbrowser.open(f"{address}/studio/") if opened else None,
    )
