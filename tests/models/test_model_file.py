"""The model file: what is saved is loaded to the bit, and no other file is taken for one."""

import json
import os
import pickle

import h5py
import numpy as np
import pytest
import tensorflow as tf

import mulkinet
from mulkinet import MulkinetError, build_model, load_model, save_model
from mulkinet.models.model_file import load_state, named_weights
from tests.hostile import Hostile, hostile_lambda
from tests.models.test_registry import SMALL, batch


@pytest.fixture(scope="module", params=SMALL)
def model(request):
    return build_model(request.param, **SMALL[request.param])


@pytest.fixture(scope="module")
def small():
    return build_model("move", **SMALL["move"])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.h5"


@pytest.fixture
def saved(small, path):
    save_model(small, path, state={"optimizer": [np.arange(3), np.float32(2)]})
    return path


def edit_config(path, **changes):
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["config"])
        file.attrs["config"] = json.dumps({**config, **changes})


def test_embeddings_are_equal_to_the_bit(model, path, rng):
    for variable in model.variables:
        variable.assign(rng.random(variable.shape))
    model.metadata = {
        "feature": "crema",
        "classes": [f"work {i}" for i in range(20000)],
        "training": {"history": [{"epoch": 1, "MAP": 0.25}]},
    }
    save_model(model, path)
    again = load_model(path)
    x = batch(model, rng)
    np.testing.assert_array_equal(again.embed_batch(x), model.embed_batch(x))
    assert again.options == model.options
    assert again.metadata == model.metadata
    assert load_state(path) == {}


def test_every_weight_has_a_name(model):
    assert len(named_weights(model)) == len(model.weights)


def test_layout_is_what_h5py_alone_can_read(saved):
    with h5py.File(saved) as file:
        config = json.loads(file.attrs["config"])
        assert file.attrs["format"] == "mulkinet-model"
        assert file["weights/conv1/kernel"].shape == (12, 180, 1, 2)
        assert file["state/optimizer/1"][()] == 2
    assert config["network"] == "move"
    assert config["distance"] == "sqeuclidean"
    assert config["options"]["n_filters"] == 2
    assert config["package_version"] == mulkinet.__version__


def test_state_keeps_its_order(small, path):
    arrays = [np.full(2, i) for i in range(12)]
    save_model(small, path, state={"optimizer": arrays, "head": []})
    state = load_state(path)
    assert state["head"] == []
    np.testing.assert_array_equal(state["optimizer"], arrays)


def test_a_failed_save_leaves_the_old_file(saved, small):
    before = saved.read_bytes()
    with pytest.raises(ValueError, match="inhomogeneous"):
        save_model(small, saved, state={"optimizer": [[[1, 2], [3]]]})
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_only_networks_are_saved(small, path):
    with pytest.raises(MulkinetError, match="expects a network .* found Functional"):
        save_model(small.classifier(3), path)
    with pytest.raises(MulkinetError, match="cannot write"):
        save_model(small, "/proc/nowhere/model.h5")


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def drop_weight(path):
    with h5py.File(path, "r+") as file:
        del file["weights/conv3/bias"]


def add_weight(path):
    with h5py.File(path, "r+") as file:
        file["weights/conv9/bias"] = np.zeros(2)


def reshape_weight(path):
    with h5py.File(path, "r+") as file:
        del file["weights/conv3/bias"]
        file["weights/conv3/bias"] = np.zeros(3)


def set_version(version):
    def change(path):
        with h5py.File(path, "r+") as file:
            file.attrs["version"] = version

    return change


def drop_config(path):
    with h5py.File(path, "r+") as file:
        del file.attrs["config"]


def break_config(path):
    with h5py.File(path, "r+") as file:
        file.attrs["config"] = "{"


def name_no_network(path):
    with h5py.File(path, "r+") as file:
        file.attrs["config"] = "{}"


def break_strings(path):
    # The heap in which HDF5 keeps text, the attribute `format` among it.
    content = path.read_bytes()
    assert b"GCOL" in content
    path.write_bytes(content.replace(b"GCOL", b"GOAL"))


def make_foreign(path):
    with h5py.File(path, "w") as file:
        file["crema"] = np.zeros((3, 12))


def make_store(path):
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "mulkinet-features"


def make_keras(path):
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = "{}"


WRONG = {
    "absent": (lambda path: path.unlink(), "expected a model file at .*, found no file"),
    "empty": (lambda path: path.write_bytes(b""), "truncated or no HDF5 file"),
    "text": (lambda path: path.write_text("weights\n" * 999), "truncated or no HDF5 file"),
    "truncated": (truncate, "truncated or no HDF5 file"),
    "broken strings": (break_strings, "^the model file .* is damaged: .*; make it again$"),
    "foreign": (make_foreign, "found .* with format = None; train.py makes one"),
    "store": (make_store, "^expected a model file .* with format = 'mulkinet-features'"),
    "keras": (make_keras, "format = None; .*mulkinet import converts published weights"),
    "newer": (
        set_version(2),
        "^expected .* version 1 or older, found .* version 2; upgrade mulkinet",
    ),
    "version 0": (set_version(0), "damaged: version 0; make it again"),
    "version text": (set_version("1"), "damaged: version 1; make it again"),
    "no config": (drop_config, "is damaged"),
    "broken config": (break_config, "is damaged"),
    "config without network": (name_no_network, "damaged: its config names no network; make it"),
    "config of other kind": (
        lambda path: edit_config(path, options=[1]),
        "is damaged",
    ),
    "unknown network": (
        lambda path: edit_config(path, network="os.system"),
        "expected .*model.h5 to be of a network of .*, found 'os.system'",
    ),
    "unknown option": (lambda path: edit_config(path, options={"x": 1}), "move has no option x"),
    "other network": (
        lambda path: edit_config(path, network="rescnn", options={"width": 2, "depth": 1}),
        "weights do not fit: group0/kernel is missing",
    ),
    "metadata": (lambda path: edit_config(path, metadata=[]), "damaged"),
    "missing": (drop_weight, "weights do not fit: conv3/bias is missing"),
    "left over": (add_weight, "conv9/bias is not in a move of these options"),
    "mis-shaped": (reshape_weight, r"conv3/bias is \(3,\), expected \(2,\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_one_line(saved, case):
    change, message = WRONG[case]
    change(saved)
    with pytest.raises(MulkinetError, match=message) as caught:
        load_model(saved)
    assert "\n" not in str(caught.value)


def test_an_older_file_loads_with_defaults_for_what_it_lacks(saved, small, rng):
    small_options = dict(SMALL["move"])
    edit_config(saved, options=small_options, metadata={"feature": "crema"})
    model = load_model(saved)
    assert set(small_options) < set(model.options)
    assert model.options == small.options
    assert model.metadata == {"feature": "crema"}
    x = batch(small, rng)
    np.testing.assert_array_equal(model.embed_batch(x), small.embed_batch(x))
    with h5py.File(saved, "r+") as file:
        config = json.loads(file.attrs["config"])
        file.attrs["config"] = json.dumps({name: config[name] for name in ("network", "options")})
    assert load_model(saved).metadata == {}


def test_a_folder_is_no_model_file(tmp_path):
    with pytest.raises(MulkinetError, match="found a folder"):
        load_model(tmp_path)


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "marker"


@pytest.fixture
def hostile_keras(tmp_path, marker):
    """A whole Keras model whose Lambda makes the marker when Keras loads it."""
    path = tmp_path / "keras.h5"
    pair = [tf.keras.Input((3,)), tf.keras.Input((3,))]
    layer = tf.keras.layers.Lambda.from_config(hostile_lambda(marker))
    with pytest.warns(UserWarning, match="HDF5 file"):
        tf.keras.Model(pair, layer(pair)).save(path)
    marker.rmdir()
    tf.keras.models.load_model(path, safe_mode=False)
    marker.rmdir()  # the payload is live
    return path


def test_loading_a_keras_file_executes_nothing(hostile_keras, marker):
    with pytest.raises(MulkinetError, match="mulkinet import converts"):
        load_model(hostile_keras)
    assert not marker.exists()


def test_loading_executes_nothing_that_was_added(saved, hostile_keras, marker):
    pickled = pickle.dumps(Hostile(marker))
    pickle.loads(pickled)
    marker.rmdir()  # the payload is live
    with h5py.File(hostile_keras) as source, h5py.File(saved, "r+") as file:
        for name in ("model_config", "keras_version", "backend"):
            file.attrs[name] = source.attrs[name]
        file.attrs["training"] = np.void(pickled)
        file["model_weights"] = np.void(pickled)
        file["state/head/0"] = np.void(pickled)
    assert load_model(saved).network == "move"
    assert load_state(saved)["head"][0].tobytes() == pickled
    with h5py.File(saved, "r+") as file:
        file["weights/conv9/bias"] = np.void(pickled)
    with pytest.raises(MulkinetError, match="conv9/bias is not in a move"):
        load_model(saved)
    with h5py.File(saved, "r+") as file:
        del file["weights/conv9"], file["weights/conv3/bias"]
        file["weights/conv3/bias"] = np.void(pickled)
    with pytest.raises(MulkinetError, match=r"conv3/bias is \(\), expected \(2,\)"):
        load_model(saved)
    with h5py.File(saved, "r+") as file:
        file.attrs["config"] = np.void(pickled)
    with pytest.raises(MulkinetError, match="is damaged"):
        load_model(saved)
    assert not marker.exists()
