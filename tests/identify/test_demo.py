"""The demo set and the network that `make demo` trains on it: an index of works it was not trained on."""

import os

import numpy as np
import pytest
import soundfile

from mulkinet import FeatureStore, Index, embed, evaluate, load_model
from mulkinet.lists import read_list, select

pytestmark = pytest.mark.slow

_PART_SEC = 40


@pytest.fixture(scope="module")
def demo(repository):
    """(folder of audio, {work: [track_id]} of the test list, model file, store)."""
    model_file, store = repository / "models/demo/best.h5", repository / "datasets/demo.h5"
    test_ls = repository / "meta/DEMO-TEST"
    if not all(path.is_file() for path in (model_file, store, test_ls)):
        pytest.skip("make demo has not been run")
    works = {}
    for work, track in read_list(test_ls):
        works.setdefault(work, []).append(track)
    return repository / "datasets/demo_audio", works, model_file, FeatureStore(store)


@pytest.fixture(scope="module")
def library(demo, tmp_path_factory):
    """All performances of the test works but the last of each."""
    audio, works, _, _ = demo
    folder = tmp_path_factory.mktemp("library")
    for work, tracks in works.items():
        (folder / work).mkdir()
        for track in tracks[:-1] or tracks:
            os.symlink(audio / work / f"{track}.flac", folder / work / f"{track}.flac")
    return folder


@pytest.fixture(scope="module")
def index(demo, library, tmp_path_factory, repository):
    path = tmp_path_factory.mktemp("index") / "demo.index"
    made = Index.build(path, library, demo[2], progress=False)
    made.calibrate(data_dir=demo[3].path, val_ls=repository / "meta/DEMO-VAL")
    return made


@pytest.fixture(scope="module")
def held_out(demo):
    """(work, track) of the performances that the index never heard."""
    return [(work, tracks[-1]) for work, tracks in demo[1].items() if len(tracks) > 1]


def test_held_out_performances_are_found_as_often_as_the_evaluator_finds_them(
    demo, index, held_out
):
    audio, _, model_file, store = demo
    answers = index.identify([audio / work / f"{track}.flac" for work, track in held_out])
    hits = [answer.works[0].work_id == work for answer, (work, _) in zip(answers, held_out)]
    references = select(store, list(index.rows_by_key))
    queries = select(store, held_out)
    scores = evaluate(
        embed(load_model(model_file), store),
        store.work_ids,
        track_ids=store.track_ids,
        queries=queries,
        references=references,
    )
    assert np.mean(hits) == pytest.approx(scores["hit@1"], abs=1e-9)
    # By chance it would be one in as many as there are works.
    assert np.mean(hits) > 5 / index.n_works


def test_the_works_of_a_medley_are_found_where_they_are(demo, index, held_out):
    audio = demo[0]
    parts = held_out[:: max(1, len(held_out) // 6)][:6]
    excerpts = [
        soundfile.read(audio / work / f"{track}.flac", dtype="float32")[0][: 44100 * _PART_SEC]
        for work, track in parts
    ]
    answer = index.identify(np.concatenate(excerpts), segment_sec=_PART_SEC / 2, hop_sec=2, tau=2)
    truth = np.cumsum([0, *(len(y) / 44100 for y in excerpts)])
    found = 0
    for (work, _), start, end in zip(parts, truth, truth[1:]):
        found += any(
            span.match.work_id == work
            and abs(span.start_sec - start) < 5
            and abs(span.end_sec - end) < 5
            for span in answer.spans
        )
    assert found > len(parts) / 2


def test_probabilities_hold_on_works_that_calibration_never_saw(demo, index, held_out):
    audio = demo[0]
    answers = index.identify(
        [audio / work / f"{track}.flac" for work, track in held_out], top=len(index)
    )
    pairs = [
        (match.probability, match.work_id == work)
        for answer, (work, _) in zip(answers, held_out)
        for match in answer.tracks
    ]
    chances, is_cover = (np.array(column, dtype=float) for column in zip(*pairs))
    # These queries are all of the index's works, not every second one: twice the odds.
    odds = 2 * chances / (1 - chances)
    chances = odds / (1 + odds)
    for low, high in [(0, 0.1), (0.1, 0.5), (0.5, 1.01)]:
        inside = (chances >= low) & (chances < high)
        assert is_cover[inside].mean() == pytest.approx(chances[inside].mean(), abs=0.15)
