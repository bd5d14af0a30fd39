"""What a distance means: a threshold tau, and the probability that two recordings are covers.

Fitted on all pairs of a validation list, as the evaluator counts them. tau is the distance of equal
error, or the largest at which no more than a chosen share of non-covers is accepted. The probability
is logistic in the distance (Platt, "Probabilistic outputs for support vector machines", 1999), two
numbers fitted by maximum likelihood, the slope below 0, so that it never grows with the distance.

How many pairs are covers differs between a validation list and an index: of a thousand works' tracks
hardly any is the query's. The odds are therefore moved from the list's base rate to the index's:
`known` is the prior: the share of queries whose work is in the index, each of its works equally likely, so
that a track is the query's cover with probability known / works before it is heard.

Public names: `calibrate`, `listed_rows`, `warn_of_trained_works`, `probability`, `base_rate`.
"""

import functools

import numpy as np

from mulkinet.data.lists import read_list, select
from mulkinet.errors import MulkinetError, import_extra
from mulkinet.evaluation.evaluator import run_evaluation
from mulkinet.evaluation.scaling import typical_neighbourhood
from mulkinet.evaluation.thresholds import choose_tau

__all__ = [
    "base_rate",
    "calibrate",
    "listed_rows",
    "probability",
    "warn_of_trained_works",
]

# The numbers of an index are the same to 6 digits wherever they are fitted.
_TOLERANCE = 1e-8


def calibrate(embeddings, work_ids, track_ids, *, distance, weights, false_accept_rate, known):
    """Fits tau and the logistic curve.

    Args:
        embeddings: (N, embedding_len) of tracks that the model was not trained on.
        work_ids: (N,) their works; some have several tracks.
        track_ids: (N,) their ids.
        distance: Name of the distance.
        weights: (kernel, bias) of "weighted_l1", or None.
        false_accept_rate: Share of non-cover pairs to accept at tau, in (0, 1); None for equal error.
        known: Prior: share of queries whose work is in the index, in (0, 1).

    Returns:
        dict: tau, criterion, false_accepts and false_rejects (exact rates at tau), intercept, slope,
        fitted_base_rate, known, pairs, cover_pairs, tracks, works; of "scaled_cosine" also typical, the
        tracks' typical neighbourhood. Plain and JSON-able.

    Raises:
        MulkinetError: No work has two tracks, there are too few pairs for the rate, or distances tell
            nothing.
    """
    evaluate = functools.partial(
        run_evaluation,
        embeddings,
        work_ids,
        track_ids=track_ids,
        distance=distance,
        weights=weights,
        ks=(1,),
    )
    evaluation = evaluate()
    pairs, scores = evaluation.pairs, evaluation.scores
    n_covers, n_others = pairs.covers.sum(), pairs.others.sum()
    if not n_others:
        raise MulkinetError("expected several works to calibrate on, found one; name a longer list")
    criterion = "equal error"
    if false_accept_rate is not None:
        _check_rate(false_accept_rate, n_others)
        criterion = f"false-accept rate {false_accept_rate:g}"
    tau = choose_tau(pairs, false_accept_rate)
    # The counts of many pairs are of bins; at tau they are counted one by one, in a pass of their own.
    at_tau = evaluate(tau=tau).scores
    n_wrong = (1 - at_tau["accuracy@tau"]) * (n_covers + n_others)
    n_rejected = (1 - at_tau["recall@tau"]) * n_covers
    intercept, slope = _fit(pairs.distances, pairs.covers, pairs.others)
    scaling = {}
    if distance == "scaled_cosine":
        scaling["typical"] = typical_neighbourhood(embeddings)
    return {
        **scaling,
        "tau": tau,
        "criterion": criterion,
        "false_accepts": round(n_wrong - n_rejected) / int(n_others),
        "false_rejects": round(n_rejected) / int(n_covers),
        "intercept": intercept,
        "slope": slope,
        "fitted_base_rate": float(n_covers / (n_covers + n_others)),
        "known": float(known),
        "pairs": int(n_covers + n_others),
        "cover_pairs": int(n_covers),
        "tracks": int(scores["tracks"]),
        "works": int(scores["works"]),
    }


def listed_rows(tracks, val_ls):
    """Rows of a list's tracks.

    Args:
        tracks: FeatureStore or Index.
        val_ls: List of its tracks, or None for all.

    Returns:
        (n,) int64.

    Raises:
        MulkinetError: The list cannot be read, or names tracks that are not there.
    """
    if val_ls is None:
        return np.arange(len(tracks))
    advice = "name the feature store that holds them with --data-dir, or another list"
    return select(tracks, read_list(val_ls), val_ls, advice)


def warn_of_trained_works(model, work_ids, report):
    """Says where tracks to calibrate on may be of works that the model was trained on.

    Args:
        model: EmbeddingNetwork; its metadata may name the works it was trained on.
        work_ids: (N,) str of the tracks.
        report: Called with the line.
    """
    trained = set(work_ids) & set(model.metadata.get("classes", ()))
    if trained:
        report(
            f"warning: {len(trained)} of the {len(set(work_ids))} works have names of works that the "
            "model was trained on, which it knows better than others: probabilities will be too high"
        )


def base_rate(calibration, n_works):
    """Probability that a track of the index is a cover of a query, before hearing either.

    Args:
        calibration: dict of `calibrate`.
        n_works: Works of the index.
    """
    return calibration["known"] / n_works


def probability(calibration, distances, n_works):
    """Probability that pairs at given distances are covers.

    Args:
        calibration: dict of `calibrate`.
        distances: (n,) distances between a query and tracks of the index.
        n_works: Works of the index.

    Returns:
        (n,) float64 in [0, 1], not growing with the distance.
    """
    log_odds = calibration["intercept"] + calibration["slope"] * np.asarray(distances)
    log_odds += _log_odds(base_rate(calibration, n_works))
    log_odds -= _log_odds(calibration["fitted_base_rate"])
    # tanh does not overflow.
    return 0.5 + 0.5 * np.tanh(0.5 * log_odds)


def _check_rate(rate, n_others):
    if 1 / n_others > rate:
        raise MulkinetError(
            f"expected at least {int(np.ceil(1 / rate))} pairs of different works for a false-accept "
            f"rate of {rate:g}, found {n_others}; name a longer list or a larger rate"
        )


def _fit(distances, covers, others):
    """Maximum-likelihood (intercept, slope) of log-odds over the distance."""
    linear_model = import_extra("sklearn.linear_model", "index")
    # Platt's targets: as if one more pair of either kind had been seen, so that no number is infinite.
    positive, negative = (covers.sum() + 1) / (covers.sum() + 2), 1 / (others.sum() + 2)
    as_covers = covers * positive + others * negative
    centre, width = distances.mean(), distances.std() or 1.0
    x = np.tile((distances - centre) / width, 2)[:, None]
    curve = linear_model.LogisticRegression(penalty=None, solver="newton-cholesky", tol=_TOLERANCE)
    curve.fit(
        x,
        np.repeat([1, 0], len(distances)),
        np.concatenate([as_covers, covers + others - as_covers]),
    )
    slope = curve.coef_[0, 0] / width
    if not slope < 0:
        raise MulkinetError(
            "expected covers to be nearer than others in the list to calibrate on, found the "
            "contrary; use a trained model, or check the list's works"
        )
    return float(curve.intercept_[0] - slope * centre), float(slope)


def _log_odds(p):
    return np.log(p) - np.log1p(-p)
