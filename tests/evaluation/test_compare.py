"""Runs side by side, and the files they are read from."""

import csv
import json

import numpy as np
import pytest

from mulkinet.errors import MulkinetError
from mulkinet.evaluation.bootstrap import difference
from mulkinet.evaluation.compare import compare_runs
from mulkinet.evaluation.evaluator import run_evaluation
from mulkinet.evaluation.inputs import Candidates
from mulkinet.evaluation.results import describe, read_json, write_json, write_tables


@pytest.fixture
def candidates(rng):
    works = np.array([f"w{n}" for n in np.repeat(np.arange(12), 3)])
    tracks = np.array([f"t{n % 3}" for n in range(36)])
    return Candidates(rng.standard_normal((36, 5)), works, tracks, settings={"store": "x.h5"})


def run(candidates, path, **changed):
    changed = Candidates(**{**vars(candidates), **changed})
    evaluation = run_evaluation(**changed.arguments, conventions=True)
    write_json(path, describe(evaluation, changed))
    return read_json(path)


def test_better_embeddings_win(candidates, tmp_path, rng):
    a = run(candidates, tmp_path / "a.json")
    better = candidates.embeddings + np.repeat(rng.standard_normal((12, 5)), 3, axis=0) * 4
    b = run(candidates, tmp_path / "b.json", embeddings=better)
    compared = compare_runs(a, b)
    assert compared.n_queries == 36
    assert compared.notes == []
    rows = {row["metric"]: row for row in compared.rows}
    for metric in ("MAP", "MR1", "MRR", "P@1", "P@10", "TOP10"):
        assert rows[metric]["a"] == pytest.approx(a["scores"][metric])
        assert rows[metric]["b"] == pytest.approx(b["scores"][metric])
    assert rows["MAP"]["low"] > 0
    assert rows["MAP"]["p"] < 0.05
    assert rows["MR1"]["high"] < 0
    same = {row["metric"]: row for row in compare_runs(a, a).rows}
    assert (same["MAP"]["difference"], same["MAP"]["p"]) == (0, 1)


def test_runs_on_other_tracks_are_noted(candidates, tmp_path):
    a = run(candidates, tmp_path / "a.json")
    b = run(candidates, tmp_path / "b.json", references=list(range(18)))
    notes = compare_runs(a, b).notes
    assert notes[0] == "queries differ: 36 and 18"
    assert "compared on the 18 queries that both have" in notes
    other = np.array([f"other {work}" for work in candidates.work_ids])
    c = run(candidates, tmp_path / "c.json", work_ids=other)
    with pytest.raises(MulkinetError, match="none among 36 and 36"):
        compare_runs(a, c)


def test_difference_is_paired(rng):
    # The same gain everywhere is certain, however much works differ.
    values = rng.random(50) * 10
    works = np.arange(50) // 2
    found = difference(values, values + 0.1, works)
    assert found["low"] == pytest.approx(0.1)
    assert found["high"] == pytest.approx(0.1)
    noise = difference(values, values[::-1], works)
    assert noise["low"] < 0 < noise["high"]
    assert noise["p"] > 0.1


def test_json_has_no_nan_and_wrong_files_are_told(candidates, tmp_path):
    path = tmp_path / "a.json"
    works = np.array([*candidates.work_ids[:-1], "alone"])
    content = run(candidates, path, work_ids=works)
    assert "NaN" not in path.read_text(encoding="utf-8")
    assert content["conventions"]["MulKINet"]["mAP"] is None
    assert content["scores"]["queries"] == 35
    path.write_text(json.dumps({**content, "version": 99}), encoding="utf-8")
    with pytest.raises(MulkinetError, match="version 99; upgrade"):
        read_json(path)
    path.write_text(json.dumps({**content, "version": "2"}), encoding="utf-8")
    with pytest.raises(MulkinetError, match="version 2; upgrade"):
        read_json(path)
    for text in ("[]", "no json", '{"format": "other"}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(MulkinetError, match="expected the scores of a run"):
            read_json(path)
    parts = [
        {"queries": None},
        {"scores": {}},
        {"queries": {**content["queries"], "AP": content["queries"]["AP"][:-1]}},
        {"queries": {**content["queries"], "first_rank": ["?"] * 35}},
        {"queries": {**content["queries"], "track_id": ["t0"]}},
        {"queries": {name: content["queries"][name] for name in ("AP", "first_rank")}},
    ]
    for part in [{"format": content["format"], "version": 1}, *({**content, **p} for p in parts)]:
        path.write_text(json.dumps(part), encoding="utf-8")
        with pytest.raises(MulkinetError, match="found a part of them"):
            read_json(path)
    with pytest.raises(MulkinetError, match="No such file"):
        read_json(tmp_path / "nowhere.json")


def test_tables(candidates, tmp_path):
    titles = np.array([f"Ä {n}" for n in range(36)])
    titled = Candidates(**{**vars(candidates), "titles": titles})
    evaluation = run_evaluation(**titled.arguments)
    write_tables(tmp_path, evaluation, titled)
    with open(tmp_path / "queries.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["title"] for row in rows] == titles.tolist()
    mean = np.mean([float(row["AP"]) for row in rows])
    assert mean == pytest.approx(evaluation.scores["MAP"])
    np.testing.assert_array_equal(np.load(tmp_path / "embeddings.npy"), candidates.embeddings)
    lines = (tmp_path / "tracks.txt").read_text(encoding="utf-8").splitlines()
    assert lines[4] == "w1\tt1"
