"""A second stage: the tracks nearest by embedding, ordered anew by their alignment with the query.

The distance of such a pair is (1 - weight) x that of the embeddings + weight x log of that of Qmax, each divided by its
standard deviation over all pairs that are aligned. Those farther by embedding follow in their order.
"""

import functools
import time
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from mulkinet.alignment.pairs import score_pairs
from mulkinet.alignment.scores import score_distance
from mulkinet.errors import MulkinetError
from mulkinet.evaluation.aligned import stored_chroma
from mulkinet.evaluation.baselines import chroma_feature
from mulkinet.evaluation.distances import compare
from mulkinet.workers import count_workers

__all__ = ["DEFAULT_WEIGHT", "Nearest", "choose_weight", "find_nearest", "weight_of"]

# The share of alignment where neither a validation list nor the model says better.
DEFAULT_WEIGHT = 0.5
_WEIGHTS = np.linspace(0, 1, 21)
_CACHED_TRACKS = 4096


@dataclass(frozen=True)
class Nearest:
    """The nearest of each query, aligned with it.

    Attributes:
        candidates: inputs.Candidates, without re-ranking.
        distances: (Q, M) float64 by embedding; infinite between a track and itself.
        places: (Q, n) int, columns of the nearest.
        aligned: (Q, n) float64, log of the distance of Qmax.
        settings: dict: how many, by which feature, seconds per query.
    """

    candidates: object
    distances: np.ndarray
    places: np.ndarray
    aligned: np.ndarray
    settings: dict

    def fused(self, weight):
        """inputs.Candidates whose distances are those of both stages; `weight` in [0, 1] is the share of alignment."""
        by_embedding = np.take_along_axis(self.distances, self.places, axis=1)
        is_pair = np.isfinite(by_embedding)
        spread, aligned_spread = (
            float(np.std(values[is_pair])) or 1.0 for values in (by_embedding, self.aligned)
        )
        near = np.full(by_embedding.shape, np.inf)  # an own track stays where it is
        near[is_pair] = (1 - weight) * by_embedding[is_pair] / spread
        near[is_pair] += weight * self.aligned[is_pair] / aligned_spread
        # All that was not aligned is farther than all that was.
        beyond = near[is_pair].max() - self.distances.min() / spread + 1
        distances = self.distances / spread + beyond
        np.put_along_axis(distances, self.places, near, axis=1)
        settings = {**self.candidates.settings, **self.settings, "rerank_weight": weight}
        return replace(
            self.candidates,
            embeddings=distances,
            distance="precomputed",
            weights=None,
            settings=settings,
        )


def weight_of(calibration):
    """The share of alignment that a calibration was fitted with: dict or None -> float in [0, 1]."""
    return (calibration or {}).get("reranked", {}).get("weight", DEFAULT_WEIGHT)


def find_nearest(candidates, n_nearest, *, feature=None, n_workers=-1, progress=False):
    """Finds the nearest of each query by embedding, and aligns them.

    Args:
        candidates: inputs.Candidates of a store's tracks.
        n_nearest: How many, 1 or more.
        feature: Feature of 12 bins to align; by default crema, or the store's first.
        n_workers: Threads; -1 for all processors.
        progress: Whether to show a progress bar.

    Returns:
        Nearest.

    Raises:
        MulkinetError: The store has no feature of 12 bins, or not a finite one.
    """
    tracks = candidates.tracks
    if tracks is None or candidates.distance == "precomputed":
        raise MulkinetError("expected embeddings of a store's tracks to re-rank, found distances")
    feature = chroma_feature(tracks.store, feature)
    tracks.store.check_finite(feature, tracks.rows)
    distances = _distances(candidates)
    n_nearest = min(n_nearest, distances.shape[1])
    places = np.argpartition(distances, n_nearest - 1, axis=1)[:, :n_nearest]
    start = time.perf_counter()
    queries = np.repeat(tracks.queries, n_nearest)
    references = tracks.references[places].ravel()
    scores, lengths = _aligned(tracks, feature, queries, references, n_workers, progress)
    seconds = time.perf_counter() - start
    aligned = np.log(score_distance(scores, lengths)).reshape(places.shape)
    settings = {
        "rerank": n_nearest,
        "rerank_feature": feature,
        "rerank_seconds_per_query": round(seconds / len(places), 4),
    }
    return Nearest(candidates, distances, places, aligned, settings)


def choose_weight(nearest, score):
    """The weight in [0, 1] by which the Nearest of a validation list score best; of equals that nearest to the default.

    `score` is a function of Candidates, the larger the better.
    """
    by_default = sorted(_WEIGHTS, key=lambda weight: abs(weight - DEFAULT_WEIGHT))
    return round(float(max(by_default, key=lambda weight: score(nearest.fused(weight)))), 2)


def _distances(candidates):
    tracks = candidates.tracks
    keys = compare(
        candidates.embeddings, tracks, distance=candidates.distance, weights=candidates.weights
    )
    distances = np.empty((len(tracks.queries), len(tracks.references)))
    keys.fill(distances, slice(0, len(distances)))
    distances = keys.distance(distances)
    distances[tracks.queries[:, None] == tracks.references] = np.inf
    return distances


def _aligned(tracks, feature, queries, references, n_workers, progress):
    """Qmax of each pair, and the frames of its reference; pairs that come both ways are aligned once."""
    pairs = np.sort(np.stack([queries, references], axis=1), axis=1)
    pairs, of_pair = np.unique(pairs, axis=0, return_inverse=True)

    @functools.lru_cache(maxsize=_CACHED_TRACKS)
    def load(place):
        return stored_chroma(tracks.store, feature, tracks.rows[place])

    hidden = None if progress else True
    with tqdm(total=len(pairs), desc="re-rank", unit="pair", disable=hidden) as bar:
        found = []
        chromas = ((load(x), load(y)) for x, y in pairs.tolist())
        for part in score_pairs(chromas, "qmax", count_workers(n_workers)):
            found.append(part)
            bar.update(len(part))
    lengths = np.array([len(load(place)) for place in references.tolist()])
    return np.concatenate(found)[of_pair.ravel()], lengths
