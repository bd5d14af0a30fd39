"""Several indexes answer as the one that they are parts of."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from mulkinet import Index, MulkinetError
from mulkinet.cli.main import main
from mulkinet.identify import index_file
from mulkinet.identify.cells import CellsSearch, build_cells_index, divide
from mulkinet.identify.search import Search
from mulkinet.identify.shards import MergedSearch, parts_of
from tests.commands import invoke
from tests.identify.songs import play


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "scaled_cosine", "weighted_l1"])
@pytest.mark.parametrize("lengths", [(40, 1, 19), (30, 30), (60,)])
def test_merged_answers_are_those_of_one_index(rng, distance, lengths):
    points = rng.standard_normal((60, 8)).astype(np.float32)
    points[[7, 45]] = points[3]  # equal distances, in two parts
    queries = np.concatenate([points[:4], rng.standard_normal((5, 8)).astype(np.float32)])
    merged = MergedSearch(points, np.array(lengths), [None] * len(lengths), distance)
    for k in (1, 7, 100):
        rows, distances = merged.nearest(queries, k)
        expected, far = Search(points, distance).nearest(queries, k)
        np.testing.assert_array_equal(rows, expected)
        np.testing.assert_allclose(distances, far, rtol=0, atol=1e-6)


def test_parts_cover_the_index():
    for n_tracks, n_parts in ((10, 3), (7, 7), (5, 1)):
        parts = parts_of(n_tracks, n_parts)
        assert np.concatenate([np.arange(n_tracks)[part] for part in parts]).tolist() == list(
            range(n_tracks)
        )
        lengths = [part.stop - part.start for part in parts]
        assert len(parts) == n_parts
        assert max(lengths) - min(lengths) <= 1
    with pytest.raises(MulkinetError, match="expected from 1 to 3 shards"):
        parts_of(3, 4)


def test_shards_answer_as_the_whole(index_path, tmp_path):
    whole = Index.open(index_path)
    whole.calibrate()
    done = invoke(main, "index", "shard", index_path, "--shards", 3, "-o", tmp_path / "parts")
    assert done.exit_code == 0, done.stderr
    paths = done.stdout.split()
    assert [path.rpartition("/")[2] for path in paths] == [
        f"library-{n}-of-3.index" for n in (1, 2, 3)
    ]
    assert sum(len(Index.open(path)) for path in paths) == len(whole)
    joined, queries = Index.open(paths), [play(work, 7, 6.0) for work in (0, 2, 5)]
    answers = [answer.to_dict() for answer in joined.identify(queries, n_workers=1)]
    assert answers == [answer.to_dict() for answer in whole.identify(queries, n_workers=1)]
    for change in (joined.calibrate, lambda: joined.remove(["w1"])):
        with pytest.raises(MulkinetError, match="expected one index to change, found 3"):
            change()


def test_parts_that_were_built_apart_answer_as_the_whole(index_path, library, model_file, tmp_path):
    for work in library.iterdir():
        part = tmp_path / ("first" if work.name < "w3" else "second")
        part.mkdir(exist_ok=True)
        (part / work.name).symlink_to(work)
    paths = [tmp_path / "first.index", tmp_path / "second.index"]
    for path in paths:
        Index.build(path, path.with_suffix(""), model_file, n_workers=1, progress=False)
    query = play(4, 7, 6.0)
    (found,), (expected,) = (
        Index.open(opened).identify([query], n_workers=1) for opened in (paths, index_path)
    )
    told = [{(m.work_id, m.track_id): m.distance for m in a.tracks} for a in (found, expected)]
    # Other batches of the network round otherwise.
    assert told[0] == pytest.approx(told[1], abs=1e-6)
    assert len({work for work, _ in told[0]}) == 6


def test_indexes_that_do_not_fit(index_path, library, other_model_file, tmp_path):
    Index.build(tmp_path / "b.index", library, other_model_file, n_workers=1, progress=False)
    with pytest.raises(MulkinetError, match="expected indexes of one model"):
        Index.open([index_path, tmp_path / "b.index"])
    Index.open(index_path).calibrate()
    lines = []
    plain = tmp_path / "plain.index"
    plain.write_bytes(index_path.read_bytes())
    Index.open(plain).calibrate(known=0.9)
    assert Index.open([index_path, plain], report=lines.append).data.calibration is None
    assert lines == ["the indexes are calibrated differently, so there are no probabilities"]


def test_a_large_index_is_mapped_and_answers_the_same(index_path, monkeypatch):
    queries = [play(work, 7, 6.0) for work in (0, 2, 5)]
    expected = [a.to_dict() for a in Index.open(index_path).identify(queries, n_workers=1)]
    monkeypatch.setattr(index_file, "LARGE", 1)
    index = Index.open(index_path)
    assert isinstance(index.data.embeddings, np.memmap)
    assert not index.data.ids._columns
    assert [a.to_dict() for a in index.identify(queries, n_workers=1)] == expected
    Index.open(index_path).remove(["w1"])
    assert index.data.ids["stamp"][0], "it reads from the file that it opened"
    assert len(Index.open(index_path)) == len(index) - 2


def test_a_large_index_that_is_damaged_is_not_changed(index_path, monkeypatch):
    monkeypatch.setattr(index_file, "LARGE", 1)
    with h5py.File(index_path, "r+") as file:
        file["embedding"][0, 0] += 1
    index = Index.open(index_path)
    with pytest.raises(MulkinetError, match="its content is not what was written"):
        index.remove(["w1"])


def test_cells_are_searched_where_they_are(rng, monkeypatch):
    points = rng.standard_normal((500, 8)).astype(np.float32)
    cells = divide(points)
    queries = rng.standard_normal((20, 8)).astype(np.float32)
    index = build_cells_index(points, cells)
    expected = np.sort(index.search(queries, 5)[1], axis=1)
    np.testing.assert_array_equal(np.sort(CellsSearch(points, cells).search(queries, 5)), expected)
    few = CellsSearch(points[:2], replace(cells, cell=np.zeros(2, np.int32)))
    assert set(few.search(queries, 3).ravel()) <= {-1, 0, 1}


def test_an_old_index_is_surveyed_when_it_is_added_to(index_path, library, monkeypatch, tmp_path):
    scaled = replace(index_file.read_index(index_path), survey=None)
    scaled = replace(scaled, config={**scaled.config, "distance": "scaled_cosine"})
    index_file.write_index(index_path, scaled)
    monkeypatch.setattr(Index, "_check_model", lambda *_: None)
    monkeypatch.setattr("mulkinet.identify.index.LARGE", 1)
    queries, lines = [play(work, 7, 6.0) for work in (0, 2, 5)], []
    old = Index.open(index_path, report=lines.append)
    expected = old.identify(queries, n_workers=1)
    assert "mulkinet index add COLLECTION" in lines[0]
    assert old.add(library, n_workers=1, progress=False).unchanged == len(old)
    lines.clear()
    new = Index.open(index_path, report=lines.append)
    assert len(new.data.survey.nearest) == len(new)
    for answer, other in zip(new.identify(queries, n_workers=1), expected):
        assert [match.work_id for match in answer.works] == [match.work_id for match in other.works]
        distances = [match.distance for match in other.works]
        assert [match.distance for match in answer.works] == pytest.approx(distances, abs=1e-6)
    assert not lines
    new.remove(["w1"])
    for part in new.shard(2, tmp_path):
        read = index_file.read_index(part)
        assert len(read.survey.nearest) == len(read)
