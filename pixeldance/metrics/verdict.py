"""Whether one arm of a comparison beats another: a paired bootstrap over seeds and requests, and its verdict.

    difference = mean over seeds s and requests n of (ours - theirs)[s, n]

Both arms answer the same requests with the same seeds, so that what a request or a seed makes hard cancels out. The
threshold is written down before the run: `held` means that the whole interval lies above it, `failed` below it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

Verdict = Literal["held", "failed", "undecided"]
Values = Float[np.ndarray, "_ _"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The mean difference of two arms and its 95 % interval; seeds, requests: how many there were of each; pairs: of
    those seeds times requests, the ones that both arms have a value for."""

    mean: float
    low: float
    high: float
    seeds: int
    requests: int
    pairs: int

    def verdict(self, threshold: float) -> Verdict:
        """`held` above the threshold, `failed` below it, `undecided` where the interval has it inside."""
        return verdict((self.low, self.high), threshold)


def verdict(interval: tuple[float, float], threshold: float) -> Verdict:
    """What an interval (low, high) says of "more than `threshold`". Where less is better, give theirs less ours."""
    low, high = interval
    if not low <= high:
        raise ValueError(f"got the interval {interval}; wanted (low, high), numbers in this order")
    return "held" if low > threshold else "failed" if high < threshold else "undecided"


def paired_bootstrap(ours: Values, theirs: Values, rng: np.random.Generator, *, draws: int = 2000) -> Difference:
    """`ours` less `theirs`, each a value for every seed (row) and request (column); NaN where there is none.

    Percentiles of the means of resampled seeds and resampled requests (Efron 1979), each a sample of its own kind; of S
    seeds S - 1 are drawn, which gives few seeds the spread of their mean without bias (Rao and Wu 1988, J. Am. Stat.
    Assoc. 83). With a single seed only requests are resampled: it then speaks of these very weights and no others.
    Raises ValueError for unequal shapes, for fewer than 2 requests, and where fewer than 2 of them have a value.
    """
    if np.shape(ours) != np.shape(theirs) or np.ndim(ours) != 2 or not len(ours) or np.shape(ours)[1] < 2:
        raise ValueError(
            f"got values of {np.shape(ours)} and {np.shape(theirs)}; wanted two tables of one shape, a row a seed and "
            "2 requests or more"
        )
    apart = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    known = np.isfinite(apart)
    if known.any(axis=0).sum() < 2:
        raise ValueError(
            f"got {known.sum()} pairs with a value, of fewer than 2 requests; wanted more requests that can be measured"
        )
    seeds, requests = apart.shape
    filled = np.where(known, apart, 0.0)
    # How often each draw has each seed and each request; the means of the draws then are products.
    rows = rng.multinomial(max(1, seeds - 1), np.full(seeds, 1 / seeds), size=draws)
    columns = rng.multinomial(requests, np.full(requests, 1 / requests), size=draws)
    counts = ((rows @ known) * columns).sum(axis=1)
    sums = ((rows @ filled) * columns).sum(axis=1)
    means = sums[counts > 0] / counts[counts > 0]
    low, high = np.percentile(means, [2.5, 97.5])
    return Difference(
        mean=float(filled.sum() / known.sum()),
        low=float(low),
        high=float(high),
        seeds=seeds,
        requests=requests,
        pairs=int(known.sum()),
    )
