"""MulKINet: the published networks' own numbers, parameter counts, invariance and options."""

import h5py
import numpy as np
import pytest
import tensorflow as tf

from mulkinet import MulkinetError, build_model, import_weights
from mulkinet.models import base

# (whole classifier of 1000 works, embedding network), of the authors' code.
PARAMETERS = {
    1: [(1844682, 1716682), (1844682, 1716682), (1844682, 1716682)],
    2: [(13307558, 13179558), (2558118, 2430118), (4722598, 4594598)],
    3: [(13064130, 12936130), (2624450, 2496450), (4741570, 4613570)],
    4: [(12244206, 12116206), (2667246, 2539246), (4626414, 4498414)],
    6: [(11072342, 10944342), (2790742, 2662742), (4520022, 4392022)],
    12: [(10059438, 9931438), (3329198, 3201198), (4835758, 4707758)],
}
BLOCKS = ("simple", "bottleneck", "wider")
GOLDEN = (
    "simple-1",
    "simple-3",
    "simple-4",
    "bottleneck-2",
    "bottleneck-3-nochnlatt-notempatt",
    "bottleneck-4",
    "bottleneck-12",
    "wider-4",
    "wider-4-nochnlatt",
    "wider-4-notempatt",
    "wider-6",
)
SMALL = {"ki_out_channel": 8, "embedding_len": 16, "n_frames": 150}


@pytest.fixture(scope="module")
def golden(shared):
    return shared / "reference" / "golden" / "mulkinet"


@pytest.fixture(scope="module")
def expected(golden):
    with np.load(golden / "embeddings.npz") as file:
        return dict(file)


def transposed_distance(model, x, semitones=5):
    """Cosine distance between the embeddings of tracks and of their transpositions, the largest."""
    a, b = model.embed_batch(x), model.embed_batch(np.roll(x, semitones, axis=1))
    return 1 - (a * b).sum(axis=1).min()


@pytest.mark.parametrize("name", GOLDEN)
def test_published_networks_give_their_own_numbers(golden, expected, name):
    path = golden / f"{name}.h5"
    model = import_weights(path)
    options = name.split("-")
    assert model.options["block"] == options[0]
    assert model.options["ki_block_num"] == int(options[1])
    assert model.options["chnlatt"] == ("nochnlatt" not in options)
    assert model.options["tempatt"] == ("notempatt" not in options)
    x = expected["input_pcp_2x12x400"]
    np.testing.assert_allclose(model.embed_batch(x), expected[f"{name}/embedding"], atol=1e-5)
    classifier = model.classifier(10)
    with h5py.File(path) as file:
        kernel = file["model_weights/Classification/Classification/kernel:0"][()]
    classifier.get_layer("Classification").set_weights([kernel])
    softmax = tf.nn.softmax(classifier(x))
    np.testing.assert_allclose(softmax, expected[f"{name}/softmax"], atol=1e-5)


def test_metadata_of_published_weights(golden):
    metadata = import_weights(golden / "wider-4-notempatt.h5").metadata
    assert metadata["feature"] == "hpcp"
    assert metadata["n_frames"] == 400
    # Sums of 20 frames of hop 1024: 0.464 s a frame.
    assert 1 / metadata["feature_settings"]["frame_rate"] == pytest.approx(0.464, abs=5e-4)
    assert metadata["feature_settings"]["bin0"] == "A"


@pytest.mark.parametrize("stages", PARAMETERS)
@pytest.mark.parametrize("block", BLOCKS)
def test_parameter_counts(block, stages):
    model = build_model("mulkinet", block=block, ki_block_num=stages)
    counts = (model.classifier(1000).count_params(), model.count_params())
    assert counts == PARAMETERS[stages][BLOCKS.index(block)]


INVARIANT = [
    {"ki_block_num": 1},
    {"ki_block_num": 4, "chnlatt": False, "tempatt": False},
    {"ki_block_num": 4, "strict_invariance": True},
    {"ki_block_num": 3, "block": "bottleneck", "strict_invariance": True},
    {"ki_block_num": 2, "block": "simple", "strict_invariance": True, "tempatt": False},
]


@pytest.mark.parametrize("options", INVARIANT, ids=str)
def test_transposition_leaves_the_embedding_unchanged(rng, options):
    model = build_model("mulkinet", **SMALL, **options)
    x = rng.random((2, 12, 150), np.float32)
    before = model.embed_batch(x)
    for semitones in (1, 5, 11):
        after = model.embed_batch(np.roll(x, semitones, axis=1))
        np.testing.assert_allclose(after, before, atol=1e-5)


def test_the_published_network_depends_on_the_key(golden, expected):
    x = expected["input_pcp_2x12x400"]
    for name in ("wider-4", "bottleneck-4"):
        published = import_weights(golden / f"{name}.h5")
        assert transposed_distance(published, x) > 1e-3
        strict = build_model("mulkinet", **{**published.options, "strict_invariance": True})
        assert strict.count_params() == published.count_params()
        strict.set_weights(published.get_weights())
        assert transposed_distance(strict, x) < 1e-6


def test_strict_is_the_same_network_where_no_row_repeats(rng):
    published = build_model("mulkinet", **SMALL, ki_block_num=1)
    strict = build_model("mulkinet", **SMALL, ki_block_num=1, strict_invariance=True)
    strict.set_weights(published.get_weights())
    x = rng.random((2, 12, 150), np.float32)
    np.testing.assert_array_equal(strict.embed_batch(x), published.embed_batch(x))


@pytest.mark.parametrize("stages", [1, 4, 12])
def test_the_shortest_input(stages):
    shape = {"ki_out_channel": 4, "embedding_len": 4, "ki_block_num": stages}
    least = build_model("mulkinet", **shape, tempatt=False, n_frames=None).min_frames
    model = build_model("mulkinet", **shape, n_frames=least)
    assert model.get_layer("Temporal_Summary").input_shape[2] == 1
    with pytest.raises(MulkinetError, match=f"n_frames: .* at least {least}; found {least - 1}"):
        build_model("mulkinet", **shape, n_frames=least - 1)


def test_any_length_without_temporal_attention(rng):
    options = {**SMALL, "n_frames": None, "tempatt": False}
    model = build_model("mulkinet", **options)
    assert model.n_frames is None
    for n_frames in (model.min_frames, 200):
        assert model.embed_batch(rng.random((1, 12, n_frames), np.float32)).shape == (1, 16)
    with pytest.raises(MulkinetError, match="at least 135 frames, found 134"):
        model.embed_batch(np.zeros((1, 12, 134), np.float32))


def test_parts_of_a_batch_give_what_the_whole_gives(rng, monkeypatch):
    model = build_model("mulkinet", **SMALL)
    x = rng.random((5, 12, 150), np.float32)
    kernels = model.transformed_kernels()
    embed, sizes = model._embed_batch, []
    monkeypatch.setattr(
        model, "_embed_batch", lambda part, *rest: sizes.append(len(part)) or embed(part, *rest)
    )
    # Two tracks at once: the largest convolutions have 2 channels in and 8 out.
    monkeypatch.setattr(base, "VALUES_AT_ONCE", 2 * 12 * 150 * 10)
    np.testing.assert_allclose(model.embed_batch(x, kernels), model(x, training=False), atol=1e-6)
    assert sizes == [2, 2, 1]


WRONG = [
    ({"ki_block_num": 5}, "ki_block_num: expected one of 1, 2, 3, 4, 6, 12; found 5"),
    ({"ki_block_num": 4.0}, "ki_block_num: expected a whole number of at least 1; found 4.0"),
    ({"ki_block_num": True}, "ki_block_num: expected a whole number of at least 1; found True"),
    ({"block": "foo"}, "block: expected one of simple, bottleneck, wider; found 'foo'"),
    ({"chnlatt": "no"}, "chnlatt: expected true or false; found 'no'"),
    ({"embedding_len": 0}, "embedding_len: expected a whole number of at least 1; found 0"),
    ({"time_field": 3}, "time_field: expected a whole number of at least 4; found 3"),
    ({"bn_ratio": 9}, "bn_ratio: expected at most ki_out_channel"),
    ({"n_frames": None}, "n_frames: expected a number, because temporal attention"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_impossible_options(options, message):
    with pytest.raises(MulkinetError, match=message):
        build_model("mulkinet", **{**SMALL, **options})


def test_classifier_shares_the_trunk_and_drops_half(rng):
    model = build_model("mulkinet", **SMALL)
    classifier = model.classifier(7, seed=3)
    x = rng.random((2, 12, 150), np.float32)
    assert classifier(x).shape == (2, 7)
    assert classifier.dropout.rate == 0.5
    inside = {id(variable) for variable in model.variables}
    assert [tuple(v.shape) for v in classifier.variables if id(v) not in inside] == [(16, 7)]
    # L2 of 1e-4 on every kernel: convolutions, attention, embedding, classes.
    kernels = [v for v in classifier.trainable_variables if len(v.shape) > 1]
    penalty = sum(1e-4 * float(tf.reduce_sum(kernel**2)) for kernel in kernels)
    assert float(tf.add_n(classifier.losses)) == pytest.approx(penalty, rel=1e-4)
