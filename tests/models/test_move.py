"""MOVE: PyTorch's own numbers for every summary and activation, invariance, lengths and options."""

import numpy as np
import pytest
import tensorflow as tf

from mulkinet import MulkinetError, build_model, import_weights

SUMMARIES = ("max", "mean", "autopool", "attention", "adaptive-attention")
ACTIVATIONS = ("none", "sigmoid", "tanh", "batch-norm")
# Of embeddings whose values reach 5, those that cancel to a few thousandths carry the rounding of the others: about
# 1e-6 was seen, which is no part in 10^4 of the smallest.
NEAR_ZERO = 4e-6
MIN_FRAMES = 180 + 4 + 80 + 4 + 52


@pytest.fixture(scope="module")
def golden(shared):
    return shared / "reference" / "golden"


@pytest.fixture(scope="module")
def expected(golden):
    with np.load(golden / "move.npz") as file:
        return dict(file)


def state_dict_order(final_activation):
    """Our name of each PyTorch parameter, and the axes that bring its array into our layout."""
    conv, vector = (2, 3, 1, 0), (0,)
    order = [("summary/autopool_p", None)]
    order += [(f"prelu{i}/alpha", None) for i in range(1, 6)]
    for i in range(1, 6):
        order += [(f"conv{i}/kernel", conv), (f"conv{i}/bias", vector)]
    if final_activation == "batch-norm":
        order += [("lin_bn/moving_mean", vector), ("lin_bn/moving_variance", vector)]
        order += [(None, None), ("lin1/kernel", (1, 0))]
    else:
        order += [("lin1/kernel", (1, 0)), ("lin1/bias", vector)]
    return order


def golden_weight(k, name, axes, shape):
    """The made-up weight at position k, as golden/README.md gives it, in our layout."""
    if name == "summary/autopool_p":
        return np.float32(0.8)
    if name.startswith("prelu"):
        return np.full(shape, 0.05 * (k + 1) % 0.5, np.float32)
    if name == "lin_bn/moving_mean":
        return 0.1 * np.cos(0.3 * np.arange(shape[0]))
    if name == "lin_bn/moving_variance":
        return 1 + 0.5 * np.sin(0.7 * np.arange(shape[0]))
    theirs = [0] * len(shape)
    for ours, axis in enumerate(axes):
        theirs[axis] = shape[ours]
    draw = np.random.default_rng(100 + k).standard_normal(theirs)
    scale = 1.3 / np.sqrt(np.prod(theirs[1:])) if len(theirs) > 1 else 0.05
    return np.transpose(draw * scale, axes)


def set_golden_weights(model):
    for k, (name, axes) in enumerate(state_dict_order(model.options["final_activation"])):
        if name is None or (
            name == "summary/autopool_p" and not model.get_layer("summary").weights
        ):
            continue
        layer, _, weight = name.partition("/")
        variable = {v.name.split("/")[-1][:-2]: v for v in model.get_layer(layer).weights}[weight]
        variable.assign(golden_weight(k, name, axes, tuple(variable.shape)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("summary", SUMMARIES)
def test_embeddings_are_pytorchs(expected, summary, activation):
    model = build_model("move", sum_method=summary, final_activation=activation, embedding_len=64)
    set_golden_weights(model)
    got = model(expected["input_pcp_12x600"][None], training=False)[0]
    reference = expected[f"move_sum{SUMMARIES.index(summary)}_act{ACTIVATIONS.index(activation)}"]
    np.testing.assert_allclose(got, reference, rtol=1e-4, atol=NEAR_ZERO)


def test_published_file(golden, expected):
    model = import_weights(golden / "model_move_emb64.pt")
    assert model.options["sum_method"] == "adaptive-attention"
    assert model.options["final_activation"] == "batch-norm"
    got = model.embed_batch(expected["input_pcp_12x600"][None])[0]
    reference = expected["move_sum4_act3"]
    np.testing.assert_allclose(got, reference, rtol=1e-4, atol=NEAR_ZERO)
    assert model.metadata["feature"] == "crema"
    assert model.metadata["n_frames"] is None
    assert model.metadata["feature_settings"]["downsample"] == 8
    assert model.metadata["training"]["settings"]["n_frames"] == 1800


@pytest.mark.parametrize(("embedding_len", "trainable"), [(16000, 6288902), (4000, 3216902)])
def test_parameter_counts(embedding_len, trainable):
    model = build_model("move", embedding_len=embedding_len)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == trainable


@pytest.mark.parametrize("summary", SUMMARIES)
def test_invariance_and_its_ablation(rng, summary):
    small = {"n_filters": 4, "embedding_len": 8, "sum_method": summary}
    x = rng.random((2, 12, MIN_FRAMES + 10), np.float32)
    turned = np.roll(x, 7, axis=1)
    model = build_model("move", **small)
    np.testing.assert_allclose(model.embed_batch(turned), model.embed_batch(x), atol=1e-5)
    ablated = build_model("move", **small, invariance=False)
    assert ablated.count_params() == model.count_params()
    assert np.abs(ablated.embed_batch(turned) - ablated.embed_batch(x)).max() > 1e-4


def test_any_length_from_the_least(rng):
    model = build_model("move", n_filters=2, embedding_len=3)
    assert model.min_frames == MIN_FRAMES
    for n_frames in (MIN_FRAMES, MIN_FRAMES + 77):
        assert model.embed_batch(rng.random((2, 12, n_frames), np.float32)).shape == (2, 3)
    with pytest.raises(MulkinetError, match="at least 320 frames, found 319"):
        model(np.zeros((1, 12, 319), np.float32))
    with pytest.raises(MulkinetError, match=r"12 bins, frames\), found \(1, 84, 400\)"):
        model(np.zeros((1, 84, 400), np.float32))


def test_starts_as_the_authors_do():
    model = build_model("move", n_filters=32, embedding_len=500)
    kernel = model.get_layer("conv1").kernel.numpy()
    assert kernel.std() == pytest.approx(np.sqrt(2 / (1 + 1e-4) / (12 * 180)), rel=0.02)
    assert model.get_layer("prelu3").alpha.numpy().ravel() == pytest.approx([0.01])
    assert np.abs(model.get_layer("lin1").kernel.numpy()).max() <= 1 / np.sqrt(32)


def test_batch_norm_keeps_the_unbiased_variance(rng):
    """As PyTorch: running = 0.9 * 1 + 0.1 * var(ddof=1)."""
    model = build_model("move", n_filters=2, embedding_len=3)
    x = rng.random((4, 12, MIN_FRAMES), np.float32)
    before = model.get_layer("map").output
    linear = tf.keras.Model(model.input, before)(x).numpy()[:, 0, 0]
    model(x, training=True)
    got = model.get_layer("lin_bn").moving_variance
    np.testing.assert_allclose(got, 0.9 + 0.1 * linear.var(axis=0, ddof=1), rtol=1e-5)


WRONG = [
    ({"sum_method": "4"}, "sum_method: expected one of max, mean, autopool, attention, adaptive"),
    ({"final_activation": "relu"}, "final_activation: expected one of none, sigmoid, tanh, batch"),
    ({"n_filters": 1.5}, "n_filters: expected a whole number"),
    ({"invariance": 1}, "invariance: expected true or false"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=lambda value: str(value)[:30])
def test_impossible_options(options, message):
    with pytest.raises(MulkinetError, match=message):
        build_model("move", **options)
