"""Attention by its formula, and its gradients by TensorFlow's own of the formula."""

import numpy as np
import pytest
import tensorflow as tf

from mulkinet.models.attention import ChannelAttention, TemporalAttention, mean_and_maximum


def features(rng, shape):
    return rng.standard_normal(shape).astype(np.float32)


def written_out(x, n_rows):
    """All rows that the published network has: those past the 12th repeat the first."""
    return np.concatenate([x, x[:, : n_rows - 12]], axis=1)


@pytest.mark.parametrize(("attention", "axis"), [(ChannelAttention, 3), (TemporalAttention, 2)])
@pytest.mark.parametrize("n_rows", [None, 18])
def test_attention_by_its_formula(rng, attention, axis, n_rows):
    x = features(rng, (2, 12, 8, 12))
    layer = attention(ratio=4, n_rows=n_rows)
    got = layer(x).numpy()
    layer1, layer2 = layer.get_weights()
    rows = written_out(x, n_rows or 12)
    others = tuple({1, 2, 3} - {axis})
    gate = 0
    for summary in (rows.mean(others), rows.max(others)):
        hidden = summary @ layer1
        gate = gate + np.where(hidden > 0, hidden, 0.3 * hidden) @ layer2
    shape = [2, 1, 1, 1]
    shape[axis] = -1
    np.testing.assert_allclose(got, x / (1 + np.exp(-gate.reshape(shape))), rtol=1e-4, atol=1e-6)


def attended(x, layer1, layer2, axis, n_rows):
    """Attention as its formula has it, in the precision of its input, for TensorFlow to differentiate."""
    rows = tf.concat([x, x[:, : (n_rows or 12) - 12]], axis=1)
    others = [1, 5 - axis]
    hidden = [
        tf.nn.leaky_relu(summary @ layer1, 0.3)
        for summary in (tf.reduce_mean(rows, others), tf.reduce_max(rows, others))
    ]
    shape = [2, 1, 1, 1]
    shape[axis] = -1
    return x * tf.reshape(tf.sigmoid((hidden[0] + hidden[1]) @ layer2), shape)


@pytest.mark.parametrize(("attention", "axis"), [(ChannelAttention, 3), (TemporalAttention, 2)])
@pytest.mark.parametrize("n_rows", [None, 18])
def test_gradients_of_attention(rng, attention, axis, n_rows):
    x = features(rng, (2, 12, 8, 12))
    upstream = features(rng, x.shape)
    layer = attention(ratio=4, n_rows=n_rows)
    layer.build(x.shape)
    inputs = tf.Variable(x)
    exact = [tf.constant(value, tf.float64) for value in (x, *layer.get_weights())]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(exact)
        y, expected = layer(inputs), attended(*exact, axis, n_rows)
    got = tape.gradient(y, [inputs, layer.layer1, layer.layer2], upstream)
    true = tape.gradient(expected, exact, tf.cast(upstream, tf.float64))
    for a, b in zip(got, true):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("axis", "place"), [(2, 3), (3, 4)])
def test_of_equal_maxima_the_first_takes_the_gradient(rng, axis, place):
    x = np.minimum(features(rng, (1, 12, 6, 5)), 1)
    # Two maxima that share neither row nor place: their rows and places must not be mixed.
    for row, at in [(7, 1), (2, place)]:
        np.moveaxis(x, axis, 2)[:, row, at] = 2
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        _, maximum = mean_and_maximum(x, axis, None)
    expected = np.zeros(x.shape)
    np.moveaxis(expected, axis, 2)[:, 7, 1] = 1
    np.testing.assert_array_equal(tape.gradient(maximum, x), expected)
