"""The inception score of class predictions: IS = exp(mean KL(p(y | x) || p(y))), arXiv 1606.03498.

It lies between 1 and the number of classes, and looks at no real data: it cannot see whether pictures are right.
"""

import numpy as np
from jaxtyping import Float, Float64


def inception_score(
    predictions: Float[np.ndarray, "n k"], rng: np.random.Generator | None = None, *, splits: int = 10
) -> tuple[float, float]:
    """(mean, standard deviation over splits) of the score of class probabilities, each row summing to 1.

    A split sees only its own samples, so samples that are sorted by class score far too low: `rng` shuffles them;
    without one they are taken as they come. Small splits score lower, too. Raises ValueError for rows that are no
    probabilities (logits, for one) and for more splits than samples.
    """
    p = predictions.astype(np.float64)
    if not 1 <= splits <= len(p):
        raise ValueError(f"got {splits} splits of {len(p)} samples; wanted 1 to {len(p)}")
    if not ((p >= 0).all() and np.allclose(p.sum(axis=1), 1, atol=1e-4)):
        raise ValueError("got rows that are no probabilities; wanted each to sum to 1: apply a softmax to logits")
    if rng is not None:
        p = rng.permutation(p)
    scores = [float(np.exp(_information(part))) for part in np.array_split(p, splits)]
    return float(np.mean(scores)), float(np.std(scores))


def _information(p: Float64[np.ndarray, "n k"]) -> float:
    """Mean KL divergence of the rows from their mean, in nats; 0 log 0 = 0."""
    marginal = np.broadcast_to(p.mean(axis=0), p.shape)
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / marginal[seen])).sum() / len(p))
