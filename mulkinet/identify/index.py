"""The index of a collection: audio in, named works out, with how sure that is.

>>> from mulkinet import Index
>>> index = Index.build("library.index", "library/", "models/demo/best.h5")  # doctest: +SKIP
>>> answer = Index.open("library.index").identify("unknown.wav")             # doctest: +SKIP
>>> answer.works[0].title, answer.works[0].probability                        # doctest: +SKIP
"""

import functools
import hashlib
import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from mulkinet.data.store import FeatureStore
from mulkinet.embedding import embed
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.evaluation.baselines import EMBEDDED, Baseline
from mulkinet.evaluation.reranking import weight_of
from mulkinet.files.atomic import remove_leftovers
from mulkinet.identify import calibration, setlist, updating
from mulkinet.identify.aligned import align_answers
from mulkinet.identify.answering import Answering, read_queries
from mulkinet.identify.chroma import NO_CHROMA, KeptChroma, chromas_in_store
from mulkinet.identify.collection import baseline_for, content_of, hearing_of, open_collection
from mulkinet.identify.domain import describe_domain, trained_on
from mulkinet.identify.embedder import Embedder
from mulkinet.identify.index_file import (
    HEARING,
    IDS,
    LARGE,
    IndexData,
    fingerprint,
    locked,
    read_index,
    write_index,
)
from mulkinet.identify.reranking import NEAREST, Reranking, spread_of
from mulkinet.identify.search import Search, open_search, prepare
from mulkinet.identify.shards import MergedSearch, join, parts_of
from mulkinet.workers import count_workers

__all__ = ["Index"]

_log = logging.getLogger("mulkinet")


class Index:
    """An index of a collection, opened.

    `Index.open` and `Index.build` make one. Many queries at once are faster than one by one: features
    are extracted on every core, and embedded in one batch.

    Attributes:
        path: pathlib.Path of the file; its format is told in `mulkinet/identify/index_file.py`.
        data: IndexData, what the file holds.
        changes: Changes, what the last `build`, `add` or `remove` did; None before.

    Examples:
        A folder of two works, and a model file:

        >>> index = Index.build("music.index", "music", "chords.h5", progress=False)
        >>> index
        Index('music.index': 3 tracks of 2 works)
        >>> answer = index.identify("music/Help/live.wav")
        >>> answer.works[0].work_id
        'Help'
    """

    def __init__(self, path, data, model_file=None, report=_log.warning, parts=()):
        self.path = Path(path)
        self.data = data
        self._parts = parts  # IndexData of each, where this is several indexes
        self.changes = None
        self._model_file = model_file
        self._report = report

    def __len__(self):
        return len(self.data)

    def __repr__(self):
        return f"Index({str(self.path)!r}: {len(self)} tracks of {self.n_works} works)"

    @classmethod
    def open(cls, path, model_file=None, *, report=_log.warning):
        """Opens an index.

        Args:
            path: Its file; or a list of files, indexes of the same model that are searched as one, and not changed.
            model_file: The model it was made with, where that is no longer where it was.
            report: Called with a line to show: waiting for another writer, recall of the search.

        Returns:
            Index.

        Raises:
            MulkinetError: No such file, no index, or damaged.
        """
        if isinstance(path, (str, os.PathLike)):
            return cls(path, read_index(path), model_file, report)
        paths = list(path)
        if not paths:
            raise MulkinetError("expected at least one index, found none")
        parts = [read_index(one) for one in paths]
        if len(parts) == 1:
            return cls(paths[0], parts[0], model_file, report)
        return cls(paths[0], join(paths, parts, report), model_file, report, parts)

    @classmethod
    def build(
        cls,
        path,
        collection,
        model_file="covers",
        *,
        baseline=None,
        feature=None,
        layout=None,
        alignment=True,
        accept_partial=False,
        n_workers=-1,
        batch_size=16,
        progress=True,
        report=_log.warning,
    ):
        """Makes the index of a collection; an interrupted run resumes.

        Args:
            path: The file to make. One that is there already is brought up to date if it holds no
                other tracks, and refused otherwise.
            collection: A folder of audio, `<work>/<track>.<ext>` or flat (every file its own work),
                or a feature store.
            model_file: Model file of a trained network, or the name of a model of the package, whose
                calibration the index takes over.
            baseline: "2dftm" or "mean-chroma": needs no training, and takes the place of the model.
            feature: The baseline's feature, of 12 bins; by default crema, or a store's first.
            layout: How the audio is laid out, "work", "flat", "tree" or "csv"; see `sources.layout.find_library`.
            alignment: Whether to keep the tracks' chroma (6 kB for 3 minutes), so that `identify` can align queries
                with them; for models of 12 bins only.
            accept_partial: Whether to take what there is of truncated files; `changes.notes` says of which.
            n_workers: Processes that extract features; -1 is one per core.
            batch_size: Tracks embedded at a time.
            progress: Whether to show a progress bar.
            report: As for `open`.

        Returns:
            Index, with `changes`.

        Raises:
            MulkinetError: The collection or the model cannot be used, or they do not fit.
        """
        path = Path(path)
        model = (
            baseline_for(baseline, collection, feature, layout) if baseline else _load(model_file)
        )
        model_file = None if baseline else model_file
        if path.exists():
            data = read_index(path)
        else:
            hearing = hearing_of(collection, model, layout)
            data = _empty(Embedder(model, **hearing), model_file, alignment)
        embedder = _embedder(model, data.config)
        index = cls(path, data, model_file, report)
        index._check_model(embedder.model)
        index.__dict__["embedder"] = embedder
        opened = open_collection(
            collection,
            embedder,
            data.ids,
            layout=layout,
            accept_partial=accept_partial,
            progress=progress,
        )
        with locked(path, report):
            if path.exists():
                index._reread()
                index._check_within(opened)
            index._update(opened, n_workers, batch_size, progress)
        return index

    def add(
        self,
        collection,
        *,
        layout=None,
        alignment=False,
        accept_partial=False,
        n_workers=-1,
        batch_size=16,
        progress=True,
    ):
        """Adds a collection: tracks that are new or changed, by their content.

        Args:
            collection: As for `build`.
            layout: As for `build`.
            alignment: Whether to keep chroma from now on, where the index does not; also of the tracks of this
                collection that it holds already.
            accept_partial: As for `build`.
            n_workers: As for `build`.
            batch_size: As for `build`.
            progress: As for `build`.

        Returns:
            Changes.

        Raises:
            MulkinetError: The collection cannot be used, or the model is not the index's.
        """
        opened = open_collection(
            collection,
            self.embedder,
            self.data.ids,
            layout=layout,
            accept_partial=accept_partial,
            progress=progress,
        )
        with locked(self.path, self._report):
            self._reread()
            if alignment and self.data.chroma is None:
                self.data = replace(self.data, chroma=KeptChroma.of_tracks([NO_CHROMA] * len(self)))
            self._update(opened, n_workers, batch_size, progress)
        return self.changes

    def remove(self, names):
        """Takes works or tracks out.

        Args:
            names: Of each what to remove: a work_id, or `<work_id>/<track_id>`.

        Returns:
            Changes.

        Raises:
            MulkinetError: The index does not hold one of them; nothing is removed then.
        """
        with locked(self.path, self._report):
            self._reread()
            data, self.changes = updating.remove(self.data, names)
            self._write(data)
        return self.changes

    def calibrate(self, *, data_dir=None, val_ls=None, false_accept_rate=None, known=0.5):
        """Fits the threshold tau and the mapping from distance to probability, and keeps them.

        Args:
            data_dir: A feature store of tracks that the model was not trained on; the index itself
                by default.
            val_ls: List of its tracks to use; all by default.
            false_accept_rate: tau is the largest distance at which this share of non-covers, in
                (0, 1), is accepted; by default that of equal error.
            known: Prior: share of queries whose work is in the index, in (0, 1).

        Returns:
            dict: see `mulkinet.identify.calibration.calibrate`; `source`; and, where the index keeps chroma,
            `reranked`, the same of distances after alignment.

        Raises:
            MulkinetError: The tracks cannot be used, or are too few.
        """
        for name, value in (("false_accept_rate", false_accept_rate), ("known", known)):
            if value is not None and not 0 < value < 1:
                raise MulkinetError(f"expected {name} between 0 and 1, found {value:g}")
        with locked(self.path, self._report):
            self._reread()
            store = None if data_dir is None else FeatureStore(data_dir)
            rows = calibration.listed_rows(self if store is None else store, val_ls)
            embeddings, works, tracks = self._listed(store, rows)
            calibration.warn_of_trained_works(self.model, works, self._report)
            distance = {
                "distance": self.data.config["distance"],
                "weights": self.model.distance_weights,
            }
            fit = functools.partial(
                calibration.calibrate,
                work_ids=works,
                track_ids=tracks,
                false_accept_rate=false_accept_rate,
                known=known,
            )
            found = fit(embeddings, **distance)
            if self.data.chroma is not None:
                chroma = (
                    [self.data.chroma.track(row) for row in rows]
                    if store is None
                    else chromas_in_store(store, works, tracks, self.embedder)
                )
                weight = weight_of(self.data.calibration)
                reranking = Reranking(KeptChroma.of_tracks(chroma), self._spread, weight=weight)
                fused = reranking.all_distances(embeddings, Search(embeddings, **distance))
                found["reranked"] = fit(fused, distance="precomputed", weights=None)
                found["reranked"].update(spread=self._spread, weight=weight)
            named = {
                "data_dir": str(data_dir or self.path),
                "val_ls": str(val_ls or "all tracks"),
                "synthetic": store is not None and store.is_synthetic,
            }
            self._write(replace(self.data, calibration={**found, "source": named}))
        return self.data.calibration

    def identify(
        self,
        queries,
        *,
        top=10,
        sr=None,
        tau=None,
        false_alarms=None,
        segment_sec=None,
        hop_sec=None,
        rerank=None,
        n_aligned=0,
        exclude_self=False,
        start_sec=0.0,
        duration_sec=None,
        accept_partial=False,
        n_workers=-1,
        progress=True,
    ):
        """Finds what recordings are covers of.

        Args:
            queries: A recording or a list of them. Each is a path; or samples, (n_samples,) or librosa's
                (channels, n_samples); or features as a store made for the model holds them,
                (n_bins, n_frames).
            top: Tracks and works to name; a span has one.
            sr: Sampling rate in Hz of the arrays, which are all samples then. Without it those of one dimension are
                mono samples at 44.1 kHz, and those of two are features.
            tau: Distance beyond which nothing is a cover; where the index is not calibrated it decides alone.
            false_alarms: False alarms to keep within, of 100 queries: the threshold of a yes is then as high as that
                takes, and never below a probability of 0.5, which it is by default.
            segment_sec: Cut queries into windows of this length, and answer with spans.
            hop_sec: From one window to the next; a quarter of `segment_sec` by default.
            rerank: Tracks nearest by embedding that are aligned with the query and ordered by both; 0 for none. By
                default 50 for whole queries where the index keeps chroma, and is not calibrated without.
            n_aligned: Works of a whole query of which `alignments` says where they match it.
            exclude_self: Whether a query that is itself a track of the index, by its content or its path, is left out
                of what it is compared with.
            start_sec: Where to begin to listen, in seconds.
            duration_sec: How long to listen from there; to the end by default.
            accept_partial: Whether to take what there is of truncated files; a warning says so.
            n_workers: Processes that extract features of several files; -1 is one per core.
            progress: Whether to show a progress bar where there are several files.

        Returns:
            Answer, or for a list a list of them, in which unreadable queries have `skipped`.

        Raises:
            SkippedInput: The only query cannot be read.
            MulkinetError: The model is not the index's, or an argument cannot be used.

        Examples:
            >>> index = Index.open("library.index")                       # doctest: +SKIP
            >>> for match in index.identify("unknown.wav", top=3).works:  # doctest: +SKIP
            ...     print(match.work_id, match.distance, match.probability)
        """
        if top < 1:
            raise MulkinetError(f"expected top of 1 or more, found {top}")
        if tau is not None and not np.isfinite(tau):
            raise MulkinetError(f"expected tau as a finite distance, found {tau}")
        if false_alarms is not None and not 0 < false_alarms <= 100:
            raise MulkinetError(
                f"expected false_alarms of 100 queries above 0 and up to 100, found {false_alarms:g}"
            )
        if segment_sec is None and hop_sec is not None:
            raise MulkinetError("expected hop_sec together with segment_sec, found it alone")
        if start_sec < 0 or (duration_sec is not None and not duration_sec > 0):
            raise MulkinetError(
                f"expected start_sec of 0 or more and duration_sec above 0, found {start_sec} and {duration_sec}"
            )
        is_part = start_sec > 0 or duration_sec is not None
        if segment_sec is not None and exclude_self:
            raise MulkinetError("expected exclude_self of whole queries, found it with segment_sec")
        reranking = self._reranking(rerank, segment_sec)
        fitted = self.data.calibration
        if fitted and reranking and (reranked := fitted.get("reranked")):
            fitted = {"source": fitted.get("source", {}), **reranked}
        elif reranking:
            fitted = None
        if false_alarms is not None and not fitted:
            raise MulkinetError(
                f"expected a calibrated index to keep false alarms within a number, found {self.path} "
                "without; calibrate it with mulkinet calibrate"
            )
        is_one = isinstance(queries, (str, os.PathLike, np.ndarray))
        answering = Answering(
            self.data,
            self.embedder,
            self.search,
            tau,
            fitted,
            false_alarms=false_alarms,
            reranking=reranking,
        )
        queries = [queries] if is_one else list(queries)
        read = read_queries(
            queries,
            self.embedder,
            count_workers(n_workers),
            sr=sr,
            framed=segment_sec is None and not is_part,
            accept_partial=accept_partial,
            progress=progress,
        )
        if is_part:
            read = [(name, _part_of(found, start_sec, duration_sec)) for name, found in read]
        if segment_sec is None:
            own = [self._own_rows(query) for query in queries] if exclude_self else None
            answers = answering.whole(read, top, own)
            if n_aligned:
                answers = align_answers(answers, read, self, n_aligned)
        else:
            answers = answering.in_windows(read, segment_sec, hop_sec)
        if not is_one:
            return answers
        if answers[0].skipped:
            raise SkippedInput(f"{answers[0].query}: {answers[0].skipped}")
        return answers[0]

    def set_list(
        self,
        recordings,
        *,
        change_cost=setlist.CHANGE_COST,
        least=setlist.LEAST,
        n_workers=-1,
        progress=True,
    ):
        """Finds what is played when in long recordings.

        Args:
            recordings: A recording or a list of them, as for `identify`.
            change_cost: Log-odds >= 0 that a change of work takes: more gives fewer and longer spans.
            least: Probability below which a span is nothing.
            n_workers: Processes that extract features, and threads that align; -1 is one per core.
            progress: Whether to show progress bars.

        Returns:
            SetList, or for a list a list of them, in which unreadable recordings have `skipped`.

        Raises:
            SkippedInput: The only recording cannot be read.
            MulkinetError: The index keeps no chroma, its model is not there, or an argument cannot be used.
        """
        if not 0 <= change_cost < np.inf:
            raise MulkinetError(f"expected change_cost of 0 or more, found {change_cost:g}")
        if not 0 <= least <= 1:
            raise MulkinetError(f"expected least as a probability, found {least:g}")
        self._check_chroma()
        is_one = isinstance(recordings, (str, os.PathLike, np.ndarray))
        n_workers = count_workers(n_workers)
        lists = setlist.SetLists(
            self.data, self.embedder, self.search, n_workers=n_workers, progress=progress
        )
        found = []
        for recording in [recordings] if is_one else recordings:
            # One at a time: the features of hours are large.
            ((name, heard),) = read_queries([recording], self.embedder, n_workers, framed=False)
            try:
                if isinstance(heard, str):
                    raise SkippedInput(heard)
                frames = setlist.long_chroma(heard, self.embedder)
                found.append(lists.find(name, frames, change_cost, least))
            except SkippedInput as error:
                if is_one:
                    raise SkippedInput(f"{name}: {error}") from error
                found.append(setlist.SetList(name, skipped=str(error)))
        return found[0] if is_one else found

    @property
    def n_works(self):
        """Number of works."""
        return len(set(self.data.ids["work_id"]))

    @property
    def rows_by_key(self):
        """Dict of (work_id, track_id) to row."""
        keys = zip(self.data.ids["work_id"], self.data.ids["track_id"])
        return {key: row for row, key in enumerate(keys)}

    @property
    def model(self):
        """The network of the index; loaded when first asked for.

        Raises:
            MulkinetError: The model file is not there, or holds another model.
        """
        return self.embedder.model

    @functools.cached_property
    def embedder(self):
        """Embedder of the index's model."""
        config = self.data.config
        if config["network"] in EMBEDDED and not self._model_file:
            model = Baseline(config["network"], config["feature"], config["feature_settings"])
        else:
            model = _load(self._model_file or config["model_file"])
        self._check_model(model)
        return _embedder(model, config)

    @functools.cached_property
    def search(self):
        """Search over the index's embeddings, kept for many queries."""
        weights = self.model.distance_weights
        if not self._parts:
            is_slow = self.data.survey is None and len(self) >= LARGE
            if is_slow and self.data.config["distance"] == "scaled_cosine":
                self._report(
                    f"{self.path} does not say how crowded it is around its tracks, which takes a while to find out; "
                    f"mulkinet index add COLLECTION --index {self.path} keeps it"
                )
            return open_search(self.data, weights)
        distance = self.data.config["distance"]
        typical = (self.data.calibration or {}).get("typical")
        lengths, cells = [len(part) for part in self._parts], [part.cells for part in self._parts]
        return MergedSearch(self.data.embeddings, lengths, cells, distance, weights, typical)

    @functools.cached_property
    def _spread(self):
        return spread_of(self.search, self.data.embeddings)

    def _own_rows(self, query):
        """Rows of the tracks that a query is itself."""
        ids = self.data.ids
        if not isinstance(query, (str, os.PathLike)):
            frames = np.ascontiguousarray(np.asarray(query, np.float32).T)
            return np.flatnonzero(ids["content"] == hashlib.sha256(frames.data).hexdigest())
        is_own = ids["path"] == os.path.abspath(query)
        try:
            is_own |= ids["content"] == content_of(query)
        except OSError:
            pass  # what is wrong with it is told when it is read
        return np.flatnonzero(is_own)

    def _reranking(self, n_nearest, segment_sec):
        """Reranking, or None."""
        fitted, chroma = self.data.calibration, self.data.chroma
        if n_nearest is None:
            has_numbers = fitted is None or "reranked" in fitted
            n_nearest = NEAREST if chroma is not None and segment_sec is None and has_numbers else 0
        elif n_nearest and segment_sec is not None:
            raise MulkinetError("expected rerank of whole queries, found it with segment_sec")
        if not n_nearest:
            return None
        self._check_chroma()
        # A calibration holds for the spread and weight that it was fitted with.
        calibrated = (fitted or {}).get("reranked", {})
        spread = calibrated.get("spread") or self._spread
        return Reranking(chroma, spread, n_nearest, weight_of(fitted))

    def _check_chroma(self):
        if self.data.chroma is None:
            raise MulkinetError(
                f"expected chroma in {self.path} to align queries with, found none; add it with mulkinet "
                f"index add COLLECTION --index {self.path} --alignment"
            )

    def info(self):
        """What the index is, as a dict of plain values."""
        config, fitted = self.data.config, self.data.calibration
        names = ("model_file", "fingerprint", "network", "distance", "feature", "feature_settings")
        return {
            "path": str(self.path),
            "tracks": len(self),
            "works": self.n_works,
            "embedding_len": self.data.embeddings.shape[1],
            "bytes": self.path.stat().st_size,
            **{name: config[name] for name in names},
            "trained_sec": config["trained_sec"],
            **{name: config.get(name, False) for name in HEARING},
            "aligned_tracks": 0
            if self.data.chroma is None
            else int(np.count_nonzero(np.diff(self.data.chroma.offsets))),
            "recall@10": 1.0 if self.data.cells is None else self.data.cells.recall,
            "calibration": fitted,
            "domain": describe_domain(config.get("trained_on"), fitted),
        }

    def _check_model(self, model):
        found, expected = fingerprint(model), self.data.config["fingerprint"]
        if found != expected:
            raise MulkinetError(
                f"expected the model that {self.path} was made with (fingerprint "
                f"{expected[:12]}, then {self.data.config['model_file']}), found another "
                f"(fingerprint {found[:12]}); name the right one with --model-file, or build a new "
                "index"
            )

    def _check_within(self, opened):
        there = set(self.rows_by_key)
        others = there - {entry[:2] for entry in opened.entries}
        if others:
            work, track = min(others)
            raise MulkinetError(
                f"expected no index at {self.path} or one of this collection, found one with "
                f"{len(others)} other tracks (such as {work}/{track}); add to it with mulkinet index "
                "add, or delete it first"
            )

    def shard(self, n_shards, folder=None):
        """Divides the index into files of about equally many tracks, in order; it stays as it is.

        Args:
            n_shards: How many.
            folder: Where to write them; by default beside the index.

        Returns:
            list of pathlib.Path, `<name>-<i>-of-<n><ending>`.

        Raises:
            MulkinetError: There are fewer tracks than that, or a file cannot be written.
        """
        folder = self.path.parent if folder is None else Path(folder)
        paths = []
        for number, part in enumerate(parts_of(len(self), n_shards), 1):
            path = folder / f"{self.path.stem}-{number}-of-{n_shards}{self.path.suffix}"
            mask = np.zeros(len(self), bool)
            mask[part] = True
            with locked(path, self._report):
                write_index(path, prepare(updating.keep(self.data, mask), self._report))
            paths.append(path)
        return paths

    def _reread(self):
        if self._parts:
            raise MulkinetError(
                f"expected one index to change, found {len(self._parts)} opened as one; name one of them"
            )
        # Another process may have written since it was opened.
        self.data = read_index(self.path, whole=True)
        self._check_model(self.model)
        for name in ("search", "_spread"):
            self.__dict__.pop(name, None)

    def _update(self, opened, n_workers, batch_size, progress):
        remove_leftovers(self.path.parent)
        data, self.changes = updating.update(
            self.data,
            opened,
            self.embedder,
            n_workers=count_workers(n_workers),
            batch_size=batch_size,
            progress=progress,
        )
        # One that was written before there were surveys is given one, also where nothing is new.
        data = prepare(data, self._report)
        if data is not self.data:
            self._write(data)

    def _write(self, data):
        self.data = prepare(data, self._report)
        for name in ("search", "_spread"):
            self.__dict__.pop(name, None)
        write_index(self.path, self.data)

    def _listed(self, store, rows):
        """(embeddings, work_ids, track_ids) of rows of a FeatureStore, or of the index itself where it is None."""
        if store is not None:
            return embed(self.model, store, rows=rows), store.work_ids[rows], store.track_ids[rows]
        works, tracks = (self.data.ids[name][rows].astype(str) for name in IDS[:2])
        return self.data.embeddings[rows], works, tracks


def _part_of(recording, start_sec, duration_sec):
    """A part of a Recording; a reason (str) where it ends before, or is one."""
    if isinstance(recording, str):
        return recording
    if start_sec >= recording.seconds:
        return f"expected more than {start_sec:g} s of audio, found {recording.seconds:.1f} s"
    end_sec = recording.seconds if duration_sec is None else start_sec + duration_sec
    return recording.cut(start_sec, min(end_sec, recording.seconds))


def _load(model_file):
    from mulkinet.models.model_file import load_model

    return load_model(model_file)


def _embedder(model, config):
    # Indexes that were made before there were these have neither.
    return Embedder(model, **{name: config.get(name, False) for name in HEARING})


def _empty(embedder, model_file, alignment):
    from mulkinet.models.weights import is_named

    model = embedder.model
    if model_file and not is_named(model_file):
        model_file = os.path.abspath(model_file)
    config = {
        "model_file": model_file or model.network,
        "fingerprint": fingerprint(model),
        "network": model.network,
        "distance": model.distance,
        "feature": embedder.feature,
        "feature_settings": model.metadata.get("feature_settings", {}),
        "trained_sec": embedder.trained_sec,
        "trained_on": trained_on(model.metadata),
        **{name: getattr(embedder, name) for name in HEARING},
    }
    ids = {name: np.empty(0, dtype=object) for name in IDS}
    embeddings = np.empty((0, model.embedding_len), np.float32)
    chroma = KeptChroma.of_tracks([]) if alignment else None
    return IndexData(config, ids, embeddings, model.metadata.get("calibration"), chroma=chroma)
