"""Several indexes that answer as one, and an index divided into several.

Each is searched for its own nearest tracks; those are merged by distance before anything is decided, so that the
answer is that of one index of all tracks. Neighbourhoods ("scaled_cosine") are those of all tracks together.
"""

from dataclasses import dataclass

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.identify.index_file import HEARING, IDS, IndexData
from mulkinet.identify.search import Scaling, Search, comparable

__all__ = ["JoinedChroma", "MergedSearch", "join", "parts_of"]

# What the indexes have to agree on for their distances to mean the same.
_SAME = ("fingerprint", "distance")


def parts_of(n_tracks, n_parts):
    """The slices, of lengths that differ by at most 1, that `n_tracks` tracks are cut into.

    Raises:
        MulkinetError: There are fewer tracks than parts.
    """
    if not 1 <= n_parts <= n_tracks:
        raise MulkinetError(
            f"expected from 1 to {n_tracks} shards, one track each, found {n_parts}"
        )
    bounds = np.linspace(0, n_tracks, n_parts + 1).astype(int)
    return [slice(start, end) for start, end in zip(bounds, bounds[1:])]


def join(paths, parts, report):
    """Indexes as one: IndexData without cells, tracks in the order of the parts.

    Args:
        paths: Their files, for messages.
        parts: list of IndexData of the same model.
        report: Called with a line to show.

    Raises:
        MulkinetError: They are not of the same model.
    """
    first = parts[0]
    for path, part in zip(paths, parts):
        if any(part.config[name] != first.config[name] for name in _SAME):
            raise MulkinetError(
                f"expected indexes of one model, found {paths[0]} of {first.config['model_file']} and {path} of "
                f"{part.config['model_file']}; build one of them anew"
            )
        if any(part.config.get(name, False) != first.config.get(name, False) for name in HEARING):
            raise MulkinetError(
                f"expected indexes that treat recordings alike (is_tuned, is_trimmed), found {paths[0]} and {path} "
                "that do not; build the older one anew"
            )
    calibration = first.calibration
    if any(part.calibration != calibration for part in parts):
        report("the indexes are calibrated differently, so there are no probabilities")
        calibration = None
    chroma = None
    if all(part.chroma is not None for part in parts):
        chroma = JoinedChroma([part.chroma for part in parts])
    return IndexData(
        first.config,
        {name: np.concatenate([part.ids[name] for part in parts]) for name in IDS},
        np.concatenate([part.embeddings for part in parts]),
        calibration,
        chroma=chroma,
    )


class MergedSearch:
    """Searches of several indexes as one, with the interface of `Search`.

    Args:
        embeddings: (N, embedding_len) float32 of all of them.
        lengths: Tracks of each.
        cells: Cells of each, or None.
        distance: As for `Search`.
        weights: As for `Search`.
        typical: As for `Search`.
    """

    def __init__(self, embeddings, lengths, cells, distance, weights=None, typical=None):
        scaling = None
        if distance == "scaled_cosine":
            scaling = Scaling(comparable(embeddings, distance), typical)
        ends = np.cumsum(lengths)
        self._parts = []
        for start, end, divided in zip(ends - lengths, ends, cells):
            part = slice(start, end)
            search = Search(
                embeddings[part],
                distance,
                weights,
                divided,
                scaling=scaling and scaling.of_part(part),
            )
            self._parts.append((start, search))
        self.kind = f"{len(self._parts)} indexes: {self._parts[0][1].kind}"

    def nearest(self, queries, k):
        """As `Search.nearest`, of all tracks."""
        found = [(start, *search.nearest(queries, k)) for start, search in self._parts]
        rows = np.hstack([start + rows for start, rows, _ in found])
        distances = np.hstack([distances for *_, distances in found])
        order = np.lexsort((rows, distances))[:, :k]
        return np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1)


@dataclass(frozen=True)
class JoinedChroma:
    """The chroma of several indexes, each where it is: as `KeptChroma`.

    Attributes:
        parts: list of KeptChroma.
    """

    parts: list

    def __len__(self):
        return sum(map(len, self.parts))

    @property
    def offsets(self):
        """(N + 1,) int64, as if all frames were in one array."""
        lengths = np.concatenate([np.diff(part.offsets) for part in self.parts])
        return np.concatenate([[0], np.cumsum(lengths)])

    def track(self, row):
        """(n_frames, 12) uint8 of one track."""
        for part in self.parts:
            if row < len(part):
                return part.track(row)
            row -= len(part)
        raise IndexError(row)
