"""Measures on embeddings of frames and texts, whatever network made them: consistency and CLIPSIM."""

import numpy as np
from jaxtyping import Float, Float64


def consistency(frames: Float[np.ndarray, "f d"]) -> float:
    """Mean cosine, -1 to 1, of the embeddings of consecutive frames.

    A frozen video has 1: read it beside a measure of motion. Raises ValueError for fewer than 2 frames.
    """
    if len(frames) < 2:
        raise ValueError(f"got {len(frames)} frames; wanted 2 or more")
    x = _unit(frames)
    return float((x[1:] * x[:-1]).sum(axis=1).mean())


def consistency_with_first(frames: Float[np.ndarray, "f d"]) -> float:
    """Mean cosine, -1 to 1, of the embeddings of the first frame and of each later one."""
    if len(frames) < 2:
        raise ValueError(f"got {len(frames)} frames; wanted 2 or more")
    x = _unit(frames)
    return float((x[1:] @ x[0]).mean())


def clipsim(frames: Float[np.ndarray, "f d"], text: Float[np.ndarray, "d"]) -> float:
    """Mean cosine, -1 to 1, of the embeddings of all frames with that of the text (arXiv 2104.14806)."""
    return float((_unit(frames) @ _unit(text[None])[0]).mean())


def _unit(x: Float[np.ndarray, "n d"]) -> Float64[np.ndarray, "n d"]:
    """Rows of length 1. Raises ValueError for rows without a direction."""
    wide = x.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    if not (np.isfinite(length).all() and (length > 0).all()):
        raise ValueError("got an embedding of length 0 or with NaN or infinity; wanted finite ones with a length")
    return np.asarray(wide / length)
