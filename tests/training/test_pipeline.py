"""Batches: crops where the plan says, padded, augmented, the same again for the same epoch."""

import gc
import weakref

import numpy as np
import pytest

from mulkinet import FeatureStore
from mulkinet.data.store_writer import StoreWriter
from mulkinet.losses.plans import Plan, class_plan, clique_plan, in_turn, labels_of, pair_plan
from mulkinet.training.augment import Augmentation, RollTime, augmentation
from mulkinet.training.pipeline import batches
from tests.stores import SETTINGS

LENGTHS = [3, 8, 20, 21]


@pytest.fixture
def store(tmp_path):
    """Frame t of track i holds 100 i + t + 1 in every bin: a crop tells where it is from."""
    tracks = [("w", str(i)) for i in range(len(LENGTHS))]
    with StoreWriter(tmp_path / "s.h5", name="ramps", tracks=tracks) as writer:
        writer.add_feature("hpcp", n_frames=LENGTHS, settings=SETTINGS)
        for i, track in enumerate(tracks):
            ramp = 100 * i + np.arange(1.0, LENGTHS[i] + 1)
            writer.write("hpcp", track, np.repeat(ramp[:, None], 12, axis=1))
    return FeatureStore(tmp_path / "s.h5")


def test_crops(store):
    rows = np.tile(np.arange(4), 40)
    labels = rows.astype(np.int32)
    starts = {row: set() for row in range(4)}
    for epoch in range(2):
        plan = class_plan(rows, labels, batch_size=3, seed=0, epoch=epoch)
        for x, targets in batches(plan, store, feature="hpcp", n_frames=8):
            assert x.shape[1:] == (12, 8)
            assert x.dtype == np.float32
            for crop, row in zip(x.numpy(), targets.numpy()):
                assert (crop == crop[0]).all()
                first = int(crop[0, 0]) - 100 * row - 1
                starts[row].add(first)
                held = min(8, LENGTHS[row])
                np.testing.assert_array_equal(
                    crop[0, :held], 100 * row + first + np.arange(1, held + 1)
                )
                assert (crop[0, held:] == 0).all()
    assert starts == {0: {0}, 1: {0}, 2: set(range(13)), 3: set(range(14))}


@pytest.mark.parametrize("steps", ["none", "rotate", "masks", "stretch", "warp", "stretch+warp"])
def test_crops_begin_everywhere_as_often(tmp_path, steps):
    """In each fifth of a track: 4000 of 20000 crops, give or take 57; a stretched track's frames stay numbered."""
    length, n_frames, n_crops = 100, 50, 20000
    with StoreWriter(tmp_path / "s.h5", name="ramp", tracks=[("w", "0")]) as writer:
        writer.add_feature("hpcp", n_frames=[length], settings=SETTINGS)
        ramp = np.arange(1.0, length + 1)
        writer.write("hpcp", ("w", "0"), np.repeat(ramp[:, None], 12, axis=1))
    rows = np.zeros(500, np.int64)
    plan = Plan([(rows, np.zeros(500, np.int32))] * (n_crops // 500), (0, 0))
    road = {"feature": "hpcp", "n_frames": n_frames, "augment": augmentation(steps)}
    crops = np.concatenate([x for x, _ in batches(plan, FeatureStore(tmp_path / "s.h5"), **road)])
    # Frames that are masked or silenced are 0: the first and the last of a crop that are not tell where it lies.
    crops = crops[crops.any(axis=(1, 2))]
    heard = crops.max(axis=1) > 0
    first = heard.argmax(axis=1)
    last = n_frames - 1 - heard[:, ::-1].argmax(axis=1)
    frames = crops.max(axis=1)
    begins, ends = (frames[np.arange(len(crops)), at] - 1 for at in (first, last))
    begins, ends = begins - first, ends + (n_frames - 1 - last)
    if steps in ("none", "rotate", "masks"):
        counts = np.bincount(begins.astype(int), minlength=51)
        assert len(counts) == 51
        # 392 of each start, with a deviation of 20.
        assert 280 < counts.min() <= counts.max() < 500
    # The middle of a crop is uniform within what its own length leaves of the track.
    room = np.maximum(length - 1 - (ends - begins), 1)
    shares = np.clip(begins / room, 0, 1 - 1e-6)
    fifths = np.bincount((5 * shares).astype(int), minlength=5) / len(crops)
    np.testing.assert_allclose(fifths, 0.2, atol=0.03)


@pytest.mark.parametrize("augment", [None, "stretch+masks"])
def test_lengths_in_turn(store, augment):
    rows, labels = np.arange(4), np.arange(4, dtype=np.int32)
    plans = [class_plan(rows, labels, batch_size=2, seed=0, epoch=e) for e in range(2)]
    plan = in_turn(plans, (0, 0))
    options = {"augment": augment and augmentation(augment)}
    found = list(batches(plan, store, feature="hpcp", n_frames=(6, 10), **options))
    assert [x.shape for x, _ in found] == [(2, 12, 6), (2, 12, 10)] * 2
    for (_, targets), (_, wanted) in zip(found, plan.steps):
        np.testing.assert_array_equal(targets, wanted)
    if augment is None:
        for x, targets in found:
            assert (x.numpy()[:, :, 0] // 100 == targets.numpy()[:, None]).all()


def test_the_same_epoch_is_the_same(store):
    plan = class_plan(np.arange(4), np.arange(4, dtype=np.int32), batch_size=2, seed=0, epoch=1)
    first, second = (
        [x.numpy() for x, _ in batches(plan, store, feature="hpcp", n_frames=5)] for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_short_tracks_are_tiled(store):
    plan = Plan([(np.asarray([0]), np.zeros(1, np.int32))], (0, 0))
    ((x, _),) = batches(plan, store, feature="hpcp", n_frames=8, pad="wrap")
    assert x[0, 5].numpy().tolist() == [1, 2, 3, 1, 2, 3, 1, 2]


def test_augmentation_is_seeded_and_spares_the_first_of_a_pair(store):
    rows = np.asarray([[0, 1], [2, 3]])
    plan = Plan([(rows, np.zeros(2, np.int32))] * 2, (0, 0))
    road = {"feature": "hpcp", "n_frames": 3}
    plain = [x.numpy() for x, _ in batches(plan, store, **road)]
    rolled = Augmentation([RollTime()])
    once, again = (
        [x.numpy() for x, _ in batches(plan, store, augment=rolled, **road)] for _ in range(2)
    )
    assert plain[0].shape == once[0].shape == (2, 2, 12, 3)
    np.testing.assert_array_equal(once, again)
    assert {tuple(x[0, 0, 0] // 100) for x in once} == {(0.0, 0.0, 0.0)}
    assert {tuple(x[0, 1, 0] // 100) for x in once} == {(1.0, 1.0, 1.0)}
    assert not np.array_equal(once[0][:, 1], once[1][:, 1])


def delivered(plan, store):
    """(rows as the crops tell them, targets) of all that an epoch delivers."""
    road = batches(plan, store, feature="hpcp", n_frames=3, pad="wrap")
    x, targets = (np.concatenate(parts) for parts in zip(*((x, y) for x, y in road)))
    return (x[..., 0, 0] // 100).astype(int), targets


def test_what_an_epoch_delivers_follows_the_rules(tmp_path, rng):
    sizes = [1, 2, 3, 5, 6, 13, 14, 20]
    tracks = [(f"w{work}", str(i)) for work, size in enumerate(sizes) for i in range(size)]
    with StoreWriter(tmp_path / "s.h5", name="sizes", tracks=tracks) as writer:
        writer.add_feature("hpcp", n_frames=[4] * len(tracks), settings=SETTINGS)
        for i, track in enumerate(tracks):
            writer.write("hpcp", track, np.full((4, 12), 100 * i + 1))
    store = FeatureStore(tmp_path / "s.h5")
    rows = np.arange(len(tracks))
    _, labels = labels_of(store.work_ids)
    drawn = {"seed": 0, "epoch": 0}

    shown, targets = delivered(class_plan(rows, labels, batch_size=7, **drawn), store)
    assert sorted(shown) == rows.tolist()
    np.testing.assert_array_equal(targets, labels[shown])

    plan = clique_plan(rows, labels, batch_size=16, tracks_per_work=4, **drawn)
    shown, targets = delivered(plan, store)
    np.testing.assert_array_equal(targets, np.stack([labels[shown], shown], axis=1))
    # MOVE: once for 2 - 5 tracks, twice for 6 - 9, three times for 10 - 13, four times from 14.
    appearances = np.bincount(labels[shown], minlength=8) / 4
    assert appearances.tolist() == [0, 1, 1, 1, 2, 3, 4, 4]

    pairs = []
    for epoch in range(4):
        shown, targets = delivered(
            pair_plan(rows, labels, batch_size=32, seed=0, epoch=epoch), store
        )
        np.testing.assert_array_equal(targets, labels[shown[:, 0]] != labels[shown[:, 1]])
        # A negative for each positive, and a quarter of all in each epoch.
        assert (targets == 0).sum() == (targets == 1).sum()
        pairs.append(shown[targets == 0])
    n_pairs = sum(size * (size - 1) for size in sizes)
    assert [round(len(part) / n_pairs, 2) for part in pairs] == [0.25] * 4
    assert len({tuple(pair) for part in pairs for pair in part}) == n_pairs


def test_plans_of_earlier_epochs_are_forgotten(store):
    def deliver():
        plan = class_plan(np.arange(4), np.arange(4, dtype=np.int32), batch_size=2, seed=0, epoch=0)
        assert len(list(batches(plan, store, feature="hpcp", n_frames=5))) == len(plan.steps)
        return weakref.ref(plan)

    plans = [deliver() for _ in range(3)]
    gc.collect()
    assert [plan() for plan in plans] == [None] * 3
