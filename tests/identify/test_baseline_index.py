"""An index without any model: the embeddings of a baseline."""

import numpy as np
import pytest

from mulkinet import Index
from mulkinet.cli.main import main
from mulkinet.data.store_writer import StoreWriter
from mulkinet.errors import MulkinetError
from mulkinet.evaluation.distances import pair_distances
from mulkinet.identify.search import Search
from tests.commands import invoke
from tests.identify.songs import make_library, write_song

RATE = 4.0


@pytest.fixture
def store(tmp_path, rng):
    """Three performances of four melodies, each in another key; and one more of the third."""

    def perform(melody, key):
        frames = np.repeat(melody, 4, axis=0) + 0.05 * rng.random((200, 12))
        return np.roll(frames / 2, key, axis=1)

    tracks = [(f"w{work}", f"p{performance}") for work in range(4) for performance in range(3)]
    settings = {"bin0": "C", "sr": 44100, "hop_length": 512, "frame_rate": RATE}
    # Each has pitches of its own, by which mean chroma tells them apart.
    melodies = rng.random((4, 50, 12)) ** 4 * rng.random((4, 1, 12)) ** 2
    with StoreWriter(tmp_path / "songs.h5", name="songs", tracks=tracks) as writer:
        for feature in ("hpcp", "crema"):
            writer.add_feature(feature, n_frames=[200] * 12, settings={"n_bins": 12, **settings})
            for row, key in enumerate(tracks):
                writer.write(feature, key, perform(melodies[row // 3], 5 * row))
    return tmp_path / "songs.h5", perform(melodies[2], 3).T


@pytest.mark.parametrize("baseline", ["2dftm", "mean-chroma"])
def test_a_store_is_searched_and_calibrated(store, tmp_path, baseline):
    path, query = store
    index = Index.build(tmp_path / "i", path, baseline=baseline, progress=False)
    assert index.info()["feature"] == "crema"
    assert index.info()["network"] == index.info()["model_file"] == baseline
    for n_nearest in (0, None):
        answer = Index.open(tmp_path / "i").identify(query, rerank=n_nearest)
        assert answer.works[0].work_id == "w2"
        assert answer.works[0].probability is None
        assert (answer.works[0].reranked is None) == (n_nearest == 0)
        assert not answer.warnings
    index.calibrate()
    for n_nearest in (0, None):
        [first, second, *_] = Index.open(tmp_path / "i").identify(query, rerank=n_nearest).works
        assert first.work_id == "w2"
        assert first.probability > 0.5 > second.probability
        assert not second.is_cover


def test_audio_by_the_commands(library, tmp_path):
    path = tmp_path / "library.index"
    build = ("index", "build", library, "-o", path, "-n", 1, "--baseline", "2dftm")
    done = invoke(main, *build, "--feature", "hpcp")
    assert done.exit_code == 0, done.stderr
    assert "12 of them are shorter than the 37 s that the model takes at least" in done.stderr
    done = invoke(main, "index", "info", path)
    assert "2dftm" in done.stdout
    assert "hpcp (" in done.stdout
    done = invoke(main, "index", "add", make_library(tmp_path / "more", [6]), "--index", path)
    assert done.exit_code == 0, done.stderr
    query = write_song(tmp_path / "query.wav", 6, 7)
    done = invoke(main, "identify", query, "--index", path)
    assert done.exit_code == 0, done.stderr
    assert "was repeated to 37.4 s, the least that 2dftm takes" in done.stderr
    assert done.stdout.splitlines()[3].startswith("w6")
    # Another baseline is another index.
    done = invoke(main, *build[:-1], "mean-chroma", "--feature", "hpcp")
    assert done.exit_code == 1
    assert "expected the model that" in done.stderr


def test_wrong_baselines_and_features(library, store, tmp_path):
    build = ("index", "build", library, "-o", tmp_path / "i")
    for options, message in (
        (("--baseline", "2dftm", "--model-file", "covers"), "found both"),
        (("--feature", "hpcp"), "--feature goes with --baseline"),
    ):
        done = invoke(main, *build, *options)
        assert done.exit_code == 2
        assert message in done.stderr
    with pytest.raises(MulkinetError, match="2dftm.*found 'qmax'"):
        Index.build(tmp_path / "i", library, baseline="qmax")
    with pytest.raises(MulkinetError, match="12 bins.*found cqt"):
        Index.build(tmp_path / "i", library, baseline="2dftm", feature="cqt")
    with pytest.raises(MulkinetError, match="chroma_cens"):
        Index.build(tmp_path / "i", store[0], baseline="2dftm", feature="chroma_cens")
    assert not (tmp_path / "i").exists()


def test_search_by_transposed_cosine_is_the_evaluators(rng):
    embeddings, queries = (rng.random((n, 12)).astype(np.float32) for n in (300, 5))
    rows, distances = Search(embeddings, "transposed_cosine").nearest(queries, 7)
    for query, near, far in zip(queries, rows, distances):
        every = np.repeat(query[None], 300, axis=0)
        expected = pair_distances(every, embeddings, distance="transposed_cosine")
        order = np.argsort(expected, kind="stable")[:7]
        np.testing.assert_array_equal(near, order)
        np.testing.assert_allclose(far, expected[order], atol=1e-12)
