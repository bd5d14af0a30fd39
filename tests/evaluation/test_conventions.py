"""What published code would have printed, on cases worked by hand."""

import math

import numpy as np
import pytest

from mulkinet.evaluation import conventions, evaluate
from mulkinet.evaluation.ranking import Ranking

# First covers: a0 at rank 2 (after the noise work c0, which ties), a1 at 1, b0 at 4, b1 at 1.
DISTANCES = np.array(
    [
        [0, 1.0, 2, 3, 1],
        [1, 0, 3, 4, 2],
        [2, 3, 0, 3, 2.5],
        [5, 4, 3, 0, 9],
        [1, 2, 2, 2, 0],
    ]
)
WORKS = ["a", "a", "b", "b", "c"]


def printed(distances, works, **options):
    return evaluate(distances, works, distance="precomputed", conventions=True, **options)[
        "conventions"
    ]


def test_move_counts_noise_as_found_first():
    # (1/2 + 1 + 1/4 + 1 + 1) / 5 and (2 + 1 + 4 + 1 + 1) / 5.
    expected = {"mAP": 2.75 / 4, "MRR": 3.75 / 5, "MR": 9 / 5, "Top1": 2, "Top10": 4}
    assert printed(DISTANCES, WORKS)["MOVE"] == pytest.approx(expected)


def test_acoss_divides_mrr_by_all_tracks():
    expected = {"MR": 8 / 4, "MRR": 2.75 / 5, "MDR": 1.5, "MAP": 2.75 / 4}
    tops = {"Top-1": 2, "Top-10": 4, "Top-100": 4, "Top-1000": 4}
    assert printed(DISTANCES, WORKS)["acoss"] == pytest.approx({**expected, **tops})


def test_cqtnet_averages_zeros():
    expected = {"MAP": 2.75 / 5, "top10": 4 / 10 / 5, "rank1": 8 / 5}
    assert printed(DISTANCES, WORKS)["CQTNet"] == pytest.approx(expected)


def test_coverhunter_averages_zeros_too():
    expected = {"mean_ap": 2.75 / 5, "top10": 4 / 10 / 5, "rank1": 8 / 5, "hit_rate": 2 / 5}
    assert printed(DISTANCES, WORKS)["CoverHunter"] == pytest.approx(expected)


def test_da_tacos_as_the_reference_has_it():
    # 1000 * 13 queries and 2000 noise tracks: a true MR1 of 40 prints as 34.8, an MRR of 0.5 as
    # 0.567 (MOVE) and 0.433 (acoss).
    def of_rank(rank):
        ones = np.ones(13, dtype=np.int64)
        return Ranking(ones, rank * ones, np.zeros(13), ones)

    assert conventions._move(of_rank(40), 15)["MR"] == pytest.approx(34.8)
    assert conventions._move(of_rank(2), 15)["MRR"] == pytest.approx(0.567, abs=5e-4)
    assert conventions._acoss(of_rank(2), 15)["MRR"] == pytest.approx(0.433, abs=5e-4)


def test_coverhunter_drops_negative_distances():
    distances = DISTANCES.copy()
    distances[0, 4] = -1e-7  # a0's noise track goes: its cover is first.
    distances[3, 2] = -1e-7  # b1's cover goes: AP 0 and rank 0.
    distances[2, 0] = -1e-7  # b0 loses a0, which was before its cover: third.
    expected = {"mean_ap": (1 + 1 + 1 / 3) / 5, "rank1": (1 + 1 + 3) / 5, "hit_rate": 2 / 5}
    found = printed(distances, WORKS)["CoverHunter"]
    assert found == pytest.approx({**expected, "top10": 3 / 10 / 5})


def test_coverhunter_loses_duplicates_that_float32_puts_below_zero(rng):
    units = rng.standard_normal((2000, 6)).astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    above_one = units[np.einsum("ij,ij->i", units, units) > 1][0]
    embeddings = np.stack([above_one, above_one, -above_one, np.roll(above_one, 1)])
    scores = evaluate(embeddings, ["a", "a", "a", "b"], conventions=True)
    # Ours: each of the two duplicates has the other first, the third track last.
    assert scores["P@1"] == pytest.approx(2 / 3)
    # Theirs: to the duplicates only the third remains, after b; the third finds both after b.
    found = scores["conventions"]["CoverHunter"]
    assert found["hit_rate"] == 0
    assert found["mean_ap"] == pytest.approx((1 / 2 + 1 / 2 + (1 / 2 + 2 / 3) / 2) / 4)


def test_coverhunter_looks_no_deeper_than_its_limit(monkeypatch):
    # The query's covers are at ranks 1 and 3; within 2 one is found, by which AP is divided.
    points = np.array([[0.0], [1.0], [3.0], [2.0]])
    table = np.abs(points - points.T)
    options = {"queries": [0], "references": [0, 1, 2, 3]}
    deep = printed(table[:1], ["a", "a", "a", "b"], **options)["CoverHunter"]
    assert deep["mean_ap"] == pytest.approx((1 + 2 / 3) / 2)
    monkeypatch.setattr(conventions, "_COVERHUNTER_DEPTH", 2)
    shallow = printed(table[:1], ["a", "a", "a", "b"], **options)["CoverHunter"]
    assert shallow["mean_ap"] == 1


def test_mulkinet_keeps_the_query_at_distance_one():
    # The query itself, at 1, comes before every cover at 1 or more: ranks 3, 2, 5, 2.
    found = printed(DISTANCES, WORKS)["MulKINet"]
    assert math.isnan(found["mAP"])  # c0 has no covers.
    assert found["MR1"] == pytest.approx(12 / 4)
    assert found["P@10"] == pytest.approx(4 / 10 / 5)
    without_noise = printed(DISTANCES[:4, :4], WORKS[:4])["MulKINet"]
    # Ranks 2, 2, 4, 2: a0 and a1 have their cover first, b0 its third, b1 its first.
    assert without_noise["mAP"] == pytest.approx((1 / 2 + 1 / 2 + 1 / 4 + 1 / 2) / 4)
    near = printed(DISTANCES[:4, :4] / 8, WORKS[:4])["MulKINet"]  # All below 1.
    assert near["mAP"] == pytest.approx((1 + 1 + 1 / 3 + 1) / 4)


def test_mulkinet_takes_runs_of_a_list_for_works():
    # In the order a0 a1 b0 c0 b1 the two tracks of b are no run: only a has covers.
    order = [0, 1, 2, 4, 3]
    distances = DISTANCES[np.ix_(order, order)]
    found = printed(distances, [WORKS[place] for place in order])["MulKINet"]
    assert math.isnan(found["mAP"])
    assert found["MR1"] == pytest.approx((3 + 2) / 2)
    assert found["P@10"] == pytest.approx(2 / 10 / 5)
    alternating = printed(DISTANCES[:4, :4], ["a", "b", "a", "b"])["MulKINet"]
    assert math.isnan(alternating["mAP"])
    assert math.isnan(alternating["MR1"])


def test_mulkinet_ranks_a_list_against_itself_only():
    found = printed(DISTANCES[:1], WORKS, queries=[0])
    assert "MulKINet" not in found
    euclidean = evaluate([[0.0], [1.0]], ["a", "a"], distance="euclidean", conventions=True)
    assert "MulKINet" not in euclidean["conventions"]
    assert found["CQTNet"]["rank1"] == 2
