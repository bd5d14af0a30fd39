"""`mulkinet.evaluate` against plain loops, sklearn, hand-worked cases and wrong input."""

import doctest
import importlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

import mulkinet
from mulkinet.errors import MulkinetError
from mulkinet.evaluation import evaluate
from mulkinet.evaluation.distances import DISTANCES, compare, pair_distances
from mulkinet.evaluation.ranking import rank_relevant
from mulkinet.evaluation.selection import select_tracks
from tests.evaluation import naive

# The works are numbered by their places, so that unsorted works, noise works, works of many tracks
# and, with few distances, ties and duplicates all turn up.
WORKS = st.lists(st.integers(0, 6), min_size=2, max_size=18)
FEW = settings(max_examples=50, deadline=None)
# MB, so few that every block is one row.
TINY = 5e-5


@pytest.mark.parametrize("name", ["metrics", "bootstrap", "report.curves", "__init__"])
def test_docstring_examples(name):
    module = "mulkinet.evaluation" + ("" if name == "__init__" else f".{name}")
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert failed == 0
    assert tried > 0


def test_public_name():
    assert mulkinet.evaluate is evaluate


@FEW
@given(
    WORKS,
    st.integers(1, 40),
    st.sampled_from([TINY, 64]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_equals_plain_loops_on_any_ranking(works, n_distances, memory, with_lists, seed):
    rng = np.random.default_rng(seed)
    distances = rng.integers(-3, n_distances, (len(works), len(works))) / 8
    lists = [
        rng.permutation(len(works))[: rng.integers(1, len(works) + 1)]
        if with_lists
        else np.arange(len(works))
        for _ in range(2)
    ]
    tau = rng.integers(-3, n_distances) / 8
    options = {"queries": lists[0], "references": lists[1], "distance": "precomputed"}
    asked = distances[np.ix_(*lists)]
    if not naive.rankings(distances, works, *lists):
        with pytest.raises(MulkinetError, match="at least one query"):
            evaluate(asked, works, **options)
        return
    found = evaluate(asked, works, tau=tau, memory=memory, **options)
    expected = {
        **naive.scores(distances.tolist(), works, *lists),
        **naive.thresholds(distances.tolist(), works, *lists),
        **naive.at_tau(distances.tolist(), works, tau, *lists),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    # One of the best thresholds, of which there may be several.
    best = naive.at_tau(distances.tolist(), works, found["accuracy_threshold"], *lists)
    assert best["accuracy@tau"] == pytest.approx(found["accuracy"], abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(
    WORKS,
    st.sampled_from(["cosine", "euclidean", "sqeuclidean", "weighted_l1", "transposed_cosine"]),
    st.integers(0, 2**32 - 1),
)
def test_same_for_every_block_size_and_order_to_the_last_bit(works, distance, seed):
    rng = np.random.default_rng(seed)
    works = np.array([*works, works[0]])
    embeddings = rng.standard_normal((len(works), 12)).astype(np.float32)
    # Duplicates, within and across works, must tie.
    embeddings[rng.integers(len(works), size=3)] = embeddings[0]
    weights = (rng.random(12), -1.0) if distance == "weighted_l1" else None
    options = {"distance": distance, "weights": weights}
    expected = evaluate(embeddings, works, conventions=True, **options)
    found = evaluate(embeddings, works, conventions=True, memory=TINY, **options)
    assert str(found) == str(expected)  # As text, because MulKINet's MAP may be NaN.
    del expected["conventions"]  # MulKINet's go by the order of the list.
    order = rng.permutation(len(works))
    assert evaluate(embeddings[order], works[order], **options) == expected


@pytest.mark.parametrize("distance", DISTANCES)
def test_blocks_keep_to_the_memory(rng, distance):
    works, limit = np.arange(1200) // 2, 2.0
    selection = select_tracks(works)
    width = len(works) if distance == "precomputed" else 12
    keys = compare(rng.random((len(works), width)), selection, distance=distance)
    rank_relevant(keys, selection, memory=limit)  # What is loaded with the first does not count.
    tracemalloc.start()
    try:
        rank_relevant(keys, selection, memory=limit)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    # Numpy has buffers besides, and the ranking is kept.
    assert limit / 2 < peak < limit + 0.5


def test_a_row_is_held_however_long(rng):
    works = np.repeat(np.arange(50), 2)
    embeddings = rng.random((100, 3))
    assert evaluate(embeddings, works, memory=1e-9) == evaluate(embeddings, works)


@pytest.mark.parametrize(
    ("distance", "function"),
    [
        ("cosine", lambda a, b: 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)),
        ("euclidean", lambda a, b: np.linalg.norm(a - b)),
        ("sqeuclidean", lambda a, b: np.mean((a - b) ** 2)),
        ("weighted_l1", lambda a, b: np.abs(a - b).sum() / 4 - 2),
        (
            "transposed_cosine",
            lambda a, b: min(
                1 - np.roll(a, n) @ b / np.linalg.norm(a) / np.linalg.norm(b) for n in range(8)
            ),
        ),
    ],
)
def test_distances_are_what_they_are_called(rng, distance, function):
    embeddings = rng.standard_normal((30, 8)) + 5
    works = rng.integers(0, 8, 30)
    weights = (np.full(8, 0.25), -2.0) if distance == "weighted_l1" else None
    table = [[function(a, b) for b in embeddings] for a in embeddings]
    found = evaluate(embeddings, works, distance=distance, weights=weights)
    expected = naive.scores(table, works.tolist())
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert found["EER"] == pytest.approx(naive.thresholds(table, works.tolist())["EER"], abs=1e-6)
    wanted = {round(value, 5) for row in table for value in row}
    assert round(found["EER_threshold"], 5) in wanted


@pytest.mark.parametrize(
    "distance", [name for name in DISTANCES if name not in ("precomputed", "scaled_cosine")]
)
def test_distances_of_pairs_are_those_of_rows(rng, distance):
    embeddings = rng.standard_normal((9, 5)) * 3 + 1
    embeddings[4] = embeddings[2]
    embeddings[7] = 0
    weights = (rng.random(5), 0.5) if distance == "weighted_l1" else None
    keys = compare(embeddings, select_tracks([0] * 9), distance=distance, weights=weights)
    rows = np.empty((9, 9))
    keys.fill(rows, slice(0, 9))
    left, right = np.divmod(np.arange(81), 9)
    found = pair_distances(embeddings[left], embeddings[right], distance=distance, weights=weights)
    np.testing.assert_allclose(found.reshape(9, 9), keys.distance(rows), atol=1e-8)
    np.testing.assert_allclose(keys.distance(keys.key(found)), found, atol=1e-12)
    assert found[2 * 9 + 4] == (0.5 if distance == "weighted_l1" else 0)


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "sqeuclidean", "transposed_cosine"])
@pytest.mark.parametrize("n_tracks", [40, 600])
def test_a_collapsed_network_scores_like_chance(rng, distance, n_tracks):
    # All embeddings alike, as far as float32 tells; that of 600 tracks is counted in bins.
    works = rng.permutation(np.repeat(np.arange(n_tracks // 4), 4))
    embeddings = np.tile(rng.standard_normal(8), (n_tracks, 1))
    if "cosine" in distance:  # of which float32 rounding is far below what ties
        embeddings = (embeddings * (1 + 1e-7 * rng.standard_normal(embeddings.shape))).astype("f4")
    scores = evaluate(embeddings, works, distance=distance)
    last = np.arange(n_tracks - 3, n_tracks)
    assert scores["MR1"] == last[0]
    assert scores["MAP"] == pytest.approx(np.mean([1, 2, 3] / last))
    assert scores["EER"] == pytest.approx(0.5)
    assert scores["accuracy"] == pytest.approx(1 - 3 / (n_tracks - 1))


def test_lengths_that_differ_widely_keep_their_order(rng):
    # One embedding a million times longer than the rest must not blur them.
    embeddings = np.vstack([rng.standard_normal((20, 4)), np.full((2, 4), 1e6)])
    works = np.repeat(np.arange(11), 2)
    table = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2)
    expected = naive.scores(table.tolist(), works.tolist())
    found = evaluate(embeddings, works, distance="euclidean")
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_equals_sklearn_where_covers_and_others_do_not_tie(rng):
    works = rng.integers(0, 12, 80)
    embeddings = rng.standard_normal((80, 16)) + 0.7 * rng.standard_normal((12, 16))[works]
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = unit @ unit.T
    precisions = [
        average_precision_score(np.delete(works == works[i], i), np.delete(similarity[i], i))
        for i in range(80)
        if np.sum(works == works[i]) > 1
    ]
    assert evaluate(embeddings, works)["MAP"] == pytest.approx(np.mean(precisions), abs=1e-12)


def test_hand_worked_case_with_a_tie_and_a_noise_work():
    # Query a0: the noise work c0 ties with a1 at 1, so a1 is second. Query a1: a0 alone at 1, first.
    # Query b0: b1 at 3 after a0 (2), c0 (2.5), tied with a1 (3): fourth. Query b1: b0 first.
    distances = np.array(
        [
            [0, 1.0, 2, 3, 1],
            [1, 0, 3, 4, 2],
            [2, 3, 0, 3, 2.5],
            [5, 4, 3, 0, 9],
            [1, 2, 2, 2, 0],
        ]
    )
    scores = evaluate(distances, ["a", "a", "b", "b", "c"], distance="precomputed")
    assert scores["MAP"] == pytest.approx((1 / 2 + 1 + 1 / 4 + 1) / 4)
    assert scores["MR1"] == pytest.approx((2 + 1 + 4 + 1) / 4)
    assert scores["MRR"] == scores["MAP"]
    assert scores["P@1"] == 0.5
    assert scores["TOP10_total"] == 4
    counts = ("tracks", "works", "queries", "references", "excluded_queries", "noise_works")
    assert [scores[name] for name in counts] == [5, 3, 4, 5, 1, 1]


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("distance", ["cosine", "euclidean", "weighted_l1"])
def test_collapsed_network_scores_like_chance_at_best(value, distance):
    works = np.repeat(np.arange(10), 3)
    scores = evaluate(np.full((30, 4), value), works, distance=distance, conventions=True)
    assert scores["MR1"] == 28  # After the 27 non-covers.
    assert scores["MAP"] == pytest.approx((1 / 28 + 2 / 29) / 2)
    assert scores["MAP"] < 2 / 29
    assert scores["EER"] == 0.5
    assert scores["accuracy"] == pytest.approx(27 / 29)  # Nothing is accepted.


def test_query_list_against_reference_list():
    # MIREX: 2 queries, one of which is a reference as well and does not find itself.
    points = np.array([[0.0], [1.0], [1.2], [5.0], [9.0]])
    works = ["a", "a", "b", "a", "b"]
    scores = evaluate(points, works, queries=[0, 2], references=[1, 2, 3, 4], distance="euclidean")
    # Query 0 ranks 1 (a), 2 (b), 3 (a), 4 (b); query 2 ranks 1 (a), 3 (a), 4 (b).
    assert scores["MAP"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 3) / 2)
    assert (scores["queries"], scores["references"], scores["tracks"]) == (2, 4, 5)


def test_own_track_is_known_by_its_ids():
    # A recording with two rows: as a query it does not find itself among the references.
    points = np.array([[0.0], [0.0], [3.0], [4.0]])
    works, tracks = ["a", "a", "b", "a"], ["x", "x", "y", "z"]
    scores = evaluate(
        points,
        works,
        track_ids=tracks,
        queries=[0],
        references=[1, 2, 3],
        distance="euclidean",
    )
    assert scores["MR1"] == 2
    assert scores["tracks"] == 3


def test_queries_by_id():
    points = np.array([[0.0], [1.0], [3.0], [4.0]])
    works, tracks = ["a", "a", "b", "b"], ["x", "y", "x", "z"]
    by_pair = {"queries": [("b", "x")], "references": [("a", "x"), ("b", "z")]}
    scores = evaluate(points, works, track_ids=tracks, distance="euclidean", **by_pair)
    assert (scores["queries"], scores["references"], scores["MAP"]) == (1, 2, 1.0)
    scores = evaluate(points, works, track_ids=tracks, distance="euclidean", queries=["y"])
    assert scores["queries"] == 1
    mask = np.array([False, True, False, False])
    assert evaluate(points, works, queries=mask, distance="euclidean") == scores
    with pytest.raises(MulkinetError, match=r"one track for 'x'.*found 2"):
        evaluate(points, works, track_ids=tracks, queries=["x"])
    with pytest.raises(MulkinetError, match=r"2 of 3 unknown \(no, \('a', 'z'\)\)"):
        evaluate(points, works, track_ids=tracks, queries=["no", ("a", "z"), "y"])


def test_own_distance_may_be_anything_and_others_may_not(rng):
    works = [0, 0, 1, 1, 1, 2]
    matrix = rng.random((6, 6))
    expected = evaluate(matrix, works, distance="precomputed", conventions=True)
    matrix[range(6), range(6)] = [np.nan, np.inf, -np.inf, 1e300, -5, 9]
    found = evaluate(matrix, works, distance="precomputed", conventions=True)
    assert str(found) == str(expected)  # As text, because MulKINet's MAP is NaN.
    matrix[0, 2] = np.nan
    with pytest.raises(MulkinetError, match="row 0, column 2"):
        evaluate(matrix, works, distance="precomputed")


def test_cut_offs_may_be_an_array():
    scores = evaluate([[0.0], [1.0]], ["a", "a"], ks=np.array([1, 3]))
    assert scores["P@3"] == pytest.approx(1 / 3)


def test_memory_mapped_distances(tmp_path, rng):
    works = rng.integers(0, 4, 20)
    matrix = rng.random((20, 20)).astype(np.float32)
    np.save(tmp_path / "d.npy", matrix)
    mapped = np.load(tmp_path / "d.npy", mmap_mode="r")
    found = evaluate(mapped, works, distance="precomputed", memory=TINY)
    assert found == evaluate(matrix, works, distance="precomputed")


def test_large_works_are_ranked_the_same(rng):
    # So many covers that chunks are sorted instead of compared.
    works = np.repeat([0, 1], [200, 30])
    distances = rng.integers(0, 50, (230, 230)).astype(float)
    found = evaluate(distances, works, distance="precomputed", thresholds=False)
    expected = naive.scores(distances.tolist(), works.tolist())
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embeddings": [[0, np.nan], [1, 1]], "work_ids": "aa"}, "NaN or infinity in 1 of 2"),
        ({"embeddings": [[0, np.inf], [1, 1]], "work_ids": "aa"}, "first in row 0"),
        ({"embeddings": [[0, 1]], "work_ids": "aa"}, "one embedding per work_id, found 1 for 2"),
        ({"embeddings": [0, 1], "work_ids": "aa"}, "expected embeddings as a matrix"),
        ({"embeddings": np.array(1.0), "work_ids": "aa"}, r"found shape \(\)"),
        ({"embeddings": [[0], [1, 2]], "work_ids": "aa"}, "of one length, found several"),
        ({"embeddings": [["x"], ["y"]], "work_ids": "aa"}, "matrix of numbers"),
        ({"embeddings": [[0], [1]], "work_ids": "ab"}, "at least one query with another"),
        ({"embeddings": [], "work_ids": ""}, "empty list of works"),
        ({"queries": []}, "at least one track in queries"),
        ({"references": [0, 9]}, "rows from 0 to 1, found 9"),
        ({"queries": [0, 0]}, r"once in queries, found row 0 of work 'a' 2 times"),
        ({"queries": 3}, "queries as a list, found 3"),
        ({"queries": np.array(1)}, "queries as a list, found array"),
        ({"queries": "t"}, "track_ids to find queries by id"),
        ({"queries": [True]}, "a mask of 2 tracks, some of them chosen, found 1 chosen of 1"),
        ({"references": np.zeros(2, bool)}, "found 0 chosen of 2"),
        ({"queries": ["t"]}, "track_ids to find queries by id"),
        ({"track_ids": ["t"]}, "one track_id per work_id, found 1 for 2"),
        ({"distance": "cosin"}, "found 'cosin'"),
        ({"distance": "precomputed", "embeddings": np.zeros((2, 3))}, r"\(2, 2\), found \(2, 3\)"),
        ({"distance": "precomputed", "embeddings": np.array([["x"] * 2] * 2)}, "as numbers"),
        ({"weights": ([1.0], 0.0)}, "weights belong to"),
        ({"distance": "weighted_l1", "weights": ([1.0, 2.0], 0.0)}, "expected 1 finite weights"),
        ({"ks": (0,)}, "whole numbers from 1"),
        ({"ks": 5}, "whole numbers from 1"),
        ({"ks": np.array([1.5])}, "whole numbers from 1"),
        ({"memory": 0}, "number of MB above 0, found 0"),
        ({"memory": np.inf}, "number of MB above 0, found inf"),
        ({"tau": np.nan}, "finite distance"),
    ],
)
def test_wrong_input_is_one_clear_error(arguments, message):
    given = {"embeddings": [[0.0], [1.0]], "work_ids": "aa", **arguments}
    embeddings, works = given.pop("embeddings"), list(given.pop("work_ids"))
    with pytest.raises(MulkinetError, match=message) as caught:
        evaluate(embeddings, works, **given)
    assert "\n" not in str(caught.value)


def test_intervals_hold_the_scores_and_follow_the_seed(rng):
    works = rng.integers(0, 15, 60)
    embeddings = rng.standard_normal((60, 4)) + rng.standard_normal((15, 4))[works]
    scores = evaluate(embeddings, works, ci=True)
    for name, (low, high) in scores["intervals"].items():
        assert low <= scores[name] <= high
    assert scores["intervals"]["MAP"][0] < scores["intervals"]["MAP"][1]
    assert evaluate(embeddings, works, ci=True) == scores
    again = evaluate(embeddings[::-1], works[::-1], ci=True)["intervals"]
    for name, bounds in scores["intervals"].items():
        assert again[name] == pytest.approx(bounds, rel=1e-12)
    assert evaluate(embeddings, works, ci=True, seed=1)["intervals"] != scores["intervals"]


def test_products_on_a_device_of_tensorflow_are_the_same(rng):
    import tensorflow as tf

    from mulkinet.evaluation.products import _tensorflow_product

    left, right = rng.integers(-9, 9, (7, 5)) / 8, rng.integers(-9, 9, (5, 4)) / 8
    out = np.empty((7, 4))
    _tensorflow_product(tf, "/CPU:0")(left, right, out=out)
    assert (out == left @ right).all()
