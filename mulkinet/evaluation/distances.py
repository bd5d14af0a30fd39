"""Distances between queries and references, whole rows at a time.

A key is what is compared: a float64 that grows with the distance (squared where it saves a root).
Matrix products round, and how depends on the shape of a block; so two keys are a tie when they are
nearer than 1e-10 (of unit vectors, or of vectors divided by the longest after centring), and keys
not made by products when they are equal but for a relative 1e-12. That is some thousand times the
rounding, and less than float32 embeddings can tell: copies of a track tie, and so does everything
in a collapsed network. Where lengths spread too far for products, and for the weighted L1,
differences are summed component by component.
"""

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.evaluation.products import matrix_product
from mulkinet.evaluation.scaling import cohort_of, neighbourhoods

__all__ = ["DISTANCES", "check_embeddings", "compare", "pair_distances"]

DISTANCES = (
    "cosine",
    "sqeuclidean",
    "euclidean",
    "weighted_l1",
    "transposed_cosine",
    "scaled_cosine",
    "precomputed",
)

_TIE_DECIMALS = 10
_TIE = 10.0**-_TIE_DECIMALS
_RELATIVE_TIE = 1e-12
# Beyond this ratio of the longest to the median length the rest would drown in the longest's rounding.
_MAX_SPREAD = 1024.0
_LARGEST = float(np.finfo(np.float32).max)
# Entries summed component by component at a time: they stay in the processor's cache.
_CACHED = 1 << 13


def check_embeddings(embeddings):
    """Embeddings, (N, embedding) numbers, as float64.

    Raises:
        MulkinetError: Not a matrix of finite numbers.
    """
    try:
        array = np.asarray(embeddings)
    except ValueError as error:
        raise MulkinetError("expected embeddings of one length, found several") from error
    if array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind not in "fiub":
        raise MulkinetError(
            f"expected embeddings as a matrix of numbers (tracks, embedding), found shape "
            f"{array.shape} of {array.dtype}; give one row per track"
        )
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        raise MulkinetError(
            f"expected finite embeddings, found NaN or infinity in {np.sum(~finite)} of "
            f"{len(array)}, first in row {np.argmin(finite)}; look for a diverged network or "
            "broken features"
        )
    return array.astype(np.float64)


def compare(embeddings, selection, *, distance, weights=None):
    """Prepares the comparison of queries with references.

    Args:
        embeddings: (N, embedding) array, or with distance "precomputed" the distances themselves,
            (queries asked for, references), which may be a memory map.
        selection: Selection.
        distance: One of `DISTANCES`. "cosine" is 1 - cos in [0, 2], with 1 for a zero vector;
            "sqeuclidean" is divided by the embedding size (as MOVE's); "weighted_l1" is kernel .
            |a - b| + bias, what the Siamese head has before its sigmoid, in whose float values large
            sums would all be 1; "transposed_cosine" is the least cosine distance over all circular
            shifts of one of the two (optimal transposition); "scaled_cosine" is 1 + the cosine distance - the mean
            of both tracks' to their neighbours among the references (`scaling`): 1 is as near as neighbours are.
        weights: For "weighted_l1": ((embedding,) kernel, bias); ones and 0 by default, the plain
            L1 distance.

    Returns:
        Keys.

    Raises:
        MulkinetError: Unknown distance, or embeddings that cannot be compared.
    """
    if distance not in DISTANCES:
        raise MulkinetError(f"expected a distance among {', '.join(DISTANCES)}, found {distance!r}")
    if weights is not None and distance != "weighted_l1":
        raise MulkinetError(f"weights belong to the distance weighted_l1, found {distance!r}")
    if distance == "precomputed":
        return _MatrixKeys(embeddings, selection)
    # A copy of our own, which is changed in place: large embeddings are gigabytes.
    embeddings = check_embeddings(embeddings)
    queries, references, size = selection.queries, selection.references, embeddings.shape[1]
    if distance == "weighted_l1":
        kernel, bias = _checked_weights(weights, size)
        return _DirectKeys(embeddings[queries], embeddings[references], kernel, zero=-bias)
    if distance in ("cosine", "transposed_cosine"):
        keys = _ProductKeys if distance == "cosine" else _TransposedKeys
        left, right = _to_units(embeddings)[queries], embeddings[references]
        return keys(left, np.negative(right, out=right), zero=-1.0)
    if distance == "scaled_cosine":
        units = _to_units(embeddings)
        return _ProductKeys(*_scaled_factors(units, queries, references), zero=-2.0)
    # The median, which a few far tracks do not move.
    embeddings -= np.median(embeddings[references], axis=0, overwrite_input=True)
    scale, spread = _extent(embeddings, np.union1d(queries, references))
    embeddings /= scale
    form = {"unit": scale, "root": True}
    if distance == "sqeuclidean":
        form = {"unit": scale**2 / size}
    if spread > _MAX_SPREAD:
        return _DirectKeys(embeddings[queries], embeddings[references], None, **form)
    return _ProductKeys(*_euclidean_factors(embeddings, queries, references), **form)


def pair_distances(left, right, *, distance, weights=None):
    """Distances of pairs, one by one.

    Args:
        left: (n, embedding) finite embeddings.
        right: (n, embedding).
        distance: As for `compare`, but neither "precomputed" nor "scaled_cosine", which take a collection.
        weights: As for `compare`.

    Returns:
        (n,) float64.

    Raises:
        MulkinetError: Such a distance.
    """
    if distance in ("precomputed", "scaled_cosine"):
        raise MulkinetError(
            f"expected a distance that a pair has by itself, found {distance}, which takes a collection"
        )
    left, right = np.array(left, dtype=np.float64), np.array(right, dtype=np.float64)
    if distance in ("cosine", "transposed_cosine"):
        left, right = _to_units(left), _to_units(right)
        shifts = range(left.shape[1] if distance == "transposed_cosine" else 1)
        shifted = (np.roll(left, shift, axis=1) for shift in shifts)
        found = np.min([1 - np.einsum("ij,ij->i", part, right) for part in shifted], axis=0)
        return np.where(np.abs(found) <= _TIE, 0.0, found)
    if distance == "weighted_l1":
        kernel, bias = _checked_weights(weights, left.shape[1])
        return np.einsum("ij,j->i", np.abs(left - right), kernel) + bias
    if distance == "euclidean":
        return np.linalg.norm(left - right, axis=1)
    return np.square(left - right).mean(axis=1)


class _Keys:
    """The way from keys to distances and back.

    A distance is (key - zero) * unit, or with `root` its square root times unit.

    Attributes:
        uses_blas: Whether `fill` is a matrix product, which has threads of its own.
        blocks_held: How many blocks `fill` needs at most, the one it fills among them.
        tolerance: Keys nearer than this are a tie.
    """

    uses_blas = False
    blocks_held = 1
    tolerance = 0.0

    def __init__(self, zero=0.0, unit=1.0, root=False):
        self._zero, self._unit, self._root = zero, unit, root

    def slack(self, keys):
        """How far above each key others are a tie with it."""
        return self.tolerance + _RELATIVE_TIE * np.abs(keys)

    def tied(self, keys):
        """Keys of which those that tie are equal."""
        return np.round(keys, _TIE_DECIMALS) if self.tolerance else keys

    def distance(self, keys):
        """Distances of keys; what ties with 0 is 0."""
        above = np.asarray(keys) - self._zero
        above = np.where(np.abs(above) <= self.tolerance, 0.0, above)
        if self._root:
            # A threshold below all distances has a key below 0, and stays there.
            above = np.copysign(np.sqrt(np.abs(above)), above)
        return above * self._unit

    def key(self, distance):
        """The key of a distance."""
        above = distance / self._unit
        return (abs(above) * above if self._root else above) + self._zero


class _ProductKeys(_Keys):
    """Keys that are inner products."""

    uses_blas = True
    tolerance = _TIE

    def __init__(self, left, right, **form):
        super().__init__(**form)
        self._left, self._right = left, right.T
        self._product = matrix_product()

    def fill(self, out, rows):
        """Writes the keys of some queries, (rows, references), into `out`."""
        self._product(self._left[rows], self._right, out=out)


class _TransposedKeys(_ProductKeys):
    """The least of the keys that the circular shifts of the left factor give."""

    blocks_held = 2

    def fill(self, out, rows):
        """As for `_ProductKeys`."""
        left, shifted = self._left[rows], np.empty_like(out)
        out[...] = np.inf
        for shift in range(left.shape[1]):
            self._product(np.roll(left, shift, axis=1), self._right, out=shifted)
            np.minimum(out, shifted, out=out)


class _DirectKeys(_Keys):
    """Keys summed component by component: weighted absolute differences, or squared ones."""

    def __init__(self, left, right, kernel, **form):
        super().__init__(**form)
        self._left = left
        # One row per component, so that a component of all references is contiguous.
        self._right = np.ascontiguousarray(right.T)
        self._kernel = kernel

    def fill(self, out, rows):
        """Writes the keys of some queries, (rows, references), into `out`."""
        left, step = self._left[rows], max(1, _CACHED // out.shape[1])
        for start in range(0, len(out), step):
            self._sum(out[start : start + step], left[start : start + step])

    def _sum(self, out, left):
        out[...] = 0
        term = np.empty_like(out)
        for component, values in enumerate(self._right):
            np.subtract(left[:, component, None], values, out=term)
            if self._kernel is None:
                np.square(term, out=term)
            else:
                np.abs(term, out=term)
                term *= self._kernel[component]
            out += term


class _MatrixKeys(_Keys):
    """Keys read from a precomputed distance matrix.

    A track's distance to itself, for which many write infinity or NaN, may be anything.
    """

    blocks_held = 2

    def __init__(self, matrix, selection):
        super().__init__()
        shape = len(selection.asked), len(selection.references)
        if getattr(matrix, "shape", None) != shape:
            raise MulkinetError(
                f"expected distances of shape (queries, references) = {shape}, "
                f"found {getattr(matrix, 'shape', type(matrix).__name__)}"
            )
        if matrix.dtype.kind not in "fiub":
            raise MulkinetError(f"expected distances as numbers, found {matrix.dtype}")
        self._matrix = matrix
        self._positions, self._own = selection.positions, selection.own

    def fill(self, out, rows):
        """Writes the distances of some queries, (rows, references), into `out`."""
        out[...] = self._matrix[self._positions[rows]]
        own = self._own[rows]
        has_own = np.flatnonzero(own >= 0)
        out[has_own, own[has_own]] = 0
        finite = np.abs(out) <= _LARGEST
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise MulkinetError(
                f"expected finite distances (up to {_LARGEST:.1e}), found others in row "
                f"{self._positions[rows][row]}, column {column}; only a track's distance to itself "
                "may be anything"
            )


def _to_units(vectors):
    # In place. Dividing by the largest component first keeps the squares in range.
    for length in (_largest, _lengths):
        lengths = length(vectors)
        vectors /= np.where(lengths > 0, lengths, 1)[:, None]
    return vectors


def _largest(vectors):
    return np.maximum(vectors.max(axis=1), -vectors.min(axis=1))


def _lengths(vectors):
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))


def _euclidean_factors(points, queries, references):
    # |q|^2 + |r|^2 - 2 q.r as one product: (q, |q|^2, 1) . (-2 r, 1, |r|^2).
    size, squares = points.shape[1], np.square(_lengths(points))
    left, right = np.ones((len(queries), size + 2)), np.ones((len(references), size + 2))
    left[:, :size], left[:, size] = points[queries], squares[queries]
    np.multiply(points[references], -2, out=right[:, :size])
    right[:, size + 1] = squares[references]
    return left, right


def _scaled_factors(units, queries, references):
    # - q.r - (a_q + a_r) / 2 as one product: (q, -a_q / 2, 1) . (-r, 1, -a_r / 2).
    around = neighbourhoods(units, units[references[cohort_of(len(references))]])
    size = units.shape[1]
    left, right = np.ones((len(queries), size + 2)), np.ones((len(references), size + 2))
    left[:, :size], left[:, size] = units[queries], -around[queries] / 2
    np.negative(units[references], out=right[:, :size])
    right[:, size + 1] = -around[references] / 2
    return left, right


def _extent(points, rows):
    # The power of 2 that brings the longest of some rows into (1/2, 1], and how much longer it is
    # than their median.
    largest = _largest(points)[rows].max()
    if largest == 0:
        return 1.0, 1.0
    lengths = largest * _lengths(points / largest)[rows]
    spread = lengths.max() / np.median(lengths[lengths > 0])
    return float(2.0 ** np.ceil(np.log2(lengths.max()))), spread


def _checked_weights(weights, size):
    kernel, bias = (np.ones(size), 0.0) if weights is None else weights
    kernel = np.asarray(kernel, dtype=np.float64).ravel()
    if kernel.shape != (size,) or not np.isfinite(kernel).all() or not np.isfinite(bias):
        raise MulkinetError(
            f"expected {size} finite weights and a bias for weighted_l1, found {kernel.shape[0]}"
        )
    return kernel, float(bias)
