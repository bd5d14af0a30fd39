"""CQTNet and both Discogs-VINets: golden values of the authors' code."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mulkinet import MulkinetError, build_model, import_weights, load_model, save_model
from mulkinet.losses import triplet_loss
from mulkinet.models.model_file import named_weights
from mulkinet.models.published.cqtnet import import_cqtnet
from tests.published_files import checkpoint_of, read_state_dict, write_pt

# The paper's widths divided by four, or eight filters.
FILES = {
    "cqtnet_quarter": "cqtnet_quarter.pth",
    "vinet_ismir_quarter": "vinet_ismir_quarter.pth",
    "vinet_mirex_w8_e64": "vinet_mirex_w8_e64.pth",
}
PLACES = (0, 3, 7, 10, 14, 17, 21, 24, 28, 31)
TOLERANCE = {"rtol": 1e-4, "atol": 2e-5}


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "reference" / "golden" / "cqtnet"


@pytest.fixture(scope="module")
def golden(folder):
    with np.load(folder / "networks.npz") as arrays:
        return dict(arrays)


@pytest.fixture(params=FILES)
def network(request, folder):
    return request.param, import_weights(folder / FILES[request.param])


def test_embeddings(network, golden):
    name, model = network
    for n_frames in (200, 300, 400, 853):
        embedding = model.embed_batch(golden[f"input/{n_frames}"][None])[0]
        np.testing.assert_allclose(embedding, golden[f"{name}/eval/{n_frames}"], **TOLERANCE)
    batch = model.embed_batch(golden["input/batch"])
    np.testing.assert_allclose(batch, golden[f"{name}/eval/batch"], **TOLERANCE)


def test_the_stream_of_before_1_6_holds_the_same(folder):
    new, old = (read_state_dict(folder / f"cqtnet_quarter{end}.pth") for end in ("", "_legacy"))
    assert list(new) == list(old)
    for key, array in new.items():
        np.testing.assert_array_equal(array, old[key])
    assert import_weights(folder / "cqtnet_quarter_legacy.pth").network == "cqtnet"


def test_batch_statistics(network, golden):
    name, model = network
    embeddings = model(golden["input/batch"], training=True).numpy()
    expected = golden[f"{name}/train/batch"]
    np.testing.assert_allclose(embeddings, expected, atol=1e-4 * np.abs(expected).max())
    for i in range(10):
        norm = model.get_layer(f"norm{i}")
        for statistic, ours in (("mean", norm.moving_mean), ("var", norm.moving_variance)):
            theirs = golden[
                f"{name}/train/after/{_their_layer(name, norm.name)}.running_{statistic}"
            ]
            np.testing.assert_allclose(ours, theirs, **TOLERANCE)


@pytest.fixture
def double():
    """Everything in float64, where no rounding turns a maximum or a ReLU, and with it the gradients, another way."""
    for name in ("float64", "float32"):
        tf.keras.backend.set_floatx(name)
        tf.keras.mixed_precision.set_global_policy(name)
        if name == "float64":
            yield


def test_a_training_step(double, network, golden, folder):
    """Loss and gradient norms."""
    name, model = network
    trained, loss_of = _training(name, model, golden, folder)
    with tf.GradientTape() as tape:
        embeddings = model(golden["input/batch"].astype(np.float64), training=True)
        loss = loss_of(embeddings)
    variables = trained.trainable_variables
    np.testing.assert_allclose(loss, golden[f"{name}/train/loss"], rtol=1e-4)
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        key = f"{name}/train/gradnorm/{_their_key(name, variable.name)}"
        # The golden ones are of float32; this one alone is further from float64's than the others, which are within
        # 5e-5.
        tolerance = 3e-4 if key.endswith("features.norm2.bias") else 1e-4
        np.testing.assert_allclose(tf.norm(gradient), golden[key], rtol=tolerance, err_msg=key)


def _training(name, model, golden, folder):
    """(model with the trained variables, loss of the embeddings) as in the golden run."""
    if name != "cqtnet_quarter":
        margin = 0.3 if "mirex" in name else 0.1
        works = np.repeat(np.arange(4), 2)
        return model, lambda embeddings: triplet_loss(
            embeddings, works, margin=margin, mining="hard", distance="euclidean"
        )
    tensors = read_state_dict(folder / FILES[name])
    classifier = model.classifier(2500)
    layer = classifier.get_layer("Classification")
    layer.set_weights([tensors["fc1.weight"].T, tensors["fc1.bias"]])
    scores = layer(golden["cqtnet_quarter/eval/200"][None])[0]
    np.testing.assert_allclose(scores, golden[f"{name}/eval/200/scores"], rtol=1e-4, atol=1e-4)
    labels = np.repeat([0, 7, 100, 2499], 2)
    entropy = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return classifier, lambda embeddings: entropy(labels, layer(embeddings))


def _their_layer(name, layer):
    if layer == "Classification":
        return "fc1"
    if layer == "projection":
        return {"cqtnet_quarter": "fc0", "vinet_ismir_quarter": "proj.0"}.get(name, "proj.lin")
    root = "front_end" if "mirex" in name else "features"
    place = PLACES[int(layer[4:])] + layer.startswith("norm")
    return f"{root}.{layer if name == 'cqtnet_quarter' else place}"


def _their_key(name, variable):
    layer, _, weight = variable.partition("/")
    weight = weight.partition(":")[0]
    return f"{_their_layer(name, layer)}.{'bias' if weight in ('bias', 'beta') else 'weight'}"


FULL = {
    "cqtnet_full": ({"width": 32}, "features.conv{}", "features.norm{}", "fc0", (200, 400)),
    "vinet_ismir_full": ({"width": 32, "vinet": True}, "features.{}", "features.{}", "proj.0", (400,)),
    "vinet_mirex_full": ({"width": 40, "vinet": True}, "front_end.{}", "front_end.{}", "proj.lin", (400,)),
}  # fmt: skip


_READ = """
import sys, time
from pathlib import Path
from mulkinet import build_model, import_weights
build_model("cqtnet", width=1)  # what TensorFlow needs by itself
def status(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) / 1e3
before, began = status("VmRSS"), time.process_time()
assert import_weights(sys.argv[1]).options["width"] == int(sys.argv[2])
print(time.process_time() - began, status("VmHWM") - before)
"""


def _published(model):
    """The state_dict in the MIREX network's layout that has a model's weights."""
    tensors = {}
    for name, variable in named_weights(model).items():
        key = _their_key("vinet_mirex", name)
        if "moving" in name:
            key = key.rpartition(".")[0] + (".running_mean" if "mean" in name else ".running_var")
        array = variable.numpy()
        axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[array.ndim]
        tensors[key] = np.array(array.transpose(axes), order="C")
    return tensors


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(("width", "has_moments"), [(40, True), (72, False)])
def test_a_file_of_100_mb(tmp_path, width, has_moments):
    """MIREX's weights with Adam's moments, and weights alone, take twice the file's size at most, and under 5 s."""
    options = {"embedding_len": 512, "bias": False, "normalized": True, "divide": True}
    tensors = _published(build_model("cqtnet", width=width, **options))
    moments = {f"{key}/{i}": array for key, array in tensors.items() for i in range(2)}
    path = tmp_path / "checkpoint.pth"
    if has_moments:
        write_pt(path, {**tensors, **moments}, checkpoint_of(tensors, moments))
    else:
        write_pt(path, tensors)
    size = path.stat().st_size / 1e6
    assert 95 < size < 105
    command = [sys.executable, "-c", _READ, path, str(width)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, megabytes = map(float, done.stdout.split())
    print(f"{size:.0f} MB: {seconds:.1f} s, {megabytes:.0f} MB")
    assert seconds < 5
    assert megabytes < 2 * size


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL)
def test_full_size(name, golden):
    options, convolution, norm, head, lengths = FULL[name]
    is_vinet = "vinet" in options
    shapes = {}
    width, size = options["width"], 512 if is_vinet else 300
    model = build_model("cqtnet", width=width, embedding_len=size, bias=not is_vinet)
    for i in range(10):
        place = PLACES[i] if is_vinet else i
        kernel = model.get_layer(f"conv{i}").kernel.shape
        channels = kernel[3]
        shapes[convolution.format(place) + ".weight"] = (channels, kernel[2], *kernel[:2])
        prefix = norm.format(place + is_vinet)
        for statistic in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{prefix}.{statistic}"] = (channels,)
        shapes[f"{prefix}.num_batches_tracked"] = ()
    shapes[f"{head}.weight"] = (size, 16 * width)
    if not is_vinet:
        shapes.update({"fc0.bias": (300,), "fc1.weight": (10000, 300), "fc1.bias": (10000,)})
    tensors = {key: _by_rule(k, key, shape) for k, (key, shape) in enumerate(shapes.items())}
    model = import_cqtnet(tensors)
    for n_frames in lengths:
        embedding = model.embed_batch(golden[f"input/{n_frames}"][None])[0]
        np.testing.assert_allclose(embedding, golden[f"{name}/eval/{n_frames}"], **TOLERANCE)
    if not is_vinet:
        layer = model.classifier(10000).get_layer("Classification")
        layer.set_weights([tensors["fc1.weight"].T, tensors["fc1.bias"]])
        scores = layer(golden[f"{name}/eval/200"][None])[0]
        np.testing.assert_allclose(scores, golden[f"{name}/eval/200/scores"], rtol=1e-4, atol=1e-4)


def _by_rule(k, key, shape):
    """The weights of the golden run's full-size networks."""
    rng = np.random.default_rng(1000 + k)
    if key.endswith("num_batches_tracked"):
        return np.int64(1234)
    if key.endswith("running_mean"):
        array = 0.3 * rng.standard_normal(shape)
    elif key.endswith("running_var"):
        array = rng.uniform(0.4, 2.0, shape)
    elif len(shape) == 1 and key.endswith("weight"):
        array = rng.uniform(0.6, 1.4, shape)
    elif len(shape) == 1:
        array = 0.1 * rng.standard_normal(shape)
    else:
        array = rng.standard_normal(shape) * 1.4 / np.sqrt(np.prod(shape[1:]))
    return array.astype(np.float32)


def test_parameters_as_published(caplog):
    n = {}
    tf.get_logger().addHandler(caplog.handler)
    for name, options in {
        "cqtnet": {},
        "vinet": {"embedding_len": 512, "bias": False, "normalized": True},
        "mirex": {"width": 40, "embedding_len": 512, "bias": False, "normalized": True},
    }.items():
        model = build_model("cqtnet", **options)
        n[name] = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert n == {"cqtnet": 8090428 - 3010000, "vinet": 5188672, "mirex": 8023760}
    tf.get_logger().removeHandler(caplog.handler)
    assert not caplog.records


def test_lengths(rng):
    model = build_model("cqtnet", width=1, embedding_len=3)
    assert model.embed_batch(rng.random((1, 84, 172), np.float32)).shape == (1, 3)
    with pytest.raises(MulkinetError, match="at least 172 frames, found 171"):
        model.embed_batch(rng.random((1, 84, 171), np.float32))
    trunk = tf.keras.Model(model.input, model.get_layer("relu9").output)
    for n_frames, left in ((200, 2), (300, 9), (380, 14), (400, 15), (853, 43)):
        assert trunk(np.zeros((1, 84, n_frames), np.float32)).shape[1:3] == (47, left)


def test_a_divided_input_has_no_level(rng):
    model = build_model("cqtnet", width=1, embedding_len=3, divide=True)
    x = rng.random((1, 84, 200), np.float32)
    np.testing.assert_allclose(model.embed_batch(x), model.embed_batch(7 * x), rtol=1e-4)


def test_keys_that_do_not_fit_are_named(folder):
    tensors = read_state_dict(folder / FILES["vinet_ismir_quarter"])
    tensors["features.4.bias"] = np.zeros(3, np.float32)
    with pytest.raises(MulkinetError, match=r"features.4.bias is \(3,\), expected \(16,\)"):
        import_cqtnet(tensors)
    del tensors["proj.0.weight"]
    with pytest.raises(MulkinetError, match="proj.0.weight is missing"):
        import_cqtnet(tensors)


def test_a_model_file_round_trips(network, golden, tmp_path):
    name, model = network
    save_model(model, tmp_path / "model.h5")
    again = load_model(tmp_path / "model.h5")
    assert again.metadata["feature"] == ("cqt_cqtnet" if name == "cqtnet_quarter" else "cqt_vinet")
    x = golden["input/200"][None]
    np.testing.assert_array_equal(again.embed_batch(x), model.embed_batch(x))
