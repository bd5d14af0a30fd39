"""`evaluate.py` and `mulkinet compare` as a user calls them."""

import json

import numpy as np
import pytest

from mulkinet.cli.compare import main as compare
from mulkinet.cli.evaluate import main as evaluate
from mulkinet.data.store_writer import StoreWriter
from mulkinet.errors import MulkinetError
from mulkinet.evaluation.evaluator import run_evaluation
from mulkinet.evaluation.files import _Works
from mulkinet.evaluation.inputs import Candidates
from mulkinet.evaluation.results import write_tables
from tests.commands import invoke


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store, lists, and the embeddings of somebody else's system."""
    folder = tmp_path_factory.mktemp("evaluate")
    rng = np.random.default_rng(3)
    tracks = [(f"w{n // 3}", f"t{n % 3}") for n in range(24)] + [("solo", "x")]
    settings = {"n_bins": 12, "bin0": "C", "sr": 44100, "hop_length": 512, "frame_rate": 3.0}
    songs = {work: rng.random(12) for work, _ in tracks}
    titles = {"title": [f"Song {work}" for work, _ in tracks]}
    with StoreWriter(folder / "songs.h5", name="songs", tracks=tracks, metadata=titles) as store:
        store.add_feature("crema", n_frames=[80] * 25, settings=settings)
        for work, track in tracks:
            frames = songs[work] + rng.random((80, 12)) + 0.6 * rng.random(12)
            store.write("crema", (work, track), np.roll(frames, rng.integers(12), axis=1))
    ids = [f"{work}\t{track}\n" for work, track in tracks]
    (folder / "all").write_text("".join(ids), encoding="utf-8")
    (folder / "test").write_text("".join(ids[:12]), encoding="utf-8")
    (folder / "val").write_text("".join(ids[12:24]), encoding="utf-8")
    (folder / "queries").write_text("".join(ids[0:12:3]), encoding="utf-8")
    embeddings = np.repeat(rng.standard_normal((9, 6)), 3, axis=0)[:25]
    np.save(folder / "theirs.npy", embeddings + 0.4 * rng.standard_normal((25, 6)))
    np.save(folder / "scalar.npy", np.array(1.0))
    np.savez(folder / "weights.npz", kernel=np.ones(6))
    (folder / "empty.npy").write_bytes(b"")
    (folder / "works").write_text("".join(f"{work}\n" for work, _ in tracks), encoding="utf-8")
    return folder


BASELINE = ("--baseline", "2dftm")
POINTS = ("--embeddings", "@theirs.npy", "--works", "@all")
L1 = (*POINTS, "--distance", "weighted_l1", "--distance-weights")
MATRIX = ("--distances", "@theirs.npy", "--works", "@all")


def call(folder, *arguments, command=evaluate):
    filled = [str(argument).replace("@", f"{folder}/") for argument in arguments]
    return invoke(command, *filled)


def test_baseline_as_a_table_and_json(folder, tmp_path):
    result = call(
        folder,
        *("--baseline", "mean-chroma", "--data-dir", "@songs.h5", "--test-ls", "@test"),
        *("--val-ls", "@val", "--ci", "--conventions", "--json", tmp_path / "scores.json"),
    )
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("12 tracks, 4 works, 12 queries, 12 references")
    table = {line.split()[0]: line for line in lines[3:] if line}
    content = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    scores = content["scores"]
    assert f"{scores['MAP']:.4f}" in table["MAP"]
    assert " to " in table["MAP"]
    assert f"{scores['tau']:.4f}" in table["tau"]
    assert "rank1" in table["CQTNet"]
    assert len(content["queries"]["AP"]) == scores["queries"] == 12
    assert content["settings"]["baseline"] == "mean-chroma"
    expected = {
        **{"test_ls": f"{folder}/test", "val_ls": f"{folder}/val", "feature": "crema"},
        **{"distance": "transposed_cosine", "memory": 64.0, "seed": 0},
    }
    assert expected.items() <= content["settings"].items()


def test_query_list(folder):
    arguments = ("--baseline", "2dftm", "--data-dir", "@songs.h5", "--query-ls", "@queries")
    assert call(folder, *arguments).stdout.startswith("25 tracks, 9 works, 4 queries, 25 refer")
    arguments = (*arguments, "--test-ls", "@test")
    assert call(folder, *arguments).stdout.startswith("12 tracks, 4 works, 4 queries, 12 refer")


def test_precomputed_embeddings_and_distances(folder, tmp_path):
    arguments = ("--embeddings", "@theirs.npy", "--works", "@all")
    result = call(folder, *arguments, "--out", tmp_path / "out", "--json", tmp_path / "a.json")
    assert result.exit_code == 0, result.stderr
    counts = "25 tracks, 9 works, 24 queries, 25 references; "
    assert result.stdout.startswith(
        f"{counts}1 track is not a query (no other track of its work)\n"
    )
    # What --out writes can be scored again, alike.
    out = ("--embeddings", tmp_path / "out/embeddings.npy", "--works", tmp_path / "out/tracks.txt")
    assert call(folder, *out).stdout == result.stdout
    embeddings = np.load(folder / "theirs.npy")
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    np.save(tmp_path / "matrix.npy", 1 - unit @ unit.T)
    result = call(
        folder,
        *("--distances", tmp_path / "matrix.npy", "--works", "@all", "--json", tmp_path / "b.json"),
    )
    assert result.exit_code == 0, result.stderr
    a, b = (
        json.loads((tmp_path / f"{n}.json").read_text(encoding="utf-8"))["scores"] for n in "ab"
    )
    assert b == pytest.approx(a, abs=1e-5)
    result = call(folder, tmp_path / "a.json", tmp_path / "b.json", command=compare)
    assert result.exit_code == 0
    assert "24 queries in common" in result.stdout
    assert result.stdout.splitlines()[-6].startswith("MAP")


def test_lists_name_tracks_of_the_works_file(folder):
    arguments = ("--embeddings", "@theirs.npy", "--works", "@all", "--distance", "euclidean")
    result = call(folder, *arguments, "--test-ls", "@test", "--query-ls", "@queries")
    assert result.stdout.startswith("12 tracks, 4 works, 4 queries, 12 references\n")
    result = call(folder, *arguments, "--val-ls", "@val", "--test-ls", "@test")
    assert "precision@tau" in result.stdout


def scores_of(folder, json_file, *arguments):
    result = call(folder, *arguments, "--json", json_file)
    assert result.exit_code == 0, result.stderr
    return json.loads(json_file.read_text(encoding="utf-8"))["scores"]


def test_tau_is_that_of_calibrate(folder, tmp_path):
    from mulkinet.identify.calibration import calibrate

    scores = scores_of(
        folder, tmp_path / "a.json", *POINTS, "--val-ls", "@val", "--test-ls", "@test"
    )
    alone = scores_of(folder, tmp_path / "b.json", *POINTS, "--test-ls", "@val")
    ids = [line.split("\t") for line in (folder / "val").read_text(encoding="utf-8").splitlines()]
    works, tracks = np.array(ids).T
    embeddings = np.load(folder / "theirs.npy")[12:24]
    options = {"distance": "cosine", "weights": None, "false_accept_rate": None, "known": 0.5}
    calibration = calibrate(embeddings, works, tracks, **options)
    assert scores["tau"] == alone["EER_threshold"] == calibration["tau"]


def test_one_matrix_serves_every_list(folder, tmp_path, rng):
    # Rows and columns of D.npy are those of --works, whatever is asked: here of tracks in no order.
    lines = (folder / "all").read_text(encoding="utf-8").splitlines(keepends=True)
    order = rng.permutation(len(lines))
    (tmp_path / "works").write_text("".join(lines[i] for i in order), encoding="utf-8")
    embeddings = np.load(folder / "theirs.npy")[order]
    np.save(tmp_path / "x.npy", embeddings)
    np.save(tmp_path / "d.npy", np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2))
    works = ("--works", tmp_path / "works")
    of_points = ("--embeddings", tmp_path / "x.npy", *works, "--distance", "euclidean")
    of_matrix = ("--distances", tmp_path / "d.npy", *works, "--memory", "0.0001")
    for lists in (
        ("--val-ls", "@val", "--test-ls", "@test", "--query-ls", "@queries"),
        ("--val-ls", "@val", "--test-ls", "@test"),
        ("--query-ls", "@queries"),
        (),
    ):
        expected = scores_of(folder, tmp_path / "x.json", *of_points, *lists)
        found = scores_of(folder, tmp_path / "d.json", *of_matrix, *lists)
        assert found == pytest.approx(expected, rel=1e-6)


def test_skip_missing_of_a_works_file(folder, tmp_path):
    ids = (folder / "all").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [n for n in range(25) if n not in (0, 12, 13)]
    (tmp_path / "works").write_text("".join(ids[n] for n in kept), encoding="utf-8")
    embeddings = np.load(folder / "theirs.npy")[kept]
    np.save(tmp_path / "x.npy", embeddings)
    np.save(tmp_path / "d.npy", np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2))
    lists = ("--works", tmp_path / "works", "--val-ls", "@val", "--test-ls", "@test")
    for system in (("--embeddings", tmp_path / "x.npy"), ("--distances", tmp_path / "d.npy")):
        result = call(folder, *system, *lists, "--skip-missing")
        assert result.exit_code == 0, result.stderr
        assert result.stdout.startswith("11 tracks, 4 works, 11 queries")
        assert f"1 tracks of {folder}/test are missing, 0 more" in result.stdout
        assert f"2 tracks of {folder}/val are missing, 1 more" in result.stdout
        result = call(folder, *system, *lists)
        assert result.exit_code == 1
        assert "--skip-missing" in result.stderr


def write_crossed(folder):
    """Works of which queries and references hold one track each; a reference of one is missing."""
    tracks = "a/q1 a/r1 b/q1 b/r1 b/r2 c/q1 c/r1 c/r2".split()
    lists = {
        "works": tracks,
        "references": [track for track in tracks if "r" in track] + ["a/r2"],
        "queries": [track for track in tracks if "q" in track],
    }
    for name, listed in lists.items():
        lines = (track.replace("/", "\t") + "\n" for track in listed)
        (folder / name).write_text("".join(lines), encoding="utf-8")
    np.save(folder / "x.npy", np.random.default_rng(0).standard_normal((8, 4)))
    return ("--embeddings", folder / "x.npy", "--works", folder / "works", "--skip-missing")


def test_skip_missing_looks_at_queries_and_references_together(folder, tmp_path):
    system, lists = write_crossed(tmp_path), ("--test-ls", tmp_path / "references")
    result = call(folder, *system, *lists, "--query-ls", tmp_path / "queries")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("8 tracks, 3 works, 3 queries, 5 references\n")
    assert f"1 tracks of {tmp_path}/references are missing, 0 more" in result.stdout
    # Without a list the references are all tracks.
    (tmp_path / "queries").write_text("a\tq1\na\tq2\n", encoding="utf-8")
    result = call(folder, *system, "--query-ls", tmp_path / "queries")
    assert result.stdout.startswith("8 tracks, 3 works, 1 queries, 8 references\n")


def test_one_list_for_queries_and_references_is_told_of_once(folder, tmp_path):
    system, path = write_crossed(tmp_path), tmp_path / "references"
    result = call(folder, *system, "--test-ls", path, "--query-ls", path)
    assert result.exit_code == 0, result.stderr
    # Of a, one track is left.
    assert result.stdout.startswith("4 tracks, 2 works, 4 queries, 4 references\n")
    assert result.stdout.count("are missing") == 1


def npy_with_header(header):
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)


DAMAGED = {
    "no end": npy_with_header(b"{'descr': ('<f4', "),
    "no dict": npy_with_header(b"{'descr' '<f4'}"),
    "sum": npy_with_header(b"{1 + 'x': 2}"),
    "depth": npy_with_header(b"(" * 2000),
    "length": npy_with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (10**9, 1)}"),
    "size": npy_with_header(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1 << 99,)}"),
    "objects": npy_with_header(b"{'descr': 'O', 'fortran_order': False, 'shape': (2,)}"),
    "archive": b"PK\x03\x04" + bytes(60),
    "cut": b"\x93NUMPY\x01",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_arrays_are_one_line(folder, tmp_path, damage):
    (tmp_path / "x.npy").write_bytes(DAMAGED[damage])
    result = call(folder, "--embeddings", tmp_path / "x.npy", "--works", "@all")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: expected a matrix in a .npy file")
    assert len(result.stderr.splitlines()) == 1


def test_damaged_weights_are_one_line(folder, tmp_path):
    path = tmp_path / "k.npz"
    np.savez_compressed(path, kernel=np.arange(600.0), bias=1.0)
    whole = path.read_bytes()
    for damaged in (
        # What is compressed begins after a name and 20 bytes of extra.
        whole[:64] + b"\xff" * 40 + whole[104:],
        whole.replace(b"\x08\x00", b"\x63\x00"),
        whole[:-9],
    ):
        path.write_bytes(damaged)
        result = call(folder, *L1, path)
        assert result.stderr.startswith("Error: expected kernel and bias in a .npz file")
        assert len(result.stderr.splitlines()) == 1


def test_the_rows_of_a_works_file_are_found_once(folder):
    tracks = _Works(folder / "all")
    assert tracks.rows_by_key is tracks.rows_by_key


def test_a_twins_distance_goes_out_and_in_again(folder, tmp_path, rng):
    kernel, bias = rng.standard_normal(6).astype(np.float32), -0.75
    candidates = Candidates(
        np.load(folder / "theirs.npy"),
        np.array([f"w{n // 3}" for n in range(25)]),
        distance="weighted_l1",
        weights=(kernel, bias),
    )
    evaluation = run_evaluation(**candidates.arguments)
    write_tables(tmp_path, evaluation, candidates)
    works = ("--embeddings", tmp_path / "embeddings.npy", "--works", tmp_path / "tracks.txt")
    weights = ("--distance-weights", tmp_path / "distance_weights.npz")
    found = scores_of(
        folder,
        tmp_path / "a.json",
        *works,
        "--distance",
        "weighted_l1",
        *weights,
        "--out",
        tmp_path,
    )
    assert found == evaluation.scores
    # --out has written them once more.
    again = scores_of(folder, tmp_path / "b.json", *works, "--distance", "weighted_l1", *weights)
    assert again == evaluation.scores
    assert (
        again["MAP"]
        != scores_of(folder, tmp_path / "c.json", *works, "--distance", "weighted_l1")["MAP"]
    )


def test_similarities_given_as_distances_are_told(folder, tmp_path):
    x = np.load(folder / "theirs.npy")
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    for matrix, exit_code in ((x @ x.T, 1), (1 - x @ x.T, 0)):
        np.save(tmp_path / "d.npy", matrix)
        result = call(folder, "--distances", tmp_path / "d.npy", "--works", "@all")
        assert result.exit_code == exit_code
        assert ("these are similarities; subtract them" in result.stderr) == (exit_code == 1)


def test_gpu_of_what_has_no_network(folder, monkeypatch):
    chosen = []
    monkeypatch.setattr("mulkinet.evaluation.products.may_have_gpu", lambda: True)
    monkeypatch.setattr("mulkinet.evaluation.distances.matrix_product", lambda: np.matmul)
    monkeypatch.setattr(
        "mulkinet.training.devices.strategy_of", lambda gpus, _: chosen.append(gpus)
    )
    arguments = ("--embeddings", "@theirs.npy", "--works", "@all")
    assert call(folder, *arguments, "--gpu", "1").exit_code == 0
    assert chosen == [[1]]


def test_report_of_a_command(folder, tmp_path):
    arguments = ("--baseline", "mean-chroma", "--data-dir", "@songs.h5", "--report", tmp_path)
    result = call(folder, *arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"report: {tmp_path}/index.html"
    assert "Song w0" in (tmp_path / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected one of --model-file, --baseline, --embeddings, --distances, found none"),
        (("--baseline", "qmax", "--model-file", "x"), "found --model-file and --baseline"),
        (("--embeddings", "@theirs.npy"), "--embeddings goes with --works"),
        (
            ("--baseline", "qmax", "--works", "@all"),
            "--works goes with --embeddings or --distances",
        ),
        ((*BASELINE, "--distance", "cosine"), "--distance goes with --embeddings or --model-file"),
        ((*MATRIX, "--distance", "euclidean"), "--distance goes with --embeddings"),
        ((*MATRIX, "--feature", "hpcp"), "--feature goes with --model-file or --baseline"),
        ((*MATRIX, "--data-dir", "x"), "--data-dir goes with --model-file or --baseline"),
        ((*MATRIX, "-n", "2"), "--n-workers goes with --model-file or --baseline"),
        ((*BASELINE, "--batchsize", "32"), "--batchsize goes with --model-file"),
        ((*BASELINE, "--distance-weights", "w"), "--distance-weights goes with --embeddings"),
        ((*POINTS, "--distance-weights", "w"), "goes with --distance weighted_l1"),
        (("--baseline", "qmax", "--memory", "0"), "--memory"),
    ],
)
def test_wrong_usage(folder, arguments, message):
    result = call(folder, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model-file", "@all", "--gpu", "-1"), "expected a model file"),
        (("--baseline", "chroma", "--data-dir", "@songs.h5"), "found 'chroma'"),
        (("--baseline", "2dftm", "--data-dir", "@none.h5"), "found no file"),
        (("--embeddings", "@none.npy", "--works", "@all"), "No such file"),
        (("--embeddings", "@all", "--works", "@all"), "a matrix in a .npy file"),
        (("--embeddings", "@empty.npy", "--works", "@all"), "a matrix in a .npy file"),
        (("--embeddings", "@scalar.npy", "--works", "@all"), "found shape ()"),
        (("--embeddings", "@weights.npz", "--works", "@all"), "a matrix in a .npy file"),
        (("--distances", "@scalar.npy", "--works", "@all"), "found shape ()"),
        (MATRIX, "distances of all 25 tracks"),
        ((*POINTS, "--memory", "inf"), "above 0, found inf"),
        ((*L1, "@none.npz"), "No such file"),
        ((*L1, "@all"), "kernel and bias in a .npz file"),
        ((*L1, "@theirs.npy"), "kernel and bias in a .npz file"),
        ((*L1, "@weights.npz"), "kernel and bias in a .npz file"),
        (
            ("--embeddings", "@theirs.npy", "--works", "@works", "--test-ls", "@test"),
            "give <work> TAB <track> in --works",
        ),
        (("--embeddings", "@theirs.npy", "--works", "@test"), "found 25 for 12"),
        (("--embeddings", "@theirs.npy", "--works", "@none"), "expected a works file"),
        (("--embeddings", "@theirs.npy", "--works", "@songs.h5"), "expected a works file"),
        (("--embeddings", "@theirs.npy", "--works", "@all", "--test-ls", "@none"), "list file"),
    ],
)
def test_errors_are_one_line_and_write_nothing(folder, tmp_path, arguments, message):
    result = call(folder, *arguments, "--json", tmp_path / "s.json", "--report", tmp_path / "r")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def small_model(path, **metadata):
    """Writes the file of an untrained network."""
    from mulkinet.models import build_model
    from mulkinet.models.model_file import save_model

    options = {"block": "simple", "ki_block_num": 1, "ki_out_channel": 4, "n_frames": 200}
    model = build_model("mulkinet", **options, embedding_len=8)
    model.metadata.update(metadata)
    save_model(model, path)


def test_model_file_on_its_features(folder, tmp_path):
    from mulkinet.data.store import FeatureStore

    settings = FeatureStore(folder / "songs.h5").settings("crema")
    small_model(tmp_path / "model.h5", feature="crema", feature_settings=settings)
    arguments = ("--data-dir", "@songs.h5", "--gpu", "-1", "--json", tmp_path / "scores.json")
    result = call(folder, "--model-file", tmp_path / "model.h5", *arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("25 tracks, 9 works, 24 queries")
    found = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["settings"]
    assert (found["network"], found["distance"]) == ("mulkinet", "cosine")
    assert (found["feature"], found["pad"], found["batchsize"]) == ("crema", "wrap", 32)
    other = {**settings, "hop_length": 1024}
    small_model(tmp_path / "other.h5", feature="crema", feature_settings=other)
    result = call(folder, "--model-file", tmp_path / "other.h5", *arguments)
    assert result.exit_code == 1
    assert "hop_length 512 instead of 1024" in result.stderr


def test_no_data_named_is_the_demo_set(folder, tmp_path, monkeypatch):
    class Demo:
        store_path = folder / "songs.h5"
        lists = {"TEST": folder / "test"}

    demo = pytest.importorskip("mulkinet.sources.demo.demo_set")
    monkeypatch.setattr(demo, "ensure_demo", lambda check: Demo)
    assert call(folder, "--baseline", "mean-chroma").stdout.startswith("12 tracks, 4 works")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--baseline", "foo"), "found 'foo'"),
        (("--baseline", "mean-chroma", "--test-ls", "absent"), "expected a list file at absent"),
        (("--baseline", "mean-chroma", "--query-ls", "absent"), "expected a list file at absent"),
        (("--model-file", "absent.h5", "--gpu", "-1"), "absent.h5"),
    ],
)
def test_wrong_options_are_told_before_the_demo_set_is_made(
    tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    result = invoke(evaluate, *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature": "crema"}, "expected crema, found that the demo set has hpcp alone"),
        ({"feature_settings": {"spect_len": 1000}}, "spect_len 500 instead of 1000"),
        ({"feature_settings": {"frame_rate": 43.07}}, "frame_rate 2.77"),
    ],
)
def test_the_demo_set_is_not_made_for_a_model_that_it_does_not_fit(
    folder, tmp_path, monkeypatch, changes, message
):
    monkeypatch.chdir(tmp_path)
    small_model(tmp_path / "model.h5", **{"feature": "hpcp", **changes})
    result = invoke(evaluate, "--model-file", "model.h5", "--gpu", "-1")
    assert result.exit_code == 1
    assert "the demo set would not do" in result.stderr
    assert message in result.stderr
    assert "--data-dir" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


def test_making_the_demo_set_begins_with_a_line(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mulkinet.sources.demo.demo_set.make_demo", _out_of_time)
    small_model(tmp_path / "model.h5", feature="hpcp", feature_settings={"spect_len": 500})
    result = invoke(evaluate, "--model-file", "model.h5", "--gpu", "-1")
    assert result.exit_code == 1
    assert "out of time" in result.stderr
    [line] = [record.getMessage() for record in caplog.records if "demo set" in record.getMessage()]
    for part in (
        "making the demo set in datasets",
        "570 recordings",
        "1.3 GB",
        "minutes",
        "--data-dir",
    ):
        assert part in line


def _out_of_time(*_, **__):
    raise MulkinetError("out of time")


def test_arguments_of_candidates_are_those_of_evaluate():
    candidates = Candidates(np.zeros((2, 3)), np.array(["a", "a"]))
    from mulkinet.evaluation import evaluate as score

    assert score(**candidates.arguments)["queries"] == 2
