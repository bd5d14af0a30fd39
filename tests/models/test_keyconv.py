"""KeyConv: frames in pairs, any length, and the arithmetic of its layers written out once more."""

import numpy as np
import pytest
import tensorflow as tf

from mulkinet import MulkinetError, build_model, load_model, save_model
from mulkinet.models.keyconv import Fold, KeyConv


def test_fold_makes_neighbours_channels_and_drops_what_is_left_over():
    x = np.arange(2 * 5, dtype=np.float32).reshape(1, 2, 5, 1)
    assert Fold(2)(x).numpy().tolist() == [[[[0, 1], [2, 3]], [[5, 6], [7, 8]]]]


def test_any_length_from_two_frames_on(rng):
    model = build_model("keyconv", n_filters=2, embedding_len=5)
    for n_frames in (2, 3, 40, 251):
        embeddings = model.embed_batch(rng.random((2, 12, n_frames), np.float32))
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    with pytest.raises(MulkinetError, match="at least 2 frames, found 1"):
        model.embed_batch(rng.random((1, 12, 1), np.float32))


def test_its_first_layer_by_naive_loops(rng):
    """Of every filter and pair of frames the greatest sum over the twelve transpositions."""
    model = build_model("keyconv", n_filters=3, embedding_len=5)
    x = rng.random((1, 12, 12), np.float32)
    kernel = model.get_layer("keys").kernel.numpy()  # (12 rows, 8 pairs, 2 frames, 3 filters)
    pairs = np.pad(x[0].reshape(12, 6, 2), ((0, 0), (4, 3), (0, 0)))
    expected = np.empty((6, 3))
    for at in range(6):
        for number in range(3):
            sums = [
                (np.roll(pairs[:, at : at + 8], -key, axis=0) * kernel[..., number]).sum()
                for key in range(12)
            ]
            expected[at, number] = max(sums)
    found = tf.keras.Model(model.input, model.get_layer("keys").output)(x).numpy()
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-4, atol=1e-5)


def test_the_similarity_of_joined_networks_is_the_mean_of_theirs(rng, tmp_path):
    members = []
    for seed in range(3):
        tf.keras.utils.set_random_seed(seed)
        members.append(build_model("keyconv", n_filters=2, embedding_len=5))
    joined = KeyConv.joined(members)
    x = rng.random((4, 12, 30), np.float32)
    alone = [member.embed_batch(x) for member in members]
    expected = np.mean([embeddings @ embeddings.T for embeddings in alone], axis=0)
    save_model(joined, tmp_path / "joined.h5")
    for model in (joined, load_model(tmp_path / "joined.h5")):
        embeddings = model.embed_batch(x)
        assert embeddings.shape == (4, 15)
        np.testing.assert_allclose(embeddings @ embeddings.T, expected, atol=1e-5)
    with pytest.raises(MulkinetError, match="networks of the options"):
        KeyConv.joined([members[0], build_model("keyconv", n_filters=3, embedding_len=5)])
