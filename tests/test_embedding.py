"""Embedding a store: the same numbers as one track at a time, whatever is batched or padded."""

import io
import logging
import sys

import numpy as np
import pytest
import tensorflow as tf

from mulkinet import FeatureStore, MulkinetError, build_model, embed
from mulkinet.data.store_writer import StoreWriter
from mulkinet.embedding import (
    _warn_once,
    check_compatible,
    least_frames,
    prepare_track,
    trained_frames,
)
from mulkinet.identify.embedder import Embedder

SETTINGS = {
    "n_bins": 12,
    "bin0": "C",
    "sr": 44100,
    "hop_length": 512,
    "frame_rate": 86.1328125,
    "extractor_version": "1.0",
}
LENGTHS = [330, 400, 330, 500, 330, 325, 400]


def make_store(path, rng, lengths=LENGTHS, features=("crema",), broken=None, **settings):
    tracks = [("work", str(i)) for i in range(len(lengths))]
    with StoreWriter(path, name="sample", tracks=tracks) as writer:
        for feature in features:
            made = {**SETTINGS, **settings}
            writer.add_feature(feature, n_frames=lengths, settings=made)
            for i, (track, n_frames) in enumerate(zip(tracks, lengths)):
                frames = rng.random((n_frames, made["n_bins"]), np.float32)
                if i == broken:
                    frames[-1] = np.nan
                writer.write(feature, track, frames)
    return FeatureStore(path)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store") / "store.h5", np.random.default_rng(1))


@pytest.fixture(scope="module")
def move():
    return build_model("move", n_filters=4, embedding_len=6)


@pytest.fixture(scope="module")
def mulkinet():
    return build_model("mulkinet", ki_out_channel=4, embedding_len=6, n_frames=400, tempatt=False)


@pytest.fixture(scope="module")
def rescnn():
    return build_model("rescnn", width=2, depth=1, embedding_len=6, n_bins=12)


@pytest.fixture(autouse=True)
def forget_metadata(move, mulkinet, rescnn):
    for model in (move, mulkinet, rescnn):
        model.metadata = {}


def one_by_one(model, store, pad="wrap"):
    tracks = [store.get(("work", track_id), "crema") for track_id in store.track_ids]
    return np.concatenate([model.embed_batch(prepare_track(model, x, pad)[None]) for x in tracks])


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_batches_change_nothing(move, mulkinet, rescnn, store, batch_size):
    for model in (move, mulkinet, rescnn):
        got = embed(model, store, batch_size=batch_size)
        assert got.shape == (7, 6)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, one_by_one(model, store), rtol=1e-5, atol=1e-6)


def test_any_length_sees_the_whole_track(move, rescnn, store):
    for model in (move, rescnn):
        whole = [model.embed_batch(store.get(t, "crema")[None])[0] for t in store.track_ids]
        np.testing.assert_allclose(embed(model, store), whole, rtol=1e-5, atol=1e-6)


def test_any_length_down_to_one_frame(rescnn, tmp_path, rng):
    """Convolutions that pad by themselves need no padding of ours, at odd and even lengths."""
    store = make_store(tmp_path / "short.h5", rng, [1, 2, 7, 16, 17, 7])
    whole = [rescnn.embed_batch(store.get(t, "crema")[None])[0] for t in store.track_ids]
    for pad in ("zero", "wrap"):
        np.testing.assert_allclose(embed(rescnn, store, pad=pad), whole, rtol=1e-5, atol=1e-6)


def test_rows_in_their_order(move, store):
    rows = [6, 0, 3]
    everything = embed(move, store)
    np.testing.assert_allclose(
        embed(move, store, rows=rows), everything[rows], rtol=1e-5, atol=1e-7
    )
    assert embed(move, store, rows=[]).shape == (0, 6)


def test_prepare_track_by_hand(mulkinet, move):
    x = np.arange(12 * 3, dtype=np.float64).reshape(12, 3)
    zeros = prepare_track(mulkinet, x, "zero")
    assert zeros.shape == (12, 400)
    assert zeros.dtype == np.float32
    np.testing.assert_array_equal(zeros[:, :3], x)
    assert not zeros[:, 3:].any()
    repeated = prepare_track(mulkinet, x)
    np.testing.assert_array_equal(repeated[0], [0, 1, 2] * 133 + [0])
    assert prepare_track(move, x).shape == (12, 320)
    long = np.ones((12, 700))
    assert prepare_track(mulkinet, long).shape == (12, 400)
    assert prepare_track(move, long).shape == (12, 700)
    move.metadata = {"n_frames": 350}
    assert prepare_track(move, long).shape == (12, 350)


def test_a_network_of_any_length_repeats_to_what_it_was_trained_on(move):
    x = np.arange(12 * 330, dtype=np.float32).reshape(12, 330)
    move.metadata = {"training": {"settings": {"n_frames": 500}}}
    assert (trained_frames(move), least_frames(move)) == (500, 500)
    np.testing.assert_array_equal(prepare_track(move, x), np.hstack([x, x[:, :170]]))
    # Published systems pad no further than the network needs.
    np.testing.assert_array_equal(prepare_track(move, x, "zero"), x)
    assert prepare_track(move, np.ones((12, 700))).shape == (12, 700)


def test_a_short_track_is_embedded_alike_by_evaluate_and_identify(move, tmp_path, rng):
    store = make_store(tmp_path / "short.h5", rng, [120])
    move.metadata = {
        "feature": "crema",
        "feature_settings": dict(SETTINGS),
        "training": {"settings": {"n_frames": 400}},
    }
    embedder = Embedder(move)
    recording = embedder.from_features(store.get("0", "crema"))
    np.testing.assert_allclose(embed(move, store), embedder.embed([recording]), atol=1e-6)
    assert np.abs(embed(move, store, pad="zero") - embed(move, store)).max() > 1e-4


def test_a_keras_model_is_one_line(store):
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    with pytest.raises(MulkinetError, match=r"found keras.*Sequential; make one with .*load_model"):
        embed(model, store)


def test_that_tracks_are_repeated_is_said_once(mulkinet, store, caplog):
    zero = embed(mulkinet, store, pad="zero")
    assert not caplog.records
    _warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        wrapped = embed(mulkinet, store)
        embed(mulkinet, store)  # as after the next epoch of a training
    assert caplog.messages == [
        "4 of 7 tracks are shorter than 400 frames and were repeated to that length"
    ]
    short = store.n_frames("crema") < 400
    np.testing.assert_allclose(wrapped[~short], zero[~short], rtol=1e-5)
    assert (np.abs(wrapped[short] - zero[short]).max(axis=1) > 1e-4).all()
    with pytest.raises(MulkinetError, match="pad: expected one of zero, wrap; found 'same'"):
        embed(mulkinet, store, pad="same")


def test_short_tracks_are_no_covers_of_silence(mulkinet, tmp_path, rng):
    """Repeating keeps a short track near its own repetition, which zeros do not."""
    x = rng.random((12, 80), np.float32)
    full = np.tile(x, 5)
    for pad, is_same in (("wrap", True), ("zero", False)):
        pair = np.stack([prepare_track(mulkinet, y, pad) for y in (x, full)])
        a, b = mulkinet.embed_batch(pair)
        assert np.allclose(a, b) == is_same


def test_settings_that_differ_are_named(move, store):
    move.metadata = {"feature": "crema", "feature_settings": dict(SETTINGS)}
    assert check_compatible(move, store) == "crema"
    # A newer extractor is told the same things.
    move.metadata["feature_settings"]["extractor_version"] = "2.0"
    check_compatible(move, store)
    move.metadata["feature_settings"].update(hop_length=1024, downsample=8)
    with pytest.raises(
        MulkinetError,
        match="found hop_length 512 instead of 1024, downsample unknown instead of 8; extract",
    ):
        embed(move, store)
    move.metadata = {"feature": "hpcp"}
    with pytest.raises(MulkinetError, match="expected hpcp in .*, found only crema"):
        embed(move, store)


def test_another_number_of_bins(move, tmp_path, rng):
    store = make_store(tmp_path / "cqt.h5", rng, [400], ("cqt",), n_bins=84)
    with pytest.raises(MulkinetError, match="found n_bins 84 instead of 12"):
        embed(move, store)
    with pytest.raises(MulkinetError, match=r"\(12 bins, frames\), found \(84, 400\)"):
        prepare_track(move, np.zeros((84, 400)))


def test_a_feature_must_be_named_among_several(move, tmp_path, rng):
    store = make_store(tmp_path / "two.h5", rng, [330], ("crema", "hpcp"))
    with pytest.raises(MulkinetError, match="expected one feature to embed, found crema, hpcp"):
        embed(move, store)
    assert embed(move, store, feature="hpcp").shape == (1, 6)


def test_nan_is_named_by_track(move, mulkinet, tmp_path, rng):
    store = make_store(tmp_path / "nan.h5", rng, [330, 450], broken=1)
    with pytest.raises(
        MulkinetError, match="found NaN or infinity in crema of work 'work', track '1'"
    ):
        embed(move, store)
    # Only what the network sees matters: the NaN is in the last frame.
    assert np.isfinite(embed(mulkinet, store)).all()


def test_a_progress_bar_on_request_and_in_a_terminal_only(move, store, monkeypatch):
    def shown(terminal, **arguments):
        stream = io.StringIO()
        stream.isatty = lambda: terminal
        monkeypatch.setattr(sys, "stderr", stream)
        embed(move, store, **arguments)
        return "embedding" in stream.getvalue()

    assert not shown(terminal=True)
    assert shown(terminal=True, progress=True)
    assert not shown(terminal=False, progress=True)
