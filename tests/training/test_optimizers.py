"""Optimizers by name: Lookahead's steps by hand, rates that can be set, state that comes back."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.training.optimizers import OPTIMIZERS, build_optimizer, prepare_optimizer


def trained(optimizer, variables, steps):
    """Steps down the sum of squares, compiled as in training."""

    @tf.function
    def step():
        optimizer.apply_gradients([(2 * variable, variable) for variable in variables])

    for _ in range(steps):
        step()
    return [variable.numpy() for variable in variables]


def test_lookahead_by_hand():
    weight = tf.Variable(1.0)
    optimizer = build_optimizer("lookahead-sgd", 0.1)
    weight.assign(3.0)  # weights that are loaded before the optimizer is prepared
    prepare_optimizer(optimizer, [weight])
    for _ in range(5):
        optimizer.apply_gradients([(tf.constant(1.0), weight)])
    assert weight.numpy() == pytest.approx(2.5)
    optimizer.apply_gradients([(tf.constant(1.0), weight)])
    # Six steps of 0.1 from 3.0 lead to 2.4; half of the way back to the slow 3.0 is 2.7.
    assert weight.numpy() == pytest.approx(2.7)


def test_weight_decay_by_hand():
    """Adam's first step is its rate against the gradient's sign, whatever the gradient's size."""
    for name, expected in (
        # 2 - 0.1 * 0.5 * 2 - 0.1
        ("adamw", 1.8),
        # The decay outweighs the gradient, -0.5 + 0.5 * 2 > 0: the step turns round.
        ("adam", 1.9),
        # 2 - 0.1 * (-0.5 + 0.5 * 2)
        ("sgd", 1.95),
        ("lookahead-sgd", 1.95),
    ):
        weight = tf.Variable(2.0)
        optimizer = build_optimizer(name, 0.1, weight_decay=0.5)
        prepare_optimizer(optimizer, [weight])
        gradient = tf.constant(0.5 if name == "adamw" else -0.5)
        optimizer.apply_gradients([(gradient, weight)])
        assert weight.numpy() == pytest.approx(expected, abs=1e-6), name
    with pytest.raises(MulkinetError, match="expected a weight decay >= 0, found -1"):
        build_optimizer("adam", 0.1, weight_decay=-1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_learning_rate_can_be_set(name):
    still, moved = tf.Variable(1.0), tf.Variable(1.0)
    for weight, rate in ((still, 1e-9), (moved, 0.5)):
        optimizer = build_optimizer(name, 0.01)
        prepare_optimizer(optimizer, [weight])
        trained(optimizer, [weight], 1)
        optimizer.learning_rate = rate
        assert float(optimizer.learning_rate) == pytest.approx(rate)
        trained(optimizer, [weight], 1)
    assert abs(float(moved) - float(still)) > 0.1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_goes_on_where_it_was(name, rng):
    start = [rng.normal(size=(3, 2)).astype(np.float32), rng.normal(size=4).astype(np.float32)]
    whole = [tf.Variable(value) for value in start]
    optimizer = build_optimizer(name, 0.05)
    prepare_optimizer(optimizer, whole)
    trained(optimizer, whole, 4)
    weights, state = [variable.numpy() for variable in whole], optimizer.get_weights()
    expected = trained(optimizer, whole, 9)

    resumed = [tf.Variable(value) for value in weights]
    again = build_optimizer(name, 0.05)
    prepare_optimizer(again, resumed)
    again.set_weights(state)
    for found, wanted in zip(trained(again, resumed, 9), expected):
        np.testing.assert_array_equal(found, wanted)


def test_addons_is_imported_for_lookahead_only():
    code = (
        "import sys, mulkinet.training.optimizers as o; print('tensorflow' in sys.modules); "
        "o.build_optimizer('adam', 0.1); print('tensorflow_addons' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\nFalse\n"


def test_errors_name_what_was_found():
    with pytest.raises(
        MulkinetError, match="expected an optimizer among adam, adamw, sgd.*'ranger'"
    ):
        build_optimizer("ranger", 0.1)
    with pytest.raises(MulkinetError, match="found 0"):
        build_optimizer("adam", 0)
