"""What a network is trained to do: the stages of training, by the name of their loss.

A stage holds the trained model (the network, and a head where it needs one), says what an epoch
shows (a Plan) and what a batch costs. The loop in `trainer.py` knows nothing else of it.

With several devices each replica sees a part of the batch and gives its share of the loss; triplets
are mined over the whole batch, which every replica gathers.

Public names: `SoftmaxStage`, `TripletStage`, `TwinStage`, `ContrastiveStage`, `build_stage`.
"""

import numpy as np
import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.losses import (
    DISTANCES,
    contrastive_loss,
    paired_distances,
    triplet_loss_and_statistics,
    twin_loss,
)
from mulkinet.models.layers import SeededDropout
from mulkinet.training.samplers import class_plan, clique_plan, labels_of, pair_plan

__all__ = ["ContrastiveStage", "SoftmaxStage", "TripletStage", "TwinStage", "build_stage"]


class _Stage:
    """What the stages share.

    Each has a method of its own `loss(x, targets, step)`: x is (batch, n_bins, n_frames) float32, or
    (batch, 2, n_bins, n_frames) pairs, targets are int32 as in the Plan, and step is an int64
    scalar, the steps taken so far in the stage. It returns this replica's share of the batch's
    loss, and a dict of what to log: scalars which, summed over replicas, are those of the batch.

    Attributes:
        model: tf.keras.Model that is trained.
        classes: (works,) str, the works of the training tracks.

    Args:
        network: EmbeddingNetwork.
        rows: (N,) int64 rows of the training tracks in their store.
        work_ids: (N,) str their works.
        settings: dict of training options, as `mulkinet.training.recipes.complete` gives it.
    """

    name = None

    def __init__(self, network, rows, work_ids, settings):
        self.classes, self._labels = labels_of(work_ids)
        self._network = network
        self._rows = np.asarray(rows)
        self._settings = settings
        self._seed = settings["seed"]
        self.model = self._build()

    def _build(self):
        return self._network

    def plan(self, epoch):
        """The Plan of an epoch; also re-seeds what the model draws while training."""
        drawing = [part for part in self.model.submodules if isinstance(part, SeededDropout)]
        drawing.sort(key=lambda layer: layer.name)
        seeds = np.random.default_rng((self._seed, epoch, 1)).integers(1 << 31, size=len(drawing))
        for layer, seed in zip(drawing, seeds.tolist()):
            layer.reseed(seed)
        return self._plan(self._rows, self._labels, seed=self._seed, epoch=epoch)

    def state(self):
        """List of arrays: what of `model` the network does not hold."""
        return [variable.numpy() for variable in self._head()]

    def restore(self, state):
        """Sets what `state` gave."""
        for variable, value in zip(self._head(), state):
            variable.assign(value)

    def _head(self):
        inside = {id(variable) for variable in self._network.variables}
        return [variable for variable in self.model.variables if id(variable) not in inside]

    def _check_distance(self):
        if self._network.distance not in DISTANCES:
            raise MulkinetError(
                f"expected a network compared by {', '.join(DISTANCES)} for --loss {self.name}, "
                f"found {self._network.network}, compared by {self._network.distance}; "
                "train it with --loss twin"
            )


class SoftmaxStage(_Stage):
    """Classification, one class per work (MulKINet; pre-training of the residual network)."""

    name = "softmax"

    def _build(self):
        # A trained distance, the Siamese network's, would rank by a head that nothing has trained.
        self._check_distance()
        return self._network.classifier(len(self.classes), seed=self._seed)

    def _plan(self, rows, labels, **drawn):
        return class_plan(rows, labels, batch_size=self._settings["batchsize"], **drawn)

    def loss(self, x, targets, step):
        """Cross-entropy and accuracy; see `_Stage`."""
        logits = self.model(x, training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        hits = tf.argmax(logits, axis=1, output_type=targets.dtype) == targets
        share = _share_of_batch(targets)
        accuracy = tf.reduce_mean(tf.cast(hits, losses.dtype))
        return tf.reduce_mean(losses) * share, {"accuracy": accuracy * share}


class TripletStage(_Stage):
    """Triplets, mined on the device over the whole batch (MOVE; the residual network)."""

    name = "triplet"

    def _build(self):
        self._check_distance()
        return self._network

    def _plan(self, rows, labels, **drawn):
        sizes = {"tracks_per_work": self._settings["tracks_per_work"]}
        sizes["batch_size"] = self._settings["batchsize"]
        return clique_plan(rows, labels, **sizes, **drawn)

    def loss(self, x, targets, step):
        """Triplet loss and the statistics of the mining; see `_Stage`."""
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync
        embeddings = self.model(x, training=True)
        # TensorFlow slices int32 on the host, and nothing may leave the device.
        targets = tf.cast(targets, tf.int64)
        if replicas > 1:
            embeddings = context.all_gather(embeddings, axis=0)
            targets = context.all_gather(targets, axis=0)
        loss, statistics = triplet_loss_and_statistics(
            embeddings,
            targets[:, 0],
            tracks=targets[:, 1],
            margin=self._settings["margin"],
            mining=self._settings["mining"],
            distance=self._network.distance,
            seed=tf.stack([tf.constant(self._seed, tf.int64), tf.cast(step, tf.int64)]),
        )
        return loss / replicas, {name: value / replicas for name, value in statistics.items()}


class TwinStage(_Stage):
    """Pairs through the Siamese twin: is this the same work or another?"""

    name = "twin"

    def _build(self):
        if not hasattr(self._network, "twin"):
            raise MulkinetError(
                "expected a network with a twin (siamese) for --loss twin, found "
                f"{self._network.network}; train it with softmax, triplet or contrastive"
            )
        return self._network.twin()

    def _plan(self, rows, labels, **drawn):
        return pair_plan(rows, labels, batch_size=self._settings["batchsize"], **drawn)

    def loss(self, x, targets, step):
        """Binary cross-entropy and accuracy at an output of 0.5; see `_Stage`."""
        outputs = self.model([x[:, 0], x[:, 1]], training=True)
        right = (outputs[:, 0] > 0.5) == (targets == 1)
        share = _share_of_batch(targets)
        accuracy = tf.reduce_mean(tf.cast(right, outputs.dtype))
        return twin_loss(outputs, targets) * share, {"accuracy": accuracy * share}


class ContrastiveStage(TwinStage):
    """Pairs by their distance: covers together, others at least a margin apart."""

    name = "contrastive"

    def _build(self):
        self._check_distance()
        return self._network

    def loss(self, x, targets, step):
        """Contrastive loss and the mean distances of both kinds of pairs; see `_Stage`."""
        first, second = (self.model(x[:, i], training=True) for i in range(2))
        distances = paired_distances(first, second, self._network.distance)
        loss = contrastive_loss(distances, targets, margin=self._settings["margin"])
        other = tf.cast(targets, distances.dtype)
        means = {
            "mean_positive_distance": _share_of_mean(distances, 1 - other),
            "mean_negative_distance": _share_of_mean(distances, other),
        }
        return loss * _share_of_batch(targets), means


_STAGES = {stage.name: stage for stage in (SoftmaxStage, TripletStage, TwinStage, ContrastiveStage)}


def build_stage(loss, network, rows, work_ids, settings):
    """The stage of a loss.

    Args:
        loss: "softmax", "triplet", "twin" or "contrastive".
        network: EmbeddingNetwork.
        rows: (N,) int64 rows of the training tracks in their store.
        work_ids: (N,) str their works.
        settings: dict of training options, as `mulkinet.training.recipes.complete` gives it.

    Returns:
        A stage.

    Raises:
        MulkinetError: No such loss, or the network cannot be trained with it.
    """
    if loss not in _STAGES:
        raise MulkinetError(f"expected a loss of {', '.join(_STAGES)}, found {loss!r}")
    return _STAGES[loss](network, rows, work_ids, settings)


def _share_of_batch(targets):
    """Share of the batch's tracks or pairs that this replica sees."""
    here = tf.cast(tf.shape(targets)[0], tf.float32)
    context = tf.distribute.get_replica_context()
    return here / context.all_reduce(tf.distribute.ReduceOp.SUM, here)


def _share_of_mean(values, weights):
    """What this replica adds to the weighted mean over the batch: a replica may see one kind alone."""
    context = tf.distribute.get_replica_context()
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(weights))
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), total)
