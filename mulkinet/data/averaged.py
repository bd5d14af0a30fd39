"""A store's tracks at a lower frame rate: means of the frames, as a model of that rate was trained to see them."""

import numpy as np

from mulkinet.data.store import FeatureStore
from mulkinet.features.resize import TrackLength

__all__ = ["AveragedStore", "at_rate_of"]

_FRAMING = ("spect_len", "crop_sec", "downsample")


class AveragedStore(FeatureStore):
    """A store of which every track is averaged to another frame rate when it is read.

    Args:
        store: FeatureStore or what reads like one, of a rate at least as high.
        frame_rate: Frames per second.
    """

    def __init__(self, store, frame_rate):
        self._store = store
        self._track_length = TrackLength(frame_rate=frame_rate)
        self._rows = None
        for name in ("path", "name", "attributes", "metadata", "work_ids", "track_ids", "features"):
            setattr(self, name, getattr(store, name))

    def settings(self, feature):
        """See FeatureStore."""
        settings = self._store.settings(feature)
        kept = {name: value for name, value in settings.items() if name not in _FRAMING}
        return self._track_length.settings(kept)

    def n_frames(self, feature):
        """See FeatureStore."""
        rate = self._store.settings(feature)["frame_rate"]
        return self._track_length.n_frames(self._store.n_frames(feature), rate)

    def offsets(self, feature):
        """See FeatureStore."""
        return np.concatenate([[0], np.cumsum(self.n_frames(feature))])

    def read(self, feature, row, start=0, n_frames=None):
        """See FeatureStore."""
        rate = self._store.settings(feature)["frame_rate"]
        frames = self._track_length.apply(self._store.read(feature, row).T, rate).T
        return frames[start : None if n_frames is None else start + n_frames]

    def release(self):
        """See FeatureStore."""
        self._store.release()

    def check_finite(self, feature, rows=None):
        """See FeatureStore."""
        self._store.check_finite(feature, rows)


def at_rate_of(model, store, feature=None):
    """A store as a model has to be shown it.

    Args:
        model: EmbeddingNetwork; where its `feature_settings` say `averaged`, it takes features of any
            higher frame rate.
        store: FeatureStore or what reads like one.
        feature: Of the store; that of the model's metadata by default.

    Returns:
        AveragedStore, or the store itself where nothing is to be averaged.
    """
    feature = feature or model.metadata.get("feature")
    settings = model.metadata.get("feature_settings", {})
    if not settings.get("averaged") or feature not in store.features:
        return store
    rate = store.settings(feature)["frame_rate"]
    is_higher = rate > settings["frame_rate"] * (1 + 1e-6)
    return AveragedStore(store, settings["frame_rate"]) if is_higher else store
