"""The kernel distance of two sets of features: KID, and KVD for videos, once a network has made the features.

MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y) with k(x, y) = (gamma x.y + coef)^degree (arXiv 1801.01401), without the
diagonal terms: unbiased, so that equal distributions have mean 0 at any N, and single values may be negative.
"""

import numpy as np
from jaxtyping import Float


def kernel_distance(
    one: Float[np.ndarray, "n d"],
    other: Float[np.ndarray, "m d"],
    *,
    degree: int = 3,
    gamma: float | None = None,
    coef: float = 1.0,
) -> float:
    """The unbiased MMD^2 of two sets; gamma None means 1 / d. Its memory is quadratic in the sizes.

    Raises ValueError for fewer than 2 samples.
    """
    n, m = len(one), len(other)
    if min(n, m) < 2:
        raise ValueError(f"got {n} and {m} samples; wanted 2 or more of both")
    x, y = one.astype(np.float64), other.astype(np.float64)
    scale = 1 / x.shape[1] if gamma is None else gamma

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray((scale * (a @ b.T) + coef) ** degree)

    xx, yy = kernel(x, x), kernel(y, y)
    within_x = (xx.sum() - np.trace(xx)) / (n * (n - 1))
    within_y = (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within_x + within_y - 2 * kernel(x, y).mean())


def kernel_distance_of_subsets(
    one: Float[np.ndarray, "n d"],
    other: Float[np.ndarray, "m d"],
    rng: np.random.Generator,
    *,
    subsets: int = 100,
    size: int = 1000,
) -> tuple[float, float]:
    """(mean, standard deviation) of `kernel_distance` over random subsets, as KID is usually reported.

    The deviation is that of one subset, not the error of the mean. Raises ValueError where a set has fewer than `size`
    samples: a smaller size is another measure, and is asked for.
    """
    if min(len(one), len(other)) < size or subsets < 1:
        raise ValueError(
            f"got {len(one)} and {len(other)} samples for {subsets} subsets of {size}; "
            f"wanted {size} or more of both: give a smaller size"
        )
    values = [
        kernel_distance(*(x[rng.choice(len(x), size, replace=False)] for x in (one, other))) for _ in range(subsets)
    ]
    return float(np.mean(values)), float(np.std(values))
