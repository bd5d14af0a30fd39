"""Nearest tracks of embeddings: by FAISS (the extra `index`), or by the evaluator's blockwise search.

FAISS finds candidates in float32; their distances are then those of the evaluator, by which they are
put in order, so that both ways give the same answer. Equal distances come in the order of the index.

Public names: `Search`, `has_faiss`, `comparable`, `with_cells`.
"""

import importlib.util
from dataclasses import dataclass, replace

import numpy as np

from mulkinet.evaluation.distances import pair_keys
from mulkinet.evaluation.ranking import Blocks
from mulkinet.identify.cells import FROM_TRACKS, build_cells_index, divide

__all__ = ["Search", "has_faiss", "comparable", "with_cells"]

# Distances in which the order is that of Euclidean distances between `comparable` embeddings.
_FAISS_DISTANCES = ("cosine", "euclidean", "sqeuclidean")
_UNIT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class _Pairs:
    """Who is compared with whom: what `pair_keys` asks of a selection."""

    queries: np.ndarray
    references: np.ndarray


def has_faiss(distance):
    """Whether FAISS is installed and can compare by this distance."""
    return distance in _FAISS_DISTANCES and importlib.util.find_spec("faiss") is not None


def comparable(embeddings, distance):
    """Embeddings whose Euclidean distances are in the order of `distance`.

    Args:
        embeddings: (N, embedding_len) float32.
        distance: "cosine", "euclidean" or "sqeuclidean".

    Returns:
        (N, embedding_len) float32, `embeddings` itself where possible.
    """
    embeddings = np.ascontiguousarray(embeddings, dtype=np.float32)
    if distance != "cosine":
        return embeddings
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if (np.abs(lengths - 1) < _UNIT_TOLERANCE).all():
        return embeddings
    return embeddings / np.where(lengths > 0, lengths, 1)


def with_cells(data, report):
    """Divides an index into cells where it is large enough for them, and FAISS is there.

    Args:
        data: IndexData; its cells, if it has any, are those of its first tracks.
        report: Called with a line that tells the recall, when it was measured.

    Returns:
        IndexData.
    """
    distance = data.config["distance"]
    if len(data) < FROM_TRACKS or not has_faiss(distance):
        return replace(data, cells=None)
    if data.cells is not None and len(data.cells.cell) == len(data):
        return data
    cells = divide(comparable(data.embeddings, distance), data.cells)
    report(
        f"approximate search: {cells.probes} of {len(cells.centroids)} cells, "
        f"recall@10 {cells.recall:.4f} against exact search"
    )
    return replace(data, cells=cells)


class Search:
    """The search of one index, to be kept for many queries.

    Attributes:
        kind: What searches, in words.

    Args:
        embeddings: (N, embedding_len) float32.
        distance: Name of the distance, as the evaluator's.
        weights: (kernel, bias) of "weighted_l1".
        cells: Cells, to search approximately.
    """

    def __init__(self, embeddings, distance, weights=None, cells=None):
        self._embeddings = embeddings
        self._options = {"distance": distance, "weights": weights}
        self._distance = distance
        self._base = comparable(embeddings, distance) if has_faiss(distance) else None
        self._approximate = None
        if self._base is None:
            self.kind = "exact, without FAISS"
        elif cells is None:
            self.kind = "exact, by FAISS"
        else:
            self.kind = (
                f"approximate, by FAISS: {cells.probes} of {len(cells.centroids)} cells, "
                f"recall@10 {cells.recall:.3f}"
            )
            self._approximate = build_cells_index(self._base, cells)

    def nearest(self, queries, k):
        """The nearest tracks of each query.

        Args:
            queries: (Q, embedding_len) float32.
            k: How many, at least 1.

        Returns:
            (rows, distances): (Q, min(k, N)) int64 and float64, the nearest first.
        """
        k = min(k, len(self._embeddings))
        # More than asked for: float32 may have put the last ones in the wrong order.
        candidates = self._candidates(queries, min(2 * k + 8, len(self._embeddings)))
        distances = self._distances(queries, candidates)
        order = np.lexsort((candidates, distances))[:, :k]
        return np.take_along_axis(candidates, order, 1), np.take_along_axis(distances, order, 1)

    def _candidates(self, queries, k):
        if self._base is None:
            return self._exact_candidates(queries, k)
        import faiss

        points = comparable(queries, self._distance)
        if self._approximate is not None:
            rows = self._approximate.search(points, k)[1]
            if (rows >= 0).all():
                return rows
            # The cells that were looked into hold fewer than k tracks.
        return faiss.knn(points, self._base, k)[1]

    def _exact_candidates(self, queries, k):
        keys = self._keys(queries, self._embeddings)
        blocks = Blocks(keys, len(queries), len(self._embeddings))
        best_keys = np.full((len(queries), k), np.inf)
        best_rows = np.zeros((len(queries), k), np.int64)

        def visit(block, first_row, first_column):
            here = slice(first_row, first_row + len(block))
            rows = first_column + np.arange(block.shape[1])
            values = np.hstack([best_keys[here], block])
            rows = np.hstack([best_rows[here], np.broadcast_to(rows, block.shape)])
            least = np.argpartition(values, k - 1, axis=1)[:, :k]
            best_keys[here] = np.take_along_axis(values, least, 1)
            best_rows[here] = np.take_along_axis(rows, least, 1)

        blocks.visit(visit, "searching")
        return best_rows

    def _distances(self, queries, candidates):
        rows, columns = np.unique(candidates, return_inverse=True)
        keys = self._keys(queries, self._embeddings[rows])
        owners = np.repeat(np.arange(len(queries)), candidates.shape[1])
        return keys.distance(keys.pairs(owners, columns.ravel())).reshape(candidates.shape)

    def _keys(self, queries, references):
        pairs = _Pairs(np.arange(len(queries)), len(queries) + np.arange(len(references)))
        return pair_keys(np.concatenate([queries, references]), pairs, **self._options)
