"""The nearest by embedding are ordered by both distances, the others stay behind them."""

import dataclasses

import numpy as np
import pytest

from mulkinet.alignment import qmax
from mulkinet.cli.evaluate import main
from mulkinet.data.store_writer import StoreWriter
from mulkinet.errors import MulkinetError
from mulkinet.evaluation import evaluate
from mulkinet.evaluation.inputs import baseline_loader
from mulkinet.evaluation.reranking import choose_weight, find_nearest
from tests.commands import invoke

SETTINGS = {"n_bins": 12, "bin0": "C", "sr": 44100, "hop_length": 512, "frame_rate": 2.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Works that share their chords, in another order: what alignment hears and mean chroma does not."""
    path = tmp_path_factory.mktemp("reranking") / "songs.h5"
    rng = np.random.default_rng(5)
    chords = rng.random((12, 12)) ** 3
    tracks = [(f"w{work}", f"p{n}") for work in range(5) for n in range(2)]
    with StoreWriter(path, name="songs", tracks=tracks) as writer:
        writer.add_feature("crema", n_frames=[96] * 10, settings=SETTINGS)
        for work in range(5):
            frames = np.repeat(chords[rng.permutation(12)], 8, axis=0)
            for n in range(2):
                noisy = frames + 0.1 * rng.random(frames.shape)
                writer.write("crema", (f"w{work}", f"p{n}"), np.roll(noisy, 3 * n, axis=1))
    return path


@pytest.fixture
def candidates(store):
    return baseline_loader("mean-chroma", store)(None, None)


def test_alignment_finds_what_the_embedding_does_not(candidates):
    alone = evaluate(**candidates.arguments)
    both = evaluate(**find_nearest(candidates, 9).fused(1.0).arguments)
    assert alone["MAP"] < 1
    assert both["MAP"] == 1


def test_distances_by_hand(candidates):
    nearest = find_nearest(candidates, 3, n_workers=1)
    store = candidates.tracks.store
    shape = nearest.places.shape
    assert shape == (10, 3)
    for query, row in enumerate(nearest.places):
        by_embedding = np.sort(nearest.distances[query])
        np.testing.assert_allclose(np.sort(nearest.distances[query, row]), by_embedding[:3])
        for place, found in zip(row, nearest.aligned[query]):
            first, second = sorted((query, place))
            score = qmax(*(store.read("crema", k).T for k in (first, second)))
            assert found == pytest.approx(np.log(np.sqrt(96 - 9) / score))
    fused = nearest.fused(0.25).embeddings
    by_embedding = np.take_along_axis(nearest.distances, nearest.places, axis=1)
    expected = (
        0.75 * by_embedding / by_embedding.std() + 0.25 * nearest.aligned / nearest.aligned.std()
    )
    np.testing.assert_allclose(np.take_along_axis(fused, nearest.places, axis=1), expected)
    # The rest is behind, in the order of the embeddings.
    rest = np.ones(fused.shape, dtype=bool)
    np.put_along_axis(rest, nearest.places, False, axis=1)
    assert fused[rest].min() > expected.max()
    for row, keep in enumerate(rest):
        order = np.argsort(nearest.distances[row, keep])
        assert (np.diff(fused[row, keep][order][:-1]) >= 0).all()
    assert np.isinf(np.diag(fused)).all()


def test_without_weight_the_order_stays(candidates):
    fused = find_nearest(candidates, 4).fused(0.0)
    assert evaluate(**fused.arguments)["MAP"] == evaluate(**candidates.arguments)["MAP"]


def test_choice_of_the_weight(candidates):
    nearest = find_nearest(candidates, 9)

    def score(fused):
        return evaluate(**fused.arguments)["MAP"]

    chosen = choose_weight(nearest, score)
    assert score(nearest.fused(chosen)) == 1
    assert choose_weight(nearest, lambda fused: 0) == 0.5
    assert choose_weight(nearest, lambda fused: -fused.settings["rerank_weight"]) == 0


def test_command_shows_both(store, tmp_path):
    (tmp_path / "val").write_text("w0\tp0\nw0\tp1\nw1\tp0\nw1\tp1\n", encoding="utf-8")
    arguments = ("--baseline", "mean-chroma", "--data-dir", store, "--rerank", "20")
    result = invoke(main, *arguments)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("by embedding alone\n10 tracks")
    assert "the 10 nearest re-ranked by alignment (crema, weight 0.5, " in result.stdout
    assert result.stdout.count("MAP ") == 2
    result = invoke(main, *arguments, "--val-ls", tmp_path / "val")
    assert result.exit_code == 0, result.stderr
    assert "weight " in result.stdout


def test_wrong_use(store, tmp_path, candidates):
    result = invoke(main, "--baseline", "qmax", "--data-dir", store, "--rerank", "5")
    assert result.exit_code == 2
    assert "qmax aligns all pairs" in result.stderr
    result = invoke(main, "--baseline", "2dftm", "--data-dir", store, "--rerank-feature", "crema")
    assert result.exit_code == 2
    result = invoke(main, "--embeddings", "x.npy", "--works", "w", "--rerank", "5")
    assert "--rerank goes with --model-file or --baseline" in result.stderr
    with pytest.raises(MulkinetError, match="expected embeddings of a store's tracks"):
        find_nearest(dataclasses.replace(candidates, tracks=None), 5)
