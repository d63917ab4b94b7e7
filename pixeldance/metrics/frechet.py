"""The Fréchet distance of two sets of features, which is what FID and FVD are once a network has made the features.

d(P, Q) = |m_P - m_Q|^2 + tr(C_P) + tr(C_Q) - 2 tr((C_P C_Q)^(1/2)), with m the means and C the covariances (arXiv
1706.08500, eq. 6; a squared distance, as FID and FVD are always given). It falls with the number of samples: numbers
of different N cannot be compared, and `frechet_curve` with `at_infinity` says by how much.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What the distance needs of a set of features: how many, their mean, and their scatter, the sum of
    (x - mean)(x - mean)^T. Plain arrays, so that processes can send them to each other."""

    count: int
    mean: Float64[np.ndarray, "d"]
    scatter: Float64[np.ndarray, "d d"]

    @property
    def covariance(self) -> Float64[np.ndarray, "d d"]:
        """The unbiased covariance. Raises ValueError for fewer than 2 samples."""
        if self.count < 2:
            raise ValueError(f"got {self.count} samples; wanted 2 or more for a covariance")
        return self.scatter / (self.count - 1)


def moments(features: Float[np.ndarray, "n d"]) -> Moments:
    """The moments of a batch, in float64 whatever comes in. Raises ValueError for none, and for NaN and infinity."""
    if len(features) == 0 or not np.isfinite(features).all():
        raise ValueError(f"got features of shape {features.shape}; wanted 1 or more rows of finite numbers")
    x = features.astype(np.float64)
    mean = x.mean(axis=0)
    x -= mean
    return Moments(count=len(x), mean=mean, scatter=x.T @ x)


def merged(parts: Iterable[Moments]) -> Moments:
    """The moments of all samples from those of parts of them: batches of a stream, or of several processes.

    Exact but for float64 rounding (Chan, Golub and LeVeque 1983), where sums of squares would cancel. Raises
    ValueError for no parts and for features of different widths.
    """
    total: Moments | None = None
    for part in parts:
        total = part if total is None else _joined(total, part)
    if total is None:
        raise ValueError("got no moments to merge; wanted 1 or more")
    return total


def frechet(one: Moments, other: Moments) -> float:
    """The Fréchet distance, 0 or more; 0 for equal moments.

    With C_P = A A^T and C_Q = B B^T from symmetric eigenvalues, tr((C_P C_Q)^(1/2)) is the sum of the singular values
    of A^T B: real for any covariance, singular ones (fewer samples than features) included, where a general matrix
    square root turns complex. Raises ValueError for other widths and fewer than 2 samples.
    """
    _check_widths(one, other)
    shift = one.mean - other.mean
    factors = [_factor(each.covariance) for each in (one, other)]
    overlap = np.linalg.svd(factors[0].T @ factors[1], compute_uv=False).sum()
    spread = sum(float((factor**2).sum()) for factor in factors)
    return max(0.0, float(shift @ shift + spread - 2 * overlap))


def frechet_distance(one: Float[np.ndarray, "n d"], other: Float[np.ndarray, "m d"]) -> float:
    """`frechet` of the moments of two sets of features."""
    return frechet(moments(one), moments(other))


@dataclass(frozen=True, kw_only=True)
class AtCount:
    """The distance of subsets of `count` samples each: its mean and standard deviation over several draws."""

    count: int
    mean: float
    deviation: float


def frechet_curve(
    real: Float[np.ndarray, "n d"],
    made: Float[np.ndarray, "m d"],
    counts: Sequence[int],
    rng: np.random.Generator,
    draws: int = 5,
) -> list[AtCount]:
    """How the distance depends on the number of samples: subsets of each count, drawn `draws` times without
    replacement from both sets. Raises ValueError for a count below 2 or above what there is."""
    most = min(len(real), len(made))
    points = []
    for count in counts:
        if not 2 <= count <= most:
            raise ValueError(f"got a count of {count}; wanted 2 to {most}, the size of the smaller set")
        values = [
            frechet_distance(*(x[rng.choice(len(x), count, replace=False)] for x in (real, made))) for _ in range(draws)
        ]
        points.append(AtCount(count=count, mean=float(np.mean(values)), deviation=float(np.std(values))))
    return points


def at_infinity(curve: Sequence[AtCount]) -> tuple[float, float]:
    """(the distance of endless sets, the bias at one sample): the line `distance + bias / count` through a curve.

    Its bias being nearly linear in 1 / N, the distance can be extrapolated (arXiv 1911.07023) where N is well above
    the rank of the features. Raises ValueError for fewer than two different counts.
    """
    if len({point.count for point in curve}) < 2:
        raise ValueError(f"got a curve of {len(curve)} points; wanted two different counts or more")
    bias, distance = np.polyfit([1 / point.count for point in curve], [point.mean for point in curve], 1)
    return float(distance), float(bias)


def window_curve(real: Float[np.ndarray, "n w d"], made: Float[np.ndarray, "m v e"]) -> list[float]:
    """How a long video keeps up: for each window in time, the distance of the features of the made videos there to
    those of real videos there. Features are of windows of, say, 16 frames (`window_starts`)."""
    if real.shape[1:] != made.shape[1:]:
        raise ValueError(f"got windows and widths {real.shape[1:]} and {made.shape[1:]}; wanted the same")
    return [frechet_distance(real[:, window], made[:, window]) for window in range(made.shape[1])]


def window_starts(frames: int, size: int = 16, stride: int = 16) -> range:
    """The first frame of each whole window of `size` frames. Raises ValueError where there is none."""
    if min(size, stride) < 1 or frames < size:
        raise ValueError(f"got {frames} frames for windows of {size}, {stride} apart; wanted at least one window")
    return range(0, frames - size + 1, stride)


def _joined(one: Moments, other: Moments) -> Moments:
    _check_widths(one, other)
    count = one.count + other.count
    shift = other.mean - one.mean
    return Moments(
        count=count,
        mean=one.mean + shift * (other.count / count),
        scatter=one.scatter + other.scatter + np.outer(shift, shift) * (one.count * other.count / count),
    )


def _factor(covariance: Float64[np.ndarray, "d d"]) -> Float64[np.ndarray, "d r"]:
    """A with A A^T = covariance, without the columns that rounding alone fills."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))


def _check_widths(one: Moments, other: Moments) -> None:
    if one.mean.shape != other.mean.shape:
        raise ValueError(
            f"got features of width {len(one.mean)} and {len(other.mean)}; wanted both from the same extractor"
        )
