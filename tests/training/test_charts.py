"""Training on charts: performed anew at every step, resumed exactly, shared out among replicas."""

import numpy as np
import pytest

from mulkinet.losses.plans import clique_plan, labels_of
from mulkinet.sources.charts.chart_store import ChartStore
from mulkinet.training.averaging import WeightAverage
from mulkinet.training.pipeline import batches
from tests.commands import invoke
from tests.sources.charts.songs import write_songs
from tests.training.test_trainer import check_resuming, run, weights

OPTIONS = {"model": "keyconv", "network": {"n_filters": 4, "embedding_len": 8}, "n_frames": 40}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_songs(tmp_path_factory.mktemp("songs") / "songs.jsonl.gz", 12)


def plan_of(store, epoch):
    _, labels = labels_of(store.work_ids)
    rows = np.arange(len(store))
    return clique_plan(rows, labels, batch_size=8, tracks_per_work=2, seed=0, epoch=epoch)


def crops(store, epoch, **options):
    found = batches(
        plan_of(store, epoch), store, feature="crema", n_frames=40, pad="wrap", **options
    )
    return [x.numpy() for x, _ in found]


def test_every_step_hears_performances_of_its_own_and_the_same_again(path):
    store = ChartStore(path)
    first, again, later = crops(store, 0), crops(ChartStore(path), 0), crops(store, 1)
    for one, same in zip(first, again):
        np.testing.assert_array_equal(one, same)
    heard = np.concatenate(first + later)
    assert len({x.tobytes() for x in heard}) == len(heard)
    assert (np.abs(heard).sum(axis=(1, 2)) > 0).all()


def test_replicas_together_see_the_batch_of_one(path):
    store = ChartStore(path)
    halves = crops(store, 0, replicas=(range(2), 2))
    for whole, one, other in zip(crops(store, 0), halves[::2], halves[1::2]):
        np.testing.assert_array_equal(np.concatenate([one, other]), whole)


def test_a_run_on_charts_resumes_to_the_same_end(path, tmp_path, monkeypatch):
    rows = check_resuming(path, tmp_path, monkeypatch, **OPTIONS)
    assert {"accuracy", "mean_positive_similarity"} < set(rows[0])


def test_the_command_trains_by_the_recipe(path, tmp_path, monkeypatch):
    from mulkinet.cli.train import main

    monkeypatch.chdir(tmp_path)
    small = [
        "--n-filters",
        4,
        "--embedding-len",
        8,
        "--n-frames",
        40,
        "--max-epoch",
        1,
        "--batchsize",
        8,
    ]
    done = invoke(main, "--recipe", "covers", "--data-dir", path, "--gpu", -1, *small)
    assert done.exit_code == 0, done.stderr
    assert "best: epoch 1" in done.stdout


def test_averages_by_hand():
    import tensorflow as tf

    weight = tf.Variable(1.0)
    average = WeightAverage([weight], 0.5)
    weight.assign(3.0)
    average.update(1)  # the start forgets more: a decay of 2 / 11
    expected = 1 * 2 / 11 + 3 * 9 / 11
    assert float(average.state()[0]) == pytest.approx(expected)
    weight.assign(4.0)
    average.update(1000)
    expected = (expected + 4) / 2
    with average.in_place():
        assert float(weight) == pytest.approx(expected)
    assert float(weight) == 4.0
    other = WeightAverage([weight], 0.5)
    other.restore(average.state())
    assert other.state() == average.state()
    assert WeightAverage([weight], 0.0).state() == []


def test_what_a_run_keeps_is_the_average_over_its_steps(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps = {"loss": "nt-xent", "batchsize": 100, "tracks_per_work": 2, **OPTIONS}
    run(path, tag="begin", max_epoch=0, **steps)
    # One step an epoch: the 100 tracks that a batch may have are more than there are.
    run(path, tag="averaged", max_epoch=1, weight_average=0.9, **steps)
    begin = weights(tmp_path, "best.h5", "begin")
    live, averaged = (weights(tmp_path, name, "averaged") for name in ("last.h5", "best.h5"))
    moved = 0
    for w0, w1, kept in zip(begin, live, averaged):
        # At the first of steps the average keeps 2 / 11, less than the 0.9 of later ones.
        np.testing.assert_allclose(kept, (2 * w0 + 9 * w1) / 11, rtol=1e-5, atol=1e-6)
        moved += np.abs(w1 - w0).max() > 1e-3
    assert moved > 5
