"""Charts as a store of performances: of every chart some that never change, to validate with, and endless others.

`read` gives the former, as a feature store does; `perform` those that training hears, none of them twice, each of which
follows from its seed. What stays the same is 180 s long. Charts are performed as crema's pitch classes, as
harmonic pitch-class profiles, or as a constant-Q spectrum.
"""

import collections
from pathlib import Path

import numpy as np

from mulkinet.data.store import FeatureStore
from mulkinet.data.store_writer import StoreWriter
from mulkinet.errors import MulkinetError
from mulkinet.features import cqt, crema, hpcp
from mulkinet.losses.plans import random_stream
from mulkinet.sources.charts.arrangement import draw_tempo
from mulkinet.sources.charts.chart import read_charts
from mulkinet.sources.charts.performer import perform
from mulkinet.sources.charts.profile_performer import perform_profile
from mulkinet.sources.charts.score_grid import grid_of, looped, medley
from mulkinet.sources.charts.spectrum_performer import perform_spectrum

__all__ = ["FEATURES", "ChartStore", "is_chart_file", "write_performances"]

_SECONDS = 180
# Who performs, and what the features are like: of pitch classes 500 frames of 180 s, by two.
_HALVED = {"frame_rate": 250 / _SECONDS, "averaged": True}
_PERFORMED = {
    "crema": (perform, {**crema.SETTINGS, "extractor": "crema", **_HALVED}),
    "hpcp": (perform_profile, {**hpcp.SETTINGS, "extractor": "essentia", **_HALVED}),
    "cqt": (perform_spectrum, {**cqt.SETTINGS, "extractor": "librosa"}),
}
FEATURES = tuple(_PERFORMED)
# Shares of the performances in training that are of two works in one, of works made of loops, and short.
_MEDLEYS, _LOOPED, _SHORT = 0.25, 0.4, 0.2
_SHORTENED = (3, 6)


def is_chart_file(path):
    """Whether a path is named as a file of charts is."""
    return Path(path).name.endswith((".jsonl", ".jsonl.gz"))


class ChartStore(FeatureStore):
    """Performances of a file's charts, read as a store is.

    Where some charts have a melody, the others are left out: a network learns less with them.

    Attributes:
        path, name, attributes, work_ids, track_ids, features, metadata: As of a FeatureStore; tracks are numbers.
        notes: list of str, what the user should know of the file: lines that are no charts, what is left out.

    Args:
        path: A file of charts.
        performances: int >= 1, tracks of every chart.
        charts: list of Chart, where they are in memory; the file is not read then.
        feature: The one of `FEATURES` that charts are performed as.

    Raises:
        MulkinetError: There is no such file, no chart in it, or no such feature.
    """

    def __init__(self, path, performances=4, charts=None, feature="crema"):
        self.path = Path(path)
        self.name = self.path.name.partition(".")[0]
        if feature not in FEATURES:
            raise MulkinetError(
                f"expected {', '.join(FEATURES[:-1])} or {FEATURES[-1]}, which charts are performed as, found {feature}"
            )
        self.features = (feature,)
        self._perform, self._settings = _PERFORMED[feature]
        self._rows = None
        self._performances = performances
        charts, skipped = read_charts(path) if charts is None else (charts, [])
        if not charts:
            raise MulkinetError(
                f"expected charts in {path}, found none; make some with preprocess.py charts"
            )
        sung = [chart for chart in charts if chart.melody] or charts
        self.notes = list(_notes(skipped, len(charts) - len(sung)))
        charts = sung
        self.attributes = {"source": "charts"}
        self._grids = [grid_of(chart) for chart in charts]
        self._versions = collections.Counter(chart.work for chart in charts)
        self.work_ids = np.repeat([chart.work for chart in charts], performances)
        self.metadata = {"title": np.repeat([chart.title for chart in charts], performances)}
        counts = collections.Counter()
        tracks = []
        for work in self.work_ids.tolist():
            counts[work] += 1
            tracks.append(str(counts[work]))
        self.track_ids = np.asarray(tracks)

    def settings(self, feature):
        """See FeatureStore."""
        self._check_feature(feature)
        return dict(self._settings)

    def offsets(self, feature):
        """See FeatureStore."""
        self._check_feature(feature)
        return np.arange(len(self) + 1) * round(_SECONDS * self._settings["frame_rate"])

    def read(self, feature, row, start=0, n_frames=None):
        """See FeatureStore; the performance that this track always is."""
        self._check_feature(feature)
        rng = random_stream("performance in a store", row)
        bpm = draw_tempo(
            rng, draw_tempo(random_stream("tempo of a chart", row // self._performances))
        )
        grid = self._grids[row // self._performances]
        rate = self._settings["frame_rate"]
        frames = self._perform(grid, rng, round(_SECONDS * rate), rate, bpm).T
        return frames[start : None if n_frames is None else start + n_frames]

    def perform(self, row, n_frames, seed, among):
        """A performance for training.

        Args:
            row: Row of a track: which chart is played.
            n_frames: Length; now and then it is a third or a sixth of that.
            seed: (seed, epoch, step, place in the batch). What performances of a chart in one step share, a tempo about
                which they are and the work they are joined with, follows from the first three.
            among: (n,) rows of the charts that may be joined with it.

        Returns:
            (at most n_frames, n_bins) float32: frames are rows.
        """
        chart = int(row) // self._performances
        shared = random_stream("song of a step", *seed[:-1], chart)
        rng = random_stream("performance in training", *seed)
        grid, base = self._grids[chart], draw_tempo(shared)
        if shared.random() < _MEDLEYS and self._versions[str(self.work_ids[row])] == 1:
            grid = medley(
                grid, self._grids[int(shared.choice(among)) // self._performances], shared
            )
        if shared.random() < _LOOPED:
            grid = looped(grid, shared)
        if rng.random() < _SHORT:
            n_frames = max(1, n_frames // int(rng.choice(_SHORTENED)))
        rate = self._settings["frame_rate"]
        return self._perform(grid, rng, n_frames, rate, draw_tempo(rng, base)).T

    def release(self):
        """Does nothing: nothing is mapped."""

    def check_finite(self, feature, rows=None):
        """Does nothing: what is performed is finite."""

    def _check_feature(self, feature):
        if feature not in self.features:
            raise MulkinetError(
                f"expected {self.features[0]}, which these charts are performed as, found {feature}"
            )


def write_performances(path, charts, performances, feature="crema"):
    """Makes a feature store of performances, for any network.

    Args:
        path: The store to make.
        charts: list of Chart.
        performances: int >= 1, tracks of every chart.
        feature: One of `FEATURES`.

    Returns:
        list of str, what the user should know.

    Raises:
        MulkinetError: There are no charts, or the file cannot be written.
    """
    played = ChartStore(path, performances, charts, feature)
    tracks = list(played.rows_by_key)
    name = Path(path).stem
    with StoreWriter(
        path, name=name, tracks=tracks, attributes=played.attributes, metadata=played.metadata
    ) as store:
        lengths, settings = played.n_frames(feature), played.settings(feature)
        store.add_feature(feature, n_frames=lengths, settings=settings)
        for row, track in enumerate(tracks):
            store.write(feature, track, played.read(feature, row))
    return played.notes


def _notes(skipped, n_unsung):
    if skipped:
        yield f"warning: {len(skipped)} lines are no charts, the first {skipped[0][0]}: {skipped[0][1]}"
    if n_unsung:
        yield f"{n_unsung} of the charts have no melody and are left out"
