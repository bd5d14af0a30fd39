"""From a store to batches: one tf.data road for every network and loss.

`batches` turns a plan (`mulkinet.losses.plans`) into (x, targets): it reads a crop of every track from the
memory map, augments, and reads ahead. Where a crop begins and how it is augmented follow from
(seed, epoch, step), so that a resumed run sees what an uninterrupted one would have seen.
"""

import numpy as np

from mulkinet.features.resize import wrap
from mulkinet.losses.plans import random_stream

__all__ = ["batches"]


def batches(plan, store, *, feature, n_frames, pad="zero", augment=None, replicas=(range(1), 1)):
    """The batches of a plan, read ahead of their use on all cores.

    Args:
        plan: Plan.
        store: FeatureStore; or one that performs (ChartStore), whose tracks are played anew.
        feature: One of the store's features.
        n_frames: Length of the crops; or a tuple of lengths, which steps have as `plan.turns` says.
        pad: What shorter tracks are filled up with at the end: "zero", or "wrap" for the track
            over again.
        augment: mulkinet.training.augment.Augmentation, or None; of a pair only the second track goes
            through it.
        replicas: (which replicas, of how many): each sees its part of every batch, one after the
            other.

    Returns:
        tf.data.Dataset of (x, targets): x (batch, n_bins, n_frames) float32, or for pairs
        (batch, 2, n_bins, n_frames); targets int32 as in the plan.

    Raises:
        MulkinetError: The augmentation is not meant for the bins of the feature.
    """
    import tensorflow as tf

    n_bins = store.settings(feature)["n_bins"]
    if augment:
        # Within the graph it would come out with TensorFlow's traceback.
        augment.check_bins(n_bins)
    lengths_of_crops = np.atleast_1d(n_frames)
    turns = np.zeros(len(plan.steps), int) if plan.turns is None else plan.turns
    here, n_replicas = replicas
    plan_seed = plan.seed

    # TensorFlow keeps this function, and all that it refers to, until the process ends. So the
    # plan comes to it as tensors, which go with the dataset.
    def read(step, replica, n_frames, rows, targets, among):
        n_read = augment.source_frames(int(n_frames)) if augment else n_frames
        widths = np.full(rows.shape, n_read)
        if rows.ndim == 2:
            widths[:, 0] = n_frames
        whole = store.n_frames(feature)[rows]
        lengths = np.minimum(whole, widths)
        starts, within = _draw_starts(whole, lengths, n_frames, (*plan_seed, step))
        part = np.array_split(np.arange(len(rows)), n_replicas)[here[replica]]
        places = np.arange(rows.size).reshape(rows.shape)[part]
        rows, starts, within, widths, lengths = (
            a[part] for a in (rows, starts, within, widths, lengths)
        )
        x = np.zeros((*rows.shape, n_bins, n_read), np.float32)
        for at in np.ndindex(*rows.shape):
            if hasattr(store, "perform"):
                seed = (*plan_seed, int(step), int(places[at]))
                frames = store.perform(rows[at], widths[at], seed, among)
                within[at] = 0  # it begins anywhere
            else:
                frames = store.read(feature, rows[at], starts[at], widths[at])
            lengths[at] = len(frames)
            _fill(x[at], frames, widths[at], pad)
        store.release()
        rng = random_stream("augmentation", *plan_seed, step)
        seed = rng.integers(1 << 31, size=(n_replicas, 2), dtype=np.int32)[here[replica]]
        lengths, within = (values.astype(np.int32) for values in (lengths, within))
        return x, lengths, within, targets[part], seed

    with tf.device("CPU:0"):
        rows, targets = (tf.constant(np.concatenate(parts)) for parts in zip(*plan.steps))
        among = tf.constant(np.unique(rows))
        ends = tf.constant(np.cumsum([len(part) for part, _ in plan.steps]))
        of_steps = tf.constant(lengths_of_crops[turns], tf.int32)
        starts = tf.concat([[0], ends[:-1]], axis=0)

    def load(i):
        step, replica = i // len(here), i % len(here)
        batch = slice(starts[step], ends[step])
        n_frames = of_steps[step] if len(lengths_of_crops) > 1 else int(lengths_of_crops[0])
        inputs = [step, replica, n_frames, rows[batch], targets[batch], among]
        kinds = (tf.float32, tf.int32, tf.int32, tf.int32, tf.int32)
        x, lengths, within, y, seed = tf.numpy_function(read, inputs, kinds, stateful=False)
        x = tf.ensure_shape(x, (None, *rows.shape[1:], n_bins, None))
        if augment:
            lengths, within = (
                tf.ensure_shape(values, (None, *rows.shape[1:])) for values in (lengths, within)
            )
            seed = tf.ensure_shape(seed, (2,))
            sizes = {"n_frames": n_frames, "pad": pad}
            if rows.shape.rank == 1:
                x = augment(x, lengths, within, seed, **sizes)
            else:
                other = augment(x[:, 1], lengths[:, 1], within[:, 1], seed, **sizes)
                x = tf.stack([x[:, 0, :, :n_frames], other], axis=1)
        if len(lengths_of_crops) == 1:
            x = tf.ensure_shape(x, (None, *rows.shape[1:], n_bins, n_frames))
        return x, tf.ensure_shape(y, (None, *targets.shape[1:]))

    steps = tf.data.Dataset.range(len(plan.steps) * len(here))
    return steps.map(load, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _draw_starts(whole, lengths, n_frames, seed):
    """Where to begin to read tracks of `whole` frames, and where the crop begins within the `lengths` that are read.

    Their sum is uniform over all places of a crop. Of what is read more for the augmentation to shorten, the same
    share is before the crop as of the track.
    """
    room = np.maximum(whole - n_frames, 0)
    places = random_stream("crops", *seed).integers(0, room + 1)
    starts = places * (whole - lengths) // np.maximum(room, 1)
    return starts, places - starts


def _fill(crop, frames, n_frames, pad):
    """Frames (rows) into a crop (n_bins, at least n_frames), filled up to n_frames."""
    x = wrap(frames.T, n_frames) if pad == "wrap" and len(frames) < n_frames else frames.T
    crop[:, : x.shape[1]] = x
