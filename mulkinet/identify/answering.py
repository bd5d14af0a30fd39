"""From queries to answers: read, embedded in one batch, searched for, and put into words.

Public names: `Answering`, `read_queries`.
"""

import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.identify.answers import Answer, Match, Span
from mulkinet.identify.calibration import probability
from mulkinet.identify.chroma import chroma_of
from mulkinet.identify.embedder import read_recordings
from mulkinet.identify.segments import agreements, windows

__all__ = ["Answering", "read_queries"]


def read_queries(queries, embedder, n_workers, *, framed=True, progress=False):
    """Reads queries of any kind.

    Args:
        queries: list of paths, samples (n_samples,) or features (n_bins, n_frames).
        embedder: Embedder.
        n_workers: Processes for the files.
        framed: As for `read_recordings`; to be cut into windows they must not be.
        progress: Whether to show a progress bar where there are several files.

    Returns:
        list of (name, Recording or str): the reason where one cannot be used.
    """
    paths = [Path(query) for query in queries if isinstance(query, (str, os.PathLike))]
    read = _read_files(list(dict.fromkeys(paths)), embedder, n_workers, framed, progress)
    found = []
    for number, query in enumerate(queries):
        if isinstance(query, (str, os.PathLike)):
            found.append((str(query), read[Path(query)]))
            continue
        try:
            found.append((f"query {number}", _from_array(np.asarray(query), embedder)))
        except SkippedInput as error:
            found.append((f"query {number}", str(error)))
    return found


def _read_files(paths, embedder, n_workers, framed, progress):
    if not paths:
        return {}
    bar = tqdm(
        read_recordings(paths, embedder, n_workers, framed=framed),
        total=len(paths),
        unit="query",
        disable=None if progress and len(paths) > 1 else True,
    )
    return dict(bar)


def _from_array(array, embedder):
    if array.dtype.kind not in "fiu" or array.ndim not in (1, 2) or 0 in array.shape:
        raise MulkinetError(
            "expected a path, samples (n_samples,) or features (n_bins, n_frames), found an array of "
            f"shape {array.shape} of {array.dtype}"
        )
    if not np.isfinite(array).all():
        raise SkippedInput("expected finite values, found NaN or infinity")
    if array.ndim == 1:
        return embedder.from_samples(array)
    if not array.any():
        raise SkippedInput("expected features of sound, found nothing but zeros")
    return embedder.from_features(array)


class Answering:
    """What an index knows, ready to answer.

    Args:
        data: IndexData.
        embedder: Embedder of its model.
        search: Search over its embeddings.
        tau: Distance up to which a track is taken for a cover, or None.
        calibration: What probabilities are made with (see `calibration.calibrate`), or None.
        reranking: Reranking, the second stage for whole queries, or None.
    """

    def __init__(self, data, embedder, search, tau, calibration, reranking=None):
        self._data = data
        self._embedder = embedder
        self._search = search
        self._tau = tau
        self._calibration = calibration
        self._reranking = reranking
        self._n_works = len(set(data.ids["work_id"]))

    def whole(self, queries, top):
        """Answers each query as a whole.

        Args:
            queries: What `read_queries` gives.
            top: Tracks and works to name.

        Returns:
            list of Answer.
        """
        heard = [recording for _, recording in queries if not isinstance(recording, str)]
        nearest = iter(
            self._nearest_works(self._embedder.embed(heard), top, heard) if heard else ()
        )
        answers = []
        for name, recording in queries:
            if isinstance(recording, str):
                answers.append(Answer(name, skipped=recording))
                continue
            works, tracks = next(nearest)
            warnings = self._shortness(recording.seconds, "it")
            seconds = recording.seconds
            answers.append(Answer(name, seconds, works, tracks, warnings=warnings))
        return answers

    def in_windows(self, queries, segment_sec, hop_sec):
        """Answers each query with the spans that its windows agree on.

        Args:
            queries: What `read_queries` gives.
            segment_sec: Length of a window.
            hop_sec: From one window to the next, or None.

        Returns:
            list of Answer.
        """
        windows(1.0, segment_sec, hop_sec)  # an impossible length is told before any is embedded
        parts = {
            number: windows(recording.seconds, segment_sec, hop_sec)
            for number, (_, recording) in enumerate(queries)
            if not isinstance(recording, str)
        }
        cut = [queries[number][1].cut(*part) for number in parts for part in parts[number]]
        nearest = iter(self._nearest_works(self._embedder.embed(cut), 1) if cut else ())
        answers = []
        for number, (name, recording) in enumerate(queries):
            if number not in parts:
                answers.append(Answer(name, skipped=recording))
                continue
            matches = [next(nearest)[0][0] for _ in parts[number]]
            warnings = self._shortness(min(segment_sec, recording.seconds), "each segment")
            spans = _spans(parts[number], matches)
            answers.append(Answer(name, recording.seconds, spans=spans, warnings=warnings))
        return answers

    def _nearest_works(self, embeddings, top, heard=None):
        """([Match] of works, [Match] of tracks) of each embedding; re-ranked where the recordings are given."""
        reranking = self._reranking if heard else None
        works_of = self._data.ids["work_id"]
        found = [None] * len(embeddings)
        # Twice what is enough where works have their mean number of tracks.
        waiting, k = np.arange(len(embeddings)), 2 * top * -(-len(works_of) // self._n_works)
        if reranking:
            k = max(k, reranking.n_nearest)
        while len(waiting):
            rows, distances = self._search.nearest(embeddings[waiting], k)
            again = []
            for query, near, far in zip(waiting, rows, distances):
                reranked = None
                if reranking:
                    frames = chroma_of(heard[query], self._embedder)
                    near, far, reranked = reranking.reorder(frames, near, far)
                # The first of each work is its best track.
                firsts = np.sort(np.unique(works_of[near].astype(str), return_index=True)[1])[:top]
                if len(firsts) < min(top, self._n_works):
                    again.append(query)
                else:
                    found[query] = tuple(
                        self._matches(near[chosen], far[chosen], reranking and reranked[chosen])
                        for chosen in (firsts, slice(top))
                    )
            waiting, k = np.array(again, int), 4 * k
        return found

    def _matches(self, rows, distances, reranked=None):
        deciding = distances if reranked is None else reranked
        ids, calibration = self._data.ids, self._calibration
        probabilities = [None] * len(rows)
        if calibration:
            probabilities = probability(calibration, deciding, self._n_works).tolist()
        return [
            Match(
                *(ids[name][row] for name in ("work_id", "track_id", "title", "path")),
                distance=float(distance),
                probability=chance,
                is_cover=None if self._tau is None else bool(decides <= self._tau),
                reranked=None if reranked is None else float(decides),
            )
            for row, distance, decides, chance in zip(rows, distances, deciding, probabilities)
        ]

    def _shortness(self, seconds, what):
        trained_sec, least_sec = self._embedder.trained_sec, self._embedder.least_sec
        if seconds >= least_sec:
            return []
        if trained_sec is None:
            return [
                f"{what} is {seconds:.1f} s long and was repeated to {least_sec:.1f} s, the least that "
                f"{self._embedder.model.network} takes"
            ]
        return [
            f"{what} is {seconds:.1f} s long and was repeated: the model was trained on "
            f"{trained_sec:.0f} s, and answers for less are less sure"
        ]


def _spans(parts, matches):
    # What is too far away belongs to no work; without tau everything is near enough.
    works = [None if match.is_cover is False else match.work_id for match in matches]
    spans = []
    for window, work, members in agreements(parts, works):
        agreeing = [matches[i] for i in members if matches[i].work_id == work]
        best = min(agreeing, key=lambda match: match.distance)
        spans.append(Span(window.start_sec, window.end_sec, len(members), best))
    return spans
