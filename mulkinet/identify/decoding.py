"""What was played over time, as one path: states are works, and state 0 is "nothing".

A path is worth the sum of the evidence of its states, less the cost of every change of state. The one
that is worth most is found by Viterbi's algorithm ("Error bounds for convolutional codes and an asymptotically
optimum decoding algorithm", 1967).
"""

import numpy as np

__all__ = ["best_path"]


def best_path(evidence, change_cost):
    """The path that is worth most.

    Args:
        evidence: (n_steps, n_states) finite float, log-odds of each state against state 0, whose own is 0.
        change_cost: Float >= 0, what a change of state takes.

    Returns:
        (n_steps,) int64 states; of equally good ones a path that stays, then the state of the lower number.
    """
    n_steps, n_states = evidence.shape
    before = np.empty((n_steps, n_states), np.int32)
    own = np.arange(n_states, dtype=np.int32)
    worth = evidence[0].astype(np.float64)
    for step in range(1, n_steps):
        best = int(np.argmax(worth))
        comes = worth[best] - change_cost > worth
        before[step] = np.where(comes, best, own)
        worth = np.where(comes, worth[best] - change_cost, worth) + evidence[step]
    path = np.empty(n_steps, np.int64)
    path[-1] = np.argmax(worth)
    for step in range(n_steps - 1, 0, -1):
        path[step - 1] = before[step, path[step]]
    return path
