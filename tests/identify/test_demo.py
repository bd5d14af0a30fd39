"""The demo set and its network: an index of works it was not trained on, and the guide's tour of it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.reliability import audio_of, build_demo_index, judge, reliability, split
from mulkinet import FeatureStore, embed, evaluate, load_model
from mulkinet.data.lists import select
from mulkinet.sources.demo.demo_set import ensure_demo
from tests.identify.demo_project import MODEL, fits, make_demo_project
from tests.printed import blocks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(repository, tmp_path_factory):
    """A folder with datasets/, meta/ and models/demo/, as `make demo` leaves them."""
    if fits(repository):
        return repository
    return make_demo_project(tmp_path_factory.mktemp("project"), repository)


@pytest.fixture(scope="module")
def demo(project):
    return ensure_demo(project / "datasets", project / "meta")


@pytest.fixture(scope="module")
def parts(demo):
    """(tracks of the index, performances that it never heard)."""
    return split(demo.lists["TEST"])


@pytest.fixture(scope="module")
def index(demo, project, parts, tmp_path_factory):
    return build_demo_index(tmp_path_factory.mktemp("index"), demo, project / MODEL, parts[0])


def test_held_out_performances_are_found_as_often_as_the_evaluator_finds_them(
    demo, project, index, parts
):
    # By the nearest track, as the evaluator counts: alignment, and the probability by which works are ordered, look at
    # more than that.
    answers = index.identify([audio_of(demo, *pair) for pair in parts[1]], rerank=0)
    hits = [answer.tracks[0].work_id == work for answer, (work, _) in zip(answers, parts[1])]
    store = FeatureStore(demo.store_path)
    scores = evaluate(
        embed(load_model(project / MODEL), store),
        store.work_ids,
        track_ids=store.track_ids,
        queries=select(store, parts[1]),
        references=select(store, parts[0]),
    )
    assert np.mean(hits) == pytest.approx(scores["hit@1"], abs=1e-9)
    # By chance it would be one in as many as there are works.
    assert np.mean(hits) > 5 / index.n_works


def test_a_medley_is_named_far_more_often_than_by_chance(demo, index, parts):
    # Spans to the second are tested on a network that knows its works (test_index.py); this one is small.
    chosen = parts[1][:: max(1, len(parts[1]) // 20)][:20]
    excerpts = [
        soundfile.read(audio_of(demo, *pair), dtype="float32")[0][: 44100 * 40] for pair in chosen
    ]
    answer = index.identify(np.concatenate(excerpts), segment_sec=20, hop_sec=2)
    ends = np.cumsum([0, *(len(y) / 44100 for y in excerpts)])
    right_sec = sum(
        max(0.0, min(end, span.end_sec) - max(start, span.start_sec))
        for (work, _), start, end in zip(chosen, ends, ends[1:])
        for span in answer.spans
        if span.match.work_id == work
    )
    told_sec = sum(span.end_sec - span.start_sec for span in answer.spans)
    assert 0 < told_sec <= ends[-1] + 0.1
    assert right_sec > 5 / index.n_works * told_sec


def test_probabilities_hold_on_works_that_calibration_never_saw(demo, index, parts):
    probabilities, is_true = judge(index, demo, parts[1])
    bins = reliability(probabilities, is_true)
    assert len(bins) >= 4
    assert [bin.promised for bin in bins] == sorted(bin.promised for bin in bins)
    for bin in bins:
        # Within a factor of two, and twice the standard error of so many pairs.
        chance = 2 * np.sqrt(bin.promised * (1 - bin.promised) / bin.n)
        assert bin.promised / 2 - chance < bin.observed < 2 * bin.promised + chance
    assert bins[-1].observed > 3 * is_true.mean()


def test_the_tour_runs_as_printed(project, repository, tmp_path):
    for name in ("datasets", "meta", "models"):
        os.symlink(project / name, tmp_path / name)
    programs = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    page = repository / "docs" / "guides" / "identify.md"
    found = blocks(page.read_text(encoding="utf-8"))
    assert {language for language, _, _ in found} == {"python", "sh"}
    commands = " ".join(code for _, code, _ in found)
    assert all(f"mulkinet {name}" in commands for name in ("index build", "identify", "calibrate"))
    for language, code, _ in found:
        interpreter = ["sh", "-ec"] if language == "sh" else [sys.executable, "-c"]
        done = subprocess.run(
            [*interpreter, code], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        if "mulkinet identify queries" in code:
            assert "nearest works" in done.stdout
