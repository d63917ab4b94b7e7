"""A Ray cluster, on which clips and a server's workers may run: reaching one, and saying why not.

Ray asks nobody for a key unless it is told to (RAY_AUTH_MODE=token): whoever reaches its ports may run programs there.
Keep them in a closed network.
"""

import logging
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HERE = "auto"
"""The address of the cluster that this machine is in."""
PATIENCE = 10.0  # seconds for a cluster to answer


@contextmanager
def joined(address: str, *, logs: bool = False) -> Iterator[Any]:
    """The module `ray`, connected to the cluster at HOST:PORT or to that of this machine (`HERE`) until the end.

    logs: print here what processes on the nodes print. What Ray says of nodes that are lost it always prints.

    Raises ValueError without Ray, for an address that is none, and where no cluster answers or the one that does
    refuses us: it is of another version, or wants a key.
    """
    try:
        import ray
    except ImportError:
        raise ValueError("got --ray, and ray is not installed; pip install 'pixeldance[ray]'") from None
    if address != HERE:
        _reach(address)
    ending = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=logs)
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        if address == HERE and isinstance(error, ConnectionError):
            raise ValueError(
                "got --ray, and this machine is in no cluster; begin one (ray start --head) or join one "
                "(ray start --address HOST:PORT)"
            ) from None
        said = " ".join(str(error).split())[:300] or type(error).__name__  # both versions stand on lines of their own
        raise ValueError(f"got --ray {address}, and that cluster does not take us in: {said}") from None
    try:
        signal.signal(signal.SIGTERM, ending)  # Ray has one of its own set by now
        yield ray
    finally:
        ray.shutdown()


def elsewhere(ray: Any) -> list[str]:
    """The names of the cluster's machines besides this one."""
    here = socket.gethostname()
    return sorted({node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]} - {here})


def _reach(address: str) -> None:
    match = re.fullmatch(r"\[?([^\[\]]+)\]?:([0-9]{1,5})", address)
    if match is None or not 0 < int(match[2]) < 65536:
        raise ValueError(f"got --ray {address!a}; wanted the HOST:PORT of a cluster's head, or {HERE}: this machine's")
    try:  # Ray itself would try for minutes
        socket.create_connection((match[1], int(match[2])), PATIENCE).close()
    except OSError as error:
        raise ValueError(f"got --ray {address}, and no cluster answers there: {error.strerror or error}") from None
