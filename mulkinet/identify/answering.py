"""From queries to answers: read, embedded in one batch, searched for, and put into words."""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.features.provenance import SR
from mulkinet.identify.answers import Answer, Match, Span
from mulkinet.identify.chroma import chroma_of
from mulkinet.identify.domain import domain_warnings, trained_on
from mulkinet.identify.embedder import read_recordings
from mulkinet.identify.posterior import choose_rule, posterior
from mulkinet.identify.segments import agreements, windows

__all__ = ["Answering", "read_queries"]

# So many of the nearest tracks are looked at, that hardly a cover is farther.
_LOOKED_AT = 500
# Of recordings longer than this many times what the model was trained on, parts may be other songs.
_LONG = 2.5


def read_queries(
    queries, embedder, n_workers, *, sr=None, framed=True, accept_partial=False, progress=False
):
    """Reads queries of any kind.

    Args:
        queries: list of paths, samples (n_samples,) or (channels, n_samples), or features (n_bins, n_frames).
        embedder: Embedder.
        n_workers: Processes for the files.
        sr: Sampling rate in Hz of the arrays, which are all samples then; None for mono samples at 44.1 kHz
            or features.
        framed: As for `read_recordings`; to be cut into windows they must not be.
        accept_partial: As for `read_recordings`.
        progress: Whether to show a progress bar where there are several files.

    Returns:
        list of (name, Recording or str): the reason where one cannot be used.
    """
    paths = [Path(query) for query in queries if isinstance(query, (str, os.PathLike))]
    read = _read_files(
        list(dict.fromkeys(paths)), embedder, n_workers, framed, accept_partial, progress
    )
    found = []
    for number, query in enumerate(queries):
        if isinstance(query, (str, os.PathLike)):
            found.append((str(query), read[Path(query)]))
            continue
        try:
            found.append((f"query {number}", _from_array(np.asarray(query), embedder, sr)))
        except SkippedInput as error:
            found.append((f"query {number}", str(error)))
    return found


def _read_files(paths, embedder, n_workers, framed, accept_partial, progress):
    if not paths:
        return {}
    bar = tqdm(
        read_recordings(paths, embedder, n_workers, framed=framed, accept_partial=accept_partial),
        total=len(paths),
        unit="query",
        disable=None if progress and len(paths) > 1 else True,
    )
    return dict(bar)


def _from_array(array, embedder, sr):
    n_bins = embedder.model.n_bins
    is_features = sr is None and array.ndim == 2 and len(array) == n_bins
    is_samples = array.ndim == 1 or sr is not None and array.ndim == 2
    if array.dtype.kind not in "fiu" or not (is_features or is_samples) or 0 in array.shape:
        raise MulkinetError(
            f"expected a path, samples (n_samples,), with sr also (channels, n_samples), or features ({n_bins}, "
            f"n_frames), found an array of shape {array.shape} of {array.dtype}"
        )
    if is_samples:
        return embedder.from_samples(_mono(array, SR if sr is None else sr))
    if not np.isfinite(array).all():
        raise SkippedInput("expected finite values, found NaN or infinity")
    if not array.any():
        raise SkippedInput("expected features of sound, found nothing but zeros")
    return embedder.from_features(array)


def _notes(recording):
    return [recording.note] if recording.note else []


def _mono(y, sr):
    """(n_samples,) or (channels, n_samples) at any rate, integers too, to (n_samples,) float32 at 44.1 kHz."""
    if not np.isfinite(sr) or sr <= 0:
        raise MulkinetError(f"expected sr in Hz, found {sr}")
    if y.ndim == 2 and len(y) > y.shape[1]:
        raise MulkinetError(
            f"expected samples (channels, n_samples), found an array of shape {y.shape}; give its transpose"
        )
    if not np.isfinite(y).all():
        raise SkippedInput("expected samples that are numbers, found NaN or infinity")
    full_scale = 1 if y.dtype.kind == "f" else float(np.iinfo(y.dtype).max) + 1
    y = (y.mean(axis=0) if y.ndim == 2 else y).astype(np.float32) / np.float32(full_scale)
    if sr == SR:
        return y
    import soxr

    return soxr.resample(y, sr, SR)


class _Found(NamedTuple):
    """Nearest works and tracks, as Matches, and what of an Answer follows from the rest of them."""

    works: list
    tracks: list
    remainder: dict


class Answering:
    """What an index knows, ready to answer.

    Args:
        data: IndexData.
        embedder: Embedder of its model.
        search: Search over its embeddings.
        tau: Distance beyond which nothing is a cover, or None.
        calibration: What probabilities are made with (see `calibration.calibrate`), or None.
        false_alarms: As for `posterior.choose_rule`.
        reranking: Reranking, the second stage for whole queries, or None.
    """

    def __init__(
        self, data, embedder, search, tau, calibration, *, false_alarms=None, reranking=None
    ):
        self._data = data
        self._embedder = embedder
        self._search = search
        self._tau = tau
        self._calibration = calibration
        self._reranking = reranking
        self._n_tracks = Counter(data.ids["work_id"].tolist())
        self._n_works = len(self._n_tracks)
        self._rule = calibration and choose_rule(calibration, self._n_works, false_alarms)
        self._of_domain = domain_warnings(trained_on(embedder.model.metadata), calibration)

    def whole(self, queries, top, own=None):
        """Answers (list of Answer) each query as a whole.

        Args:
            queries: What `read_queries` gives.
            top: Tracks and works to name.
            own: For each query the rows of tracks to leave out, or None.
        """
        usable = [place for place, (_, found) in enumerate(queries) if not isinstance(found, str)]
        heard = [queries[place][1] for place in usable]
        left_out = None if own is None else [own[place] for place in usable]
        nearest = iter(
            self._nearest_works(self._embedder.embed(heard), top, heard, left_out) if heard else ()
        )
        answers = []
        for name, recording in queries:
            if isinstance(recording, str):
                answers.append(Answer(name, skipped=recording))
                continue
            found = next(nearest)
            warnings = [*self._of_domain, *_notes(recording)]
            warnings += self._shortness(recording.seconds, "it")
            warnings += self._length(recording.seconds)
            answers.append(
                Answer(
                    name,
                    recording.seconds,
                    found.works,
                    found.tracks,
                    warnings=warnings,
                    heard_sec=self._embedder.heard_sec(recording.seconds),
                    rule=self._rule,
                    **found.remainder,
                )
            )
        return answers

    def in_windows(self, queries, segment_sec, hop_sec):
        """Answers (list of Answer) each query with the spans that its windows agree on.

        Args:
            queries: What `read_queries` gives.
            segment_sec: Length of a window.
            hop_sec: From one window to the next, or None.
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
            matches = [next(nearest).works[0] for _ in parts[number]]
            warnings = [*self._of_domain, *_notes(recording)] + self._shortness(
                min(segment_sec, recording.seconds), "each segment"
            )
            answers.append(
                Answer(
                    name,
                    recording.seconds,
                    spans=_spans(parts[number], matches),
                    warnings=warnings,
                    heard_sec=recording.seconds,
                )
            )
        return answers

    def _nearest_works(self, embeddings, top, heard=None, left_out=None):
        """_Found of each embedding; re-ranked where the recordings are given."""
        reranking = self._reranking if heard else None
        works_of = self._data.ids["work_id"]
        found = [None] * len(embeddings)
        # Twice what is enough where works have their mean number of tracks.
        waiting, k = np.arange(len(embeddings)), 2 * top * -(-len(works_of) // self._n_works)
        k = max(k, _LOOKED_AT, reranking.n_nearest if reranking else 0)
        while len(waiting):
            rows, distances = self._search.nearest(embeddings[waiting], k)
            again = []
            for query, near, far in zip(waiting, rows, distances):
                n_tracks = self._n_tracks
                if left_out is not None and len(left_out[query]):
                    kept = ~np.isin(near, left_out[query])
                    near, far = near[kept], far[kept]
                    n_tracks = +(n_tracks - Counter(works_of[left_out[query]].tolist()))
                deciding = far
                if reranking and len(near):
                    frames = chroma_of(heard[query], self._embedder)
                    near, far, deciding = reranking.reorder(frames, near, far)
                # The first of each work is its best track.
                firsts = np.sort(np.unique(works_of[near].astype(str), return_index=True)[1])[:top]
                if len(firsts) < min(top, len(n_tracks)):
                    again.append(query)
                else:
                    found[query] = self._answer(near, far, deciding, firsts, top, n_tracks)
            waiting, k = np.array(again, int), 4 * k
        return found

    def _answer(self, rows, distances, deciding, firsts, top, n_tracks):
        chances, remainder = None, {}
        if self._calibration and len(rows):
            chances = posterior(
                self._calibration,
                deciding,
                self._data.ids["work_id"][rows],
                n_tracks,
            )
            # By probability: of equal distances the work of fewer tracks has more of it.
            works = self._data.ids["work_id"][rows[firsts]]
            firsts = firsts[np.argsort([-chances.works[work] for work in works], kind="stable")]
            listed = sum(chances.works[work] for work in works)
            remainder = {
                "none": chances.none,
                "others": max(0.0, 1 - chances.none - listed),
                "is_none": chances.none >= 0.5,
            }
        reranked = deciding if self._reranking and deciding is not distances else None
        works, tracks = (
            [
                self._match(
                    rows[place],
                    distances[place],
                    chances,
                    None if reranked is None else reranked[place],
                )
                for place in chosen
            ]
            for chosen in (firsts, range(min(top, len(rows))))
        )
        return _Found(works, tracks, remainder)

    def _match(self, row, distance, chances, reranked):
        work, track, title, path = (
            self._data.ids[name][row] for name in ("work_id", "track_id", "title", "path")
        )
        chance = chances and chances.works[work]
        is_cover = None if chance is None else chance >= self._rule.threshold
        if self._tau is not None:
            decides = distance if reranked is None else reranked
            is_cover = bool(is_cover is not False and decides <= self._tau)
        return Match(
            work,
            track,
            title,
            path,
            distance=float(distance),
            probability=chance,
            is_cover=is_cover,
            reranked=None if reranked is None else float(reranked),
            interval=chances and chances.intervals.get(work),
        )

    def _length(self, seconds):
        """What should be known of a recording that is long."""
        heard_sec, trained_sec = self._embedder.heard_sec(seconds), self._embedder.trained_sec
        if seconds - heard_sec > 1:
            return [
                f"it is {seconds:.0f} s long, of which the model takes the first {heard_sec:.0f} s; what comes "
                "later was not heard: try --segments"
            ]
        if trained_sec is not None and seconds > _LONG * trained_sec:
            return [
                f"it is {seconds:.0f} s long, and the model was trained on {trained_sec:.0f} s: if it holds "
                "several songs, try --segments"
            ]
        return []

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
