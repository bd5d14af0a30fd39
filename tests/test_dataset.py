"""What an epoch shows: counted, cropped and repeated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulkinet import FeatureStore, MulkinetError
from mulkinet.dataset import batches, class_plan, labels_of
from mulkinet.store import StoreWriter
from tests.test_store import SETTINGS

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


def test_crops(store):
    rows, labels = np.arange(4), np.arange(4, dtype=np.int32)
    starts = {row: set() for row in range(4)}
    for epoch in range(80):
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


def test_the_same_epoch_is_the_same(store):
    plan = class_plan(np.arange(4), np.arange(4, dtype=np.int32), batch_size=2, seed=0, epoch=1)
    first, second = (
        [x.numpy() for x, _ in batches(plan, store, feature="hpcp", n_frames=5)] for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
