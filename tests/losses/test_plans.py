"""What an epoch shows, counted."""

import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulkinet import MulkinetError
from mulkinet.losses.plans import (
    class_plan,
    clique_plan,
    in_turn,
    labels_of,
    pair_plan,
    random_stream,
)


def test_labels():
    classes, labels = labels_of(["b", "a", "b", "c"])
    assert classes.tolist() == ["a", "b", "c"]
    assert labels.tolist() == [1, 0, 1, 2]
    assert labels.dtype == np.int32
    with pytest.raises(MulkinetError, match="at least 2 works"):
        labels_of(["a", "a"])


@settings(deadline=None)
@given(n=st.integers(1, 200), batch_size=st.integers(1, 40), epoch=st.integers(0, 5))
def test_an_epoch_shows_every_track_once(n, batch_size, epoch):
    rows = np.arange(n) * 7
    labels = np.arange(n, dtype=np.int32) % 5
    plan = class_plan(rows, labels, batch_size=batch_size, seed=1, epoch=epoch)
    shown = np.concatenate([step[0] for step in plan.steps])
    targets = np.concatenate([step[1] for step in plan.steps])
    assert sorted(shown) == sorted(rows)
    assert (targets == shown // 7 % 5).all()
    sizes = [len(step[0]) for step in plan.steps]
    assert len(sizes) == -(-n // batch_size)
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1


def test_epochs_differ_and_repeat():
    rows, labels = np.arange(50), np.zeros(50, np.int32)

    def shown(epoch):
        plan = class_plan(rows, labels, batch_size=8, seed=0, epoch=epoch)
        return np.concatenate([step[0] for step in plan.steps]).tolist()

    assert shown(3) == shown(3) != shown(4)


def works_of(sizes):
    labels = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    order = np.random.default_rng(5).permutation(len(labels))
    return np.arange(len(labels))[order] * 3, labels[order]


def test_how_often_works_and_tracks_come_in_cliques():
    """MOVE's rule: once for 2-5 tracks, twice for 6-9, three times for 10-13, four times from 14."""
    sizes = [1, 2, 3, 4, 5, 6, 9, 10, 13, 14, 40]
    rows, labels = works_of(sizes)
    label_of = dict(zip(rows.tolist(), labels.tolist()))
    plan = clique_plan(rows, labels, batch_size=16, tracks_per_work=4, seed=0, epoch=2)
    times = collections.Counter()
    for step_rows, targets in plan.steps:
        assert len(step_rows) <= 16
        assert len(step_rows) % 4 == 0
        assert targets.dtype == np.int32
        assert targets[:, 0].tolist() == [label_of[row] for row in step_rows]
        assert targets[:, 1].tolist() == step_rows.tolist()
        for clique in step_rows.reshape(-1, 4):
            (work,) = {label_of[row] for row in clique}
            counts = sorted(collections.Counter(clique.tolist()).values())
            assert counts == {2: [2, 2], 3: [1, 1, 2]}.get(sizes[work], [1, 1, 1, 1])
            times[work] += 1
    assert [times[work] for work in range(len(sizes))] == [0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(("rule", "size"), [("works", 2), ("tracks", 4)])
def test_the_published_rules_of_cliques(rule, size):
    """Every work once (Discogs-VINet); every track once as the first of four (at MIREX)."""
    sizes = [1, 2, 3, 4, 5, 9]
    rows, labels = works_of(sizes)
    label_of = dict(zip(rows.tolist(), labels.tolist()))
    plan = clique_plan(
        rows, labels, batch_size=4 * size, tracks_per_work=size, seed=0, epoch=2, rule=rule
    )
    cliques = np.concatenate([step[0].reshape(-1, size) for step in plan.steps]).tolist()
    works = [label_of[clique[0]] for clique in cliques]
    times = collections.Counter(works)
    expected = [0, 1, 1, 1, 1, 1] if rule == "works" else [0, 2, 3, 4, 5, 9]
    assert [times[work] for work in range(6)] == expected
    for clique, work in zip(cliques, works):
        assert {label_of[row] for row in clique} == {work}
        counts = sorted(collections.Counter(clique).values())
        if size == 4:
            assert counts == {2: [2, 2], 3: [1, 1, 2]}.get(sizes[work], [1, 1, 1, 1])
    if rule == "tracks":
        heard = {row for clique in cliques for row in clique}
        assert heard == {row for row in rows.tolist() if sizes[label_of[row]] > 1}


def test_plans_in_turn():
    rows, labels = np.arange(5), np.arange(5, dtype=np.int32) % 2
    plans = [class_plan(rows[:n], labels[:n], batch_size=2, seed=0, epoch=n) for n in (5, 3)]
    both = in_turn(plans, (0, 7))
    assert (both.seed, both.turns.tolist()) == ((0, 7), [0, 1, 0, 1, 0])
    for found, turn, place in zip(both.steps, (0, 1, 0, 1, 0), (0, 0, 1, 1, 2)):
        assert found is plans[turn].steps[place]


@pytest.mark.parametrize(("n_works", "expected"), [(2, [2]), (3, [3]), (5, [2, 3]), (6, [2, 2, 2])])
def test_no_batch_is_a_single_clique(n_works, expected):
    """Two cliques make a batch; an odd one joins another batch, since alone it has no negatives."""
    rows, labels = works_of([2] * n_works)
    plan = clique_plan(rows, labels, batch_size=4, tracks_per_work=2, seed=0, epoch=0)
    assert sorted(len(set(targets[:, 0])) for _, targets in plan.steps) == expected
    assert sorted(np.concatenate([step_rows for step_rows, _ in plan.steps])) == sorted(rows)


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=9).filter(
        lambda s: sum(n > 1 for n in s) > 1
    ),
    tracks_per_work=st.integers(2, 4),
    works_per_batch=st.integers(2, 5),
    epoch=st.integers(0, 50),
)
def test_every_batch_has_negatives(sizes, tracks_per_work, works_per_batch, epoch):
    rows, labels = works_of(sizes)
    batch_size = works_per_batch * tracks_per_work
    plan = clique_plan(
        rows, labels, batch_size=batch_size, tracks_per_work=tracks_per_work, seed=1, epoch=epoch
    )
    assert min(len(set(targets[:, 0])) for _, targets in plan.steps) >= 2
    assert {work for _, targets in plan.steps for work in targets[:, 0]} == {
        work for work, size in enumerate(sizes) if size > 1
    }
    # Three works where two do not go up, else no more than there is room for.
    most = max(len(step_rows) for step_rows, _ in plan.steps)
    assert most <= max(batch_size, 3 * tracks_per_work)


def test_few_works_of_many_tracks_share_their_batches():
    """Five works that come four times each, two to a batch."""
    rows, labels = works_of([20] * 5)
    for epoch in range(200):
        plan = clique_plan(rows, labels, batch_size=8, tracks_per_work=4, seed=0, epoch=epoch)
        assert [len(set(targets[:, 0])) for _, targets in plan.steps] == [2] * 10
        works = np.concatenate([targets[::4, 0] for _, targets in plan.steps])
        assert np.bincount(works).tolist() == [4] * 5


def test_streams_do_not_meet():
    """NumPy alone takes (1, 2) and (1, 2, 0) for the same seed: the order of an epoch and its first crops."""
    assert np.random.default_rng((1, 2)).random() == np.random.default_rng((1, 2, 0)).random()
    streams = {
        *(random_stream(name, 1, 2).random() for name in ("order of tracks", "cliques", "dropout")),
        *(random_stream(name, 1, 2, 0).random() for name in ("crops", "augmentation")),
        random_stream("crops", 1, 2, 1).random(),
        np.random.default_rng(1).random(),
    }
    assert len(streams) == 7
    assert random_stream("crops", 1, 2, 0).random() in streams


def test_clique_epochs_differ_and_repeat():
    rows, labels = works_of([2, 3, 8])

    def shown(epoch):
        plan = clique_plan(rows, labels, batch_size=8, tracks_per_work=2, seed=1, epoch=epoch)
        return np.concatenate([step[0] for step in plan.steps]).tolist()

    assert shown(0) == shown(0) != shown(1)


@pytest.mark.parametrize(
    ("sizes", "batch_size", "message"),
    [([2, 2], 6, "2 works in a batch"), ([1, 1, 3], 8, "found 1; this loss needs covers")],
)
def test_cliques_need_covers_and_room(sizes, batch_size, message):
    rows, labels = works_of(sizes)
    with pytest.raises(MulkinetError, match=message):
        clique_plan(rows, labels, batch_size=batch_size, tracks_per_work=4, seed=0, epoch=0)


@settings(deadline=None, max_examples=20)
@given(sizes=st.lists(st.integers(1, 6), min_size=2, max_size=8).filter(lambda s: max(s) > 2))
def test_every_ordered_pair_comes_once_in_four_epochs(sizes):
    rows, labels = works_of(sizes)
    label_of = dict(zip(rows.tolist(), labels.tolist()))
    covers = collections.Counter()
    per_epoch = []
    for epoch in range(4, 8):
        plan = pair_plan(rows, labels, batch_size=10, seed=0, epoch=epoch)
        n_covers = 0
        for step_rows, targets in plan.steps:
            assert len(step_rows) <= 10
            same = [label_of[a] == label_of[b] for a, b in step_rows]
            assert targets.tolist() == [0 if s else 1 for s in same]
            half = len(targets) // 2
            assert sum(same) == half
            assert step_rows[:half, 0].tolist() == step_rows[half:, 0].tolist()
            covers.update(map(tuple, step_rows[:half].tolist()))
            n_covers += half
        per_epoch.append(n_covers)
    expected = {(a, b) for a in rows for b in rows if a != b and label_of[a] == label_of[b]}
    assert set(covers) == expected
    assert set(covers.values()) == {1}
    assert max(per_epoch) - min(per_epoch) <= 1


def test_negatives_are_drawn_from_all_other_tracks():
    rows, labels = works_of([2, 1, 3])
    drawn = collections.Counter()
    for epoch in range(400):
        for step_rows, targets in pair_plan(rows, labels, batch_size=6, seed=0, epoch=epoch).steps:
            drawn.update(step_rows[targets == 1, 1].tolist())
    # Of 8 ordered pairs 2 are of the first work and 6 of the third.
    expected = {0: 6 / 3, 1: 2 / 4 + 6 / 3, 2: 2 / 4}
    for row, label in zip(rows.tolist(), labels.tolist()):
        assert drawn[row] / 100 == pytest.approx(expected[label], rel=0.3)


def test_pairs_need_two_works():
    with pytest.raises(MulkinetError, match="at least 2 works"):
        pair_plan(*works_of([3]), batch_size=4, seed=0, epoch=0)
