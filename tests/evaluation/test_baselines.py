"""Baselines find transposed performances, and what they compute is what they say."""

import dataclasses
import functools
import itertools
import subprocess
import sys

import numpy as np
import pytest

from mulkinet.alignment.scores import score_pair
from mulkinet.data.store import FeatureStore
from mulkinet.data.store_writer import StoreWriter
from mulkinet.embedding import embed
from mulkinet.errors import MulkinetError
from mulkinet.evaluation import evaluate
from mulkinet.evaluation.aligned import _estimate, alignment_distances, stored_chroma
from mulkinet.evaluation.baselines import Baseline, beats, fourier_magnitude, mean_chroma
from mulkinet.evaluation.inputs import baseline_loader, open_tracks

WORKS = {"one": 3, "two": 3, "three": 2, "noise": 1}
SETTINGS = {"bin0": "A", "sr": 44100, "hop_length": 512, "frame_rate": 4.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Works are melodies of chords; performances are transposed and noisy."""
    path = tmp_path_factory.mktemp("baselines") / "songs.h5"
    rng = np.random.default_rng(11)
    tracks = [(work, f"p{n}") for work, number in WORKS.items() for n in range(number)]
    with StoreWriter(path, name="songs", tracks=tracks) as writer:
        writer.add_feature("hpcp", n_frames=[200] * 9, settings={"n_bins": 12, **SETTINGS})
        writer.add_feature("cqt", n_frames=[1] * 9, settings={"n_bins": 84, **SETTINGS})
        melodies = {work: rng.random((50, 12)) ** 4 for work in WORKS}
        for work, track in tracks:
            frames = np.repeat(melodies[work], 4, axis=0) + 0.15 * rng.random((200, 12))
            writer.write("hpcp", (work, track), np.roll(frames, rng.integers(12), axis=1))
            writer.write("cqt", (work, track), np.zeros((1, 84)))
    return path


@pytest.mark.parametrize("name", ["mean-chroma", "2dftm", "qmax", "dmax"])
def test_transposed_performances_are_found(store, name):
    lines = []
    options = {"report": lines.append, "n_workers": 1}
    candidates = baseline_loader(name, store, **options)(None, None)
    scores = evaluate(**candidates.arguments)
    assert scores["MAP"] == 1
    assert scores["excluded_queries"] == 1
    assert candidates.settings["feature"] == "hpcp"
    if name == "qmax":
        assert lines[0].startswith("qmax: 36 alignments in 1 threads, about ")


def test_qmax_of_a_query_list(store, tmp_path):
    (tmp_path / "queries").write_text("one\tp0\n", encoding="utf-8")
    (tmp_path / "references").write_text("one\tp0\none\tp1\ntwo\tp0\nnoise\tp0\n", encoding="utf-8")
    loader = baseline_loader("qmax", store, n_workers=2)
    candidates = loader(tmp_path / "references", tmp_path / "queries")
    assert candidates.embeddings.shape == (1, 4)
    # In the order of the references; its own track is no candidate.
    assert np.isinf(candidates.embeddings[0, 0])
    assert np.argmin(candidates.embeddings[0]) == 1
    assert evaluate(**candidates.arguments)["MR1"] == 1


def test_qmax_is_essentias_asymmetric_distance(tmp_path, rng):
    standard = pytest.importorskip("essentia.standard")
    chroma = {"long": rng.random((70, 12))}
    chroma["short"] = chroma["long"][20:50] + 0.1 * rng.random((30, 12))
    # So slow that a frame of the store is one of the alignment's.
    settings = {"n_bins": 12, **SETTINGS, "frame_rate": 2.0}
    tracks = [("w", track) for track in chroma]
    with StoreWriter(tmp_path / "two.h5", name="two", tracks=tracks) as writer:
        writer.add_feature("hpcp", n_frames=[70, 30], settings=settings)
        for key in tracks:
            writer.write("hpcp", key, chroma[key[1]])
    candidates = baseline_loader("qmax", tmp_path / "two.h5", n_workers=1)(None, None)
    recurrence = standard.ChromaCrossSimilarity(oti=True)
    alignment = standard.CoverSongSimilarity(distanceType="asymmetric")
    for row, query in enumerate(candidates.track_ids):
        reference = candidates.track_ids[1 - row]
        pair = (chroma[track].astype(np.float32) for track in (query, reference))
        expected = alignment(recurrence(*pair))[1]
        assert candidates.embeddings[row, 1 - row] == pytest.approx(expected, rel=1e-6)


def test_qmax_of_a_folder_of_npy(tmp_path, rng):
    pytest.importorskip("essentia.standard")
    frames = rng.random((3, 60, 12)).astype(np.float32)
    names = [("a", "1"), ("a", "2"), ("b", "1")]
    (tmp_path / "npy").mkdir()
    for (work, track), part in zip(names, frames):
        np.save(tmp_path / "npy" / f"{work}_{track}.npy", part)
    write_store(tmp_path / "s.h5", names, frames, frame_rate=44100 / 20480)
    of_folder, of_store = (
        baseline_loader("qmax", tmp_path / path, n_workers=1)(None, None)
        for path in ("npy", "s.h5")
    )
    np.testing.assert_array_equal(of_folder.embeddings, of_store.embeddings)


def test_qmax_of_a_store_that_was_made_again(tmp_path, rng):
    names = [("a", "1"), ("a", "2"), ("b", "1")]
    frames = rng.random((2, 3, 60, 12))

    def distances(path, part):
        write_store(tmp_path / path, names, part, frame_rate=2.0)
        return baseline_loader("qmax", tmp_path / path, n_workers=1)(None, None).embeddings

    before, after = (distances("s.h5", part) for part in frames)
    assert (before != after).any()
    np.testing.assert_array_equal(after, distances("other.h5", frames[1]))


def write_store(path, names, frames, frame_rate):
    settings = {"n_bins": 12, **SETTINGS, "frame_rate": frame_rate}
    with StoreWriter(path, name="s", tracks=names) as writer:
        writer.add_feature("hpcp", n_frames=[len(part) for part in frames], settings=settings)
        for key, part in zip(names, frames):
            writer.write("hpcp", key, part)


@pytest.fixture
def aligned(monkeypatch):
    """A list of the pairs that are aligned; made to fail after a number of them by `aligned.stop_after`."""

    class Pairs(list):
        stop_after = 1000

    pairs = Pairs()

    def noting(x, y, measure):
        if len(pairs) == pairs.stop_after:
            raise KeyboardInterrupt
        pairs.append((x, y))
        return score_pair(x, y, measure)

    monkeypatch.setattr("mulkinet.alignment.pairs.score_pair", noting)
    return pairs


def test_every_pair_is_aligned_once(store, monkeypatch, aligned):
    monkeypatch.setattr("mulkinet.evaluation.aligned._TILE", 2)
    tracks = open_tracks(store)
    queries, references = np.array([4, 0, 6, 2]), np.array([2, 4, 5, 8, 0])
    part = dataclasses.replace(tracks, queries=queries, references=references)
    found = alignment_distances(part, "hpcp", "qmax", n_workers=1)
    wanted = {frozenset((q, r)) for q in queries for r in references if q != r}
    assert len(aligned) == len(wanted)
    whole = alignment_distances(tracks, "hpcp", "qmax", n_workers=2)
    np.testing.assert_allclose(found, whole[np.ix_(queries, references)])


def test_an_interrupted_run_resumes(store, monkeypatch, tmp_path, aligned):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tracks = open_tracks(store)
    expected = alignment_distances(tracks, "hpcp", "dmax", n_workers=1)
    assert len(aligned) == 36
    aligned.clear()
    aligned.stop_after = 20
    with pytest.raises(KeyboardInterrupt):
        alignment_distances(tracks, "hpcp", "dmax", n_workers=1)
    aligned.clear()
    found = alignment_distances(tracks, "hpcp", "dmax", n_workers=1)
    # What a task had not finished is done again.
    assert 16 <= len(aligned) <= 20
    np.testing.assert_array_equal(found, expected)
    assert list((tmp_path / "mulkinet").iterdir()) == []


def test_a_killed_run_goes_on_with_nothing_lost(tmp_path, monkeypatch, rng):
    names = [(f"w{number // 2}", f"p{number % 2}") for number in range(30)]
    write_store(tmp_path / "s.h5", names, rng.random((30, 600, 12)), frame_rate=2.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = [sys.executable, "-m", "mulkinet", "evaluate", "--baseline", "qmax", "--gpu", "-1"]
    command += ["--data-dir", tmp_path / "s.h5", "-n", "1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        kept, n_done = [], 0
        while not n_done:
            assert process.poll() is None
            kept = kept or list((tmp_path / "cache").glob("mulkinet/qmax-*.npy"))
            n_done = np.isfinite(np.load(kept[0], mmap_mode="r")).sum() if kept else 0
        process.kill()
    n_done = int(np.isfinite(np.load(kept[0])).sum())
    assert 0 < n_done < 435
    tracks, lines = open_tracks(tmp_path / "s.h5"), []
    resumed = alignment_distances(tracks, "hpcp", "qmax", report=lines.append)
    assert lines[0].startswith(f"qmax: {435 - n_done} alignments in ")
    assert lines[0].endswith("; interrupted, it will resume")
    assert not kept[0].exists()
    np.testing.assert_array_equal(resumed, alignment_distances(tracks, "hpcp", "qmax"))


def test_days_are_announced(monkeypatch, store):
    """Of Da-TACOS' benchmark, whose 15000 tracks make 112 million pairs."""
    seconds = itertools.count(step=4 * 0.002)
    monkeypatch.setattr("mulkinet.evaluation.aligned.time.perf_counter", lambda: next(seconds))
    tracks = open_tracks(store)
    load = functools.partial(stored_chroma, tracks.store, "hpcp")
    line = _estimate(tracks, load, "qmax", 15000 * 14999 // 2, 2)
    assert line == "qmax: 112492500 alignments in 2 threads, about 31.2 h"


def test_a_cache_that_cannot_be_written_to(store, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    lines = []
    found = alignment_distances(open_tracks(store), "hpcp", "qmax", report=lines.append)
    assert np.isfinite(found).sum() == 72
    assert "interrupted" not in lines[0]


def test_crema_is_preferred(tmp_path, rng):
    tracks = [("a", "1"), ("a", "2"), ("b", "1")]
    with StoreWriter(tmp_path / "s.h5", name="s", tracks=tracks) as writer:
        for feature in ("hpcp", "crema"):
            writer.add_feature(feature, n_frames=[40] * 3, settings={"n_bins": 12, **SETTINGS})
            for key in tracks:
                writer.write(feature, key, rng.random((40, 12)))
    candidates = baseline_loader("mean-chroma", tmp_path / "s.h5")(None, None)
    assert candidates.settings["feature"] == "crema"
    candidates = baseline_loader("mean-chroma", tmp_path / "s.h5", feature="hpcp")(None, None)
    assert candidates.settings["feature"] == "hpcp"


def test_mean_chroma():
    chroma = np.array([[1.0, 3], [0, 4]])
    assert mean_chroma(chroma).tolist() == [2, 2]


def test_fourier_magnitude_does_not_change_with_key_or_time(rng):
    chroma = rng.random((12, 75))
    magnitude = fourier_magnitude(chroma)
    assert magnitude.shape == (12 * 38,)
    assert np.linalg.norm(magnitude) == pytest.approx(1)
    moved = np.roll(chroma, (5, 20), axis=(0, 1))
    np.testing.assert_allclose(fourier_magnitude(moved), magnitude, atol=1e-12)
    # A naive transform of the one patch, contrast applied by hand.
    lengths = np.sqrt((chroma**2).sum(axis=0))
    powered = (chroma / lengths) ** 1.96
    powered *= lengths / np.sqrt((powered**2).sum(axis=0))
    naive = np.abs(np.fft.fft2(powered))[:, :38].ravel()
    np.testing.assert_allclose(magnitude, naive / np.linalg.norm(naive), atol=1e-12)


def test_short_and_silent_tracks(tmp_path, rng):
    short = rng.random((50, 12))
    write_store(
        tmp_path / "s.h5",
        [("a", "long"), ("a", "short"), ("b", "silent")],
        [np.tile(short, (6, 1)), short, np.zeros((200, 12))],
        frame_rate=4.0,
    )
    store = FeatureStore(tmp_path / "s.h5")
    long, short, silent = embed(Baseline("2dftm", "hpcp", store.settings("hpcp")), store)
    # Repeated to 75 half seconds, three times its length: as is every patch of the long one, but for its beginning.
    np.testing.assert_allclose(short, long, atol=1e-6)
    assert np.linalg.norm(short) == pytest.approx(1)
    assert (silent == 0).all()


def test_beats(rng):
    fine = rng.random((12, 200))
    coarse = beats(fine, 4.0)
    np.testing.assert_allclose(coarse[:, 3], fine[:, 6:8].mean(axis=1), rtol=1e-6)
    assert coarse.shape == (12, 100)


def test_wrong_baseline_or_feature(store):
    with pytest.raises(MulkinetError, match="mean-chroma, 2dftm, qmax, dmax, found 'chroma'"):
        baseline_loader("chroma", store)(None, None)
    with pytest.raises(MulkinetError, match="12 bins.*found cqt"):
        baseline_loader("2dftm", store, feature="cqt")(None, None)
