"""What the mined triplet loss costs, forward and backward, beside a training step of MOVE.

A batch as MOVE trains on: 16 works of 4 tracks of 1800 frames, embeddings of 16000. The step is the
network's own, forward and backward with the hard-mined loss and SGD; the losses are timed alone, on
embeddings in memory, compiled by tf.function and by XLA, whose numbers are compared. The aim is less
than 5 percent of the step.

    python benchmarks/losses.py [--tracks 64] [--frames 1800] [--embedding-len 16000] [--steps 2]
"""

import os
import time

import click
import numpy as np
from machine import processor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

TRACKS_OF_A_WORK = 4
SEED = (1, 2)


@click.command(context_settings={"show_default": True})
@click.option("--tracks", default=64, help="Tracks in a batch, 4 of each work.")
@click.option("--frames", default=1800, help="Frames of a track.")
@click.option("--embedding-len", default=16000, help="Size of an embedding.")
@click.option(
    "--steps", default=2, help="Timed training steps; each takes about 8 seconds on 2 cores."
)
def main(tracks, frames, embedding_len, steps):
    """Time the mined losses against a training step of MOVE."""
    import tensorflow as tf

    from mulkinet.losses import MININGS

    print(
        f"{processor()}, {os.cpu_count()} cores, "
        f"TensorFlow {tf.__version__}, {tracks} tracks x {frames} frames, embedding {embedding_len}"
    )
    works = tf.constant(np.arange(tracks) // TRACKS_OF_A_WORK)
    step = move_step_seconds(works, frames, embedding_len, steps)
    print(f"MOVE training step: {step:.2f} s")
    print(f"{'mining':<14}{'ms':>8}{'of step':>9}{'XLA ms':>8}{'of step':>9}  XLA difference")
    embeddings = tf.random.stateless_normal((tracks, embedding_len), SEED)
    for mining in MININGS:
        plain, compiled, difference = loss_seconds(embeddings, works, mining)
        print(
            f"{mining:<14}{1000 * plain:>8.1f}{plain / step:>9.3%}{1000 * compiled:>8.1f}"
            f"{compiled / step:>9.3%}  {difference:.1e}"
        )


def move_step_seconds(works, frames, embedding_len, steps):
    """Seconds of one training step: forward, hard-mined loss, backward, SGD.

    Args:
        works: (tracks,) integers.
        frames: Frames of a track.
        embedding_len: Size of an embedding.
        steps: Steps to take the mean of, after one that is not timed.

    Returns:
        float.
    """
    import tensorflow as tf

    from mulkinet import build_model
    from mulkinet.losses import triplet_loss
    from mulkinet.training.optimizers import build_optimizer, prepare_optimizer

    model = build_model("move", embedding_len=embedding_len)
    optimizer = build_optimizer("sgd", 0.1)
    prepare_optimizer(optimizer, model.trainable_variables)
    x = tf.random.stateless_uniform((len(works), 12, frames), SEED)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = triplet_loss(model(x, training=True), works)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    return _seconds(step, steps)


def loss_seconds(embeddings, works, mining):
    """Seconds of the loss with its gradient and statistics, and what XLA makes of it.

    Args:
        embeddings: (tracks, embedding) float32.
        works: (tracks,) integers.
        mining: A name of `mulkinet.losses.MININGS`.

    Returns:
        tuple of float: seconds by tf.function, seconds by XLA, and the largest difference between
        their losses, gradients and statistics, as a share of the largest value of each.
    """
    import tensorflow as tf

    from mulkinet.losses import triplet_loss_and_statistics

    def step(embeddings, works, seed):
        with tf.GradientTape() as tape:
            tape.watch(embeddings)
            loss, statistics = triplet_loss_and_statistics(
                embeddings, works, mining=mining, seed=seed
            )
        return loss, tape.gradient(loss, embeddings), statistics

    seed = tf.constant(SEED)
    plain = tf.function(step)
    compiled = tf.function(step, jit_compile=True)
    difference = max(
        float(tf.reduce_max(tf.abs(first - second)) / (tf.reduce_max(tf.abs(first)) + 1e-30))
        for first, second in zip(
            tf.nest.flatten(plain(embeddings, works, seed)),
            tf.nest.flatten(compiled(embeddings, works, seed)),
        )
    )
    return (
        _seconds(lambda: plain(embeddings, works, seed)[0], 20),
        _seconds(lambda: compiled(embeddings, works, seed)[0], 20),
        difference,
    )


def _seconds(function, n):
    """Mean seconds of n calls, after one that is not timed."""
    function().numpy()
    start = time.perf_counter()
    for _ in range(n):
        function().numpy()
    return (time.perf_counter() - start) / n


if __name__ == "__main__":
    main()
