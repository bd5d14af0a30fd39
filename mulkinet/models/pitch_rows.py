"""The rows of a feature map: 12 pitch classes in a circle.

Conventions: feature maps are (batch, rows, n_frames, channels). Row 12 would be row 0 again. The published networks
write that out as 23 rows (the 12, then the first 11 again) and lose rows from convolution to convolution, 23 -> 21 ->
18 -> 15 -> 12 say; those past the 12th always repeat the first ones. Here only the 12 distinct rows are carried.
"""

import numpy as np
import tensorflow as tf

__all__ = ["N_PITCH_CLASSES", "found_in_rows", "mean_over_rows", "row_weights"]

N_PITCH_CLASSES = 12


def row_weights(n_rows):
    """How much each distinct row counts in a mean over `n_rows` (12 to 24) that repeat the first ones after the 12th.

    (12,) float32 that sums to 1; for 15 rows three of 2/15, then nine of 1/15.
    """
    repeated = np.arange(N_PITCH_CLASSES) < n_rows - N_PITCH_CLASSES
    return ((1 + repeated) / n_rows).astype("float32")


def mean_over_rows(x, n_rows):
    """Mean of (batch, rows, ...) over its rows -> (batch, ...), repeated rows counted twice; all once for None."""
    if n_rows is None:
        return tf.reduce_mean(x, axis=1)
    return tf.tensordot(tf.constant(row_weights(n_rows), x.dtype), x, [[0], [1]])


def found_in_rows(x, values, axis=1):
    """`values` that stand in some row of a map, a maximum say; their gradient goes there.

    x is (batch, rows, ...), or has its rows along another axis; values are as x, with one row. Rows that hold the same
    value share its gradient.
    """

    @tf.custom_gradient
    def found(x):
        def gradient(upstream):
            hits = tf.equal(x, values)
            n_hits = tf.reduce_sum(tf.cast(hits, x.dtype), axis=axis, keepdims=True)
            return tf.where(hits, upstream / n_hits, 0.0)

        return tf.identity(values), gradient

    return found(x)
