"""The nearest tracks: FAISS, the evaluator's search and a plain loop agree."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from mulkinet import MulkinetError
from mulkinet.evaluation import scaling
from mulkinet.evaluation.scaling import neighbourhoods
from mulkinet.identify import cells, index_file, search, updating
from mulkinet.identify.index_file import IDS, IndexData, read_index, write_index
from mulkinet.identify.search import Search, comparable, has_faiss, with_cells

DISTANCES = ("cosine", "euclidean", "sqeuclidean", "weighted_l1", "scaled_cosine")


def points_of(rng, n, size=8):
    return rng.standard_normal((n, size)).astype(np.float32)


def naive(queries, points, distance):
    if distance == "cosine":
        queries, points = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, points))
        return 1 - queries @ points.T
    if distance == "scaled_cosine":
        units = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, points)]
        theirs = neighbourhoods(units[1], units[1])
        ours = neighbourhoods(units[0], units[1], theirs.mean())
        return 2 - units[0] @ units[1].T - (ours[:, None] + theirs) / 2
    difference = queries[:, None].astype(float) - points[None]
    if distance == "weighted_l1":
        return np.abs(difference).sum(axis=2)
    squares = (difference**2).sum(axis=2)
    return np.sqrt(squares) if distance == "euclidean" else squares / points.shape[1]


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("faiss", [True, False])
def test_the_nearest_are_those_of_a_plain_loop(rng, monkeypatch, distance, faiss):
    if not faiss:
        monkeypatch.setattr(search, "has_faiss", lambda _: False)
    elif distance != "weighted_l1" and not has_faiss(distance):
        pytest.skip("faiss is not installed")
    queries, points = points_of(rng, 7), points_of(rng, 300)
    rows, distances = Search(points, distance).nearest(queries, 12)
    expected = naive(queries, points, distance)
    np.testing.assert_array_equal(rows, np.argsort(expected, axis=1)[:, :12])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :12], atol=1e-6)


def test_more_blocks_than_one(rng, monkeypatch):
    monkeypatch.setattr(search, "has_faiss", lambda _: False)
    monkeypatch.setattr(search, "_KEYS_AT_A_TIME", 8 * 30)
    queries, points = points_of(rng, 3), points_of(rng, 100)
    rows, _ = Search(points, "euclidean").nearest(queries, 9)
    expected = np.argsort(naive(queries, points, "euclidean"), axis=1)[:, :9]
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("faiss", [True, False])
def test_many_queries_are_answered_in_parts(rng, monkeypatch, faiss):
    if not faiss:
        monkeypatch.setattr(search, "has_faiss", lambda _: False)
    queries, points = points_of(rng, 10), points_of(rng, 100)
    whole = Search(points, "cosine").nearest(queries, 6)
    monkeypatch.setattr(search, "_PAIRS_AT_A_TIME", 3 * 20)
    for found, expected in zip(Search(points, "cosine").nearest(queries, 6), whole):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_the_same_embedding_is_at_distance_0_and_equal_ones_keep_their_order(rng, distance):
    points = points_of(rng, 40)
    points[[5, 9, 30]] = points[20]
    rows, distances = Search(points, distance).nearest(points[20:21], 5)
    assert rows[0, :4].tolist() == [5, 9, 20, 30]
    np.testing.assert_allclose(distances[0, :4], 0, atol=1e-7)
    own = Search(points, distance).nearest(points, 1)[1]
    assert (own == 0).all()
    assert not np.signbit(own).any()


def test_no_more_than_there_are(rng):
    points = points_of(rng, 3)
    rows, _ = Search(points, "cosine").nearest(points, 10)
    assert rows.shape == (3, 3)


def test_unit_embeddings_are_not_copied(rng):
    points = points_of(rng, 5)
    unit = comparable(points, "cosine")
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-6)
    assert comparable(unit, "cosine") is unit
    assert comparable(points, "euclidean") is points


class TestCells:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch):
        pytest.importorskip("faiss")
        monkeypatch.setattr(search, "FROM_TRACKS", 3000)
        monkeypatch.setattr(cells, "_SAMPLE", 200)

    def data(self, points):
        ids = dict.fromkeys(IDS, np.full(len(points), "x", dtype=object))
        return IndexData({"distance": "euclidean"}, ids, points)

    def test_a_large_index_is_divided_and_its_recall_told(self, rng):
        points, lines = points_of(rng, 4000), []
        divided = with_cells(self.data(points), lines.append).cells
        assert divided.recall >= cells.RECALL
        assert f"recall@10 {divided.recall:.4f}" in lines[0]
        rows, _ = Search(points, "euclidean", cells=divided).nearest(points[:50], 10)
        exact, _ = Search(points, "euclidean").nearest(points[:50], 10)
        shared = [len(np.intersect1d(a, b)) for a, b in zip(rows, exact)]
        assert np.mean(shared) >= 9.5

    def test_in_the_cells_looked_into_scaled_distances_decide(self, rng):
        points = points_of(rng, 4000)
        data = replace(self.data(points), config={"distance": "scaled_cosine"})
        divided = with_cells(data, print).cells
        rows, distances = Search(points, "scaled_cosine", cells=divided).nearest(points[:50], 10)
        exact, expected = Search(points, "scaled_cosine").nearest(points[:50], 10)
        assert np.mean([len(np.intersect1d(a, b)) for a, b in zip(rows, exact)]) >= 9
        np.testing.assert_allclose(distances[:, 0], expected[:, 0], atol=1e-12)
        everywhere = replace(divided, probes=len(divided.centroids))
        rows, _ = Search(points, "scaled_cosine", cells=everywhere).nearest(points[:50], 10)
        np.testing.assert_array_equal(rows, exact)

    def test_new_tracks_join_the_cells_until_the_index_has_doubled(self, rng):
        points = points_of(rng, 8200)
        first = with_cells(self.data(points[:4000]), print).cells
        more = replace(self.data(points[:5000]), cells=first)
        joined = with_cells(more, print).cells
        np.testing.assert_array_equal(joined.centroids, first.centroids)
        np.testing.assert_array_equal(joined.cell[:4000], first.cell)
        doubled = with_cells(replace(self.data(points), cells=joined), print).cells
        assert doubled.trained_on == 8200

    def test_recall_is_measured_again_when_tracks_were_removed(self, rng):
        points, lines = points_of(rng, 4000), []
        data = self.data(points)
        data.ids["work_id"] = np.array([str(row % 10) for row in range(4000)], dtype=object)
        divided = with_cells(data, lines.append)
        left, _ = updating.remove(divided, ["3"])
        assert left.cells.recall is None
        measured = with_cells(left, lines.append)
        assert len(lines) == 2
        assert measured.cells.recall >= cells.RECALL
        np.testing.assert_array_equal(measured.cells.cell, left.cells.cell)
        assert with_cells(measured, lines.append) is measured

    @pytest.mark.parametrize("fact", ["probes", "recall", "trained_on"])
    def test_a_file_whose_cells_were_altered_is_refused(self, rng, tmp_path, fact):
        config = dict.fromkeys(index_file._CONFIG, "")
        data = replace(self.data(points_of(rng, 3000)), config={**config, "distance": "euclidean"})
        divided = with_cells(data, print)
        write_index(tmp_path / "x.index", divided)
        assert read_index(tmp_path / "x.index").cells.recall == divided.cells.recall
        with h5py.File(tmp_path / "x.index", "r+") as file:
            file["cells"].attrs[fact] = file["cells"].attrs[fact] - 1
        with pytest.raises(MulkinetError, match="not what was written"):
            read_index(tmp_path / "x.index")

    def test_a_query_asking_for_more_than_its_cells_hold_is_answered_exactly(self, rng):
        points = points_of(rng, 4000)
        divided = with_cells(self.data(points), print).cells
        rows, _ = Search(points, "euclidean", cells=replace(divided, probes=1)).nearest(
            points[:2], 3000
        )
        exact, _ = Search(points, "euclidean").nearest(points[:2], 3000)
        np.testing.assert_array_equal(rows, exact)

    def test_a_small_index_has_none(self, rng):
        assert with_cells(self.data(points_of(rng, 2999)), print).cells is None


class TestSurvey:
    """What opening need not look for: kept in the file, of just these tracks."""

    @pytest.fixture(params=[True, False], ids=["units", "of any length"])
    def points(self, rng, request):
        points = points_of(rng, 120)
        return comparable(points, "cosine") if request.param else points

    def data(self, points, distance="scaled_cosine"):
        config = {**dict.fromkeys(index_file._CONFIG, ""), "distance": distance}
        names = np.array([str(row) for row in range(len(points))], object)
        return IndexData(config, dict.fromkeys(IDS, names), points)

    @pytest.mark.parametrize("distance", DISTANCES)
    def test_answers_are_those_without(self, rng, tmp_path, points, distance):
        write_index(tmp_path / "x.index", search.prepare(self.data(points, distance), print))
        read = read_index(tmp_path / "x.index")
        assert (read.survey is not None) == (distance in ("cosine", "scaled_cosine"))
        queries = points_of(rng, 9)
        rows, distances = search.open_search(read).nearest(queries, 11)
        expected, far = Search(points, distance).nearest(queries, 11)
        np.testing.assert_array_equal(rows, expected)
        np.testing.assert_allclose(distances, far, atol=1e-6)

    def test_a_search_opens_without_looking_at_the_tracks(self, rng, monkeypatch):
        data = search.prepare(self.data(comparable(points_of(rng, 50), "cosine")), print)
        for name in ("to_nearest", "comparable"):
            monkeypatch.setattr(search, name, None)
        search.open_search(data)

    def test_other_tracks_have_another(self, points):
        whole = search.prepare(self.data(points), print)
        assert search.prepare(whole, print) is whole
        left, _ = updating.remove(whole, ["3", "77"])
        assert left.survey is None
        units = comparable(left.embeddings, "cosine")
        nearest = search.prepare(left, print).survey.nearest
        expected = neighbourhoods(units, units)
        np.testing.assert_allclose(scaling.lean(nearest, 118), expected, atol=1e-6)

    def test_one_of_another_length_is_damage(self, points, tmp_path):
        path = tmp_path / "x.index"
        data = search.prepare(self.data(points), print)
        short = replace(data.survey, nearest=data.survey.nearest[:-1])
        write_index(path, replace(data, survey=short))
        with pytest.raises(MulkinetError, match=r"neighbourhoods of shape \(119,\) for 120 tracks"):
            read_index(path)
        write_index(path, data)
        with h5py.File(path, "r+") as file:
            file["survey/nearest"][5] += 0.25
        with pytest.raises(MulkinetError, match="its neighbourhoods are not what was written"):
            read_index(path)
