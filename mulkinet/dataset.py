"""From a store to batches: one tf.data road for every network and loss.

`batches` turns a plan (`mulkinet.plans`) into (x, targets): it reads a crop of every track from the
memory map, augments, and reads ahead. Where a crop begins and how it is augmented follow from
(seed, epoch, step), so that a resumed run sees what an uninterrupted one would have seen.

Public names: `batches`, `PADS`.
"""

import numpy as np

__all__ = ["PADS", "batches"]

PADS = ("zero", "wrap")


def batches(plan, store, *, feature, n_frames, pad="zero", augment=None, replicas=(range(1), 1)):
    """The batches of a plan, read ahead of their use on all cores.

    Args:
        plan: Plan.
        store: FeatureStore.
        feature: One of the store's features.
        n_frames: Length of the crops.
        pad: What shorter tracks are filled up with at the end: "zero", or "wrap" for the track
            over again.
        augment: Function of ((batch, n_bins, n_frames) float32, seed (2,) int32) to the same shape,
            in TensorFlow; of a pair only the second track goes through it.
        replicas: (which replicas, of how many): each sees its part of every batch, one after the
            other.

    Returns:
        tf.data.Dataset of (x, targets): x (batch, n_bins, n_frames) float32, or for pairs
        (batch, 2, n_bins, n_frames); targets int32 as in the plan.
    """
    import tensorflow as tf

    n_bins = store.settings(feature)["n_bins"]
    rows, targets = plan.steps[0]
    crop_shape = (None, *rows.shape[1:], n_bins, n_frames)
    here, n_replicas = replicas

    def read(i):
        step, replica = divmod(int(i), len(here))
        rows, targets = plan.steps[step]
        rng = np.random.default_rng((*plan.seed, step))
        starts = _starts(store, feature, rows, n_frames, rng)
        part = np.array_split(np.arange(len(rows)), n_replicas)[here[replica]]
        x = _crops(store, feature, rows[part].ravel(), starts[part].ravel(), n_frames, pad)
        seed = rng.integers(1 << 31, size=(n_replicas, 2), dtype=np.int32)[here[replica]]
        return x.reshape(*rows[part].shape, n_bins, n_frames), targets[part], seed

    def load(i):
        kinds = (tf.float32, tf.int32, tf.int32)
        x, y, seed = tf.numpy_function(read, [i], kinds, stateful=False)
        x = tf.ensure_shape(x, crop_shape)
        if augment is not None:
            x = _augmented(x, tf.ensure_shape(seed, (2,)), augment)
        return x, tf.ensure_shape(y, (None, *targets.shape[1:]))

    steps = tf.data.Dataset.range(len(plan.steps) * len(here))
    return steps.map(load, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _augmented(x, seed, augment):
    import tensorflow as tf

    if x.shape.rank == 3:
        return augment(x, seed)
    return tf.stack([x[:, 0], augment(x[:, 1], seed)], axis=1)


def _starts(store, feature, rows, n_frames, rng):
    lengths = store.n_frames(feature)[rows]
    return rng.integers(0, np.maximum(lengths - n_frames, 0) + 1)


def _crops(store, feature, rows, starts, n_frames, pad):
    x = np.zeros((len(rows), store.settings(feature)["n_bins"], n_frames), np.float32)
    for crop, row, start in zip(x, rows, starts):
        frames = store.read(feature, row, start, n_frames)
        if pad == "wrap" and len(frames) < n_frames:
            frames = np.resize(frames, (n_frames, frames.shape[1]))
        crop[:, : len(frames)] = frames.T
    return x
