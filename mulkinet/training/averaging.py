"""The moving average of a network's weights, which ranks better than the weights of the last step.

Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992); exponential, with a
start that forgets faster, as in TensorFlow's `ExponentialMovingAverage`.
"""

import contextlib

import tensorflow as tf

__all__ = ["WeightAverage"]


class WeightAverage:
    """Averages of variables, kept beside them.

    Args:
        variables: All variables of the network, those of its normalisation too.
        decay: In [0, 1): the share of the average that stays at a step; 0 keeps none.
    """

    def __init__(self, variables, decay):
        self._decay = decay
        self._variables = list(variables) if decay else []
        self._averages = [tf.Variable(v.read_value(), trainable=False) for v in self._variables]

    def update(self, step):
        """Takes in the variables after a step, of which `step` were taken so far; TensorFlow operations only."""
        step = tf.cast(step, tf.float32)
        decay = tf.minimum(self._decay, (1 + step) / (10 + step))
        for average, variable in zip(self._averages, self._variables):
            average.assign(average * decay + variable * (1 - decay))

    @contextlib.contextmanager
    def in_place(self):
        """Within this context the variables hold their averages."""
        kept = [variable.numpy() for variable in self._variables]
        _assign(self._variables, self._averages)
        try:
            yield
        finally:
            _assign(self._variables, kept)

    def state(self):
        """List of arrays."""
        return [average.numpy() for average in self._averages]

    def restore(self, state):
        """Sets what `state` gave."""
        _assign(self._averages, state)


def _assign(variables, values):
    for variable, value in zip(variables, values):
        variable.assign(value)
