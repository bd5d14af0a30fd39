"""What all networks have in common: one constructor, one interface, configs that make them again."""

import inspect
import json

import numpy as np
import pytest
import tensorflow as tf

from mulkinet import MulkinetError, build_model
from mulkinet.models import NETWORKS, options_of

SMALL = {
    "mulkinet": {"ki_out_channel": 4, "embedding_len": 5, "n_frames": 140, "block": "bottleneck"},
    "move": {"n_filters": 2, "embedding_len": 5},
    "siamese": {"n_frames": 224, "embedding_len": 5},
    "rescnn": {"width": 2, "depth": 1, "embedding_len": 5, "n_bins": 16},
    "cqtnet": {"width": 1, "embedding_len": 5},
    "keyconv": {"n_filters": 2, "embedding_len": 5},
}
DISTANCES = {
    "mulkinet": "cosine",
    "move": "sqeuclidean",
    "siamese": "weighted_l1",
    "rescnn": "euclidean",
    "cqtnet": "cosine",
    "keyconv": "cosine",
}


@pytest.fixture(scope="module", params=SMALL)
def model(request):
    return build_model(request.param, **SMALL[request.param])


def batch(model, rng, size=2):
    n_frames = model.n_frames or model.min_frames + 3
    return rng.random((size, model.n_bins, n_frames), np.float32)


def test_all_networks_are_tested():
    assert set(NETWORKS.entries()) == set(SMALL)


def test_interface(model, rng):
    embeddings = model.embed_batch(batch(model, rng))
    assert embeddings.shape == (2, 5)
    assert embeddings.dtype == np.float32
    assert model.embedding_len == 5
    assert model.distance == DISTANCES[model.network]
    assert (model.distance_weights is not None) == (model.distance == "weighted_l1")
    assert model.metadata == {}
    assert json.loads(json.dumps(model.options)) == model.options
    logits = model.classifier(3, seed=1)(batch(model, rng))
    assert logits.shape == (2, 3)


def test_networks_round_trip_through_their_config(model):
    config = tf.keras.utils.serialize_keras_object(model)
    again = tf.keras.utils.deserialize_keras_object(config)
    assert type(again) is type(model)
    assert again.get_config() == model.get_config() == model.options
    assert [(v.name, v.shape) for v in again.variables] == [
        (v.name, v.shape) for v in model.variables
    ]


def test_options_are_those_of_the_constructor(model):
    defaults = options_of(model.network)
    assert list(defaults) == list(model.options)
    parameters = inspect.signature(NETWORKS.get(model.network).__init__).parameters
    assert defaults == {name: p.default for name, p in parameters.items() if name != "self"}


def test_whole_numbers_and_flags_of_numpy():
    numpys = {"n_filters": np.int64(2), "embedding_len": np.uint8(5), "invariance": np.bool_(False)}
    model = build_model("move", **numpys)
    assert json.loads(json.dumps(model.options)) == model.options
    assert model.options["n_filters"] == 2
    assert model.options["invariance"] is False
    assert model.classifier(np.int64(3)).output_shape == (None, 3)
    with pytest.raises(MulkinetError, match="embedding_len: expected a whole number of .* 5.0"):
        build_model("move", embedding_len=np.float64(5))


def assert_same_again(trained, inputs):
    """A model made again from its config has the same weights and, given their values, the same outputs."""
    config = tf.keras.utils.serialize_keras_object(trained)
    again = tf.keras.utils.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(again) is type(trained)
    configs = [[layer.get_config() for layer in each.layers] for each in (again, trained)]
    assert configs[0] == configs[1]
    assert [v.shape for v in again.variables] == [v.shape for v in trained.variables]
    again.set_weights(trained.get_weights())
    np.testing.assert_array_equal(again(inputs), trained(inputs))


def test_classifiers_round_trip_through_their_config(model, rng):
    assert_same_again(model.classifier(3, seed=1), batch(model, rng))


def test_the_twin_round_trips_through_its_config(rng):
    model = build_model("siamese", **SMALL["siamese"])
    assert_same_again(model.twin(), [batch(model, rng), batch(model, rng)])


def test_every_layer_round_trips_through_its_config(model):
    for layer in model.layers:
        again = tf.keras.layers.deserialize(tf.keras.layers.serialize(layer))
        assert again.get_config() == layer.get_config()


def test_same_seed_same_classifier(model, rng):
    kernels = [
        model.classifier(3, seed=seed).get_layer("Classification").kernel.numpy()
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).any()


def test_summary_reads_well(model):
    lines = []
    model.summary(print_fn=lines.append)
    table = "\n".join(lines)
    for layer in model.layers:
        if layer.name != "Feature":
            assert f"{layer.name} ({type(layer).__name__})" in table


@pytest.mark.parametrize("name", SMALL)
def test_gradients_reach_every_weight_that_training_uses(name, rng):
    model = build_model(name, **SMALL[name])
    classifier = model.classifier(3)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(classifier(batch(model, rng, 4), training=True) ** 2)
        loss += tf.add_n(classifier.losses or [0.0])
    gradients = tape.gradient(loss, classifier.trainable_variables)
    assert all(gradient is not None for gradient in gradients)


def test_mixed_precision_gives_float32_embeddings(rng):
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        for name, options in SMALL.items():
            model = build_model(name, **options)
            x = batch(model, rng)
            assert model(x).dtype == tf.float32
            assert model.classifier(3)(x, training=True).dtype == tf.float32
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")


def test_unknown_names_are_told_the_known_ones():
    with pytest.raises(
        MulkinetError,
        match="expected a network among cqtnet, keyconv, move, mulkinet, rescnn, siamese",
    ):
        build_model("resnet")
    with pytest.raises(
        MulkinetError, match="move has no option block, emb_size; it has sum_method"
    ):
        build_model("move", emb_size=3, block="wider")
