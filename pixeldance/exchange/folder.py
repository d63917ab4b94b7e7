"""Reading a folder in the form of diffusers, from the disk or the hub: JSON and safetensors, and nothing else.

No code of the folder is run and nothing is unpickled. A file that an index names has to lie in the part's own folder:
one that would be read from elsewhere is refused before it is opened. A name on the hub is pinned to its commit.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pixeldance.checkpoint import PICKLES

FORM = "a folder in the form of diffusers, with model_index.json and safetensors"
STEMS = ("diffusion_pytorch_model", "model")
WANTED = [
    "*.json",
    "*/*.json",
    "*/*.txt",
    "*/*.model",  # the pieces of words of a tokenizer
    *(f"{part}{stem}{end}" for part in ("", "*/") for stem in STEMS for end in (".safetensors", "-*-of-*.safetensors")),
]
"""The files that are fetched: no second copies in other precisions, no pickles, no code."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where weights come from. name: as it was given. folder: where they lie. revision: their commit on the hub."""

    name: str
    folder: Path
    revision: str | None


def locate(name: str, revision: str | None = None) -> Origin:
    """The folder NAME, or the files of NAME on the hub at a commit, fetched unless HF_HUB_OFFLINE is set.

    Only settings and safetensors are fetched. Raises ValueError where there is neither, and for a name without a
    revision that looks like a folder's: one that would lie in a folder which is there, or nearly has the name of one.
    """
    folder = Path(name)
    if folder.is_dir():
        if revision is not None:
            raise ValueError(f"got the folder {name} and revision {revision}; only a name on the hub has revisions")
        return Origin(name=name, folder=folder.absolute(), revision=None)
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1:
        raise ValueError(f"{name}: no such folder; wanted {FORM}, a checkpoint, or OWNER/NAME on the hub{told(name)}")
    if revision is None and (folder.parent.is_dir() or nearest(folder)):
        raise ValueError(f"{name}: no such folder{told(name)}; for the model of that name on the hub say {name}@main")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise ValueError(f"{name}: no such folder, and the hub needs: pip install 'pixeldance[exchange]'") from None
    try:
        here = Path(snapshot_download(name, revision=revision, allow_patterns=WANTED))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        forbidden = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") else ""
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{name}: no such folder, and not to be had from the hub{forbidden}: {why}") from None
    return Origin(name=name, folder=here, revision=here.name)


def nearest(folder: Path) -> Path | None:
    """The folder whose name is most like that of one that is not there; its parent's may be mistyped as well."""
    parent = folder.parent if folder.parent.is_dir() else _alike(folder.parent)
    return None if parent is None else _alike(parent / folder.name)


def told(name: str) -> str:
    """What a message says of the nearest folder: nothing where there is none."""
    near = nearest(Path(name))
    return "" if near is None else f" (the nearest is {near})"


def _alike(folder: Path) -> Path | None:
    if not folder.parent.is_dir():
        return None
    beside = [each.name for each in folder.parent.iterdir() if each.is_dir()]
    near = get_close_matches(folder.name, beside, n=1, cutoff=0.6)
    return folder.parent / near[0] if near else None


def settings(folder: Path, file: str) -> dict[str, Any]:
    """A JSON file of a part. Raises ValueError where it is missing or something else."""
    path = folder / file
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: missing; wanted {FORM}") from None
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({error}); wanted {FORM}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: got a {type(found).__name__}; wanted an object of settings")
    return found


def weights(folder: Path) -> dict[str, Tensor]:
    """The tensors of a part, in the dtype that they are stored in, out of one file or of all that its index names."""
    for stem in STEMS:
        if (folder / f"{stem}.safetensors").is_file():
            return _tensors(folder / f"{stem}.safetensors")
        if (folder / f"{stem}.safetensors.index.json").is_file():
            return _sharded(folder, f"{stem}.safetensors.index.json")
    pickles = [each.name for each in folder.iterdir() if each.suffix in PICKLES] if folder.is_dir() else []
    got = f"{pickles[0]}, a pickle, which can run code when opened" if pickles else "no safetensors"
    raise ValueError(f"{folder}: got {got}; wanted {' or '.join(STEMS)}.safetensors")


def placed(index: Path) -> dict[str, str]:
    """The file of each weight, by an index. Raises ValueError where one does not lie beside it."""
    found = settings(index.parent, index.name).get("weight_map")
    if not isinstance(found, Mapping) or not all(isinstance(file, str) for file in found.values()):
        raise ValueError(f"{index}: got no weight_map of names to files; wanted {FORM}")
    for file in set(found.values()):
        if Path(file).name != file or not file.endswith(".safetensors"):
            raise ValueError(f"{index}: got the file {file!r}; wanted the name of a safetensors file beside it")
    return dict(found)


def _sharded(folder: Path, index: str) -> dict[str, Tensor]:
    where, found = placed(folder / index), dict[str, Tensor]()
    for file in sorted(set(where.values())):
        found |= _tensors(folder / file)
    if found.keys() != where.keys():
        odd = sorted(found.keys() ^ where.keys())[:4]
        raise ValueError(f"{folder / index}: it and its files disagree on what there is, e.g. {odd}; copy them again")
    return found


def _tensors(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except FileNotFoundError:
        raise ValueError(f"{file}: missing; wanted {FORM}") from None
    except SafetensorError as error:
        raise ValueError(f"{file}: not a safetensors file ({error}); copy it again") from None
