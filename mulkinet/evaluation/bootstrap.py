"""How far a score would move on other works: bootstrap over works.

Queries of one work succeed and fail together, so works are drawn, with replacement, and not
queries. Intervals are percentiles of the scores of the draws. The draws follow from the seed and the
works; another order of tracks changes the order in which float64 are summed, and so an interval by a
relative 1e-12 at most.
"""

import numpy as np

__all__ = ["intervals", "difference"]

N_DRAWS = 1000
CONFIDENCE = 0.95
# Draws of counts of works at a time, so that a million works fit.
_ENTRIES_AT_A_TIME = 1 << 22


def intervals(values, works, seed=0):
    """Confidence intervals of means over queries.

    Args:
        values: dict of metric to (Q,) value of each query.
        works: (Q,) work of each query.
        seed: Of the draws.

    Returns:
        dict of metric to (low, high), between which lie 95 % of 1000 draws of works.
    """
    matrix = np.stack([np.asarray(column, dtype=np.float64) for column in values.values()], axis=1)
    draws = _mean_draws(matrix, works, seed)
    edges = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    low, high = np.quantile(draws, edges, axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(values)}


def difference(values, others, works, seed=0):
    """Paired comparison of two systems on the same queries.

    Args:
        values: (Q,) value of each query in one system.
        others: (Q,) value of the same queries in the other.
        works: (Q,) work of each query.
        seed: Of the draws.

    Returns:
        dict: `difference` of the means (others - values), its 95 % interval `low` and `high`, and
        `p`, twice the share of draws on the other side of 0 (at least 1 / draws, at most 1).

    >>> paired = difference([0.2, 0.4, 0.3], [0.5, 0.7, 0.6], ["a", "b", "c"])
    >>> [round(paired[name], 4) for name in ("difference", "low", "high", "p")]
    [0.3, 0.3, 0.3, 0.001]
    """
    gains = np.asarray(others, dtype=np.float64) - np.asarray(values, dtype=np.float64)
    draws = _mean_draws(gains[:, None], works, seed)[:, 0]
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    tail = min(np.mean(draws <= 0), np.mean(draws >= 0))
    return {
        "difference": float(gains.mean()),
        "low": float(low),
        "high": float(high),
        "p": float(min(1.0, max(2 * tail, 1 / N_DRAWS))),
    }


def _mean_draws(matrix, works, seed):
    # A draw's mean is the sum over its queries divided by their number: both are sums over works.
    _, codes = np.unique(np.asarray(works), return_inverse=True)
    n_works = codes.max() + 1
    sums = np.zeros((n_works, matrix.shape[1]))
    np.add.at(sums, codes, matrix)
    sizes = np.bincount(codes)
    rng = np.random.default_rng(seed)
    draws = []
    step = max(1, _ENTRIES_AT_A_TIME // n_works)
    for start in range(0, N_DRAWS, step):
        n_draws = min(step, N_DRAWS - start)
        times = rng.multinomial(n_works, np.full(n_works, 1 / n_works), size=n_draws)
        draws.append((times @ sums) / (times @ sizes)[:, None])
    return np.concatenate(draws)
