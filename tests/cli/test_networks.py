"""`train.py` and `evaluate.py` and the networks: options that reach them, sizes that do not fit."""

import json
import logging

import numpy as np
import pytest

from mulkinet import build_model, load_model, save_model
from mulkinet.cli.evaluate import main as evaluate
from mulkinet.cli.train import main
from mulkinet.data.store_writer import StoreWriter
from tests.commands import invoke
from tests.patterns import SETTINGS, TINY_OPTIONS, write_pattern_store

MOVE = ("--model", "move", "--n-filters", "2", "--embedding-len", "4", "--n-frames", "330")
RESCNN = ("--model", "rescnn", "--width", "2", "--depth", "1", "--embedding-len", "4")


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    return write_pattern_store(tmp_path_factory.mktemp("store") / "patterns.h5")


@pytest.fixture
def untrained(store_path, tmp_path, monkeypatch):
    """A run of no epochs: (result, model file, which need not be there)."""
    monkeypatch.chdir(tmp_path)

    def run(*options):
        arguments = ("--data-dir", store_path, "--max-epoch", "0", "--gpu", "-1", *options)
        return invoke(main, *arguments), tmp_path / "models" / "test" / "best.h5"

    return run


REACH = {
    "defaults": ((), {"chnlatt": True, "tempatt": True, "strict_invariance": False}),
    "--strict-invariance": (("--strict-invariance",), {"strict_invariance": True}),
    "--no-chnlatt": (("--no-chnlatt",), {"chnlatt": False, "tempatt": True}),
    "--no-tempatt": (("--no-tempatt",), {"chnlatt": True, "tempatt": False}),
    "--no-invariance": ((*MOVE, "--no-invariance"), {"invariance": False}),
    "move's defaults": (MOVE, {"invariance": True, "sum_method": "adaptive-attention"}),
    "bins of the store": (
        (*RESCNN, "--n-frames", "40", "--pretrain-epochs", "0"),
        {"n_bins": 12, "width": 2},
    ),
}


@pytest.mark.parametrize("case", REACH)
def test_options_reach_the_network(untrained, case):
    options, expected = REACH[case]
    result, path = untrained(*(options if "--model" in options else (*TINY_OPTIONS, *options)))
    assert result.exit_code == 0, result.stderr
    found = load_model(path).options
    assert {name: found[name] for name in expected} == expected


WRONG = {
    "option of another network": (
        (*MOVE, "--no-chnlatt"),
        "move has no option chnlatt; it has sum_method",
    ),
    "too few frames": (
        (*MOVE, "--n-frames", "100"),
        "this move expects at least 320 frames, found 100; name a longer crop (--n-frames)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_one_line(untrained, tmp_path, case):
    options, message = WRONG[case]
    result, _ = untrained(*options)
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_another_number_of_bins_is_one_line(untrained, tmp_path):
    path = tmp_path / "cqt.h5"
    tracks = [(f"w{i // 2}", f"t{i % 2}") for i in range(8)]
    with StoreWriter(path, name="cqt", tracks=tracks) as writer:
        writer.add_feature("cqt", n_frames=[110] * 8, settings={**SETTINGS, "n_bins": 84})
        for track in tracks:
            writer.write("cqt", track, np.ones((110, 84), np.float32))
    result, _ = untrained(*MOVE, "--data-dir", path)
    assert result.exit_code == 1
    assert "move expects features of shape (batch, 12 bins, frames), found" in result.stderr
    assert result.stderr.count("\n") == 1
    result, _ = untrained(*RESCNN, "--data-dir", path, "--augment", "rotate")
    assert result.exit_code == 1
    assert "expected a feature of 12 pitch classes to rotate" in result.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_short_tracks_are_repeated_and_it_is_said(store_path, tmp_path, caplog):
    model_file, scores = tmp_path / "move.h5", tmp_path / "scores.json"
    save_model(build_model("move", n_filters=2, embedding_len=4), model_file)
    arguments = ("--model-file", model_file, "--data-dir", store_path, "--gpu", "-1")
    values = {}
    with caplog.at_level(logging.WARNING):
        for pad in ("zero", "wrap"):
            result = invoke(evaluate, *arguments, "--pad", pad, "--json", scores)
            assert result.exit_code == 0, result.stderr
            content = json.loads(scores.read_text(encoding="utf-8"))
            assert content["settings"]["pad"] == pad
            values[pad] = content["scores"]["EER_threshold"]
    assert caplog.messages == [
        "32 of 32 tracks are shorter than 320 frames and were repeated to that length"
    ]
    assert values["zero"] != values["wrap"]
    result = invoke(evaluate, "--baseline", "2dftm", "--data-dir", store_path, "--pad", "wrap")
    assert result.exit_code == 2
    assert "--pad goes with --model-file" in result.stderr
