"""Losses: distances between embeddings, triplet mining, the triplet loss, in-batch contrast, a twin's losses.

Conventions: embeddings are (batch, embedding) floating point, works and tracks (batch,) integers in
any order. Everything is pure TensorFlow on the whole batch: no Python loop, nothing that leaves the
device, the same numbers under XLA, and randomness only from a seed that is an argument. Losses come
as pure functions, which the training loop uses, and as thin serialisable Keras classes for
`Model.compile`.

Public names:
    triplet_loss, triplet_loss_and_statistics, TripletLoss: mined triplets (triplet.py, mining.py).
    nt_xent_loss, nt_xent_loss_and_statistics, NTXentLoss: all other works as negatives (nt_xent.py).
    clews_loss: tracks by the best matches among their segments (clews.py).
    twin_loss, contrastive_loss, ContrastiveLoss: pairs (twin.py).
    register_loss: makes a class an objective of training, known by a name (objective.py, plans.py, softmax.py).
    pairwise_distances, paired_distances: differentiable distances (distances.py).
    MININGS, DISTANCES: the names to choose from, LOSSES those of training; reading them does not import TensorFlow.
"""

import importlib

from mulkinet.registry import Registry

LOSSES = Registry("loss", __name__, "register_loss", "name")
DISTANCES = ("sqeuclidean", "euclidean", "cosine")
MININGS = (
    "random",
    "semihard",
    "hard",
    "batch_all",
    "easy_hard",
    "random_hard",
    "hard_random",
    "easy_random",
    "move_random",
    "move_semihard",
)

_PUBLIC = {
    "triplet_loss": "mulkinet.losses.triplet",
    "triplet_loss_and_statistics": "mulkinet.losses.triplet",
    "TripletLoss": "mulkinet.losses.triplet",
    "twin_loss": "mulkinet.losses.twin",
    "contrastive_loss": "mulkinet.losses.twin",
    "nt_xent_loss": "mulkinet.losses.nt_xent",
    "nt_xent_loss_and_statistics": "mulkinet.losses.nt_xent",
    "NTXentLoss": "mulkinet.losses.nt_xent",
    "clews_loss": "mulkinet.losses.clews",
    "ContrastiveLoss": "mulkinet.losses.twin",
    "pairwise_distances": "mulkinet.losses.distances",
    "paired_distances": "mulkinet.losses.distances",
}

__all__ = ["DISTANCES", "LOSSES", "MININGS", "register_loss", *_PUBLIC]


def register_loss(name):
    """A class decorator that makes an `Objective` known by the name of its loss.

    Args:
        name: As for `--loss`.

    Returns:
        Function from the class to itself.

    Raises:
        MulkinetError: Another loss has the name.
    """
    return LOSSES.register(name)


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'mulkinet.losses' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
