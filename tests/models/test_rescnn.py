"""The residual network: its logarithm, its size, its blocks, any length."""

import numpy as np
import pytest
import tensorflow as tf

from mulkinet import MulkinetError, build_model
from mulkinet.models.rescnn import LogMagnitude

SMALL = {"width": 4, "depth": 1, "embedding_len": 6, "n_bins": 20}


def test_the_logarithm_by_hand():
    # 1 + 100 x is 1, e, e^2 and 1501.
    x = np.array([0, (np.e - 1) / 100, (np.e**2 - 1) / 100, 15], np.float32)
    np.testing.assert_allclose(LogMagnitude()(x), [0, 1, 2, np.log(1501)], rtol=1e-6)


def test_the_first_convolution_sees_the_logarithm(rng):
    model = build_model("rescnn", **SMALL)
    x = rng.random((2, 20, 9), np.float32)
    convolution = model.get_layer("group0")
    seen = tf.keras.Model(model.input, convolution.input)(x)
    np.testing.assert_allclose(seen[..., 0], np.log(1 + 100 * x), rtol=1e-6)


def test_about_deep_speakers_size():
    count = build_model("rescnn").count_params()
    # By hand: four 5 x 5 convolutions, 24 of 3 x 3, a batch norm after each, 6 rows of 512 to 512.
    widths = [64, 128, 256, 512]
    kernels = sum(25 * a * b for a, b in zip([1, *widths], widths))
    kernels += sum(6 * 9 * width**2 for width in widths)
    assert count == kernels + sum(7 * 4 * width for width in widths) + 6 * 512 * 512 + 512
    assert count == pytest.approx(24e6, rel=0.05)


def test_embeddings_of_any_length_have_length_one(rng):
    model = build_model("rescnn", **SMALL)
    for n_frames in (1, 17, 40):
        embeddings = model.embed_batch(rng.random((3, 20, n_frames), np.float32))
        assert embeddings.shape == (3, 6)
        np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)
    with pytest.raises(MulkinetError, match="20 bins"):
        model(np.zeros((1, 12, 40), np.float32))


def test_a_group_halves_and_its_relus_are_clipped(rng):
    model = build_model("rescnn", **SMALL)
    model.get_layer("group0_bn").gamma.assign(tf.fill([4], 100.0))  # enough to be clipped
    layers = ["group0_relu", "group0_block0_relu", "group3_block0_relu"]
    outputs = tf.keras.Model(model.input, [model.get_layer(name).output for name in layers])
    first, block, last = outputs(rng.random((2, 20, 32), np.float32))
    assert first.shape == (2, 10, 16, 4)
    assert last.shape == (2, 2, 2, 32)
    assert float(tf.reduce_max(first)) == 20
    # The block by its own layers: relu(x + conv1(relu(conv0(x)))).
    names = ["group0_block0_conv0", "group0_block0_conv0_bn"]
    y = first
    for name in names:
        y = model.get_layer(name)(y)
    y = tf.clip_by_value(y, 0, 20)
    for name in ("group0_block0_conv1", "group0_block0_conv1_bn"):
        y = model.get_layer(name)(y)
    np.testing.assert_allclose(block, np.clip(first + y, 0, 20), atol=1e-4)


def test_the_classifier_stands_on_the_affine_layer(rng):
    model = build_model("rescnn", **SMALL)
    classifier = model.classifier(5, seed=1)
    x = rng.random((2, 20, 9), np.float32)
    affine = tf.keras.Model(model.input, model.get_layer("affine").output)(x)
    kernel = classifier.get_layer("Classification").kernel
    np.testing.assert_allclose(classifier(x), affine @ kernel, rtol=1e-4, atol=1e-6)


def test_impossible_options():
    with pytest.raises(
        MulkinetError, match="depth: expected a whole number of at least 1; found 0"
    ):
        build_model("rescnn", depth=0)
