"""Optimizers by name: Adam, SGD, and Lookahead around either.

TensorFlow Addons, which has Lookahead, is imported here and nowhere else.

All are Keras 2.15's `tf.keras.optimizers.legacy` classes: Addons' Lookahead wraps no others, and
with one kind throughout a run's state is saved and restored in one way. `optimizer.learning_rate`
is set directly, wrapped or not.

Gradients are clipped before they come here: Lookahead hands its inner optimizer the gradients below
the point where Keras's own clipnorm acts.

Papers: Kingma and Ba, "Adam" (arXiv:1412.6980); Zhang, Lucas, Hinton, Ba, "Lookahead optimizer: k
steps forward, 1 step back" (arXiv:1907.08610), with its k = 6 and alpha = 0.5 as in Addons and in
the Siamese release.

Public names: `OPTIMIZERS`, `build_optimizer`, `prepare_optimizer`.
"""

import warnings

from mulkinet.errors import MulkinetError

__all__ = ["OPTIMIZERS", "build_optimizer", "prepare_optimizer"]

OPTIMIZERS = ("adam", "sgd", "lookahead-adam", "lookahead-sgd")


def build_optimizer(name, learning_rate):
    """Makes an optimizer.

    Args:
        name: "adam", "sgd" (without momentum, as MOVE's), "lookahead-adam" or "lookahead-sgd".
        learning_rate: > 0; to be changed later by `optimizer.learning_rate = ...`.

    Returns:
        tf.keras.optimizers.legacy.Optimizer: to be passed to `prepare_optimizer` before its first
        step.

    Raises:
        MulkinetError: The name is unknown, or the rate is not positive.
    """
    if name not in OPTIMIZERS:
        raise MulkinetError(
            f"expected an optimizer of {', '.join(OPTIMIZERS)}, found {name!r}; "
            "try one of these names"
        )
    if not learning_rate > 0:
        raise MulkinetError(f"expected a learning rate > 0, found {learning_rate}; try 0.001")
    import tensorflow as tf

    legacy = tf.keras.optimizers.legacy
    kind = legacy.Adam if name.endswith("adam") else legacy.SGD
    optimizer = kind(learning_rate=learning_rate)
    return _lookahead(optimizer) if name.startswith("lookahead-") else optimizer


def prepare_optimizer(optimizer, variables):
    """Makes the optimizer's own variables for the variables that it is going to train.

    To be called once the weights to start from are in place, because Lookahead's slow weights start
    as a copy of them, and outside `tf.function`. From then on `optimizer.get_weights()` is the
    whole state of the optimizer, and `optimizer.set_weights(...)` with such a list brings it back.

    Args:
        optimizer: From `build_optimizer`.
        variables: The trained variables, in the order in which their gradients will come.
    """
    inner = getattr(optimizer, "_optimizer", None)
    if inner is not None:
        # One step count for both. Lookahead ties them at its first step only, which is after a
        # state has been brought back.
        inner._iterations = optimizer.iterations
    optimizer._create_all_weights(list(variables))


def _lookahead(optimizer):
    with warnings.catch_warnings():
        # Addons announces its end of life at every import; design.md says why it is used.
        warnings.simplefilter("ignore", UserWarning)
        from tensorflow_addons.optimizers import Lookahead
    return Lookahead(optimizer)
