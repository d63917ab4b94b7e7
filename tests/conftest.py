"""Set up before any test imports the package: shape checks, one thread a worker, no network."""

import os

# Read by OpenMP and BLAS when numpy and torch load, and inherited by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import footage
import numpy as np
import pytest
from command import Run, in_process
from hypothesis import settings
from jaxtyping import install_import_hook
from PIL import Image

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


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a tiny model with random weights: 4 frames of 32 x 32 pixels."""
    from tiny import random_parts

    from pixeldance import checkpoint

    folder = tmp_path_factory.mktemp("models") / "tiny"
    checkpoint.save(folder, random_parts())
    return folder


@pytest.fixture(scope="session")
def films() -> Path:
    """The folder with the real films, see footage.py."""
    return footage.fetch()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process: (exit code, stdout, stderr) of its arguments."""
    return partial(in_process, capsys)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder but for two pictures, a.png and b.png."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.png", "b.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(name)
    return tmp_path
