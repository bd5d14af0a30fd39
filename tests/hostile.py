"""Payloads that leave a mark when they are run: a pickle, and a Keras model with a Lambda.

Public names: `Hostile`, `hostile_lambda`.
"""

import os

import tensorflow as tf


class Hostile:
    """Its pickle makes a folder when it is loaded."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def hostile_lambda(marker):
    """The config of a Lambda layer of two inputs that makes a folder when a model is built with it."""
    code = f"lambda pair: __import__('os').mkdir({str(marker)!r}) or abs(pair[0] - pair[1])"
    layer = tf.keras.layers.Lambda(eval(code), name="lambda_1")
    return tf.keras.layers.serialize(layer)["config"]
