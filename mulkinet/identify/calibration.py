"""What a distance means: a threshold tau, and the probability that two recordings are covers.

Fitted on all pairs of a validation list, as the evaluator counts them. tau is the distance of equal
error, or the largest at which no more than a chosen share of non-covers is accepted. The probability of covers
follows from the likelihood ratio of a distance d, how many times likelier it is between covers than between others:
floor + exp(intercept + slope d), three numbers fitted by maximum likelihood, the slope below 0, so that it never grows
with the distance. The floor is the share of covers that the model does not recognise, which are as far apart as others;
without it this is a logistic curve (Platt, "Probabilistic outputs for support vector machines", 1999), which one
unrecognised cover makes unsure of all. What follows for a query and an index is told by `mulkinet.identify.posterior`.

How uncertain the curve is, is told by curves fitted to draws of the works, with replacement. Of large lists a sample of
the works is drawn from, and the draws' spread is lessened to that of all.
"""

import functools

import numpy as np

from mulkinet.data.lists import read_list, select
from mulkinet.errors import MulkinetError
from mulkinet.evaluation.distances import compare
from mulkinet.evaluation.evaluator import run_evaluation
from mulkinet.evaluation.scaling import typical_neighbourhood
from mulkinet.evaluation.selection import select_tracks
from mulkinet.evaluation.thresholds import choose_tau

__all__ = ["calibrate", "listed_rows", "warn_of_trained_works"]

_DRAWS = 100
_SEED = 0
# Of a large list: works that are drawn from, their tracks, and covers of each.
_SAMPLED_TRACKS = 400
_SAMPLED_COVERS = 8
_BINS = 200
# Of the fit, in standard deviations of the distances and logarithms: beginning, ranges, when it ends.
_START = (-3.0, -3.0, -1.5)
_RANGES = ((-60.0, -60.0, -9.0), (60.0, -1e-3, 0.0))
_STEPS, _TOLERANCE = 100, 1e-6


def calibrate(embeddings, work_ids, track_ids, *, distance, weights, false_accept_rate, known):
    """Fits tau and the curve of likelihood ratios.

    Args:
        embeddings: (N, embedding_len) of tracks that the model was not trained on.
        work_ids: (N,) their works; some have several tracks.
        track_ids: (N,) their ids.
        distance: Name of the distance.
        weights: (kernel, bias) of "weighted_l1", or None.
        false_accept_rate: Share of non-cover pairs to accept at tau, in (0, 1); None for equal error.
        known: Prior: share of queries whose work is in the index, in (0, 1).

    Returns:
        dict: tau, criterion, false_accepts and false_rejects (exact rates at tau), intercept, slope and floor
        of the likelihood ratio, known, pairs, cover_pairs, tracks, works; draws, (intercept, slope, floor) of draws of
        the works; cover_distances, for some tracks those to their covers; of "scaled_cosine" also typical, the tracks'
        typical neighbourhood. Plain and JSON-able.

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
    curve = _fit(pairs.distances, pairs.covers[None], pairs.others[None])[0]
    if np.isnan(curve).any():
        raise MulkinetError(
            "expected covers to be nearer than others in the list to calibrate on, found the "
            "contrary; use a trained model, or check the list's works"
        )
    works = np.asarray(work_ids)
    rows = _sample(works)
    table = _distances(embeddings, works, rows, distance, weights)
    drawn, share = _draws(table, works[rows], works)
    scaling = {}
    if distance == "scaled_cosine":
        scaling["typical"] = typical_neighbourhood(embeddings)
    return {
        **scaling,
        "tau": tau,
        "criterion": criterion,
        "false_accepts": round(n_wrong - n_rejected) / int(n_others),
        "false_rejects": round(n_rejected) / int(n_covers),
        **dict(zip(("intercept", "slope", "floor"), curve.tolist())),
        "known": float(known),
        "pairs": int(n_covers + n_others),
        "cover_pairs": int(n_covers),
        "tracks": int(scores["tracks"]),
        "works": int(scores["works"]),
        "draws": [_rounded(one) for one in _moved(curve, drawn, share)],
        "cover_distances": _cover_distances(table, works[rows]),
    }


def listed_rows(tracks, val_ls):
    """(n,) int64 rows of the tracks of a FeatureStore or Index that a list names; of all where it is None.

    Raises:
        MulkinetError: The list cannot be read, or names tracks that are not there.
    """
    if val_ls is None:
        return np.arange(len(tracks))
    advice = "name the feature store that holds them with --data-dir, or another list"
    return select(tracks, read_list(val_ls), val_ls, advice)


def warn_of_trained_works(model, work_ids, report):
    """Reports, in a line, how many of the works (N,) str have names of works that the model was trained on."""
    trained = set(work_ids) & set(model.metadata.get("classes", ()))
    if trained:
        report(
            f"warning: {len(trained)} of the {len(set(work_ids))} works have names of works that the "
            "model was trained on, which it knows better than others: probabilities will be too high"
        )


def _check_rate(rate, n_others):
    if 1 / n_others > rate:
        raise MulkinetError(
            f"expected at least {int(np.ceil(1 / rate))} pairs of different works for a false-accept "
            f"rate of {rate:g}, found {n_others}; name a longer list or a larger rate"
        )


def _fit(distances, covers, others):
    """Maximum-likelihood curves of several counts at once: floor + exp(intercept + slope d) is the likelihood ratio.

    Args:
        distances: (n,) ascending.
        covers: (m, n) how many covers are at each; each row has some.
        others: (m, n) how many others; each row has some.

    Returns:
        (m, 3) intercept, slope and floor; NaN where covers are no nearer than others.
    """
    n_covers, n_others = (counts.sum(axis=1, keepdims=True) for counts in (covers, others))
    nearer = (covers * distances).sum(axis=1, keepdims=True) / n_covers
    nearer = nearer < (others * distances).sum(axis=1, keepdims=True) / n_others
    # Platt's targets: as if one more pair of either kind had been seen, so that no number is infinite.
    as_covers = covers * (n_covers + 1) / (n_covers + 2) + others / (n_others + 2)
    pairs, prior = covers + others, np.log(n_covers / n_others)
    centre, width = distances.mean(), distances.std() or 1.0
    x = (distances - centre) / width

    def expand(parameters, rows):
        """Negative log-likelihoods (r,), their gradients (r, 3) and expected curvatures (r, 3, 3) of some rows."""
        near = parameters[:, :1] + parameters[:, 1:2] * x
        log_ratio = np.logaddexp(near, parameters[:, 2:])
        log_odds = prior[rows] + log_ratio
        chance = 0.5 + 0.5 * np.tanh(0.5 * log_odds)
        loss = pairs[rows] * np.logaddexp(0, log_odds) - as_covers[rows] * log_odds
        of_near = np.exp(near - log_ratio)
        slopes = np.stack([of_near, of_near * x, 1 - of_near], axis=1)
        gradient = (slopes * (pairs[rows] * chance - as_covers[rows])[:, None]).sum(axis=2)
        weighted = slopes * (pairs[rows] * chance * (1 - chance))[:, None]
        return loss.sum(axis=1), gradient, weighted @ slopes.transpose(0, 2, 1)

    parameters, damping = np.tile(_START, (len(covers), 1)), np.full(len(covers), 1e-2)
    rows = np.arange(len(covers))
    state = expand(parameters, rows)
    for _ in range(_STEPS):
        # Levenberg and Marquardt: a step that does not help is made smaller.
        loss, gradient, curvature = (part[rows] for part in state)
        eased = damping[rows, None, None] * curvature * np.eye(3) + 1e-9 * np.eye(3)
        step = np.linalg.solve(curvature + eased, -gradient[..., None])[..., 0]
        tried = np.clip(parameters[rows] + np.clip(step, -2, 2), *_RANGES)
        found = expand(tried, rows)
        better = found[0] <= loss
        moved = np.abs(tried - parameters[rows]).max(axis=1)
        parameters[rows[better]] = tried[better]
        for old, new in zip(state, found):
            old[rows[better]] = new[better]
        damping[rows] = np.where(better, damping[rows] / 5, damping[rows] * 5)
        rows = rows[moved > _TOLERANCE]
        if not len(rows):
            break
    intercept, slope, log_floor = parameters.T
    slope = slope / width
    curves = np.stack([intercept - slope * centre, slope, np.exp(log_floor)], axis=1)
    return np.where(nearer, curves, np.nan)


def _sample(works):
    """Rows of all tracks, or of some works where there are many tracks; those with covers come first."""
    names, codes, sizes = np.unique(works, return_inverse=True, return_counts=True)
    rng = np.random.default_rng(_SEED)
    order = rng.permutation(len(names))
    order = order[np.argsort(sizes[order] < 2, kind="stable")]
    taken = order[np.cumsum(np.minimum(sizes[order], _SAMPLED_COVERS)) <= _SAMPLED_TRACKS]
    rows = [np.flatnonzero(codes == code)[:_SAMPLED_COVERS] for code in taken]
    return np.sort(np.concatenate(rows))


def _distances(embeddings, works, rows, distance, weights):
    """(n, n) distances of some tracks to each other, as the evaluator has them; infinite where there is none.

    A track without covers is no query, and no track has a distance to itself.
    """
    selection = select_tracks(works, queries=rows)
    if distance == "precomputed":
        embeddings = embeddings[rows]
    keys = compare(embeddings, selection, distance=distance, weights=weights)
    table, block = np.full((len(rows), len(rows)), np.inf), np.empty((1, len(works)))
    for query, place in enumerate(selection.positions):
        keys.fill(block, slice(query, query + 1))
        table[place] = keys.distance(block[0, rows])
    np.fill_diagonal(table, np.inf)
    return table


def _draws(table, sampled, works):
    """Deviations (n, 3) of curves of draws from that of the whole sample, and what to multiply them by."""
    _, codes = np.unique(sampled, return_inverse=True)
    n_works = codes.max() + 1
    first, second = np.nonzero(np.isfinite(table))
    distances, same = table[first, second], codes[first] == codes[second]
    edges = np.unique(np.quantile(distances, np.linspace(0, 1, _BINS + 1)))
    bins = np.clip(np.searchsorted(edges, distances, side="right") - 1, 0, len(edges) - 1)
    counts = np.bincount(bins, minlength=len(edges))
    centres = np.bincount(bins, distances, len(edges)) / np.maximum(counts, 1)

    rng = np.random.default_rng(_SEED)
    times = rng.multinomial(n_works, np.full(n_works, 1 / n_works), size=_DRAWS)
    parts = []
    for drawn in (np.ones(n_works, int), *times):
        # Of a work drawn twice each copy has its own pairs; the copies are no others of each other.
        weights = drawn[codes[first]] * np.where(same, 1, drawn[codes[second]])
        parts.append([np.bincount(bins, weights * kind, len(edges)) for kind in (same, ~same)])
    covers, others = np.array(parts).transpose(1, 0, 2)[..., counts > 0]
    usable = (covers.sum(axis=1) > 0) & (others.sum(axis=1) > 0)
    curves = _fit(centres[counts > 0], covers[usable], others[usable])
    deviations = curves[1:] - curves[0]
    share = np.sqrt(n_works / len(np.unique(works)))
    return deviations[np.isfinite(deviations).all(axis=1)], share


def _moved(curve, deviations, share):
    """The curve of all works with the deviations of draws: slopes stay below 0, floors within (0, 1)."""
    for deviation in deviations:
        intercept, slope, floor = curve + share * deviation
        yield intercept, min(slope, 0.1 * curve[1]), min(max(floor, 0.1 * curve[2]), 1.0)


def _cover_distances(table, works):
    is_cover = (works[:, None] == works[None]) & np.isfinite(table)
    return [_rounded(table[row, of]) for row, of in enumerate(is_cover) if of.any()]


def _rounded(values):
    return [float(f"{value:.6g}") for value in values]
