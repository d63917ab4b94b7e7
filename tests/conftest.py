"""Set up before any test imports the package: shape checks, one thread a worker, no network."""

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Read by torch and by OpenMP when they load, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

# Under pytest alone, every annotated function of the package has its shapes and types checked; as for a
# static checker, an int will do for a float.
install_import_hook("pixeldance", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

# A slow or busy machine is not a failure, and a failure in CI can be had again.
settings.register_profile("ours", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("ours")


@pytest.fixture(scope="session", autouse=True)
def offline() -> Iterator[None]:
    """Refuse every connection that would leave this machine."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: tuple[str, int]) -> None:
        if self.family != socket.AF_UNIX and not str(address[0]).startswith(("127.", "::1", "localhost")):
            raise OSError(f"tests run without a network, and something asked for {address}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        yield
