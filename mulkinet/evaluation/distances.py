"""Distances between embeddings, a block of pairs at a time, exact enough to be compared for equality.

A ranking by counting asks "is this candidate nearer than that one?" of numbers that come from
different blocks, so one pair must give the same bits whatever block it was computed in. BLAS does
not promise that: its kernels sum in an order that depends on a block's shape. Here it cannot
matter, because no sum is ever rounded: embeddings are normalised (cosine) or centred and scaled
(Euclidean), their components rounded to a grid of 2**-26 or 2**-25, and all products and partial
sums are then whole multiples of the grid's square below 2**53, which float64 holds exactly.

Tolerance: a component moves by at most 2**-27 of a unit vector (cosine), or by 2**-26 of the
longest centred embedding (Euclidean), which is about the rounding of float32 input. Where lengths
spread too far for one grid, and for the weighted L1, pairs are summed component by component in
a fixed order instead: slower, and just as reproducible.

Keys are what is compared: float64 that grow with the distance (squared where it saves a root).
A measure is a key as float32, off by a constant, for counting pairs by thresholds. Of equal vectors
the grid may bring the cosine distance to either side of 0, by its step times the root of the embedding
size at most; so small ones are 0 as distances and as measures, but keep their order as keys.

Public names: `DISTANCES`, `pair_keys`, `check_embeddings`.
"""

import functools

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.evaluation.products import matrix_product

__all__ = ["DISTANCES", "pair_keys", "check_embeddings"]

DISTANCES = (
    "cosine",
    "sqeuclidean",
    "euclidean",
    "weighted_l1",
    "transposed_cosine",
    "precomputed",
)

_COSINE_GRID = 2.0**26
_EUCLIDEAN_GRID = 2.0**25
# Beyond this ratio of the longest to the median centred length, one grid is too coarse for the rest.
_MAX_SPREAD = 1024.0
# Thresholds are float32.
_LARGEST = float(np.finfo(np.float32).max)


def check_embeddings(embeddings):
    """Checks embeddings and gives them as float64.

    Args:
        embeddings: (N, embedding) array of numbers.

    Returns:
        (N, embedding) float64.

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


def pair_keys(embeddings, selection, *, distance, weights=None):
    """Prepares the comparison of queries with references.

    Args:
        embeddings: (N, embedding) array, or with distance "precomputed" the distances themselves,
            (queries asked for, references), which may be a memory map.
        selection: Selection.
        distance: One of `DISTANCES`. "cosine" is 1 - cos in [0, 2], with 1 for a zero vector;
            "sqeuclidean" is divided by the embedding size (as MOVE's); "weighted_l1" is kernel .
            |a - b| + bias, what the Siamese head has before its sigmoid, in whose float values large
            sums would all be 1; "transposed_cosine" is the least cosine distance over all circular
            shifts of one of the two (optimal transposition).
        weights: For "weighted_l1": ((embedding,) kernel, bias); ones and 0 by default, the plain
            L1 distance.

    Returns:
        Keys: `fill(out, rows, columns)` and `pairs(rows, columns)` give keys, where rows are
        positions in the selection's queries and columns in its references; `measure(keys)`,
        `distance_of_measure(measures)` and `distance(keys)` turn them into others.

    Raises:
        MulkinetError: Unknown distance, or embeddings that cannot be compared.
    """
    if distance not in DISTANCES:
        raise MulkinetError(f"expected a distance of {', '.join(DISTANCES)}, found {distance!r}")
    if weights is not None and distance != "weighted_l1":
        raise MulkinetError(f"weights belong to the distance weighted_l1, found {distance!r}")
    if distance == "precomputed":
        return _MatrixKeys(embeddings, selection)
    given, embeddings = embeddings, check_embeddings(embeddings)
    queries, references = selection.queries, selection.references
    if distance == "cosine":
        factors = _cosine_factors(embeddings, queries, references)
        return _CosineKeys(*factors, given, selection)
    if distance == "transposed_cosine":
        return _TransposedKeys(*_cosine_factors(embeddings, queries, references))
    size = embeddings.shape[1]
    if distance == "weighted_l1":
        kernel, bias = _checked_weights(weights, size)
        return _DirectKeys(embeddings, queries, references, kernel, offset=bias)
    used = _centred(embeddings, queries, references)
    scale, spread = _power_of_two_scale(used)
    if distance == "sqeuclidean":
        finish = functools.partial(_squared, unit=scale**2 / size)
    else:
        finish = functools.partial(_rooted, unit=scale)
    if spread > _MAX_SPREAD:
        return _DirectKeys(used / scale, queries, references, None, finish=finish)
    return _ProductKeys(*_euclidean_factors(used / scale, queries, references), finish=finish)


class _Keys:
    """What all keys have: the way from keys to measures and to distances.

    Attributes:
        uses_blas: Whether `fill` is a matrix product, which has threads of its own.
        blocks_held: How many blocks `fill` needs at most, the one it fills among them.
        entries_a_pair: How many numbers `pairs` needs at most for each pair.
    """

    uses_blas = False
    blocks_held = 1

    def __init__(self, offset=0.0, finish=None, rounding=-np.inf):
        self._offset = float(offset)
        self._finish = finish
        self._last_zero = rounding - self._offset

    def measure(self, keys):
        """Keys as float32 measures, in which the order of keys is kept but for rounding."""
        out = np.empty(keys.shape, dtype=np.float32)
        np.add(keys, self._offset, out=out, casting="same_kind")
        out[keys <= self._last_zero] = 0
        return out

    def key_above(self, measure):
        """A key that no key of this measure, or of a lesser one, exceeds."""
        # Rounding to float32 may have brought down what was up to half a step above.
        with np.errstate(over="ignore"):
            above = float(np.nextafter(np.float32(measure), np.float32(np.inf))) - self._offset
        return max(above, self._last_zero)

    def distance_of_measure(self, measures):
        """Distances of measures given as float64."""
        return self._finish(measures) if self._finish else measures

    def distance(self, keys):
        """Distances of keys."""
        measures = np.where(keys <= self._last_zero, 0.0, keys + self._offset)
        return self.distance_of_measure(measures)

    def single_precision_distance(self, rows, columns):
        """Distances of the pairs (rows[i], columns[i]) as float32 arithmetic gives them."""
        return self.distance(self.pairs(rows, columns)).astype(np.float32)


class _ProductKeys(_Keys):
    """Keys that are inner products of exact factors."""

    uses_blas = True

    def __init__(self, left, right, **to_distance):
        super().__init__(**to_distance)
        self._left, self._right = left, right
        self._product = matrix_product()
        self.entries_a_pair = 2 * left.shape[1] + 1

    def fill(self, out, rows, columns):
        """Writes the keys of a block, (rows, columns), into `out`."""
        self._product(self._left[rows], self._right[columns].T, out=out)

    def pairs(self, rows, columns):
        """(n,) keys of the pairs (rows[i], columns[i])."""
        return np.einsum("ij,ij->i", self._left[rows], self._right[columns])


class _CosineKeys(_ProductKeys):
    """Keys of the cosine distance, which knows how float32 arithmetic would have rounded it."""

    def __init__(self, left, right, embeddings, selection):
        super().__init__(left, right, **_cosine_of_keys(left))
        self._embeddings = np.asarray(embeddings)
        self._selection = selection

    def single_precision_distance(self, rows, columns):
        """Distances as float32 arithmetic gives them: of equal vectors, perhaps below 0."""
        left = self._single_units(self._selection.queries[rows])
        right = self._single_units(self._selection.references[columns])
        return 1 - np.einsum("ij,ij->i", left, right)

    def _single_units(self, rows):
        vectors = self._embeddings[rows].astype(np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths > 0, lengths, 1)


class _TransposedKeys(_Keys):
    """The least of the keys that the circular shifts of the left factor give."""

    uses_blas = True
    blocks_held = 2

    def __init__(self, left, right):
        super().__init__(**_cosine_of_keys(left))
        self.entries_a_pair = 4 * left.shape[1]
        self._shifted = [
            _ProductKeys(np.roll(left, shift, axis=1), right) for shift in range(left.shape[1])
        ]

    def fill(self, out, rows, columns):
        """Writes the keys of a block, (rows, columns), into `out`."""
        shifted = np.empty_like(out)
        out[...] = np.inf
        for keys in self._shifted:
            keys.fill(shifted, rows, columns)
            np.minimum(out, shifted, out=out)

    def pairs(self, rows, columns):
        """(n,) keys of the pairs (rows[i], columns[i])."""
        return np.min([keys.pairs(rows, columns) for keys in self._shifted], axis=0)


class _DirectKeys(_Keys):
    """Keys summed component by component: weighted absolute differences, or squared ones."""

    blocks_held = 2

    def __init__(self, embeddings, queries, references, kernel, **to_distance):
        super().__init__(**to_distance)
        self.entries_a_pair = 2 * embeddings.shape[1] + 2
        # One row per component, so that a component of all references is contiguous.
        self._left = np.ascontiguousarray(embeddings[queries].T)
        self._right = np.ascontiguousarray(embeddings[references].T)
        self._kernel = kernel

    def fill(self, out, rows, columns):
        """Writes the keys of a block, (rows, columns), into `out`."""
        self._sum(out, self._left[:, rows, None], self._right[:, None, columns])

    def pairs(self, rows, columns):
        """(n,) keys of the pairs (rows[i], columns[i])."""
        out = np.empty(len(rows))
        self._sum(out, self._left[:, rows], self._right[:, columns])
        return out

    def _sum(self, out, left, right):
        out[...] = 0
        term = np.empty_like(out)
        for component in range(len(left)):
            np.subtract(left[component], right[component], out=term)
            if self._kernel is None:
                np.square(term, out=term)
            else:
                np.abs(term, out=term)
                term *= self._kernel[component]
            out += term


class _MatrixKeys(_Keys):
    """Keys read from a precomputed distance matrix.

    A track's distance to itself, for which many write infinity or NaN, is taken as 0: it is in
    every block, and no candidate.
    """

    blocks_held = 2
    entries_a_pair = 4

    def __init__(self, matrix, selection):
        super().__init__()
        shape = len(selection.queries) + len(selection.excluded), len(selection.references)
        if getattr(matrix, "shape", None) != shape:
            raise MulkinetError(
                f"expected distances of shape (queries, references) = {shape}, "
                f"found {getattr(matrix, 'shape', type(matrix).__name__)}"
            )
        if matrix.dtype.kind not in "fiub":
            raise MulkinetError(f"expected distances as numbers, found {matrix.dtype}")
        self._matrix = matrix
        self._selection = selection

    def fill(self, out, rows, columns):
        """Writes the distances of a block, (rows, columns), into `out`."""
        out[...] = self._matrix[self._selection.positions[rows], columns]
        own = self._selection.own[rows] - columns.start
        inside = np.flatnonzero((own >= 0) & (own < out.shape[1]))
        out[inside, own[inside]] = 0
        finite = np.abs(out) <= _LARGEST
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise MulkinetError(
                f"expected finite distances (up to {_LARGEST:.1e}), found others in row "
                f"{self._selection.positions[rows][row]}, column {columns.start + column}; only a "
                "track's distance to itself may be anything"
            )

    def pairs(self, rows, columns):
        """(n,) distances of the pairs (rows[i], columns[i])."""
        found = self._matrix[self._selection.positions[rows], columns].astype(np.float64)
        found[columns == self._selection.own[rows]] = 0
        return found


def _squared(measures, unit):
    return measures * unit


def _rooted(measures, unit):
    # A threshold below all distances has a measure below 0, and stays there.
    return np.copysign(np.sqrt(np.abs(measures)), measures) * unit


def _cosine_factors(embeddings, queries, references):
    # Dividing by the largest component first keeps the squares in range.
    largest = np.abs(embeddings).max(axis=1, keepdims=True)
    unit = embeddings / np.where(largest > 0, largest, 1)
    unit /= np.where(largest > 0, np.linalg.norm(unit, axis=1, keepdims=True), 1)
    unit = np.rint(unit * _COSINE_GRID) / _COSINE_GRID
    return unit[queries], -unit[references]


def _cosine_of_keys(factor):
    return {"offset": 1, "rounding": np.sqrt(factor.shape[1]) / _COSINE_GRID}


def _euclidean_factors(scaled, queries, references):
    # |q|^2 + |r|^2 - 2 q.r as one product: (q, |q|^2, 1) . (-2 r, 1, |r|^2).
    points = np.rint(scaled * _EUCLIDEAN_GRID) / _EUCLIDEAN_GRID
    squares = np.einsum("ij,ij->i", points, points)[:, None]
    ones = np.ones_like(squares)
    left = np.hstack([points, squares, ones])[queries]
    right = np.hstack([-2 * points, ones, squares])[references]
    return left, right


def _centred(embeddings, queries, references):
    # A common offset would waste the grid. The middle of the range, unlike the mean, does not
    # depend on the order of the tracks.
    used = np.union1d(queries, references)
    part = embeddings[used]
    middle = part.min(axis=0) / 2 + part.max(axis=0) / 2
    centred = np.zeros_like(embeddings)
    centred[used] = part - middle
    return centred


def _power_of_two_scale(points):
    # The scale that brings the longest into (1/2, 1], and how much longer it is than the median.
    largest = np.abs(points).max()
    if largest == 0:
        return 1.0, 1.0
    lengths = largest * np.linalg.norm(points / largest, axis=1)
    longest, median = lengths.max(), np.median(lengths[lengths > 0])
    return 2.0 ** np.ceil(np.log2(longest)), longest / median


def _checked_weights(weights, size):
    kernel, bias = (np.ones(size), 0.0) if weights is None else weights
    kernel = np.asarray(kernel, dtype=np.float64).ravel()
    if kernel.shape != (size,) or not np.isfinite(kernel).all() or not np.isfinite(bias):
        raise MulkinetError(
            f"expected {size} finite weights and a bias for weighted_l1, found {kernel.shape[0]}"
        )
    return kernel, float(bias)
