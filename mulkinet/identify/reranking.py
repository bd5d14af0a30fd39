"""The second stage of a search: the tracks nearest by embedding, ordered anew by their alignment with the query.

A distance is (1 - weight) x that of the embeddings, divided by their spread in this index, + weight x log of the
distance of Qmax, divided by its spread. What was not aligned counts as if nothing of it recurred, and so stays behind.
"""

import numpy as np

from mulkinet.alignment.pairs import score_pairs
from mulkinet.alignment.scores import score_distance
from mulkinet.evaluation.reranking import DEFAULT_WEIGHT
from mulkinet.identify.chroma import to_align
from mulkinet.workers import count_workers

__all__ = ["NEAREST", "Reranking", "spread_of"]

NEAREST = 50
# Standard deviation of log Qmax distances among the 50 nearest of 81 real recordings: crema 0.52, HPCP 0.42.
_ALIGNED_SPREAD = 0.5
# Of what was not aligned: farther than hours of which nothing recurs.
_LOG_OF_NOTHING = np.log(200.0)
# Tracks of an index that its spread of distances is taken from.
_SAMPLE = 64


def spread_of(search, embeddings):
    """Standard deviation (> 0) of the distances between tracks of an index, (N, embedding_len), and their nearest."""
    rows = np.unique(np.linspace(0, len(embeddings) - 1, _SAMPLE).astype(int))
    distances = search.nearest(embeddings[rows], NEAREST + 1)[1][:, 1:]
    spread = float(np.std(distances)) if distances.size else 0.0
    return spread if spread > 0 else 1.0


class Reranking:
    """The second stage of one index.

    Attributes:
        n_nearest: Tracks that are aligned with a query.

    Args:
        chroma: KeptChroma of its tracks.
        spread: `spread_of` the index.
        n_nearest: Tracks to align, 1 or more.
        weight: Share of alignment in a distance, in [0, 1].
    """

    def __init__(self, chroma, spread, n_nearest=NEAREST, weight=DEFAULT_WEIGHT):
        self._chroma = chroma
        self._spread = spread
        self.n_nearest = n_nearest
        self._weight = weight

    def reorder(self, frames, rows, distances):
        """Aligns a query with its nearest.

        Args:
            frames: (n_frames, 12) uint8 of the query.
            rows: (k,) tracks, the nearest by embedding first.
            distances: (k,) their distances.

        Returns:
            (rows, distances, reranked): (k,) each, in the order of both stages: reranked is the distance by both.
        """
        query = to_align(frames)
        tracks = [to_align(self._chroma.track(row)) for row in rows[: self.n_nearest]]
        aligned = np.full(len(rows), _LOG_OF_NOTHING)
        heard = [
            place for place, track in enumerate(tracks) if query is not None and track is not None
        ]
        if heard:
            pairs = ((query, tracks[place]) for place in heard)
            scores = np.concatenate(list(score_pairs(pairs, "qmax", count_workers(-1))))
            aligned[heard] = np.log(score_distance(scores, [len(tracks[place]) for place in heard]))
        fused = (1 - self._weight) * distances / self._spread
        fused += self._weight * aligned / _ALIGNED_SPREAD
        order = np.lexsort((rows, fused))
        return rows[order], distances[order], fused[order]

    def all_distances(self, embeddings, search):
        """(N, N) float64 distances of tracks to each other, each as a query; infinite to itself.

        Args:
            embeddings: (N, embedding_len) of the tracks whose chroma this has.
            search: Search over them.
        """
        found = np.full((len(embeddings), len(embeddings)), np.inf)
        for query, embedding in enumerate(embeddings):
            rows, distances = (part[0] for part in search.nearest(embedding[None], len(found)))
            others = rows != query
            rows, _, fused = self.reorder(
                self._chroma.track(query), rows[others], distances[others]
            )
            found[query, rows] = fused
        return found
