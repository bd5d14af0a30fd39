"""The losses of pairs: hand-derived values, gradients, compilation."""

import inspect
import math

import numpy as np
import pytest
import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.losses import ContrastiveLoss, contrastive_loss, paired_distances, twin_loss
from tests.gpu_kernels import host_trips


def test_binary_cross_entropy_by_hand():
    outputs, different = tf.constant([0.1, 0.8, 0.5]), tf.constant([0, 1, 1])
    expected = -(math.log(0.9) + math.log(0.8) + math.log(0.5)) / 3
    assert float(twin_loss(outputs, different)) == pytest.approx(expected, rel=1e-5)
    column = twin_loss(outputs[:, None], different[:, None])
    assert float(column) == pytest.approx(expected, rel=1e-5)


def test_certain_and_wrong_is_finite():
    assert float(twin_loss([[1.0]], [0])) == pytest.approx(-math.log(1e-7), rel=0.05)


def test_contrastive_by_hand():
    # Covers at 2 and 0, strangers at 0.5 and 3, margin 1: 4, 0, 0.25, 0, halved and averaged.
    distances, different = tf.constant([2.0, 0.0, 0.5, 3.0]), tf.constant([0, 0, 1, 1])
    assert float(contrastive_loss(distances, different)) == pytest.approx(4.25 / 8)


def test_contrastive_gradient_is_finite_where_strangers_coincide():
    x = tf.constant([[1.0, 2.0], [3.0, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        distances = paired_distances(x, tf.constant([[1.0, 2.0], [3.0, 0.5]]), "euclidean")
        loss = contrastive_loss(distances, [1, 1])
    # The second pair is 0.5 apart: d/dx (1 - d)^2 / 2 = -(1 - d), halved by the mean.
    np.testing.assert_allclose(tape.gradient(loss, x), [[0, 0], [0, -0.25]], atol=1e-7)


@pytest.mark.parametrize("loss", [twin_loss, contrastive_loss])
def test_xla_and_gpu(loss, rng):
    def step(outputs, different):
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            value = loss(outputs, different)
        return value, tape.gradient(value, outputs)

    arguments = (
        tf.constant(rng.uniform(size=(7, 1)), tf.float32),
        tf.constant([0, 1, 1, 0, 1, 0, 0]),
    )
    for first, second in zip(step(*arguments), tf.function(step, jit_compile=True)(*arguments)):
        np.testing.assert_allclose(second, first, rtol=1e-6)
    assert host_trips(tf.function(step).get_concrete_function(*arguments)) == []


def test_keras_class():
    loss = ContrastiveLoss(margin=2.0, name="pairs")
    assert set(loss.get_config()) == set(inspect.signature(ContrastiveLoss).parameters)
    again = tf.keras.losses.deserialize(tf.keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    assert float(again([[1], [0]], [[0.5], [1.0]])) == pytest.approx((1.5**2 + 1) / 4)


def test_errors_name_what_was_found():
    with pytest.raises(MulkinetError, match=r"\(3,\) and \(2,\)"):
        twin_loss(tf.zeros(3), tf.zeros(2))
    with pytest.raises(MulkinetError, match=r"\(3, 2\)"):
        contrastive_loss(tf.zeros((3, 2)), tf.zeros((3, 2)))
    with pytest.raises(MulkinetError, match="expected a margin > 0, found 0"):
        contrastive_loss(tf.zeros(3), tf.zeros(3), margin=0)
