"""The networks against their published form, all rows written out: embeddings, losses, gradients."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config

from mulkinet.models import build_model
from mulkinet.models.dft_convolution import BlockForm, DirectForm
from mulkinet.models.layers import KeyInvariantConv2D
from mulkinet.models.move import MIN_FRAMES
from tests.direct_networks import direct_classifier, direct_network
from tests.gpu_kernels import host_trips

MULKINETS = [
    {"block": "wider"},
    {"block": "simple", "ki_block_num": 3},
    {"block": "bottleneck", "ki_block_num": 2},
    {"block": "simple", "ki_block_num": 1, "tempatt": False},
    {"block": "wider", "ki_block_num": 6, "chnlatt": False},
]
# As few channels as tiles are worth while for.
SMALL = {"ki_out_channel": 32, "bn_ratio": 1, "n_frames": 150, "embedding_len": 8}


@pytest.fixture(autouse=True)
def _seeded():
    tf.keras.utils.set_random_seed(7)


def trained_a_little(network, rng):
    """Gives the statistics and biases, which start at 0 or 1, other values."""
    for variable in network.variables:
        if "moving_variance" in variable.name:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
        elif "moving_mean" in variable.name or "beta" in variable.name:
            variable.assign(0.1 * rng.standard_normal(variable.shape))
    return network


def forms(network):
    return {type(layer.form) for layer in network.layers if isinstance(layer, KeyInvariantConv2D)}


def assert_close(got, expected, tolerance):
    """As a share of the largest number."""
    got, expected = np.asarray(got), np.asarray(expected)
    np.testing.assert_allclose(got, expected, atol=tolerance * np.abs(expected).max())


def in_float64(make):
    """What `make` makes with Keras's default type set to float64."""
    tf.keras.backend.set_floatx("float64")
    try:
        return make()
    finally:
        tf.keras.backend.set_floatx("float32")


def gradient(model, loss_of, x):
    """A loss, and its gradient with respect to all weights laid end to end in the order of their names."""
    variables = sorted(model.trainable_variables, key=lambda variable: variable.name)
    with tf.GradientTape() as tape:
        loss = loss_of(model, x)
    # The Siamese network's head takes no part in its embedding.
    gradients = [g for g in tape.gradient(loss, variables) if g is not None]
    return float(loss), np.concatenate([np.ravel(g).astype(np.float64) for g in gradients])


def assert_training_equal(model, make_direct, loss_of, x):
    """Loss and gradient of `model` against the published form in float64; returns that form."""
    direct, exact = make_direct(), in_float64(make_direct)
    loss, mine = gradient(model, loss_of, x)
    _, published = gradient(direct, loss_of, x)
    exact_loss, true = gradient(exact, loss_of, x.astype(np.float64))
    assert loss == pytest.approx(exact_loss, rel=1e-5)
    # Near the corner of a maximum or a ReLU rounding decides. So the measure is what the published
    # form itself makes of it in float32.
    scale = np.linalg.norm(true)
    allowed = max(1e-4 * scale, 2 * np.linalg.norm(published - true))
    assert np.linalg.norm(mine - true) < allowed < 0.01 * scale
    return exact


@pytest.mark.parametrize("options", MULKINETS, ids=str)
def test_mulkinet(rng, options):
    network = trained_a_little(build_model("mulkinet", **{**SMALL, **options}), rng)
    assert forms(network) - {DirectForm}
    x = rng.random((4, 12, SMALL["n_frames"]), np.float32)
    assert_close(network.embed_batch(x), direct_network(network)(x, training=False), 1e-5)

    classifier = network.classifier(5)
    classifier.dropout.rate = 0.0
    exact = assert_training_equal(
        classifier, lambda: direct_classifier(network, classifier), cross_entropy, x
    )
    # The step has moved the statistics too.
    for layer in exact.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            mine = classifier.get_layer(layer.name)
            assert_close(mine.moving_mean, layer.moving_mean, 1e-4)
            assert_close(mine.moving_variance, layer.moving_variance, 1e-4)


def cross_entropy(model, x):
    logits = model(x, training=True)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.constant([0, 3, 3, 4]), logits)
    penalty = tf.add_n([tf.cast(penalty, logits.dtype) for penalty in model.losses])
    return tf.reduce_mean(losses) + penalty


def test_move(rng):
    network = build_model("move", n_filters=64, embedding_len=20)
    for variable in network.variables:
        if "bias" in variable.name:
            variable.assign(0.1 * rng.standard_normal(variable.shape))
    network.get_layer("prelu1").alpha.assign([[[-0.2]]])
    network.get_layer("summary").autopool_p.assign(0.7)
    assert BlockForm in forms(network)
    x = rng.random((2, 12, MIN_FRAMES + 41), np.float32)
    assert_close(network.embed_batch(x), direct_network(network)(x, training=False), 1e-5)
    assert_training_equal(network, lambda: direct_network(network), weighted_sum, x)


def weighted_sum(model, x, training=False):
    y = model(x, training=training)
    return tf.reduce_sum(y * tf.cos(tf.range(y.shape[1], dtype=y.dtype)))


def test_siamese(rng):
    network = trained_a_little(build_model("siamese", n_frames=250, embedding_len=9), rng)
    assert forms(network) == {BlockForm}
    x = rng.random((5, 12, 250), np.float32)
    assert_close(network.embed_batch(x), direct_network(network)(x, training=False), 1e-5)

    network.dropout.rate = 0.0
    loss_of = functools.partial(weighted_sum, training=True)
    assert_training_equal(network, lambda: direct_network(network), loss_of, x)


def test_kernels_transformed_earlier_are_those_of_their_weights(rng):
    network = build_model("mulkinet", **SMALL)
    x = rng.random((2, 12, SMALL["n_frames"]), np.float32)
    before = network.embed_batch(x)
    kernels = network.transformed_kernels()
    np.testing.assert_array_equal(network.embed_batch(x, kernels), before)
    layer = network.get_layer("KI_3_Conv")
    layer.kernel.assign(-layer.kernel)
    np.testing.assert_array_equal(
        network.embed_batch(x, network.transformed_kernels()), network.embed_batch(x)
    )
    assert np.abs(network.embed_batch(x) - before).max() > 1e-3


def test_inference_is_compiled_once_for_all_lengths(rng, monkeypatch):
    network = build_model("move", n_filters=4, embedding_len=3)
    calls = []
    call = type(network).call

    def counted(self, inputs, training=None, mask=None):
        calls.append(1)
        return call(self, inputs, training, mask)

    monkeypatch.setattr(type(network), "call", counted)
    for n_frames in range(MIN_FRAMES, MIN_FRAMES + 60, 20):
        network.embed_batch(rng.random((1, 12, n_frames), np.float32))
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mulkinet", SMALL),
        ("move", {"n_filters": 128, "embedding_len": 20}),
        ("siamese", {"n_frames": 250}),
    ],
)
def test_every_op_of_a_training_step_has_a_gpu_kernel(name, options):
    network = build_model(name, **options)
    assert forms(network) - {DirectForm}
    variables = network.trainable_variables

    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(x, training=True) ** 2)
        return tape.gradient(loss, variables)

    x = tf.TensorSpec((None, 12, network.n_frames))
    assert host_trips(tf.function(step).get_concrete_function(x)) == []


@pytest.fixture
def not_deterministic():
    """A training run in the same process leaves determinism on, for which XLA has no gradient of a maximum."""
    was_on = config.is_op_determinism_enabled()
    config.disable_op_determinism()
    yield
    if was_on:
        config.enable_op_determinism()


@pytest.mark.usefixtures("not_deterministic")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mulkinet", SMALL),
        ("move", {"n_filters": 32, "embedding_len": 20}),
        ("siamese", {"n_frames": 250}),
    ],
)
def test_xla_compiles_a_training_step(rng, name, options):
    tf.keras.utils.set_random_seed(1)
    network = build_model(name, **options)
    if name == "siamese":
        network.dropout.rate = 0.0
    n_frames = network.n_frames or MIN_FRAMES
    x = tf.constant(rng.random((4, 12, n_frames), np.float32))
    upstream = rng.standard_normal((4, network.embedding_len)).astype(np.float32)

    def step():
        with tf.GradientTape() as tape:
            embeddings = network(x, training=True)
            loss = tf.reduce_sum(embeddings * upstream)
        gradients = tape.gradient(loss, network.trainable_variables)
        return embeddings, [gradient for gradient in gradients if gradient is not None]

    plain, compiled = step(), tf.function(step, jit_compile=True)()
    # Of what they are: the loss is a sum in which they cancel, so that roundings would be all there is of it.
    np.testing.assert_allclose(plain[0], compiled[0], rtol=0, atol=1e-3 * np.abs(plain[0]).max())
    largest = max(np.abs(g).max() for g in plain[1])
    for a, b in zip(plain[1], compiled[1]):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-3 * largest)


def in_mixed_precision(make):
    """What `make` makes under the policy mixed_bfloat16."""
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        return make()
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")


def test_mixed_precision(rng):
    x = rng.random((4, 12, SMALL["n_frames"]), np.float32)
    tf.keras.utils.set_random_seed(1)
    exact = build_model("mulkinet", **SMALL)
    mixed = in_mixed_precision(lambda: build_model("mulkinet", **SMALL))
    mixed.set_weights(exact.get_weights())
    assert forms(mixed) == {DirectForm}
    similarity = np.sum(exact.embed_batch(x) * mixed.embed_batch(x), axis=1)
    np.testing.assert_allclose(similarity, 1, atol=2e-2)


@pytest.mark.parametrize(("name", "options"), [("mulkinet", SMALL), ("move", {"n_filters": 4})])
def test_convolutions_are_traced_in_the_compute_type(name, options):
    """A policy that the convolutions went around would save neither time nor memory."""
    model = in_mixed_precision(lambda: build_model(name, **options))
    spec = tf.TensorSpec((2, 12, model.n_frames or 330), tf.float32)
    traced = tf.function(lambda x: model(x, training=True)).get_concrete_function(spec)
    types = {op.get_attr("T").name for op in traced.graph.get_operations() if op.type == "Conv2D"}
    assert types == {"bfloat16"}


def test_a_gpu_gets_the_direct_form(monkeypatch):
    """The others' costs were measured on processors."""
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a GPU"])
    assert forms(build_model("move", n_filters=64, embedding_len=20)) == {DirectForm}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mulkinet", {**SMALL, "block": "bottleneck"}),
        ("move", {"n_filters": 64, "embedding_len": 20}),
        ("siamese", {"n_frames": 250, "embedding_len": 9}),
    ],
)
def test_training_in_mixed_precision_loses_no_more_than_the_published_form(rng, name, options):
    exact = build_model(name, **options)
    mixed = in_mixed_precision(lambda: build_model(name, **options))
    mixed.set_weights(exact.get_weights())
    assert forms(mixed) == {DirectForm}
    published = in_mixed_precision(lambda: direct_network(exact))
    if name == "siamese":
        exact.dropout.rate = mixed.dropout.rate = 0.0
    x = rng.random((4, 12, exact.n_frames or MIN_FRAMES + 41), np.float32)
    upstream = rng.standard_normal((4, exact.embedding_len)).astype(np.float32)

    def loss_of(model, x):
        return tf.reduce_sum(tf.cast(model(x, training=True), tf.float32) * upstream)

    true = gradient(exact, loss_of, x)[1]
    lost = [np.linalg.norm(gradient(model, loss_of, x)[1] - true) for model in (mixed, published)]
    assert lost[0] < 2 * lost[1] < np.linalg.norm(true)


def test_several_replicas(rng):
    """Under a strategy the layer is made in one context and called in another."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    x = rng.random((4, 12, SMALL["n_frames"]), np.float32)
    with strategy.scope():
        network = build_model("mulkinet", **SMALL)
    got = strategy.run(tf.function(lambda x: network(x, training=False)), [tf.constant(x)])
    assert_close(got, direct_network(network)(x, training=False), 1e-5)
