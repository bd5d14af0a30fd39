"""A model of a low frame rate takes stores and audio of any higher one, and refuses lower ones."""

import numpy as np
import pytest

from mulkinet import MulkinetError, build_model, embed
from mulkinet.data.averaged import AveragedStore, at_rate_of
from mulkinet.data.store import FeatureStore
from mulkinet.data.store_writer import StoreWriter
from mulkinet.features.resize import TrackLength
from mulkinet.identify.embedder import Embedder

SETTINGS = {"n_bins": 12, "bin0": "C", "sr": 44100, "hop_length": 512}


def write_store(path, rate, lengths, **more):
    rng = np.random.default_rng(0)
    tracks = [("w", str(i)) for i in range(len(lengths))]
    with StoreWriter(path, name="s", tracks=tracks) as store:
        settings = {**SETTINGS, "frame_rate": rate, **more}
        store.add_feature("crema", n_frames=lengths, settings=settings)
        for track, n in zip(tracks, lengths):
            store.write("crema", track, rng.random((n, 12), np.float32))
    return FeatureStore(path)


@pytest.fixture
def model():
    network = build_model("mulkinet", block="simple", ki_block_num=1, ki_out_channel=4,
                          time_field=4, embedding_len=8, chnlatt=False, tempatt=False)  # fmt: skip
    settings = {**SETTINGS, "frame_rate": 2.0, "averaged": True}
    network.metadata = {"feature": "crema", "feature_settings": settings}
    return network


def test_every_track_is_the_means_of_its_frames(tmp_path):
    store = write_store(tmp_path / "s.h5", 8.0, [40, 7], downsample=4)
    averaged = AveragedStore(store, 2.0)
    # 40 frames of 8 a second are 5 s, 10 frames of 2 a second: each the mean of four.
    expected = store.get(("w", "0"), "crema").reshape(12, 10, 4).mean(axis=2)
    np.testing.assert_allclose(averaged.get(("w", "0"), "crema"), expected, atol=1e-6)
    np.testing.assert_allclose(averaged.read("crema", 0, 3, 2), expected[:, 3:5].T, atol=1e-6)
    assert averaged.n_frames("crema").tolist() == [10, 2]
    assert averaged.offsets("crema").tolist() == [0, 10, 12]
    assert averaged.settings("crema") == {**SETTINGS, "frame_rate": 2.0, "averaged": True}


def test_a_model_of_averages_takes_any_higher_rate(tmp_path, model):
    fast = write_store(tmp_path / "a.h5", 8.0, [400, 320], spect_len=400, crop_sec=50.0)
    averaged = AveragedStore(fast, 2.0)
    with StoreWriter(tmp_path / "b.h5", name="s", tracks=list(fast.rows_by_key)) as store:
        lengths = averaged.n_frames("crema")
        store.add_feature("crema", n_frames=lengths, settings=averaged.settings("crema"))
        for row, key in enumerate(fast.rows_by_key):
            store.write("crema", key, averaged.read("crema", row))
    slow = FeatureStore(tmp_path / "b.h5")
    assert at_rate_of(model, slow) is slow
    np.testing.assert_allclose(embed(model, fast), embed(model, slow), atol=1e-5)


def test_a_lower_rate_is_refused_and_so_is_any_other_by_a_model_of_one_rate(tmp_path, model):
    low = write_store(tmp_path / "a.h5", 1.0, [40, 30])
    with pytest.raises(MulkinetError, match="found frame_rate 1.0 instead of 2.0"):
        embed(model, low)
    del model.metadata["feature_settings"]["averaged"]
    high = write_store(tmp_path / "b.h5", 8.0, [40, 30])
    with pytest.raises(MulkinetError, match="found frame_rate 8.0 instead of 2.0"):
        embed(model, high)


def test_recordings_are_averaged_as_stores_are(model):
    x = np.random.default_rng(1).random((12, 861), np.float32)
    embedder = Embedder(model)
    assert embedder.track_length == TrackLength(frame_rate=2.0)
    prepared = embedder.track_length.apply(x, 86.1)
    assert prepared.shape == (12, 20)
    np.testing.assert_allclose(prepared.mean(), x.mean(), atol=1e-6)


def test_a_length_is_brought_about_in_one_way():
    with pytest.raises(MulkinetError, match="choose one"):
        TrackLength(spect_len=500, frame_rate=2.0)
