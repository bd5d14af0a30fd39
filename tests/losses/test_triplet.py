"""The mined triplet loss: golden values, hand-derived cases, and a naive triple loop as oracle."""

import doctest
import importlib
import inspect

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mulkinet import losses
from mulkinet.errors import MulkinetError
from mulkinet.losses import DISTANCES, MININGS, TripletLoss, mining, triplet_loss
from mulkinet.losses.mining import mine
from tests.gpu_kernels import host_trips
from tests.losses import oracle

SEED = (5, 17)


@pytest.mark.parametrize("name", ["distances", "triplet", "twin"])
def test_docstring_examples(name):
    failed, tried = doctest.testmod(importlib.import_module(f"mulkinet.losses.{name}"))
    assert (failed, tried > 0) == (0, True)


def with_gradient(embeddings, works, **options):
    embeddings = tf.convert_to_tensor(embeddings)
    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        loss, statistics = losses.triplet_loss_and_statistics(embeddings, works, **options)
    return loss, tape.gradient(loss, embeddings), statistics


def bits_of(n):
    shape = (2, n, n)
    return tf.random.stateless_uniform(shape, SEED, None, None, tf.uint32, alg="philox").numpy()


def test_move_golden_loss_and_gradient(shared):
    golden = np.load(shared / "reference/golden/move.npz")
    x = golden["triplet_embeddings_16x64"]
    works = np.repeat([3, 1, 2, 0], 4)
    loss, gradient, _ = with_gradient(x, works, margin=1.0, mining="hard", distance="sqeuclidean")
    assert float(loss) == pytest.approx(float(golden["triplet_hard_loss_margin1"]), rel=1e-7)
    np.testing.assert_allclose(gradient, golden["triplet_hard_grad"], atol=1e-8)
    np.testing.assert_allclose(
        losses.pairwise_distances(x), golden["pairwise_sq_dist_over_d"], atol=5e-7
    )


@pytest.mark.parametrize("squared", ["", "_squared"])
@pytest.mark.parametrize("margin", [0.1, 0.3])
@pytest.mark.parametrize("positive", ["hard", "easy", "random"])
def test_vinet_golden_loss_and_gradient(shared, monkeypatch, positive, margin, squared):
    golden = np.load(shared / "reference/golden/cqtnet/networks.npz")
    key = f"triplet/{positive}_hard_margin{margin}{squared}"
    x = golden["triplet/embeddings_16x64"]
    # Ours is over the embedding's size.
    size = x.shape[1] if squared else 1
    if positive == "random":
        scores = tf.one_hot(golden[f"{key}/positive"], len(x), dtype=tf.float64)
        monkeypatch.setattr(mining, "_draw", lambda *_: (scores, None))
    loss, gradient, _ = with_gradient(
        x,
        golden["triplet/labels"],
        margin=margin / size,
        mining={"hard": "hard", "easy": "easy_hard", "random": "random_hard"}[positive],
        distance="sqeuclidean" if squared else "euclidean",
        seed=1,
    )
    assert size * float(loss) == pytest.approx(float(golden[key]), rel=1e-5)
    np.testing.assert_allclose(size * gradient, golden[f"{key}/grad"], atol=1e-6)


@st.composite
def batches(draw):
    """A batch full of ties: small exact coordinates, few works, few tracks."""
    n = draw(st.integers(1, 7))
    coordinates = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0])
    labels = st.integers(-1, 3)
    x = draw(hnp.arrays(np.float32, (n, 4), elements=coordinates))
    works = draw(st.lists(labels, min_size=n, max_size=n))
    tracks = draw(st.none() | st.lists(labels, min_size=n, max_size=n))
    return x, works, tracks, draw(st.sampled_from([0.0, 0.5, 1.0]))


LINE = np.arange(24, dtype=np.float32).reshape(6, 4) / 8


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("mining", MININGS)
@settings(max_examples=25, deadline=None)
@example((LINE, [2] * 6, None, 1.0))
@example((LINE, [0, 1, 2, 3, 4, 5], None, 1.0))
@example((np.zeros((6, 4), np.float32), [0, 1, 0, 1, 2, 0], None, 0.5))
@example((LINE, [0, 1, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0], 0.5))
@given(batches())
def test_equal_to_a_naive_triple_loop(mining, distance, batch):
    assert_equal_to_the_loop(mining, distance, *batch)


def gap(values):
    """The least difference between neighbours of sorted values."""
    return np.diff(np.sort(values)).min(initial=np.inf)


@st.composite
def generic_batches(draw):
    """Any floats, no ties: which triplets are chosen does not hang on the last bit."""
    n = draw(st.integers(3, 6))
    values = st.floats(-1, 1, width=32)
    x = draw(hnp.arrays(np.float32, (n, 3), elements=values, unique=True))
    works = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    tracks = draw(st.none() | st.lists(st.integers(0, 9), min_size=n, max_size=n))
    return x, works, tracks, draw(st.floats(0, 2))


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("mining", MININGS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(generic_batches())
def test_equal_to_a_naive_triple_loop_for_any_floats(mining, distance, batch):
    x, works, tracks, margin = batch
    d = oracle.distance_matrix(x, distance)
    pairs = d[np.triu_indices(len(d), 1)]
    hinges = np.abs(pairs[:, None] - pairs[None, :] + margin)
    assume(pairs.min() > 1e-2 and gap(pairs) > 1e-5)
    assume(hinges[~np.eye(len(pairs), dtype=bool)].min() > 1e-5)
    assume(distance != "cosine" or np.linalg.norm(x, axis=1).min() > 0.1)
    assert_equal_to_the_loop(mining, distance, x, works, tracks, margin)


def assert_equal_to_the_loop(mining, distance, x, works, tracks, margin):
    loss, gradient, statistics = with_gradient(
        x, works, margin=margin, mining=mining, distance=distance, tracks=tracks, seed=SEED
    )
    distances = oracle.distance_matrix(x, distance)
    own = range(len(works)) if tracks is None else tracks
    chosen = oracle.triplets(distances, works, own, mining, bits_of(len(works)))
    expected, expected_gradient, active = oracle.triplet_loss(x, chosen, margin, distance)
    assert float(loss) == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-6)
    assert float(statistics["active_triplets"]) == active
    found = [
        float(statistics[name])
        for name in ("mean_positive_distance", "mean_negative_distance", "violating_anchors")
    ]
    assert found == pytest.approx(oracle.statistics(distances, works, own, margin), abs=1e-6)


# Points on a line, works 0 0 0 1 1 2. Distances of anchor 0: positives 1, 3; negatives 2, 6, 7.
POINTS = tf.constant([[0.0], [1.0], [3.0], [2.0], [6.0], [7.0]])
WORKS = tf.constant([0, 0, 0, 1, 1, 2])


def test_hard_by_hand():
    # Hinges d_pos - d_neg + 2 of anchors 0-4: 3 - 2, 2 - 1, 3 - 1, 4 - 1, 4 - 1, each + 2.
    loss = triplet_loss(POINTS, WORKS, margin=2.0, mining="hard", distance="euclidean")
    assert float(loss) == pytest.approx((3 + 3 + 4 + 5 + 5) / 5)


def test_semihard_by_hand():
    # Nearest negative beyond the positive, as (d_pos, d_neg) per pair:
    # anchor 0: (1, 2), (3, 6). 1: (1, 5) beyond 1 strictly, (2, 5). 2: (3, 4), (2, 3).
    # anchor 3 to 6: d_pos 4, negatives at 2, 1, 1, 5: (4, 5). 4 to 2: d_pos 4, 6, 5, 3, 1: (4, 5).
    # Only (1, 2), (3, 4), (2, 3), (4, 5), (4, 5) are in d_pos < d_neg < d_pos + 2; the fallbacks
    # beyond cost nothing.
    loss, _, statistics = with_gradient(
        POINTS, WORKS, margin=2.0, mining="semihard", distance="euclidean"
    )
    assert float(statistics["active_triplets"]) == 5
    assert float(loss) == pytest.approx(5 * 1 / 8)


def test_batch_all_counts_every_triplet():
    triplets = mine(tf.zeros((6, 6)), WORKS, mining="batch_all")
    # Work 0: 3 anchors x 2 positives x 3 negatives; work 1: 2 x 1 x 4; work 2 has no positive.
    assert int(tf.reduce_sum(tf.cast(triplets.mask, tf.int32))) == 18 + 8


def test_move_semihard_draws_nearer_negatives_and_semihard_never_does(rng):
    distances = tf.constant(rng.uniform(size=(12, 12)), tf.float32)
    works = np.arange(12) % 4
    negatives = works[:, None] != works[None, :]
    drawn = mine(distances, works, mining="move_semihard", seed=SEED)
    some = np.any(negatives & (distances < drawn.positive_distances[:, None]), axis=1)
    nearer = drawn.negative_distances < drawn.positive_distances
    np.testing.assert_array_equal(nearer, some)
    assert some.any()
    faithful = mine(distances, works, mining="semihard")
    beyond = faithful.negative_distances > faithful.positive_distances
    assert np.all(beyond.numpy()[faithful.mask.numpy()])


def test_random_draws_every_candidate_equally_often():
    n = 6
    distances = tf.reshape(tf.range(36.0), (n, n))

    @tf.function
    def draw(step):
        drawn = mine(distances, WORKS, mining="random", seed=tf.stack([3, step]))
        return drawn.negative_distances

    draws = np.array([draw(tf.constant(step)) for step in range(600)])
    values, counts = np.unique(draws[:, 0], return_counts=True)
    np.testing.assert_array_equal(values, [3, 4, 5])
    assert counts.min() > 150


def test_duplicates_of_a_track_are_its_positives_only_when_asked():
    x = tf.constant([[0.0], [0.1], [5.0], [5.1]])
    works, tracks = tf.constant([0, 0, 1, 1]), tf.constant([7, 7, 3, 4])
    options = {"margin": 100.0, "mining": "hard", "distance": "euclidean"}
    told = with_gradient(x, works, tracks=tracks, **options)
    assert float(told[2]["active_triplets"]) == 2
    assert float(with_gradient(x, works, **options)[2]["active_triplets"]) == 4
    move = {**options, "mining": "move_random", "seed": 1}
    assert float(with_gradient(x, works, tracks=tracks, **move)[2]["active_triplets"]) == 4


@pytest.mark.parametrize("mining", MININGS)
@pytest.mark.parametrize("works", [[4, 4, 4, 4], [0, 1, 2, 3]], ids=["one work", "all single"])
def test_no_triplet_costs_nothing(mining, works, rng):
    x = rng.normal(size=(4, 8)).astype(np.float32)
    loss, gradient, statistics = with_gradient(x, works, mining=mining, seed=SEED)
    assert float(loss) == 0
    np.testing.assert_array_equal(gradient, np.zeros((4, 8)))
    assert all(np.isfinite(value) for value in statistics.values())


@pytest.mark.parametrize("mining", MININGS)
def test_nan_is_not_hidden(mining, rng):
    x = rng.normal(size=(6, 4)).astype(np.float32)
    x[2, 1] = np.nan
    assert np.isnan(float(triplet_loss(x, [0, 0, 0, 1, 1, 1], mining=mining, seed=SEED)))


@pytest.mark.parametrize("mining", ["hard", "semihard", "batch_all"])
def test_the_order_of_the_batch_does_not_matter(mining, rng):
    x = rng.normal(size=(12, 8)).astype(np.float32)
    works = rng.integers(0, 4, size=12)
    order = rng.permutation(12)
    loss, gradient, _ = with_gradient(x, works, mining=mining)
    shuffled, shuffled_gradient, _ = with_gradient(x[order], works[order], mining=mining)
    assert float(shuffled) == pytest.approx(float(loss), rel=1e-6)
    np.testing.assert_allclose(shuffled_gradient, gradient.numpy()[order], atol=1e-7)


@pytest.mark.parametrize(
    ("mining", "distance"),
    [(mining, "sqeuclidean") for mining in MININGS] + [("hard", "euclidean"), ("hard", "cosine")],
)
def test_xla_gives_the_same_numbers(mining, distance, rng):
    x = rng.normal(size=(12, 32)).astype(np.float32)
    x[7] = x[2]
    works = rng.integers(0, 4, size=12)
    tracks = rng.integers(0, 9, size=12)

    def step(x, works, tracks, seed):
        return with_gradient(x, works, mining=mining, distance=distance, tracks=tracks, seed=seed)

    arguments = [tf.constant(argument) for argument in (x, works, tracks, SEED)]
    eager = tf.nest.flatten(step(*arguments))
    compiled = tf.nest.flatten(tf.function(step, jit_compile=True)(*arguments))
    for first, second in zip(eager, compiled):
        np.testing.assert_allclose(second, first, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("batch", [8, None], ids=["fixed batch", "any batch"])
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("mining", MININGS)
def test_every_op_stays_on_the_gpu(mining, distance, batch):
    @tf.function
    def step(x, works, tracks, seed):
        return with_gradient(x, works, mining=mining, distance=distance, tracks=tracks, seed=seed)

    label = tf.TensorSpec((batch,), tf.int32)
    traced = step.get_concrete_function(
        tf.TensorSpec((batch, 16)), label, label, tf.TensorSpec((2,), tf.int32)
    )
    assert host_trips(traced) == []


def test_the_gpu_check_can_fail():
    @tf.function
    def step(x, works):
        return works[:, None] == works[None, :], tf.where(x), tf.strings.length("")

    traced = step.get_concrete_function(tf.TensorSpec((4, 2)), tf.TensorSpec((4,), tf.int32))
    found = "\n".join(host_trips(traced))
    assert "(Equal): waits on the host" in found
    assert "(Where): the size of its result is read back" in found


def test_keras_class_trains_a_model(rng):
    x = rng.normal(size=(12, 5)).astype(np.float32)
    works = np.arange(12) % 3
    model = tf.keras.Sequential([tf.keras.layers.Dense(4)])
    model.compile("sgd", TripletLoss(margin=0.5, mining="hard", distance="cosine"))
    expected = triplet_loss(model(x), works, margin=0.5, mining="hard", distance="cosine")
    assert model.evaluate(x, works, batch_size=12, verbose=0) == pytest.approx(float(expected))
    model.fit(x, works, batch_size=12, verbose=0)


def test_keras_class_takes_tracks_beside_works_and_draws_anew(rng):
    x = rng.normal(size=(12, 5)).astype(np.float32)
    works, tracks = np.arange(12) % 3, np.arange(12) % 4
    loss = TripletLoss(mining="batch_all")
    found = loss(np.stack([works, tracks], axis=1), x)
    assert float(found) == pytest.approx(
        float(triplet_loss(x, works, mining="batch_all", tracks=tracks))
    )
    random = TripletLoss(mining="random")
    assert len({float(random(works, x)) for _ in range(5)}) > 1


def test_config_holds_every_argument():
    loss = TripletLoss(margin=0.3, mining="semihard", distance="cosine", name="mined")
    assert set(loss.get_config()) == set(inspect.signature(TripletLoss).parameters)
    again = tf.keras.losses.deserialize(tf.keras.losses.serialize(loss))
    assert isinstance(again, TripletLoss)
    assert again.get_config() == loss.get_config()


def test_names_are_read_without_tensorflow():
    import subprocess
    import sys

    code = "import sys; from mulkinet.losses import MININGS; print('tensorflow' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_errors_name_what_was_found():
    x = tf.zeros((4, 2))
    with pytest.raises(MulkinetError, match="expected a mining among .*'easy'"):
        triplet_loss(x, [0, 0, 1, 1], mining="easy")
    with pytest.raises(MulkinetError, match="'random' mining draws at random"):
        triplet_loss(x, [0, 0, 1, 1], mining="random")
    with pytest.raises(MulkinetError, match="expected a margin >= 0, found -1"):
        triplet_loss(x, [0, 0, 1, 1], margin=-1)
    with pytest.raises(MulkinetError, match=r"expected integer works of shape \(4,\).*\(3,\)"):
        triplet_loss(x, [0, 0, 1])
    with pytest.raises(MulkinetError, match="expected integer tracks .*found string"):
        triplet_loss(x, [0, 0, 1, 1], tracks=["a", "b", "c", "d"])
