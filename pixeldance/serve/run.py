"""A server and its workers, from start to end."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from anyio import CapacityLimiter

from pixeldance import checkpoint, cluster
from pixeldance.engines import models
from pixeldance.metrics import calibration
from pixeldance.pipeline import SHIPPED
from pixeldance.serve.app import create_app
from pixeldance.serve.fetch import fetch
from pixeldance.serve.guard import Rules
from pixeldance.serve.keeper import Crew, kept
from pixeldance.serve.loras import found
from pixeldance.serve.places import DATABASE, Places, open_places
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
    ray: str | None = None,
    on_start: Callable[[str], object] = lambda address: None,
) -> None:
    """Serve until told to end; `on_start` is called with the address once it is bound. ray: the address of a cluster on
    whose nodes the workers are to run.

    Raises ValueError for a folder that is no model, OSError for a port in use.
    """
    folder = SHIPPED if model is None else model
    system = models.described(folder)
    hash = checkpoint.model_hash(folder)
    known = found(loras, hash)
    places, jobs = open_places(store, keep)
    name = "pixeldance-small" if model is None else model.name
    told: dict[str, Any] = {"store": store, "model": folder, "loras": loras}
    told |= {"count": workers, "threads": threads, "memory": memory, "save_every": save_every}
    serving = Serving(
        places=places,
        jobs=jobs,
        model=Model(id=name, folder=folder, hash=hash, system=system, loras=known, words=words(folder)),
        limiter=CapacityLimiter(DECODING),
        fetch=fetch if fetch_urls else None,
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Bound here, so that a port in use is an error before anything starts, and port 0 can be told.
    with _crew(ray, places, told) as crew, socket.create_server((host, port), family=family) as listening:
        app = create_app(serving, Rules(hosts=hosts, token=token), partial(kept, crew, jobs))
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
            http="h11",  # bounds a request's headers; the parser that uvicorn takes where it is installed does not
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=75,  # clients that come again every few seconds should not meet a closing connection
            timeout_graceful_shutdown=5,
        )
        uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def _crew(ray: str | None, places: Places, told: dict[str, Any]) -> Iterator[Crew]:
    """The workers that are to be kept: on this machine, or on the cluster at an address."""
    if ray is None:
        yield Crew(**told)
        return

    from pixeldance.serve.on_ray import RayCrew

    with cluster.joined(ray, logs=True) as module:
        others = cluster.elsewhere(module)
        if others and isinstance(places.jobs, Path):
            raise ValueError(
                f"got --ray with nodes on other machines ({', '.join(others)[:200]}) and the jobs in a file, which is "
                f"for one machine; set {DATABASE} to the address of a PostgreSQL database"
            )
        yield RayCrew(ray=module, **told)


def words(folder: Path) -> dict[str, float]:
    """The taus of the end-frame dial's words for a model; exact alone where it was not calibrated."""
    try:
        return dict(calibration.read(folder).words)
    except ValueError:
        return {"exact": 1.0}
