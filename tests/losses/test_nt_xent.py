"""The in-batch contrastive loss: by hand, by naive loops, its gradient, over replicas, in Keras."""

import doctest
import math

import numpy as np
import pytest
import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.losses import NTXentLoss, nt_xent, nt_xent_loss, nt_xent_loss_and_statistics


def naive(embeddings, works, tracks, temperature, decoupled):
    """The mean over anchors, one pair after the other."""
    directions = [x / math.sqrt(sum(x * x)) for x in embeddings.astype(np.float64)]
    costs = []
    for i in range(len(works)):
        covers = [j for j in range(len(works)) if works[j] == works[i] and tracks[j] != tracks[i]]
        others = [j for j in range(len(works)) if works[j] != works[i]]
        summed = others if decoupled else others + covers
        if not covers or not summed:
            continue
        s = [float(sum(directions[i] * d)) / temperature for d in directions]
        total = math.log(sum(math.exp(s[j]) for j in summed))
        costs.append(sum(total - s[j] for j in covers) / len(covers))
    return sum(costs) / len(costs) if costs else 0.0


def test_the_example_of_the_docstring():
    found = doctest.testmod(nt_xent, extraglobs={"tf": tf})
    assert (found.failed, found.attempted) == (0, 2)


def test_by_hand():
    # Right angles between works, covers at 60 degrees; at a temperature of 1/2 cosines of 0.5 and 0
    # count as 1 and 0: each anchor costs ln(e + 2) - 1, decoupled ln 2 - 1.
    root = math.sqrt(0.75)
    x = tf.constant([[1, 0, 0, 0], [0.5, root, 0, 0], [0, 0, 1, 0], [0, 0, 0.5, root]], tf.float32)
    works = tf.constant([3, 3, 8, 8])
    assert float(nt_xent_loss(x, works, temperature=0.5)) == pytest.approx(
        math.log(math.e + 2) - 1, rel=1e-5
    )
    decoupled = nt_xent_loss(x, works, temperature=0.5, decoupled=True)
    assert float(decoupled) == pytest.approx(math.log(2) - 1, rel=1e-5)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize(
    "works",
    [
        [0, 0, 1, 1, 2, 2],  # NT-Xent
        [4, 1, 4, 1, 4, 1, 2, 2, 2],  # supervised, in any order
        [0, 0, 1, 2],  # anchors without covers
        [0, 0, 0],  # no negatives
        [0, 1, 2],  # no covers at all
    ],
)
def test_equal_to_naive_loops(works, decoupled, rng):
    x = rng.normal(size=(len(works), 5)).astype(np.float32)
    for tracks in (np.arange(len(works)), np.arange(len(works)) // 2):
        expected = naive(x, works, tracks, 0.2, decoupled)
        loss = nt_xent_loss(
            x, tf.constant(works), temperature=0.2, decoupled=decoupled, tracks=tracks
        )
        assert float(loss) == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("decoupled", [False, True])
def test_the_gradient_is_that_of_the_naive_loops(decoupled, rng):
    works, tracks = [0, 0, 1, 1, 1, 2], np.arange(6)
    x = rng.normal(size=(6, 3))
    with tf.GradientTape() as tape:
        variable = tf.Variable(x)
        loss = nt_xent_loss(variable, tf.constant(works), temperature=0.5, decoupled=decoupled)
    found = tape.gradient(loss, variable).numpy()
    for at in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[at] = 1e-5
        up, down = (naive(x + d, works, tracks, 0.5, decoupled) for d in (step, -step))
        assert found[at] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("works", [[0, 1, 2], [0, 0, 0]])
def test_a_batch_without_covers_or_others_has_a_finite_gradient(works, rng):
    variable = tf.Variable(rng.normal(size=(3, 4)).astype(np.float32))
    with tf.GradientTape() as tape:
        loss = nt_xent_loss(variable, tf.constant(works), decoupled=True)
    assert np.isfinite(tape.gradient(loss, variable)).all()


def test_what_is_logged():
    x = tf.constant([[1.0, 0], [0, 1.0], [1.0, 0], [-1.0, 0]])
    # Rows 0 and 1 are one work: each is as near to it as 0; row 2 is at 1 of row 0 and 3 at 0 of row 1.
    _, found = nt_xent_loss_and_statistics(x, tf.constant([0, 0, 1, 1]))
    assert float(found["accuracy"]) == 0
    assert float(found["mean_positive_similarity"]) == pytest.approx(-0.5)
    assert float(found["mean_negative_similarity"]) == pytest.approx(0)


def test_nan_is_not_hidden(rng):
    x = rng.normal(size=(4, 3)).astype(np.float32)
    x[0, 0] = np.nan
    assert math.isnan(nt_xent_loss(x, tf.constant([0, 0, 1, 1])))


def test_keras_class_is_the_function_and_keeps_its_arguments(rng):
    x, works = rng.normal(size=(6, 3)).astype(np.float32), tf.constant([0, 0, 1, 1, 2, 2])
    loss = NTXentLoss.from_config(NTXentLoss(temperature=0.3, decoupled=True).get_config())
    expected = nt_xent_loss(x, works, temperature=0.3, decoupled=True)
    assert float(loss(works[:, None], x)) == pytest.approx(float(expected))


def test_errors_name_what_was_found():
    with pytest.raises(MulkinetError, match="expected --temperature > 0, found 0"):
        nt_xent_loss(tf.ones((2, 2)), tf.constant([0, 0]), temperature=0)
