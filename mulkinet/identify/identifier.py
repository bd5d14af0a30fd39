"""Recordings as embeddings, distances and works, without an index file.

>>> import mulkinet
>>> embeddings = mulkinet.embed_audio(["a.mp3", "b.mp3"])                       # doctest: +SKIP
>>> mulkinet.distance("a.mp3", "b.mp3")                                         # doctest: +SKIP
>>> identifier = mulkinet.CoverIdentifier().fit(library_paths, library_works)   # doctest: +SKIP
>>> identifier.predict(["unknown.wav"])                                         # doctest: +SKIP
"""

import functools
from collections import Counter
from pathlib import Path

import numpy as np

from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.evaluation.distances import pair_distances
from mulkinet.identify.embedder import Embedder, read_recordings
from mulkinet.identify.posterior import posterior
from mulkinet.identify.search import Search
from mulkinet.workers import count_workers

__all__ = ["CoverIdentifier", "distance", "embed_audio"]

_SCALED = "scaled_cosine"


def embed_audio(paths, model="covers", *, n_workers=-1):
    """Embeddings of audio files.

    Args:
        paths: list of paths, or one.
        model: Name of a model of the package, a model file, or an EmbeddingNetwork.
        n_workers: Processes that extract features; -1 is one per core.

    Returns:
        (len(paths), embedding_len) float32, in the order of the paths.

    Raises:
        SkippedInput: A file cannot be used; the first such is named with the reason.
        MulkinetError: The model cannot be used.

    Examples:
        >>> embed_audio(["music/Help/live.wav", "music/Girl/studio.wav"], "chords.h5", n_workers=1).shape
        (2, 43)
    """
    embedder = _embedder(model)
    paths = [Path(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]
    unique = list(dict.fromkeys(paths))
    if not unique:
        return embedder.embed([])
    found = dict(read_recordings(unique, embedder, count_workers(n_workers)))
    unusable = [path for path in unique if isinstance(found[path], str)]
    if unusable:
        more = f" (and {len(unusable) - 1} more)" if len(unusable) > 1 else ""
        raise SkippedInput(f"{unusable[0]}: {found[unusable[0]]}{more}")
    return embedder.embed([found[path] for path in paths])


def distance(a, b, model="covers"):
    """The distance of two recordings, small where they are of one work.

    A pair has no collection around it: by a model that is compared by the scaled cosine distance, the neighbourhood of
    both is taken to be the typical one of its calibration. It can be compared with `tau` of that.

    Args:
        a: A path, or an embedding (embedding_len,).
        b: Likewise.
        model: As for `embed_audio`.

    Returns:
        float.

    Raises:
        SkippedInput: A file cannot be used.
        MulkinetError: Embeddings of another length than the model's.

    Examples:
        >>> near = distance("music/Help/live.wav", "music/Help/studio.wav", "chords.h5")
        >>> near < distance("music/Help/live.wav", "music/Girl/studio.wav", "chords.h5")
        True
    """
    network = _embedder(model).model
    sides = []
    for side in (a, b):
        if isinstance(side, (str, Path)):
            side = embed_audio(side, network)[0]
        side = np.asarray(side, np.float32)
        if side.shape != (network.embedding_len,):
            raise MulkinetError(
                f"expected a path or an embedding of {network.embedding_len} numbers, found an array of "
                f"shape {side.shape}"
            )
        sides.append(side[None])
    name = network.distance
    found = pair_distances(
        *sides,
        distance="cosine" if name == _SCALED else name,
        weights=network.distance_weights,
    )[0]
    if name == _SCALED:
        found += 1 - network.metadata.get("calibration", {}).get("typical", 0.0)
    return float(found)


class CoverIdentifier:
    """Says of which work recordings are, in the manner of scikit-learn's classifiers.

    Attributes:
        classes_: (n_works,) works, sorted.
        embeddings_: (n_tracks, embedding_len) float32 of the tracks that it was fitted to.
        works_: (n_tracks,) their works.

    Args:
        model: As for `embed_audio`.
        known: Prior: share of recordings whose work is among those fitted, in (0, 1).
        none: What `predict` answers for a recording of none of the works.
        n_workers: As for `embed_audio`.

    Examples:
        >>> paths = ["music/Help/studio.wav", "music/Girl/studio.wav"]
        >>> identifier = CoverIdentifier("chords.h5", n_workers=1).fit(paths, ["Help", "Girl"])
        >>> identifier.kneighbors(["music/Help/live.wav"], 1)[1]
        array([[0]])
    """

    def __init__(self, model="covers", *, known=0.5, none=None, n_workers=-1):
        self.model = model
        self.known = known
        self.none = none
        self.n_workers = n_workers

    def get_params(self, deep=True):
        """The arguments, as a dict."""
        return {name: getattr(self, name) for name in ("model", "known", "none", "n_workers")}

    def set_params(self, **params):
        """Changes arguments; returns self."""
        unknown = sorted(set(params) - set(self.get_params()))
        if unknown:
            raise MulkinetError(
                f"expected one of {', '.join(self.get_params())}, found {unknown[0]}"
            )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def fit(self, paths, works):
        """Takes recordings whose works are known; nothing is trained.

        Args:
            paths: list of n paths.
            works: (n,) their works.

        Returns:
            self.
        """
        works = np.asarray([str(work) for work in works], object)
        if len(paths) != len(works) or not len(works):
            raise MulkinetError(
                f"expected as many works as paths, at least one, found {len(works)} for {len(paths)}"
            )
        if not 0 < self.known < 1:
            raise MulkinetError(f"expected known between 0 and 1, found {self.known:g}")
        embedder = _embedder(self.model)
        self._network = embedder.model
        self.works_, self.classes_ = works, np.unique(works)
        self.embeddings_ = embed_audio(paths, self._network, n_workers=self.n_workers)
        fitted = self._network.metadata.get("calibration")
        self._calibration = fitted and {**fitted, "known": self.known}
        self._search = Search(
            self.embeddings_,
            self._network.distance,
            self._network.distance_weights,
            typical=(fitted or {}).get("typical"),
        )
        return self

    def kneighbors(self, paths, n_neighbors=5):
        """The nearest tracks of recordings.

        Args:
            paths: list of m paths.
            n_neighbors: How many, at least 1.

        Returns:
            (distances, indices): (m, min(n_neighbors, n)) float64 and int64, the nearest first; indices are places in
            what was fitted.
        """
        self._check_fitted()
        queries = embed_audio(paths, self._network, n_workers=self.n_workers)
        rows, distances = self._search.nearest(queries, n_neighbors)
        return distances, rows

    def predict_proba(self, paths):
        """Probabilities of the works, and of none of them.

        Args:
            paths: list of m paths.

        Returns:
            (m, n_works + 1) float64 whose rows sum to 1: `classes_`, and none, which is last.

        Raises:
            MulkinetError: The model is not calibrated.
        """
        self._check_fitted()
        if self._calibration is None:
            raise MulkinetError(
                "expected a model with a calibration, found one without; use kneighbors, or an index and "
                "mulkinet calibrate"
            )
        distances, rows = self.kneighbors(paths, len(self.works_))
        sizes, chances = Counter(self.works_.tolist()), []
        for far, near in zip(distances, rows):
            found = posterior(self._calibration, far, self.works_[near], sizes)
            chances.append([*(found.works[work] for work in self.classes_), found.none])
        return np.array(chances)

    def predict(self, paths):
        """The likeliest answer of each recording.

        Args:
            paths: list of m paths.

        Returns:
            (m,) object array: a work, or `none` where none of them is likelier.
        """
        chances = self.predict_proba(paths)
        answers = np.append(self.classes_.astype(object), [self.none])
        return answers[np.argmax(chances, axis=1)]

    def _check_fitted(self):
        if not hasattr(self, "embeddings_"):
            raise MulkinetError("expected fit before anything is asked, found it was not called")


@functools.lru_cache(maxsize=4)
def _loaded(path):
    from mulkinet.models.model_file import load_model

    return load_model(path)


def _embedder(model):
    network = _loaded(str(model)) if isinstance(model, (str, Path)) else model
    # As an index of audio hears it.
    return Embedder(network, is_tuned=True, is_trimmed=True)
