"""Nearest tracks of embeddings: by FAISS (the extra `index`), or by NumPy, block by block.

Either finds candidates in float32; their distances are then those of the evaluator, by which they are
put in order, so that both ways give the same answer. Equal distances come in the order of the index.
"""

import copy
import functools
import importlib.util
from dataclasses import replace

import numpy as np

from mulkinet.evaluation.distances import pair_distances
from mulkinet.evaluation.scaling import cohort_of, lean, neighbourhoods, to_nearest
from mulkinet.identify.cells import FROM_TRACKS, CellsSearch, divide, import_faiss
from mulkinet.identify.index_file import Survey

__all__ = [
    "Scaling",
    "Search",
    "has_faiss",
    "comparable",
    "open_search",
    "prepare",
    "with_cells",
]

# Distances in which the order is that of Euclidean distances between `comparable` embeddings.
_FAISS_DISTANCES = ("cosine", "euclidean", "sqeuclidean", "scaled_cosine")
_OF_UNITS = ("cosine", "scaled_cosine", "transposed_cosine")
_UNIT_TOLERANCE = 1e-4
# Of 128 float64 components each, twice: 64 MB.
_PAIRS_AT_A_TIME = 1 << 15
_KEYS_AT_A_TIME = 1 << 22
_LENGTHS_AT_A_TIME = 1 << 16


def has_faiss(distance):
    """Whether FAISS is installed and can compare by this distance."""
    return distance in _FAISS_DISTANCES and importlib.util.find_spec("faiss") is not None


def comparable(embeddings, distance):
    """Embeddings whose Euclidean distances are in the order of `distance`, any but "weighted_l1".

    (N, embedding_len) -> the same shape, float32, `embeddings` itself where possible.
    """
    embeddings = np.ascontiguousarray(embeddings, dtype=np.float32)
    if distance not in _OF_UNITS or _are_units(embeddings):
        return embeddings
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.where(lengths > 0, lengths, 1)


def _are_units(embeddings):
    parts = range(0, len(embeddings), _LENGTHS_AT_A_TIME)
    lengths = (
        np.linalg.norm(embeddings[start : start + _LENGTHS_AT_A_TIME], axis=1) for start in parts
    )
    return all((np.abs(part - 1) < _UNIT_TOLERANCE).all() for part in lengths)


def prepare(data, report):
    """IndexData with all that its search needs, so that it opens at once: cells where it is large, and a survey.

    `data` itself where it has both; a line that tells the recall, when it was measured, goes to `report`.
    """
    data, distance = with_cells(data, report), data.config["distance"]
    if data.survey is not None or distance not in _OF_UNITS or not len(data):
        return data
    units, nearest = comparable(data.embeddings, distance), None
    if distance == "scaled_cosine":
        nearest = to_nearest(units, units[cohort_of(len(units))])
    return replace(data, survey=Survey(_are_units(data.embeddings), nearest))


def open_search(data, weights=None):
    """The Search of IndexData; `weights` as for `Search`."""
    return Search(
        data.embeddings,
        data.config["distance"],
        weights,
        data.cells,
        (data.calibration or {}).get("typical"),
        survey=data.survey,
    )


def with_cells(data, report):
    """IndexData divided into cells where it is large enough for them, and FAISS is there.

    Its cells, if it has any, are those of its first tracks; the recall, when measured, goes to `report`.
    """
    distance = data.config["distance"]
    if len(data) < FROM_TRACKS or not has_faiss(distance):
        return data if data.cells is None else replace(data, cells=None)
    cells = data.cells
    if cells is not None and len(cells.cell) == len(data) and cells.recall is not None:
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
        typical: As for `scaling.neighbourhoods`, for "scaled_cosine".
        scaling: Scaling of a larger collection that these tracks are a part of, for "scaled_cosine".
        survey: Survey of the embeddings; without one they are looked through here.
    """

    def __init__(
        self,
        embeddings,
        distance,
        weights=None,
        cells=None,
        typical=None,
        scaling=None,
        survey=None,
    ):
        self._embeddings = embeddings
        self._distance = distance
        self._weights = weights
        self._has_faiss = has_faiss(distance)
        is_base = distance == "weighted_l1" or (survey is not None and survey.are_units)
        self._base = embeddings if is_base else comparable(embeddings, distance)
        self._scaling = scaling
        if distance == "scaled_cosine" and len(embeddings) and scaling is None:
            self._scaling = Scaling(self._base, typical, survey and survey.nearest)
        self._approximate = None
        if not self._has_faiss:
            self.kind = "exact, without FAISS"
        elif cells is None:
            self.kind = "exact" if self._scaling else "exact, by FAISS"
        else:
            self.kind = (
                f"approximate, by FAISS: {cells.probes} of {len(cells.centroids)} cells, "
                f"recall@10 {cells.recall:.3f}"
            )
            around = self._scaling.around if self._scaling else None
            self._approximate = CellsSearch(self._base, cells, around)

    def nearest(self, queries, k):
        """The k >= 1 nearest tracks of queries (Q, embedding_len) float32.

        Returns:
            (rows, distances): (Q, min(k, N)) int64 and float64, the nearest first.
        """
        k = min(k, len(self._embeddings))
        # More than asked for: float32 may have put the last ones in the wrong order.
        n_candidates = min(2 * k + 8, len(self._embeddings))
        step = max(1, _PAIRS_AT_A_TIME // n_candidates)
        parts = [
            self._nearest(queries[start : start + step], k, n_candidates)
            for start in range(0, len(queries), step)
        ]
        return tuple(np.concatenate(part) for part in zip(*parts))

    def _nearest(self, queries, k, n_candidates):
        candidates = self._candidates(queries, n_candidates)
        distances = self._distances(queries, candidates)
        if self._scaling:
            distances -= self._scaling.subtracted(comparable(queries, self._distance), candidates)
        order = np.lexsort((candidates, distances))[:, :k]
        return np.take_along_axis(candidates, order, 1), np.take_along_axis(distances, order, 1)

    def _candidates(self, queries, k):
        points = comparable(queries, self._distance)
        if self._approximate is not None:
            rows = self._approximate.search(points, k)
            if (rows >= 0).all():
                return rows
            # The cells that were looked into hold fewer tracks.
        if self._has_faiss and not self._scaling:
            return import_faiss().knn(points, self._base, k)[1]
        return self._blockwise_candidates(queries, k)

    def _blockwise_candidates(self, queries, k):
        best_keys = np.empty((len(queries), 0), np.float32)
        best_rows = np.empty((len(queries), 0), np.int64)
        step = max(k, _KEYS_AT_A_TIME // max(queries.shape))
        for start in range(0, len(self._base), step):
            keys = self._keys(queries, slice(start, start + step))
            rows = np.broadcast_to(start + np.arange(keys.shape[1]), keys.shape)
            keys, rows = np.hstack([best_keys, keys]), np.hstack([best_rows, rows])
            least = np.argpartition(keys, k - 1, axis=1)[:, :k]
            best_keys = np.take_along_axis(keys, least, 1)
            best_rows = np.take_along_axis(rows, least, 1)
        return best_rows

    def _keys(self, queries, part):
        """Numbers that grow with the distances of queries and some tracks: (Q, n) float32."""
        base = self._base[part]
        if self._scaling:
            return self._scaling.keys(comparable(queries, self._distance), part)
        if self._distance == "transposed_cosine":
            units = comparable(queries, self._distance)
            shifted = (np.roll(units, shift, axis=1) for shift in range(units.shape[1]))
            return -functools.reduce(np.maximum, (query @ base.T for query in shifted))
        if self._distance != "weighted_l1":
            return (
                np.einsum("ij,ij->i", base, base) - 2 * comparable(queries, self._distance) @ base.T
            )
        kernel = np.ones(base.shape[1]) if self._weights is None else self._weights[0]
        kernel = np.asarray(kernel, np.float32).ravel()
        return np.stack([np.abs(base - query) @ kernel for query in queries])

    def _distances(self, queries, candidates):
        owners = np.repeat(np.arange(len(queries)), candidates.shape[1])
        found = pair_distances(
            queries[owners],
            self._embeddings[candidates.ravel()],
            distance="cosine" if self._scaling else self._distance,
            weights=self._weights,
        )
        return found.reshape(candidates.shape)


class Scaling:
    """What "scaled_cosine" takes from cosine distances, see `mulkinet.evaluation.scaling`.

    Attributes:
        around: (N,) float64, the neighbourhoods of the index's tracks.

    Args:
        units: (N, embedding_len) float32 vectors of length 1 of the index.
        typical: As for `scaling.neighbourhoods`.
        nearest: `scaling.to_nearest` of them, where it is known.
    """

    def __init__(self, units, typical, nearest=None):
        self._units = units
        self._cohort = units[cohort_of(len(units))]
        if nearest is None:
            nearest = to_nearest(units, self._cohort)
        self.around = lean(nearest, len(self._cohort), typical)
        self._typical = self.around.mean() if typical is None else typical

    def of_part(self, part):
        """Scaling of some tracks (slice), by the neighbourhoods of all."""
        scaling = copy.copy(self)
        scaling._units, scaling.around = self._units[part], self.around[part]
        return scaling

    def keys(self, units, part):
        """(Q, n) float32 that grow with the scaled distances of queries and some tracks of the index."""
        return -units @ self._units[part].T - (self.around[part] / 2).astype(np.float32)

    def subtracted(self, units, rows):
        """(Q, k) float64 by which distances of queries, (Q, embedding_len) units, and (Q, k) rows are lessened."""
        ours = neighbourhoods(units, self._cohort, self._typical)
        return (ours[:, None] + self.around[rows]) / 2 - 1
