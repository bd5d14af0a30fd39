"""The Siamese encoder and its twin: the release's numbers, initial weights, invariance."""

import numpy as np
import pytest
import tensorflow as tf

from mulkinet import MulkinetError, build_model, import_weights
from mulkinet.models.siamese import WeightedL1


@pytest.fixture(scope="module")
def golden(shared):
    return shared / "reference" / "golden"


@pytest.fixture(scope="module")
def published(golden):
    return import_weights(golden / "siamese-250.hdf5")


@pytest.fixture(scope="module")
def expected(golden):
    with np.load(golden / "siamese-250.npz") as file:
        return dict(file)


def test_embedding_and_pair_output_are_the_releases(published, expected):
    x = expected["input_pcp_2x12x250"]
    np.testing.assert_allclose(published.embed_batch(x), expected["embedding"], rtol=1e-4)
    pair = published.twin()([x[:1], x[1:]])
    np.testing.assert_allclose(pair, expected["pair_output"], rtol=1e-4)


def test_its_distance_is_the_twins_output(published, expected):
    kernel, bias = published.distance_weights
    difference = np.abs(expected["embedding"][0] - expected["embedding"][1])
    output = 1 / (1 + np.exp(-(difference @ kernel + bias)))
    assert kernel.shape == (512,)
    np.testing.assert_allclose(output, expected["pair_output"][0, 0], rtol=1e-5)


def test_weighted_l1_by_hand():
    layer = WeightedL1()
    a, b = tf.constant([[1.0, 2.0]]), tf.constant([[3.0, 1.0]])
    layer((a, b))
    layer.set_weights([np.array([[0.5], [-2.0]]), np.array([0.25])])
    # 0.5 * 2 - 2 * 1 + 0.25 = -0.75
    np.testing.assert_allclose(layer((a, b)), [[1 / (1 + np.exp(0.75))]], rtol=1e-6)


def test_weighted_l1_round_trips_through_its_config():
    layer = WeightedL1(bias_initializer=tf.keras.initializers.RandomNormal(0.5, 0.01))
    again = tf.keras.layers.deserialize(tf.keras.layers.serialize(layer))
    assert type(again) is WeightedL1
    assert again.get_config() == layer.get_config()


def test_what_the_published_weights_need(published):
    assert published.options == {"n_frames": 250, "embedding_len": 512}
    assert published.metadata["feature"] == "crema"
    assert published.metadata["feature_settings"]["spect_len"] == 250


def test_transposition_leaves_the_embedding_unchanged(published, expected):
    x = expected["input_pcp_2x12x250"]
    for semitones in (1, 6, 10):
        turned = published.embed_batch(np.roll(x, semitones, axis=1))
        np.testing.assert_allclose(turned, published.embed_batch(x), atol=1e-5)


def test_parameter_counts_and_initial_weights():
    model = build_model("siamese")
    assert model.count_params() == 9220033
    assert model.twin().count_params() == 9220033
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 9219585
    starts = {"conv0": (0, 0.01), "conv3_1": (0, 0.01), "dense": (0, 0.2), "head": (0, 0.2)}
    for layer, (mean, std) in starts.items():
        kernel, bias = (v.numpy() for v in model.get_layer(layer).weights)
        assert kernel.mean() == pytest.approx(mean, abs=std / 5)
        assert kernel.std() == pytest.approx(std, rel=0.1)
        assert bias.mean() == pytest.approx(0.5, abs=0.05)


def test_the_twin_shares_the_encoder_and_can_be_reseeded(rng):
    model = build_model("siamese", n_frames=230, embedding_len=4)
    twin = model.twin()
    assert {id(v) for v in twin.variables} == {id(v) for v in model.variables}
    pair = [rng.random((3, 12, 230), np.float32) for _ in range(2)]
    outputs = []
    for _ in range(2):
        twin.dropout.reseed(5)
        outputs.append(twin(pair, training=True).numpy())
    np.testing.assert_array_equal(*outputs)
    assert (twin(pair, training=True).numpy() != outputs[0]).any()
    np.testing.assert_allclose(twin(pair), model.head([model(x) for x in pair]), rtol=1e-5)


def test_the_least_number_of_frames():
    assert (
        build_model("siamese", n_frames=222, embedding_len=2).get_layer("bn3").output_shape[2] == 1
    )
    with pytest.raises(MulkinetError, match="n_frames: expected a whole number of at least 222"):
        build_model("siamese", n_frames=221)
    model = build_model("siamese", n_frames=222, embedding_len=2)
    with pytest.raises(MulkinetError, match="expects 222 frames, found 500"):
        model.embed_batch(np.zeros((1, 12, 500), np.float32))
