"""Published weights: what fits is imported, nothing is executed, what does not fit is named."""

import collections
import datetime
import json
import pickle
import shutil
import time
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

from mulkinet import MulkinetError, build_model, import_weights, save_model
from tests.hostile import Hostile, hostile_lambda
from tests.published_files import pickle_of, read_state_dict, state_dict_of, write_pt

SMALL = {"n_filters": 3, "embedding_len": 4}


@pytest.fixture(scope="module")
def golden(shared):
    return shared / "reference" / "golden"


@pytest.fixture(scope="module")
def move():
    return build_model("move", **SMALL)


@pytest.fixture
def tensors(move):
    return state_dict_of(move)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pt"


def refused(path, message, **options):
    with pytest.raises(MulkinetError, match=message) as caught:
        import_weights(path, **options)
    assert "\n" not in str(caught.value)


# --- PyTorch -----------------------------------------------------------------------------------


def test_a_state_dict_round_trips(move, tensors, path, rng):
    write_pt(path, tensors)
    x = rng.random((2, 12, 330), np.float32)
    np.testing.assert_array_equal(import_weights(path).embed_batch(x), move.embed_batch(x))
    read = read_state_dict(path)
    assert list(read) == list(tensors)
    assert read["lin_bn.num_batches_tracked"] == 7


@pytest.mark.parametrize("options", [
    {"sum_method": "max", "final_activation": "tanh"},
    {"sum_method": "attention"},
    {"sum_method": "autopool", "invariance": False},
], ids=str)  # fmt: skip
def test_options_that_shapes_do_not_tell(options, path, rng):
    model = build_model("move", **SMALL, **options)
    tensors = state_dict_of(model)
    if options.get("final_activation"):
        del tensors["lin_bn.num_batches_tracked"]
    tensors.setdefault("autopool_p", np.float32(0.8))
    write_pt(path, tensors)
    again = import_weights(path, **options)
    x = rng.random((1, 12, 330), np.float32)
    np.testing.assert_array_equal(again.embed_batch(x), model.embed_batch(x))


def test_strided_and_sliced_tensors(path):
    """A transposed view of a storage, as a state_dict may hold."""
    array = np.arange(6, dtype=np.float32)
    program = pickle_of({"x": array.reshape(3, 2)})
    swapped = program.replace(
        b"J\x03\0\0\0J\x02\0\0\0t(J\x02\0\0\0J\x01\0\0\0t",
        b"J\x02\0\0\0J\x03\0\0\0t(J\x01\0\0\0J\x02\0\0\0t",
    )
    assert swapped != program
    write_pt(path, {"x": array}, swapped)
    np.testing.assert_array_equal(read_state_dict(path)["x"], array.reshape(3, 2).T)


def test_ambiguous_shapes_ask_for_the_option(path):
    model = build_model("move", **SMALL, sum_method="mean", final_activation="none")
    tensors = {k: v for k, v in state_dict_of(model).items() if "tracked" not in k}
    write_pt(path, tensors)
    refused(path, "sum_method: the weights' shapes leave several; name one of max, mean, autopool")
    refused(
        path,
        "final_activation: the weights' shapes leave several; name one of none, sigmoid, tanh",
        sum_method="mean",
    )
    import_weights(path, sum_method="mean", final_activation="none")


WRONG_KEYS = {
    "missing": (lambda t: t.pop("conv3.bias"), "conv3.bias is missing"),
    "all missing": (
        lambda t: t.clear(),
        "expected the first key of MOVE, CQTNet or .*, found no tensors",
    ),
    "no conv1": (
        lambda t: t.pop("conv1.weight"),
        "expected the first key of MOVE, CQTNet or .*, found",
    ),
    "extra": (lambda t: t.update({"conv6.bias": np.zeros(3, "f4")}), "conv6.bias is left over"),
    "mis-shaped": (
        lambda t: t.update({"conv2.weight": np.zeros((3, 3, 1, 7), "f4")}),
        r"conv2.weight is \(3, 3, 1, 7\), expected \(3, 3, 1, 5\)",
    ),
    "axes": (lambda t: t.update({"conv1.weight": np.zeros(3, "f4")}), "conv1.weight: expected 4"),
    "transposed": (
        lambda t: t.update({"conv1.weight": np.zeros((3, 1, 180, 12), "f4")}),
        r"conv1.weight is \(3, 1, 180, 12\), expected \(3, 1, 12, 180\)",
    ),
}


@pytest.mark.parametrize("case", WRONG_KEYS)
def test_keys_that_do_not_fit_are_named(tensors, path, case):
    change, message = WRONG_KEYS[case]
    change(tensors)
    write_pt(path, tensors)
    refused(path, message)


HOSTILE = {
    "reduce": lambda marker: pickle.dumps({"conv1.weight": Hostile(marker)}, protocol=2),
    "reduce, protocol 4": lambda marker: pickle.dumps({"x": Hostile(marker)}, protocol=4),
    "inst": lambda marker: f"(S'{marker}'\nios\nmkdir\n.".encode(),
    "obj": lambda marker: f"(cos\nmkdir\nS'{marker}'\no.".encode(),
    "newobj": lambda marker: f"\x80\x02cos\nmkdir\n(S'{marker}'\nt\x81.".encode("latin-1"),
    "build": lambda marker: (
        f"ccollections\nOrderedDict\n)R(S'x'\ncos\nmkdir\n(S'{marker}'\ntRsb.".encode()
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pickles_are_refused_and_not_run(path, tmp_path, case):
    marker = tmp_path / "marker"
    write_pt(path, {}, HOSTILE[case](marker))
    refused(path, "is refused: it holds (os|posix|nt).mkdir")
    assert not marker.exists()


def test_the_hostile_payload_is_live(tmp_path):
    marker = tmp_path / "marker"
    pickle.loads(HOSTILE["reduce"](marker))
    assert marker.exists()


@pytest.mark.parametrize("name", [
    b"torch\nload", b"builtins\ngetattr", b"torch._utils\n_rebuild_tensor", b"numpy\nload",
])  # fmt: skip
def test_other_names_are_refused_by_name(path, name):
    write_pt(path, {}, b"\x80\x02c" + name + b"\n.")
    refused(path, f"it holds {name.decode().replace(chr(10), '.')}; only tensors and containers")


DAMAGED = {
    "ends early": b"\x80\x02}",
    "pops nothing": b"\x80\x02u.",
    "no program": b"",
    "number": b"K\x05.",
    "list": b"]K\x05a.",
    "string values": b"}X\x01\0\0\0aX\x01\0\0\0bs.",
    "calls a number": b"K\x05)R.",
    "calls a storage type": b"ctorch\nFloatStorage\n)R.",
    "wrong reference": b"X\x01\0\0\0aQ.",
    "unknown memo": b"h\x09.",
}


@pytest.mark.parametrize("case", DAMAGED)
def test_malformed_programs_are_one_line(path, case):
    write_pt(path, {}, DAMAGED[case])
    refused(path, "weights.pt")


def test_other_objects_are_no_state_dict(path):
    write_pt(path, {}, pickle.dumps({1, 2}, protocol=4))
    refused(path, "expected a state_dict .a dictionary of tensors., found .* something else")


def test_more_than_weights_is_passed_over(path, tensors, tmp_path):
    """What a checkpoint holds beside its weights is neither run nor read."""
    marker = tmp_path / "marker"
    rest = {"date": datetime.datetime(2024, 7, 1), "mAP": np.float64(0.5), "x": Hostile(marker)}
    rest["counts"] = collections.Counter(a=1)
    program = pickle.dumps(rest, protocol=2)[:-1]  # without its end
    item = b"X\x10\0\0\0model_state_dict" + pickle_of(tensors)[2:-1] + b"s."
    write_pt(path, tensors, program + item)
    read = read_state_dict(path)
    assert list(read) == list(tensors)
    np.testing.assert_array_equal(read["conv2.weight"], tensors["conv2.weight"])
    assert not marker.exists()


@pytest.mark.parametrize("state", [
    b"}X\x08\0\0\0__call__K\x01sb", b"(N}X\x08\0\0\0__call__K\x01stb",
], ids=["dictionary", "slots"])  # fmt: skip
@pytest.mark.parametrize("name", [
    b"torch._utils\n_rebuild_tensor_v2", b"collections\nOrderedDict", b"torch\nFloatStorage",
])  # fmt: skip
def test_what_is_admitted_cannot_be_changed(path, tensors, name, state):
    """A pickle may set attributes of what it holds (BUILD): ours stay as they are."""
    write_pt(path, {}, b"\x80\x02c" + name + b"\n" + state + b".")
    refused(path, "truncated or damaged|something else")
    write_pt(path, tensors)
    assert list(read_state_dict(path)) == list(tensors)


def test_big_endian_storages(path):
    numbers = np.array([1.5, -2.0, 3e10], np.float32)
    write_pt(path, {"x": numbers.byteswap()})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/byteorder", "big")
    read = read_state_dict(path)["x"]
    np.testing.assert_array_equal(read, numbers)
    assert read.dtype.isnative


def test_a_tensor_may_not_leave_its_storage(path):
    array = np.zeros(6, np.float32)
    program = pickle_of({"x": array.reshape(3, 2)})
    size = b"J\x03\0\0\0J\x02\0\0\0t("
    assert size in program
    for shape in (b"J\x04\0\0\0J\x02\0\0\0t(", b"J\xff\xff\xff\xffJ\xfa\xff\xff\xfft("):
        write_pt(path, {"x": array}, program.replace(size, shape))
        refused(path, "does not fit its storage of 6")
    write_pt(path, {"x": array[:5]}, program)
    with pytest.raises(MulkinetError, match="20 bytes for 6 numbers"):
        read_state_dict(path)


def stream_of(tensors, order="<"):
    """What torch.save wrote before 1.6: the same pickle, with a storage's key and size before its numbers."""
    parts = [
        0x1950A86A20F9469CFC6C,
        1001,
        {"protocol_version": 1001, "little_endian": order == "<"},
    ]
    data = b"".join(pickle.dumps(part, protocol=2) for part in parts)
    program = pickle_of(tensors).replace(b"tQ", b"NtQ")  # there is a place for a view's bounds
    data += program + pickle.dumps([str(i) for i in range(len(tensors))], protocol=2)
    for array in map(np.asarray, tensors.values()):
        size = array.size.to_bytes(8, "little" if order == "<" else "big")
        data += size + array.astype(array.dtype.newbyteorder(order)).tobytes()
    return data


@pytest.mark.parametrize("order", "<>")
def test_the_stream_of_before_1_6(path, tensors, order):
    path.write_bytes(stream_of(tensors, order))
    read = read_state_dict(path)
    assert list(read) == list(tensors)
    for key, array in tensors.items():
        np.testing.assert_array_equal(read[key], array)
    import_weights(path)


def test_damaged_streams(path, tensors):
    data = stream_of(tensors)
    path.write_bytes(data[:-5])
    refused(path, "truncated or damaged .5 bytes are missing")
    path.write_bytes(data[:400])
    refused(path, "truncated or damaged")
    path.write_bytes(data.replace(b"NtQ", b"K\x01tQ", 1))
    refused(path, "something other than a whole storage")


def test_the_tar_of_before_0_1_10_says_what_to_do(path):
    path.write_bytes(b"\0" * 257 + b"ustar" + b"\0" * 250)
    refused(path, "a tar archive of before 0.1.10; in a newer PyTorch, torch.save")


def test_a_large_file_is_read_in_seconds_of_processor_and_little_memory(path):
    """Optimizer state is not read at all, and weights are kept once."""
    numbers = np.ones(25_000_000, np.float32)
    weights = {"a": numbers[:5_000_000], "b": numbers[:20_000_000]}
    write_pt(path, weights)
    assert path.stat().st_size > 99e6
    tracemalloc.start()
    start = time.process_time()
    read = read_state_dict(path)
    seconds = time.process_time() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read["b"].shape == (20_000_000,)
    assert peak < 2 * path.stat().st_size
    assert seconds < 5


def test_re_move_is_compared_by_cosine(path):
    write_pt(path, state_dict_of(build_model("move", n_filters=3, embedding_len=256)))
    model = import_weights(path)
    assert (model.network, model.distance) == ("move", "cosine")


def test_other_zip_files(path, tensors):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    refused(path, r"expected a zip file of one state_dict .*, found a.txt")
    write_pt(path, tensors)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/constants.pkl", "x")
    refused(path, "expected a zip file of one state_dict")


def test_truncated_and_foreign_files(path, tensors, tmp_path):
    write_pt(path, tensors)
    path.write_bytes(path.read_bytes()[:-30])
    refused(path, "neither a PyTorch nor an HDF5 file or is truncated")
    path.write_text("not weights")
    refused(path, "neither a PyTorch nor an HDF5 file or is truncated")
    refused(tmp_path / "none.pt", "found no file")
    refused(tmp_path, "found a folder")


def test_a_flipped_byte_is_found(path, tensors):
    write_pt(path, tensors)
    data = bytearray(path.read_bytes())
    at = data.index(tensors["conv2.weight"].tobytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))
    refused(path, "truncated or damaged .*CRC")


# --- Keras -------------------------------------------------------------------------------------


@pytest.fixture
def siamese(golden, tmp_path):
    path = tmp_path / "siamese.hdf5"
    shutil.copyfile(golden / "siamese-250.hdf5", path)
    return path


@pytest.fixture
def mulkinet(golden, tmp_path):
    path = tmp_path / "mulkinet.h5"
    shutil.copyfile(golden / "mulkinet" / "wider-4-notempatt.h5", path)
    return path


def test_a_hostile_lambda_is_not_run(siamese, tmp_path):
    marker = tmp_path / "marker"
    hostile = hostile_lambda(marker)
    with h5py.File(siamese, "r+") as file:
        model = json.loads(file.attrs["model_config"])
        described = next(x for x in model["config"]["layers"] if x["class_name"] == "Lambda")
        described["config"].update(function=hostile["function"], function_type="lambda")
        file.attrs["model_config"] = json.dumps(model)
    import_weights(siamese)
    assert not marker.exists()
    tf.keras.models.load_model(siamese, compile=False, safe_mode=False)
    assert marker.exists(), "the payload must be live for this test to mean anything"


def remove(path, name):
    with h5py.File(path, "r+") as file:
        del file[f"model_weights/{name}"]


def replace(path, name, array):
    remove(path, name)
    with h5py.File(path, "r+") as file:
        file[f"model_weights/{name}"] = array


def test_keras_weights_that_do_not_fit_are_named(mulkinet, siamese):
    remove(mulkinet, "KI_3_BN/KI_3_BN/beta:0")
    refused(mulkinet, "KI_3_BN/beta is missing")
    replace(mulkinet, "KI_3_Conv/KI_3_Conv/kernel:0", np.zeros((4, 12, 2, 8), "f4"))
    refused(mulkinet, r"KI_3_Conv/kernel is \(4, 12, 2, 8\), expected \(4, 13, 2, 8\)")
    replace(siamese, "sequential_1/conv2d_9/bias:0", np.zeros(63, "f4"))
    refused(siamese, r"conv2d_9/bias is \(63,\), expected \(64,\)")
    remove(siamese, "sequential_1/conv2d_9/bias:0")
    refused(siamese, "conv2d_9/bias is missing")


def test_arrays_that_options_are_read_off(mulkinet, siamese):
    replace(mulkinet, "Embedding/Embedding/kernel:0", np.zeros(128, "f4"))
    refused(mulkinet, r"Embedding/kernel: expected 2 axes, found \(128,\)")
    layer = "KI_Wider_Bottleneck0_0_Conv"
    replace(mulkinet, f"{layer}/{layer}/kernel:0", np.zeros((4, 12), "f4"))
    refused(mulkinet, rf"{layer}/kernel: expected 4 axes, found \(4, 12\)")
    remove(mulkinet, layer)
    refused(mulkinet, f"{layer}/kernel is missing")
    replace(siamese, "sequential_1/dense_2/kernel:0", np.zeros(512, "f4"))
    refused(siamese, r"dense_2/kernel: expected 2 axes, found \(512,\)")


def test_other_keras_models_are_refused(mulkinet, siamese, move, tmp_path):
    remove(mulkinet, "Temporal_0_Conv")
    refused(mulkinet, "expected MulKINet's layers .* or the Siamese twin's")
    remove(siamese, "sequential_1/conv2d_9")
    refused(siamese, "expected MulKINet's layers .* or the Siamese twin's")
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file["conv/kernel"] = np.zeros(3)
    refused(path, "expected a whole Keras model .group model_weights., found .* with conv")
    model_file = tmp_path / "model.h5"
    save_model(move, model_file)
    refused(model_file, "is a model file already")
    refused(mulkinet, "sum_method: expected for MOVE's weights only", sum_method="max")


def test_damaged_keras_files(mulkinet):
    with h5py.File(mulkinet, "r+") as file:
        file.attrs["model_config"] = "{"
    refused(mulkinet, "does not fit: its attribute model_config is no JSON .Expecting property")
    with h5py.File(mulkinet, "r+") as file:
        file.attrs["model_config"] = json.dumps({"config": {"layers": []}})
    refused(mulkinet, "does not fit: its model_config describes no input layer")
    with h5py.File(mulkinet, "r+") as file:
        layers = [{"config": {"batch_input_shape": [None, 12, 400, 1]}}]
        file.attrs["model_config"] = json.dumps({"config": {"layers": layers}})
    refused(mulkinet, r"expected an input of 23 rows and some frames, found \(None, 12, 400, 1\)")
    mulkinet.write_bytes(mulkinet.read_bytes()[:100000])
    refused(mulkinet, "truncated or damaged")
