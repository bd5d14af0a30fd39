"""From a store to batches: one tf.data road for every network and loss.

What an epoch shows is a *plan*, a pure function of (seed, epoch): for each step the rows of the
tracks in the batch and their targets. `batches` turns a plan into (x, target) pairs; where a crop
begins follows from (seed, epoch, step) too, so that a resumed run sees what an uninterrupted one
would have seen. x is (batch, n_bins, n_frames) float32.

Public names: `Plan`, `class_plan`, `labels_of`, `batches`.
"""

import dataclasses

import numpy as np

from mulkinet.errors import MulkinetError

__all__ = ["Plan", "class_plan", "labels_of", "batches"]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one epoch shows.

    Attributes:
        steps: list of (rows, targets): rows (batch,) int64 of tracks in the store, targets
            (batch,) int32 work labels.
        seed: (seed, epoch), from which crops and augmentation are drawn.
    """

    steps: list
    seed: tuple


def labels_of(work_ids):
    """Numbers the works of a list.

    Args:
        work_ids: (N,) str.

    Returns:
        (classes, labels): the distinct work_ids, (C,) sorted, and each track's class, (N,) int32.

    Raises:
        MulkinetError: There are fewer than two works.
    """
    classes, labels = np.unique(np.asarray(work_ids), return_inverse=True)
    if len(classes) < 2:
        raise MulkinetError(
            f"expected at least 2 works to train on, found {len(classes)}; name more in the list"
        )
    return classes, labels.astype(np.int32)


def class_plan(rows, labels, *, batch_size, seed, epoch):
    """Every track once, in an order drawn anew for each epoch (MulKINet's softmax training).

    The last batch is not a small remainder: batches differ by at most one track in size, so that
    none is too small for batch normalisation.

    Args:
        rows: (N,) int64 rows of the training tracks.
        labels: (N,) int32 their classes.
        batch_size: int >= 1, the most tracks in a batch.
        seed: int >= 0.
        epoch: int >= 0.

    Returns:
        Plan.
    """
    order = np.random.default_rng((seed, epoch)).permutation(len(rows))
    n_steps = -(-len(rows) // batch_size)
    parts = np.array_split(order, n_steps)
    return Plan([(rows[part], labels[part]) for part in parts], (seed, epoch))


def batches(plan, store, *, feature, n_frames):
    """The batches of a plan, read ahead of their use on all cores.

    Args:
        plan: Plan.
        store: FeatureStore.
        feature: One of the store's features.
        n_frames: Length of the crops; shorter tracks are padded with zeros at the end.

    Returns:
        tf.data.Dataset of (x (batch, n_bins, n_frames) float32, targets (batch,) int32).
    """
    import tensorflow as tf

    n_bins = store.settings(feature)["n_bins"]

    def read(step):
        rows, targets = plan.steps[step]
        rng = np.random.default_rng((*plan.seed, int(step)))
        return _crops(store, feature, rows, n_frames, rng), targets

    def load(step):
        x, targets = tf.numpy_function(read, [step], (tf.float32, tf.int32), stateful=False)
        return tf.ensure_shape(x, (None, n_bins, n_frames)), tf.ensure_shape(targets, (None,))

    steps = tf.data.Dataset.range(len(plan.steps))
    return steps.map(load, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _crops(store, feature, rows, n_frames, rng):
    lengths = store.n_frames(feature)[rows]
    starts = rng.integers(0, np.maximum(lengths - n_frames, 0) + 1)
    x = np.zeros((len(rows), store.settings(feature)["n_bins"], n_frames), np.float32)
    for crop, row, start in zip(x, rows, starts):
        frames = store.read(feature, row, start, n_frames)
        crop[:, : len(frames)] = frames.T
    return x
