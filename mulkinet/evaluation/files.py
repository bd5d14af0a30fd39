"""Precomputed embeddings or distances, as files, to be evaluated.

    W.txt  one track a line, `<work>` or `<work> TAB <track>`
    X.npy  (N, embedding), rows in the order of W.txt
    D.npy  (N, N) distances, rows (queries) and columns (references) in the order of W.txt; never held
    K.npz  kernel (embedding,) and bias of the distance weighted_l1

Lists (test_ls, query_ls) choose among the tracks of W.txt, whatever the file.
"""

import functools
from pathlib import Path

import numpy as np

from mulkinet.data.ids import refuse_lookalikes
from mulkinet.errors import MulkinetError
from mulkinet.evaluation.inputs import Candidates, listed_rows
from mulkinet.files.numpy_files import UNREADABLE

__all__ = ["file_loader", "read_weights"]

# Rows of a matrix that are looked at for what it is.
_LOOKED_AT = 100


def file_loader(
    works, *, embeddings=None, distances=None, distance="cosine", weights=None, skip_missing=False
):
    """A loader (see `inputs`) of what is in files.

    Args:
        works: Text file of the tracks.
        embeddings: .npy file of embeddings.
        distances: .npy file of distances instead, read as a memory map.
        distance: How the embeddings are compared.
        weights: .npz file of the weights of the distance "weighted_l1".
        skip_missing: Leave out tracks of the lists that `works` lacks.

    Returns:
        A loader.

    Raises:
        MulkinetError: A file cannot be read, or they do not fit each other.
    """
    tracks = _Works(works)
    if embeddings is None:
        array, distance = _read_distances(distances, tracks), "precomputed"
    else:
        array = _read_array(embeddings)
    kernel_and_bias = read_weights(weights) if weights else None
    files = {
        "embeddings": embeddings,
        "distances": distances,
        "works": works,
        "distance_weights": weights,
    }

    def loader(test_ls, query_ls):
        references, queries, missing = listed_rows(
            tracks, test_ls, query_ls, skip_missing=skip_missing
        )
        names = {**files, "test_ls": test_ls, "query_ls": query_ls, "missing": missing}
        is_matrix = distance == "precomputed"
        return Candidates(
            _MatrixPart(array, queries, references) if is_matrix else array,
            tracks.work_ids,
            tracks.track_ids,
            queries,
            references,
            distance=distance,
            weights=kernel_and_bias,
            settings={name: str(value) for name, value in names.items() if value},
        )

    return loader


def read_weights(path):
    """The weights of "weighted_l1", (kernel (embedding,), bias), of a .npz file as `results.write_tables` writes it.

    Raises:
        MulkinetError: There is no such file, or it holds something else.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            kernel, bias = (file[name].astype(np.float64) for name in ("kernel", "bias"))
            return kernel.ravel(), float(bias.reshape(()))
    # KeyError: another archive; AttributeError: a single array, which is no context.
    except (*UNREADABLE, KeyError, AttributeError) as error:
        raise MulkinetError(
            f"expected kernel and bias in a .npz file at {path}, found "
            f"{getattr(error, 'strerror', None) or 'something else'}; write it with numpy.savez"
        ) from error


class _Works:
    """The tracks of a works file, as far as lists ask for them.

    Attributes:
        path: The file.
        work_ids: (N,) works.
        track_ids: (N,) tracks, or None.
    """

    def __init__(self, path):
        self.path = path
        self.work_ids, self.track_ids = _read_works(path)

    def __len__(self):
        return len(self.work_ids)

    @functools.cached_property
    def rows_by_key(self):
        """The row of each (work_id, track_id), as a dict."""
        if self.track_ids is None:
            raise MulkinetError(
                f"lists name tracks, found works only in {self.path}; "
                "give <work> TAB <track> in --works"
            )
        keys = list(zip(self.work_ids.tolist(), self.track_ids.tolist()))
        rows = {key: row for row, key in enumerate(keys)}
        if len(rows) < len(keys):
            work, track = next(key for row, key in enumerate(keys) if rows[key] != row)
            raise MulkinetError(
                f"expected every track once in {self.path}, found work {work!r}, track {track!r} "
                "in several lines"
            )
        return rows


class _MatrixPart:
    """Rows and columns of a matrix, which are read when they are asked for.

    Attributes:
        shape: (rows, columns).
        dtype: That of the matrix.
    """

    def __init__(self, matrix, rows, columns):
        self._matrix, self._rows, self._columns = matrix, rows, columns
        self.shape, self.dtype = (len(rows), len(columns)), matrix.dtype

    def __getitem__(self, rows):
        """Some of the rows, (n, columns)."""
        return self._matrix[np.ix_(self._rows[rows], self._columns)]


def _read_works(path):
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MulkinetError(
            f"expected a works file at {path}, found {getattr(error, 'strerror', None) or error}; "
            "it has one <work> or <work> TAB <track> a line"
        ) from error
    fields = [line.split("\t") for line in text.splitlines() if line.strip()]
    lengths = {len(parts) for parts in fields}
    if not fields or len(lengths) > 1 or lengths.pop() > 2:
        raise MulkinetError(
            f"expected {path} with <work> or <work> TAB <track> in every line, found "
            f"{'an empty file' if not fields else 'something else'}"
        )
    columns = [np.asarray(column) for column in zip(*fields)]
    refuse_lookalikes(columns[0].tolist(), path)
    return columns[0], columns[1] if len(columns) == 2 else None


def _read_distances(path, tracks):
    matrix = _read_array(path)
    if matrix.shape != (len(tracks), len(tracks)):
        raise MulkinetError(
            f"expected distances of all {len(tracks)} tracks of {tracks.path} to all, in their "
            f"order, found shape {matrix.shape} in {path}"
        )
    _refuse_similarities(matrix, path)
    return matrix


def _refuse_similarities(matrix, path):
    rows = np.unique(np.linspace(0, len(matrix) - 1, min(len(matrix), _LOOKED_AT)).astype(int))
    own = matrix[rows, rows]
    others = matrix[rows].astype(np.float64)
    others[np.arange(len(rows)), rows] = -np.inf
    if len(matrix) > 2 and (own > others.max(axis=1)).all():
        raise MulkinetError(
            f"expected distances in {path}, found that every track is farther from itself than from any other: these "
            "are similarities; subtract them from their largest value"
        )


def _read_array(path):
    try:
        # numpy.load would read archives as well, and leave damaged ones open.
        return np.lib.format.open_memmap(path, mode="r")
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise MulkinetError(
            f"expected a matrix in a .npy file at {path}, found "
            f"{reason or type(error).__name__}; write it with numpy.save"
        ) from error
