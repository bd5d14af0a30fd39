"""Layers: the circle of pitch classes equals its written-out rows; summaries by their formulas."""

import inspect

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mulkinet.models import attention, layers
from mulkinet.models.layers import (
    BinConv2D,
    KeyInvariantConv2D,
    L2Normalize,
    PooledPReLU,
    RowWeightedBatchNorm,
    SeededDropout,
    TimeSummary,
    row_weights,
)

LAYERS = [
    KeyInvariantConv2D(3, (4, 5), dilation_rate=(1, 2), use_bias=False, name="conv"),
    KeyInvariantConv2D(3, (12, 5), key_pool=True),
    PooledPReLU(alpha_initializer="ones"),
    RowWeightedBatchNorm(15, momentum=0.9, name="bn"),
    attention.ChannelAttention(
        ratio=2, n_rows=18, kernel_regularizer=tf.keras.regularizers.L2(0.5)
    ),
    attention.TemporalAttention(ratio=3, n_rows=21),
    TimeSummary("adaptive-attention"),
    L2Normalize(),
    SeededDropout(0.25, seed=3),
    BinConv2D(4, (5, 3), dilation=2),
]


def features(rng, shape):
    return rng.standard_normal(shape).astype(np.float32)


@given(height=st.integers(1, 12), width=st.integers(1, 4), dilation=st.integers(1, 2))
@settings(max_examples=15, deadline=None)
def test_convolution_is_that_of_the_written_out_rows(height, width, dilation):
    rng = np.random.default_rng(height)
    x = features(rng, (2, 12, 9, 2))
    layer = KeyInvariantConv2D(3, (height, width), dilation_rate=(1, dilation), activation="relu")
    layer.build(x.shape)
    layer.bias.assign(features(rng, 3))
    got = layer(x).numpy()
    expected = np.zeros((2, 12, 9 - (width - 1) * dilation, 3))
    for row in range(12):
        for frame in range(expected.shape[2]):
            for i in range(height):
                for j in range(width):
                    seen = x[:, (row + i) % 12, frame + j * dilation]
                    expected[:, row, frame] += seen @ layer.kernel.numpy()[i, j]
    np.testing.assert_allclose(got, np.maximum(expected + layer.bias.numpy(), 0), atol=1e-5)
    assert layer.compute_output_shape(x.shape) == got.shape


def test_key_pool_keeps_the_maximum_over_rows(rng):
    x = features(rng, (2, 12, 9, 2))
    settings = {"activation": "tanh", "bias_initializer": "random_normal"}
    pooled = KeyInvariantConv2D(3, (12, 4), key_pool=True, **settings)
    plain = KeyInvariantConv2D(3, (12, 4), **settings)
    got = pooled(x)
    plain.build(x.shape)
    plain.set_weights(pooled.get_weights())
    np.testing.assert_allclose(got, tf.reduce_max(plain(x), axis=1, keepdims=True), atol=1e-6)
    assert pooled.compute_output_shape(x.shape) == got.shape == (2, 1, 6, 3)


def test_transposing_rotates_the_rows(rng):
    x = features(rng, (1, 12, 9, 2))
    layer = KeyInvariantConv2D(4, (5, 3))
    rotated = layer(np.roll(x, 4, axis=1)).numpy()
    np.testing.assert_allclose(rotated, np.roll(layer(x).numpy(), 4, axis=1), atol=1e-6)


@pytest.mark.parametrize("slope", [0.3, 0.0, -0.4])
def test_pooled_prelu_is_the_maximum_of_prelus(rng, slope):
    x = tf.constant(features(rng, (3, 12, 7, 5)))
    layer = PooledPReLU(alpha_initializer=tf.keras.initializers.Constant(slope))
    layer.build(x.shape)
    assert layer.alpha.shape == (1, 1, 1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        got = layer(x)
        plain = tf.reduce_max(tf.where(x > 0, x, layer.alpha * x), axis=1, keepdims=True)
    np.testing.assert_array_equal(got, plain)
    for value in (x, layer.alpha):
        np.testing.assert_allclose(
            tape.gradient(got, value), tape.gradient(plain, value), rtol=1e-6
        )


def test_pooled_prelu_shares_the_gradient_of_equal_rows():
    x = tf.ones((1, 12, 1, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = PooledPReLU()(x)
    np.testing.assert_allclose(tape.gradient(y, x), np.full(x.shape, 1 / 12), rtol=1e-6)


def test_row_weights():
    np.testing.assert_allclose(row_weights(15), [2 / 15] * 3 + [1 / 15] * 9, rtol=1e-6)
    np.testing.assert_allclose(row_weights(12), [1 / 12] * 12, rtol=1e-6)


@pytest.mark.parametrize("n_rows", [15, 23])
def test_batch_norm_learns_from_rows_as_often_as_they_occur(rng, n_rows):
    x = 3 + 2 * features(rng, (4, 12, 7, 5))
    weighted = RowWeightedBatchNorm(n_rows)
    plain = tf.keras.layers.BatchNormalization()
    upstream = features(rng, (4, 12, 7, 5))
    outcomes = []
    for layer in (weighted, plain):
        layer.build((None, None, None, 5))
        layer.gamma.assign([0.5, 1, 1.5, 2, -1])
        inputs = tf.Variable(x)
        with tf.GradientTape() as tape:
            rows = inputs
            if layer is plain:
                rows = tf.concat([inputs, inputs[:, : n_rows - 12]], axis=1)
            y = layer(rows, training=True)[:, :12]
            loss = tf.reduce_sum(y * upstream)
        gradients = tape.gradient(loss, [inputs, layer.gamma, layer.beta])
        outcomes.append([y, *gradients, *layer.get_weights(), layer(rows)[:, :12]])
    for got, expected in zip(*outcomes):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_batch_norm_without_scale_and_center(rng):
    x = 3 + 2 * features(rng, (4, 12, 7, 5))
    plain = RowWeightedBatchNorm(15, center=False, scale=False)
    np.testing.assert_allclose(
        plain(x, training=True), RowWeightedBatchNorm(15)(x, training=True), atol=1e-6
    )
    assert plain.trainable_weights == []


def test_the_bias_gets_its_gradient(rng):
    x = tf.constant(features(rng, (2, 12, 9, 2)))
    upstream = features(rng, (2, 12, 7, 3))
    for height in (1, 4, 12):
        layer = KeyInvariantConv2D(3, (height, 3))
        with tf.GradientTape() as tape:
            y = layer(x)
        got = tape.gradient(y, layer.bias, upstream)
        np.testing.assert_allclose(got, upstream.sum(axis=(0, 1, 2)), rtol=1e-4)


def test_frozen_batch_norm_uses_what_it_learned(rng):
    x = features(rng, (2, 12, 3, 2)) + 5
    layer = RowWeightedBatchNorm(15)
    before = layer(x, training=False).numpy()
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), before)


def test_time_summaries_by_hand(rng):
    x = features(rng, (2, 1, 6, 4))
    first, last = x[..., :2], x[..., 2:]

    def weighted(values, scores):
        weights = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
        return (values * weights).sum(axis=2)

    p = 0.7
    expected = {
        "max": x.max(axis=2),
        "mean": x.mean(axis=2),
        "autopool": weighted(x, p * x),
        "attention": weighted(first, last),
        "adaptive-attention": weighted(last, p * first),
    }
    assert tuple(expected) == layers.SUMMARIES
    for method, value in expected.items():
        layer = TimeSummary(method)
        layer.build(x.shape)
        for variable in layer.weights:
            assert variable.numpy() == 0
            variable.assign(p)
        np.testing.assert_allclose(layer(x), value, atol=1e-6, err_msg=method)


def test_l2_normalize_in_float32(rng):
    x = features(rng, (3, 5)).astype(np.float16)
    y = L2Normalize()(x)
    assert y.dtype == tf.float32
    np.testing.assert_allclose(np.linalg.norm(y, axis=1), 1, rtol=1e-6)


def test_dropout_draws_the_same_after_the_same_seed():
    layer = SeededDropout(0.25, seed=1)
    x = tf.ones((100, 100))
    first = layer(x, training=True).numpy()
    second = layer(x, training=True).numpy()
    layer.reseed(1)
    np.testing.assert_array_equal(layer(x, training=True), first)
    assert (first != second).any()
    np.testing.assert_allclose(np.unique(first), [0, 1 / 0.75], rtol=1e-6)
    assert abs((first == 0).mean() - 0.25) < 0.02
    np.testing.assert_array_equal(layer(x, training=False), x)
    np.testing.assert_array_equal(SeededDropout(0.0)(x, training=True), x)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_layers_round_trip_through_their_config(layer):
    config = tf.keras.layers.serialize(layer)
    again = tf.keras.layers.deserialize(config)
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    parameters = inspect.signature(type(layer).__init__).parameters.values()
    # Keras's own arguments are Keras's affair.
    named = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} - {"self", "dynamic"}
    assert named <= set(layer.get_config())


def test_layers_tested_are_all_there_are():
    tested = {type(layer).__name__ for layer in LAYERS}
    public = [
        (name, getattr(module, name)) for module in (attention, layers) for name in module.__all__
    ]
    assert tested == {name for name, value in public if inspect.isclass(value)}
