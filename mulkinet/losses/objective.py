"""What a network is trained to do: the objectives, by the name of their loss.

An objective holds the trained model (the network, and a head where it needs one), says what an
epoch shows (a Plan) and what a batch costs. The training loop knows nothing else of it.

With several devices each replica sees a part of the batch and gives its share of the loss; what is
compared over the whole batch, every replica gathers.
"""

import numpy as np
import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.losses import DISTANCES
from mulkinet.losses.plans import clique_plan, in_turn, labels_of, random_stream
from mulkinet.models.layers import SeededDropout

__all__ = ["CliqueObjective", "Objective", "share_of_batch", "share_of_mean"]


class Objective:
    """Base of all objectives. A new one has `plan_steps` and `loss`, and `check` and `build` where it needs them.

    The loss's options are keyword-only arguments of its constructor, with defaults that are plain
    literals; what else comes as keywords goes on to this class.

    Attributes:
        name: Name of the loss, set by `register_loss`.
        network: EmbeddingNetwork.
        model: tf.keras.Model that is trained: the network, or one made of it.
        classes: (works,) str, the works of the training tracks.
        batchsize: int, the most tracks (or pairs) in a batch.
        seed: int, of the run.

    Args:
        network: EmbeddingNetwork.
        rows: (N,) int64 rows of the training tracks in their store.
        work_ids: (N,) str their works.
        batchsize: int >= 1.
        seed: int >= 0.
    """

    name = None

    def __init__(self, network, rows, work_ids, *, batchsize, seed):
        self.classes, self._labels = labels_of(work_ids)
        self.network = network
        self.batchsize = batchsize
        self.seed = seed
        self._rows = np.asarray(rows)
        self.model = self.build()

    @classmethod
    def check(cls, network, options):
        """Looks at what needs no data.

        Args:
            network: EmbeddingNetwork to be trained.
            options: dict of the loss's options.

        Raises:
            MulkinetError: The loss cannot train the network, or an option's value is not possible.
        """
        # A trained distance, the Siamese network's, would rank by a head that nothing has trained.
        if network.distance not in DISTANCES:
            raise MulkinetError(
                f"expected a network compared by {', '.join(DISTANCES)} for --loss {cls.name}, "
                f"found {network.network}, compared by {network.distance}; "
                "train it with --loss twin"
            )

    @classmethod
    def frames_at_once(cls, n_frames, options):
        """Frames of a crop of `n_frames` that the network is shown at once, with these options; all by default."""
        return n_frames

    def build(self):
        """The model to train; the network itself unless overridden."""
        return self.network

    def plan_steps(self, rows, labels, epoch):
        """The Plan of an epoch, from one of the functions of `mulkinet.losses.plans`.

        Args:
            rows: (N,) int64 rows of the training tracks.
            labels: (N,) int32 their works, as indices of `classes`.
            epoch: int >= 0.
        """
        raise NotImplementedError

    def loss(self, x, targets, step):
        """What a batch costs.

        Args:
            x: (batch, n_bins, n_frames) float32, or (batch, 2, n_bins, n_frames) pairs.
            targets: int32, as in the Plan.
            step: int64 scalar, the steps taken so far.

        Returns:
            This replica's share of the batch's loss, and a dict of what to log: scalars which,
            summed over replicas, are those of the batch.
        """
        raise NotImplementedError

    def plan(self, epoch, n_lengths=1):
        """The Plan of an epoch >= 0; also re-seeds what the model draws while training.

        Of several lengths of crops each has a plan of its own, a step in turn.
        """
        drawing = [part for part in self.model.submodules if isinstance(part, SeededDropout)]
        drawing.sort(key=lambda layer: layer.name)
        rng = random_stream("dropout", self.seed, epoch)
        for layer, seed in zip(drawing, rng.integers(1 << 31, size=len(drawing)).tolist()):
            layer.reseed(seed)
        epochs = range(epoch * n_lengths, (epoch + 1) * n_lengths)
        plans = [self.plan_steps(self._rows, self._labels, number) for number in epochs]
        return plans[0] if n_lengths == 1 else in_turn(plans, (self.seed, epoch))

    def state(self):
        """List of arrays: what of `model` the network does not hold."""
        return [variable.numpy() for variable in self._head()]

    def restore(self, state):
        """Sets what `state` gave."""
        for variable, value in zip(self._head(), state):
            variable.assign(value)

    def _head(self):
        inside = {id(variable) for variable in self.network.variables}
        return [variable for variable in self.model.variables if id(variable) not in inside]


class CliqueObjective(Objective):
    """Base of losses that compare all tracks of a batch: several works with some tracks each.

    Args:
        network, rows, work_ids: As for `Objective`.
        tracks_per_work: int >= 2.
        clique_rule: How often a work comes in an epoch: one of `mulkinet.losses.plans.CLIQUE_RULES`.
        **run: As for `Objective`.
    """

    def __init__(self, network, rows, work_ids, *, tracks_per_work, clique_rule="move", **run):
        self._tracks_per_work = tracks_per_work
        self._clique_rule = clique_rule
        super().__init__(network, rows, work_ids, **run)

    def plan_steps(self, rows, labels, epoch):
        """See `Objective`."""
        return clique_plan(
            rows,
            labels,
            batch_size=self.batchsize,
            tracks_per_work=self._tracks_per_work,
            seed=self.seed,
            epoch=epoch,
            rule=self._clique_rule,
        )

    def whole_batch(self, x, targets):
        """The embeddings, works and tracks of the batch of all replicas.

        Args:
            x: (batch, n_bins, n_frames) float32, this replica's part.
            targets: (batch, 2) int32, works and rows of its tracks.

        Returns:
            (embeddings (whole batch, embedding), works (whole batch,) int64, tracks likewise,
            number of replicas): the loss of the whole batch over that number is a replica's share.
        """
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync
        embeddings = self.model(x, training=True)
        # TensorFlow slices int32 on the host, and nothing may leave the device.
        targets = tf.cast(targets, tf.int64)
        if replicas > 1:
            embeddings = context.all_gather(embeddings, axis=0)
            targets = context.all_gather(targets, axis=0)
        return embeddings, targets[:, 0], targets[:, 1], replicas


def share_of_batch(targets):
    """Share of the batch's tracks or pairs that this replica sees."""
    here = tf.cast(tf.shape(targets)[0], tf.float32)
    context = tf.distribute.get_replica_context()
    return here / context.all_reduce(tf.distribute.ReduceOp.SUM, here)


def share_of_mean(values, weights):
    """What this replica adds to the weighted mean over the batch: a replica may see one kind alone."""
    context = tf.distribute.get_replica_context()
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(weights))
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), total)
