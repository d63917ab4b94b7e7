"""Picture by picture: how near made pixels are to real ones (PSNR, SSIM), and an ensemble of them (CRPS)."""

import math

import numpy as np
from jaxtyping import Float, Float64, Num, UInt8

WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03  # of SSIM, as first published


def psnr(made: UInt8[np.ndarray, "*shape"], real: UInt8[np.ndarray, "*shape"]) -> float:
    """Peak signal-to-noise ratio in dB of 8-bit pictures, at most 100."""
    error = np.mean((made.astype(np.float64) - real) ** 2)
    return 100.0 if error == 0 else min(100.0, 10 * math.log10(255**2 / error))


def ssim(made: UInt8[np.ndarray, "*b h w c"], real: UInt8[np.ndarray, "*b h w c"]) -> float:
    """Structural similarity, -1 to 1, of 8-bit pictures: the mean over channels and pictures.

    With the Gaussian window of 11 x 11 (sigma 1.5) and the constants of Wang et al. 2004, where the window lies
    wholly inside. Raises ValueError for pictures smaller than the window.
    """
    if min(made.shape[-3:-1]) < WINDOW:
        raise ValueError(f"got pictures of {made.shape[-3:-1]} pixels; wanted {WINDOW} x {WINDOW} or more")
    x, y = (np.moveaxis(each, -1, 0).astype(np.float64) for each in (made, real))
    mean_x, mean_y = _window(x), _window(y)
    var_x, var_y = _window(x * x) - mean_x**2, _window(y * y) - mean_y**2
    cov = _window(x * y) - mean_x * mean_y
    c1, c2 = (K1 * 255) ** 2, (K2 * 255) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * cov + c2)
    return float(np.mean(likeness / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))))


def crps(members: Num[np.ndarray, "m *shape"], truth: Num[np.ndarray, "*shape"], *, fair: bool = False) -> float:
    """Continuous ranked probability score, in the units of the values, mean over all of them; 0 is best.

    E|X - y| - E|X - X'| / 2 over the members X, X' of an ensemble of predictions of `truth` y (Gneiting and Raftery
    2007, eq. 21). `fair` leaves out the pairs of a member with itself, and so does not punish small ensembles; the
    published numbers of video prediction are without. Raises ValueError for no members, or one with `fair`.
    """
    m = len(members)
    if m < 1 + fair:
        raise ValueError(f"got {m} members; wanted {1 + fair} or more")
    x = np.sort(members.astype(np.float64), axis=0)
    error = np.abs(x - truth).mean()
    # Of sorted members, the sum of |x_i - x_j| over pairs is the sum of (2 i - m + 1) x_i.
    rank = (2 * np.arange(m) - m + 1).reshape(m, *[1] * truth.ndim)
    pairs = (rank * x).sum(axis=0).mean()
    return float(error - pairs / (m * max(m - fair, 1)))


def _window(x: Float64[np.ndarray, "*b h w"]) -> Float[np.ndarray, "*b i j"]:
    """Local means under the Gaussian window, where it fits."""
    weights = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / SIGMA) ** 2)
    weights /= weights.sum()
    h, w = (side - WINDOW + 1 for side in x.shape[-2:])
    rows = sum(weight * x[..., i : i + h, :] for i, weight in enumerate(weights))
    return np.asarray(sum(weight * rows[..., i : i + w] for i, weight in enumerate(weights)))
