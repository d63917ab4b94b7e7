"""`pixeldance serve`: the model behind HTTP, for clients that speak OpenAI's videos API or Ark's tasks."""

import ipaddress
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from typer import Option

from pixeldance.cli import ask, models
from pixeldance.cli.options import MOST_PROCESSES, ModelFolder, Threads

TOKEN = "PIXELDANCE_TOKEN"
OWN_NAMES = ("127.0.0.1", "localhost", "::1")


Port = Annotated[int, Option(parser=ask.whole(0, 65535), metavar="P", help="0: any free one.")]
StoreFolder = Annotated[
    str | None,
    Option(
        "--store",
        metavar="DIR",
        help="Where jobs and results are kept.  [default: ~/.local/state/pixeldance/serve]",
    ),
]
LoraFolder = Annotated[
    str | None, Option(metavar="DIR", help="A folder with a folder for each LoRA, which requests name.")
]
Workers = Annotated[int, Option(parser=ask.whole(1, MOST_PROCESSES), metavar="N", help="Processes that make videos.")]
Memory = Annotated[
    float | None,
    Option(parser=ask.number(0.01, 10_000), metavar="GiB", help="What a job may take, beside the model."),
]
Keep = Annotated[float, Option(parser=ask.number(0.01, 100_000), metavar="HOURS", help="How long results are kept.")]


def serve(
    host: Annotated[str, Option(metavar="H", help="The address to listen at.")] = "127.0.0.1",
    port: Port = 8000,
    model: ModelFolder = None,
    store: StoreFolder = None,
    loras: LoraFolder = None,
    workers: Workers = 1,
    threads: Threads = 1,
    memory: Memory = None,
    keep: Keep = 24.0,
    save_every: Annotated[
        int, Option(parser=ask.whole(1, 1000), metavar="N", help="Steps between two saves of a job under way.")
    ] = 5,
    public_url: Annotated[
        str | None, Option(metavar="URL", help="How clients call this server, where it is not by its address.")
    ] = None,
    ray: Annotated[
        str | None,
        Option(metavar="HOST:PORT", help="A Ray cluster on whose nodes the workers run; auto: this machine's."),
    ] = None,
    fetch_urls: Annotated[
        bool, Option("--fetch-urls", help="Fetch pictures from public http(s) addresses that clients name.")
    ] = False,
) -> None:
    """Serve the model over HTTP: POST /v1/videos (OpenAI) and /api/v3/contents/generations/tasks (Ark).

    On this machine alone any key is accepted. To listen elsewhere, set the environment variable PIXELDANCE_TOKEN to the
    key that clients must send. docs/serve.md says more; so does /docs on the server. /studio/ is a page for people.
    """
    token = os.environ.get(TOKEN) or None
    if not _loopback(host) and (token is None or len(token) < 16):
        raise ValueError(
            f"got --host {host}, where others can reach this server, and no {TOKEN}; set it to a secret of 16 or more "
            "characters that clients send as their API key"
        )
    start(
        host=host,
        port=port,
        model=model,
        store=store,
        loras=loras,
        workers=workers,
        threads=threads,
        memory=memory,
        keep=keep,
        save_every=save_every,
        hosts=_hosts(host, public_url),
        token=token,
        fetch_urls=fetch_urls,
        ray=ray,
    )


def start(
    *,
    host: str = "127.0.0.1",
    port: int,
    model: str | None,
    store: str | None,
    loras: str | None,
    workers: int,
    threads: int,
    memory: float | None,
    keep: float,
    save_every: int = 5,
    hosts: tuple[str, ...] = OWN_NAMES,
    token: str | None = None,
    fetch_urls: bool = False,
    ray: str | None = None,
    on_start: Callable[[str], object] = lambda address: None,
) -> None:
    """Run a server with what a person typed; `on_start` is called with its address."""
    folder = Path(store) if store else state_folder() / "serve"

    from pixeldance.serve.run import run

    run(
        host=host,
        port=port,
        model=None if model is None else models.place(model),
        store=folder.absolute(),
        workers=workers,
        threads=threads,
        memory=None if memory is None else int(memory * 2**30),
        keep=3600 * keep,
        save_every=save_every,
        hosts=hosts,
        token=token,
        loras=None if loras is None else Path(loras).absolute(),
        fetch_urls=fetch_urls,
        ray=ray,
        on_start=on_start,
    )


def state_folder() -> Path:
    """Where programs of this person keep what is to survive a restart (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "pixeldance"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _hosts(host: str, public_url: str | None) -> tuple[str, ...]:
    """The names by which clients may call the server."""
    names = [*OWN_NAMES]
    if public_url is not None:
        parts = urlsplit(public_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"got --public-url {public_url}; wanted http://NAME or https://NAME")
        names.append(parts.hostname)
    elif host in ("0.0.0.0", "::"):
        raise ValueError(f"got --host {host}, which is no name to call a server by; say how it is called: --public-url")
    return tuple(dict.fromkeys([*names, host]))
