"""The matrix product of a block: numpy's, or a GPU's where there is one."""

import os
import sys

import numpy as np

__all__ = ["may_have_gpu", "matrix_product"]


def may_have_gpu():
    """Whether it is worth asking TensorFlow for a GPU, which costs seconds and hundreds of MB."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and ("tensorflow" in sys.modules or os.path.exists("/dev/nvidia0"))


def matrix_product():
    """The product to use: a function of (left, right, out), all float64, as `numpy.matmul`."""
    if not may_have_gpu():
        return np.matmul
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU")
    return _tensorflow_product(tf, devices[0].name) if devices else np.matmul


def _tensorflow_product(tf, device):
    # In float64, as everything here: the sums are exact on a GPU as well.
    def product(left, right, out):
        with tf.device(device):
            out[...] = tf.linalg.matmul(left, right).numpy()

    return product
