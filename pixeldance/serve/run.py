"""A server and its workers, from start to end."""

import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import uvicorn
from anyio import CapacityLimiter

from pixeldance import checkpoint
from pixeldance.metrics import calibration
from pixeldance.pipeline import SHIPPED
from pixeldance.serve.app import create_app
from pixeldance.serve.fetch import fetch
from pixeldance.serve.guard import Rules
from pixeldance.serve.keeper import Crew, kept
from pixeldance.serve.loras import found
from pixeldance.serve.places import open_places
from pixeldance.serve.requests import Model
from pixeldance.serve.state import DECODING, Serving

MOST_CONNECTIONS = 1000


def run(
    *,
    host: str,
    port: int,
    model: Path | None,
    store: Path,
    workers: int,
    threads: int,
    memory: int | None,
    keep: float,
    save_every: int,
    hosts: tuple[str, ...],
    token: str | None,
    loras: Path | None = None,
    fetch_urls: bool = False,
    on_start: Callable[[str], object] = lambda address: None,
) -> None:
    """Serve until told to end; `on_start` is called with the address once it is bound.

    Raises ValueError for a folder that is no checkpoint, OSError for a port in use.
    """
    folder = SHIPPED if model is None else model
    system = checkpoint.read_system(folder)
    hash = checkpoint.model_hash(folder)
    known = found(loras, hash)
    places, jobs = open_places(store, keep)
    name = "pixeldance-small" if model is None else model.name
    crew = Crew(
        store=store,
        model=folder,
        count=workers,
        threads=threads,
        memory=memory,
        save_every=save_every,
        loras=loras,
    )
    serving = Serving(
        places=places,
        jobs=jobs,
        model=Model(id=name, folder=folder, hash=hash, system=system, loras=known, words=words(folder)),
        limiter=CapacityLimiter(DECODING),
        fetch=fetch if fetch_urls else None,
    )
    app = create_app(serving, Rules(hosts=hosts, token=token), partial(kept, crew, jobs))
    # Bound here, so that a port in use is an error before anything starts, and port 0 can be told.
    with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listening:
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listening.getsockname()[1]}"
        print(
            f"PixelDance serves {name} at {address} (studio: {address}/studio/, documentation: {address}/docs)",
            flush=True,
        )
        on_start(address)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=5,
        )
        uvicorn.Server(config).run(sockets=[listening])


def words(folder: Path) -> dict[str, float]:
    """The taus of the end-frame dial's words for a model; exact alone where it was not calibrated."""
    try:
        return dict(calibration.read(folder).words)
    except ValueError:
        return {"exact": 1.0}
