"""Approximate search of large indexes: k-means cells, of which a search looks into the nearest few.

FAISS's IVF. What is stored are plain arrays, the cells' centroids and each track's cell; opening an
index never lets FAISS read a serialised index of its own. New tracks join the cells that are there;
the cells are chosen again when the index has doubled. The number of cells looked into is the least
that finds `RECALL` of the exact 10 nearest of a sample of the index's own tracks.
"""

from dataclasses import replace

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.identify.index_file import Cells

__all__ = ["CellsSearch", "FROM_TRACKS", "RECALL", "divide", "build_cells_index", "import_faiss"]

# Up to here the exact search takes tens of milliseconds a query.
FROM_TRACKS = 200_000
RECALL = 0.98
_NEIGHBOURS = 10
_SAMPLE = 1000
_TRAINING_POINTS_A_CELL = 64
_ITERATIONS = 10
_FIRST_PROBES = 8
_SEED = 0


def divide(points, cells=None):
    """Divides an index into cells, and measures their recall.

    Args:
        points: (N, embedding_len) float32, see `search.comparable`.
        cells: Cells of the first tracks of `points`, to be extended; None chooses new ones.
    """
    if cells is None or len(points) > 2 * cells.trained_on:
        # About 4 sqrt(N) cells, FAISS's advice, as a power of two.
        index = _empty_index(points.shape[1], 1 << round(np.log2(4 * np.sqrt(len(points)))))
        index.cp.niter, index.cp.seed = _ITERATIONS, _SEED
        index.cp.max_points_per_centroid = _TRAINING_POINTS_A_CELL
        index.train(points)
        centroids = index.quantizer.reconstruct_n(0, index.nlist)
        cells = Cells(centroids, np.empty(0, np.int32), _FIRST_PROBES, 0.0, len(points))
    new = points[len(cells.cell) :]
    joined = import_faiss().knn(new, cells.centroids, 1)[1][:, 0] if len(new) else []
    cell = np.concatenate([cells.cell, joined]).astype(np.int32)
    return _measure(points, replace(cells, cell=cell))


def build_cells_index(points, cells):
    """The faiss.IndexIVFFlat of points, (N, embedding_len) float32, which are copied, and their Cells."""
    faiss = import_faiss()
    index = _empty_index(points.shape[1], len(cells.centroids))
    index.quantizer.add(np.ascontiguousarray(cells.centroids))
    index.is_trained = True
    cell = np.ascontiguousarray(cells.cell, dtype=np.int64)
    index.add_core(len(points), faiss.swig_ptr(points), None, faiss.swig_ptr(cell))
    index.nprobe = cells.probes
    return index


class CellsSearch:
    """Search of cells in embeddings that stay where they are, in memory or in a mapped file that processes share.

    Args:
        points: (N, embedding_len) float32.
        cells: Cells of all of them.
        lessened: (N,) what the squared distance to each is lessened by before tracks are compared; None for nothing.
    """

    def __init__(self, points, cells, lessened=None):
        self._points, self._cells, self._lessened = points, cells, lessened
        self._rows = np.argsort(cells.cell, kind="stable")
        n_cells = len(cells.centroids)
        self._ends = np.searchsorted(cells.cell[self._rows], np.arange(n_cells + 1))

    def search(self, queries, k):
        """(Q, k) rows, in no order, nearest to queries (Q, embedding_len); -1 where their cells hold fewer."""
        near = import_faiss().knn(queries, self._cells.centroids, self._cells.probes)[1]
        found = np.full((len(queries), k), -1)
        for query, cells, row in zip(queries, near, found):
            rows = np.concatenate([self._rows[self._ends[c] : self._ends[c + 1]] for c in cells])
            points = self._points[rows]
            keys = np.einsum("ij,ij->i", points, points) - 2 * points @ query
            if self._lessened is not None:
                keys -= self._lessened[rows]
            least = np.argpartition(keys, k - 1)[:k] if k < len(keys) else slice(None)
            chosen = rows[least]
            row[: len(chosen)] = chosen
        return found


def import_faiss():
    """FAISS.

    Raises:
        MulkinetError: It is installed, but cannot be imported.
    """
    try:
        import faiss
    except Exception as error:
        # A build for another NumPy fails with more than ImportError.
        raise MulkinetError(
            f"expected a faiss that can be imported, found one that fails ({' '.join(str(error).split())}); "
            "try pip install --force-reinstall faiss-cpu, or uninstall it: search works without it"
        ) from error
    return faiss


def _empty_index(embedding_len, n_cells):
    return import_faiss().index_factory(embedding_len, f"IVF{n_cells},Flat")


def _measure(points, cells):
    """Cells with the least probes that reach `RECALL`, and the recall."""
    faiss = import_faiss()
    rng = np.random.default_rng(_SEED)
    rows = np.sort(rng.choice(len(points), min(_SAMPLE, len(points)), replace=False))
    # A track is its own nearest, and is no neighbour.
    exact = _without_self(faiss.knn(points[rows], points, _NEIGHBOURS + 1)[1], rows)
    index = build_cells_index(points, cells)
    probes = _FIRST_PROBES
    while True:
        index.nprobe = min(probes, len(cells.centroids))
        found = _without_self(index.search(points[rows], _NEIGHBOURS + 1)[1], rows)
        shared = [len(np.intersect1d(a, b)) for a, b in zip(exact, found)]
        recall = float(np.mean(shared)) / _NEIGHBOURS
        if recall >= RECALL or probes >= len(cells.centroids):
            return replace(cells, probes=index.nprobe, recall=recall)
        probes = int(np.ceil(probes * 1.25))


def _without_self(neighbours, rows):
    return [row[row != own][:_NEIGHBOURS] for row, own in zip(neighbours, rows)]
