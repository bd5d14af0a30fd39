"""An index keeps its tracks' chroma, and aligns queries with the nearest."""

import dataclasses

import h5py
import numpy as np
import pytest

from mulkinet import Index
from mulkinet.alignment import qmax
from mulkinet.cli.main import main
from mulkinet.errors import MulkinetError
from mulkinet.identify.chroma import KeptChroma, to_align
from mulkinet.identify.posterior import posterior
from mulkinet.identify.reranking import Reranking
from tests.commands import invoke
from tests.identify.songs import make_library


def chords(rng, n_frames):
    frames = np.repeat(rng.random((n_frames // 4, 12)) ** 3, 4, axis=0)
    return np.rint(255 * frames).astype(np.uint8)


def test_kept_chroma(rng):
    tracks = [chords(rng, n) for n in (40, 0, 16)]
    kept = KeptChroma.of_tracks(tracks)
    assert len(kept) == 3
    for row, track in enumerate(tracks):
        np.testing.assert_array_equal(kept.track(row), track)
    left = kept.keep(np.array([False, True, True]))
    assert len(left) == 2
    np.testing.assert_array_equal(left.track(1), tracks[2])
    assert len(KeptChroma.of_tracks([])) == 0


def test_short_tracks_are_repeated(rng):
    frames = chords(rng, 8)
    assert to_align(frames).columns.shape == (12, 16)
    assert to_align(frames[:0]) is None
    np.testing.assert_allclose(to_align(frames).columns[:, 8:], frames.T / 255)


def test_alignment_decides_between_equal_embeddings(rng):
    songs = [chords(rng, 80) for _ in range(4)]
    query = np.roll(songs[2], 5, axis=1)  # another key
    kept = KeptChroma.of_tracks([*songs, songs[0][:0]])
    rows, distances = np.arange(5), np.full(5, 0.3)
    reranking = Reranking(kept, spread=0.1, n_nearest=4)
    order, left, reranked = reranking.reorder(query, rows, distances)
    assert order[0] == 2
    assert order[-1] == 4  # without chroma: as if nothing recurred
    assert left.tolist() == distances.tolist()
    assert (np.diff(reranked) >= 0).all()
    score = qmax(to_align(query).columns, to_align(songs[2]).columns)
    expected = 0.5 * 0.3 / 0.1 + 0.5 * np.log(np.sqrt(80 - 9) / score) / 0.5
    assert reranked[0] == pytest.approx(expected)
    # By embedding alone, at weight 0, all are equally far.
    _, _, reranked = Reranking(kept, 0.1, n_nearest=4, weight=0).reorder(query, rows, distances)
    assert reranked == pytest.approx(np.full(5, 3.0))
    # What is not among the nearest is not aligned.
    order, _, _ = Reranking(kept, 0.1, n_nearest=1).reorder(query, rows, np.arange(5) / 10)
    assert order.tolist() == [0, 1, 2, 3, 4]


def test_the_index_keeps_chroma(built):
    data = Index.open(built).data
    assert isinstance(data.chroma.frames, np.memmap)
    assert data.chroma.frames.dtype == np.uint8
    assert len(data.chroma) == len(data)
    # 3 frames a second at the most, of 4 s.
    assert (np.diff(data.chroma.offsets) <= 12).all()
    with h5py.File(built) as file:
        np.testing.assert_array_equal(file["chroma/frames"], data.chroma.frames)


def test_a_changed_index_keeps_the_right_chroma(index_path, tmp_path):
    index = Index.open(index_path)
    before = {key: index.data.chroma.track(row).copy() for key, row in index.rows_by_key.items()}
    index.remove(["w1"])
    index.add(make_library(tmp_path / "more", range(6, 8)), n_workers=1, progress=False)
    after = Index.open(index_path)
    assert len(after) == len(before) - 2 + 4
    for key, row in after.rows_by_key.items():
        track = after.data.chroma.track(row)
        assert len(track)
        if key in before:
            np.testing.assert_array_equal(track, before[key])


def test_an_index_without_chroma(tmp_path, library, model_file, built):
    path = tmp_path / "plain.index"
    arguments = ("index", "build", library, "--model-file", model_file, "-o", path, "-n", 1)
    done = invoke(main, *arguments, "--no-alignment")
    assert done.exit_code == 0, done.stderr
    with h5py.File(path) as file:
        assert "chroma" not in file
    query = str(library / "w2" / "p0.wav")
    [match, *_] = Index.open(path).identify(query, progress=False).works
    assert (match.work_id, match.reranked) == ("w2", None)
    with pytest.raises(MulkinetError, match="index add COLLECTION --index .* --alignment"):
        Index.open(path).identify(query, rerank=5, progress=False)
    done = invoke(main, "index", "add", library, "--index", path, "-n", 1, "--alignment")
    assert done.exit_code == 0, done.stderr
    found, expected = Index.open(path).data, Index.open(built).data
    order = [
        list(zip(*(data.ids[n] for n in ("work_id", "track_id")))) for data in (found, expected)
    ]
    assert order[0] == order[1]
    np.testing.assert_array_equal(found.chroma.frames, expected.chroma.frames)
    np.testing.assert_array_equal(found.embeddings, expected.embeddings)


def test_default_and_none(built, library):
    index = Index.open(built)
    query = str(library / "w2" / "p0.wav")
    reranked, alone = (index.identify(query, rerank=n, progress=False).works for n in (None, 0))
    assert reranked[0].work_id == alone[0].work_id == "w2"
    assert reranked[0].reranked is not None
    assert alone[0].reranked is None
    with pytest.raises(MulkinetError, match="whole queries"):
        index.identify(query, rerank=5, segment_sec=2.0)


def test_calibration_is_of_the_distance_that_decides(index_path, library):
    index = Index.open(index_path)
    index.calibrate()
    reranked = index.data.calibration["reranked"]
    answer = Index.open(index_path).identify(
        str(library / "w2" / "p0.wav"), top=len(index), progress=False
    )
    works, rows = index.data.ids["work_id"], [match.reranked for match in answer.tracks]
    sizes = dict.fromkeys(works, 2)
    expected = posterior(reranked, rows, [match.work_id for match in answer.tracks], sizes)
    for match in answer.works[:3]:
        assert match.probability == pytest.approx(expected.works[match.work_id], rel=0.05)
        assert match.is_cover == (match.probability >= 0.5)
    alone = Index.open(index_path).identify(
        str(library / "w2" / "p0.wav"), rerank=0, progress=False
    )
    assert all(match.is_cover == (match.probability >= 0.5) for match in alone.tracks)


def test_a_calibration_of_both_distances_comes_with_the_model(built, library):
    index = Index.open(built)
    query = str(library / "w2" / "p0.wav")
    numbers = {"tau": 0.5, "intercept": 1.0, "slope": -2.0, "fitted_base_rate": 0.1, "known": 0.5}
    by_spread = {}
    for spread in (0.1, 0.2):
        calibrated = {**numbers, "reranked": {**numbers, "tau": 1.5, "spread": spread}}
        index.data = dataclasses.replace(index.data, calibration=calibrated)
        [by_spread[spread], *_] = index.identify(query, progress=False).works
    # Its numbers hold for the spread they were fitted with, whatever that of this index is.
    narrow, wide = by_spread[0.1], by_spread[0.2]
    difference = 0.5 * narrow.distance * (1 / 0.1 - 1 / 0.2)
    assert narrow.reranked - wide.reranked == pytest.approx(difference)
    # So for the share of alignment.
    fitted = {**numbers, "reranked": {**numbers, "tau": 1.5, "spread": 0.1, "weight": 0.25}}
    index.data = dataclasses.replace(index.data, calibration=fitted)
    light = next(
        m for m in index.identify(query, progress=False).works if m.work_id == narrow.work_id
    )
    by_embedding = narrow.distance / 0.1
    aligned = (narrow.reranked - 0.5 * by_embedding) / 0.5
    assert light.reranked == pytest.approx(0.75 * by_embedding + 0.25 * aligned)
    assert wide.probability is not None
    assert wide.is_cover == (wide.reranked <= 1.5)
