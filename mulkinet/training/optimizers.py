"""Optimizers by name: Adam, SGD, with or without weight decay, and Lookahead around either.

TensorFlow Addons, which has Lookahead, is imported here and nowhere else.

All are Keras 2.15's `tf.keras.optimizers.legacy` classes: Addons' Lookahead wraps no others, and
with one kind throughout a run's state is saved and restored in one way. `optimizer.learning_rate`
is set directly, wrapped or not.

Gradients are clipped before they come here: Lookahead hands its inner optimizer the gradients below
the point where Keras's own clipnorm acts.

Weight decay is PyTorch's, of all weights: "adamw" takes learning rate * decay * weight off every weight beside its
step, the others add decay * weight to the (clipped) gradient.

Papers: Kingma and Ba, "Adam" (arXiv:1412.6980); Loshchilov, Hutter, "Decoupled weight
decay regularization" (arXiv:1711.05101); Zhang, Lucas, Hinton, Ba, "Lookahead optimizer: k
steps forward, 1 step back" (arXiv:1907.08610), with its k = 6 and alpha = 0.5 as in Addons and in
the Siamese release.
"""

import warnings

from mulkinet.errors import MulkinetError

__all__ = ["OPTIMIZERS", "build_optimizer", "prepare_optimizer"]

OPTIMIZERS = ("adam", "adamw", "sgd", "lookahead-adam", "lookahead-sgd")


def build_optimizer(name, learning_rate, weight_decay=0.0):
    """Makes an optimizer.

    Args:
        name: "adam", "adamw", "sgd" (without momentum, as MOVE's), "lookahead-adam" or "lookahead-sgd".
        learning_rate: > 0; to be changed later by `optimizer.learning_rate = ...`.
        weight_decay: >= 0.

    Returns:
        tf.keras.optimizers.legacy.Optimizer: to be passed to `prepare_optimizer` before its first
        step.

    Raises:
        MulkinetError: The name is unknown, the rate is not positive, or the decay is negative.
    """
    if name not in OPTIMIZERS:
        raise MulkinetError(
            f"expected an optimizer among {', '.join(OPTIMIZERS)}, found {name!r}; "
            "try one of these names"
        )
    if not learning_rate > 0:
        raise MulkinetError(f"expected a learning rate > 0, found {learning_rate}; try 0.001")
    if not weight_decay >= 0:
        raise MulkinetError(f"expected a weight decay >= 0, found {weight_decay}; try 1e-5")
    import tensorflow as tf

    legacy = tf.keras.optimizers.legacy
    kind = legacy.SGD if name.endswith("sgd") else legacy.Adam
    if weight_decay:
        kind = _decaying(kind, weight_decay, name == "adamw")
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


def _decaying(kind, weight_decay, decoupled):
    """An optimizer's class, with weight decay."""

    class Decaying(kind):
        def _resource_apply_dense(self, grad, var, apply_state=None):
            if decoupled:
                rate = apply_state[var.device, var.dtype.base_dtype]["lr_t"]
                var.assign_sub(rate * weight_decay * var, use_locking=self._use_locking)
            else:
                grad = grad + weight_decay * var
            return super()._resource_apply_dense(grad, var, apply_state)

    return Decaying


def _lookahead(optimizer):
    with warnings.catch_warnings():
        # Addons announces its end of life at every import; design.md says why it is used.
        warnings.simplefilter("ignore", UserWarning)
        from tensorflow_addons.optimizers import Lookahead
    return Lookahead(optimizer)
