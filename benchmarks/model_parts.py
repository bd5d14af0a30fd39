"""What the parts of a step cost: the whole against the same without one of them.

For MulKINet at its published size, batch 32, T 400. Each line is timed in the same run, in turn with the whole;
printed is the median. A difference bounds from above what work on that part could gain.

    python benchmarks/model_parts.py [wider|bottleneck|simple]
"""

import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
import numpy as np
import tensorflow as tf
from machine import processor

from mulkinet.models import build_model
from mulkinet.models.layers import RowWeightedBatchNorm
from mulkinet.training.optimizers import build_optimizer, prepare_optimizer

BATCH, N_FRAMES, REPEATS = 32, 400, 5


def training_step(block, *, n_classes=1000, penalties=True, attention=True, moments=True):
    """A function that does one step of softmax training with Adam."""
    tf.keras.utils.set_random_seed(0)
    network = build_model("mulkinet", block=block, chnlatt=attention, tempatt=attention)
    classifier = network.classifier(n_classes)
    if not moments:
        for layer in classifier.layers:
            if isinstance(layer, RowWeightedBatchNorm):
                layer.trainable = False
    x = tf.random.stateless_uniform((BATCH, 12, N_FRAMES), (0, 0))
    works = tf.range(BATCH)
    optimizer = build_optimizer("adam", 1e-3)
    variables = classifier.trainable_variables
    prepare_optimizer(optimizer, variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = classifier(x, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(works, logits))
            if penalties:
                loss += tf.add_n(classifier.losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    return lambda: float(step())


def optimizer_step(block):
    """A function that does Adam's update alone."""
    variables = build_model("mulkinet", block=block).classifier(1000).trainable_variables
    optimizer = build_optimizer("adam", 1e-3)
    prepare_optimizer(optimizer, variables)
    gradients = [tf.ones_like(variable) for variable in variables]

    @tf.function
    def step():
        optimizer.apply_gradients(zip(gradients, variables))
        return variables[0]

    return lambda: step().numpy()


def inference(block, *, kernels_once=True, norms=True, attention=True):
    """A function that embeds a batch."""
    call = RowWeightedBatchNorm.call
    if not norms:
        RowWeightedBatchNorm.call = lambda layer, inputs, training=None: inputs
    try:
        network = build_model("mulkinet", block=block, chnlatt=attention, tempatt=attention)
        kernels = network.transformed_kernels()
    finally:
        RowWeightedBatchNorm.call = call
    x = np.random.default_rng(0).random((BATCH, 12, N_FRAMES), np.float32)
    return lambda: network.embed_batch(x, kernels if kernels_once else None)


def medians(functions):
    """Median seconds of each, called in turn after a call that compiles."""
    seconds = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(REPEATS):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


@click.command()
@click.argument("block", default="wider", type=click.Choice(["simple", "bottleneck", "wider"]))
def main(block):
    """Measure and print."""
    print(processor())
    training = {
        "training step": training_step(block),
        "  batch moments taken as fixed": training_step(block, moments=False),
        "  without attention": training_step(block, attention=False),
        "  without L2 penalties": training_step(block, penalties=False),
        "  10000 works for 1000": training_step(block, n_classes=10000),
        "  Adam's update alone": optimizer_step(block),
    }
    embedding = {
        "inference": inference(block),
        "  kernels transformed each time": inference(block, kernels_once=False),
        "  without batch norm": inference(block, norms=False),
        "  without attention": inference(block, attention=False),
    }
    for functions in (training, embedding):
        found = medians(functions)
        whole = next(iter(found.values()))
        for name, seconds in found.items():
            print(
                f"{block}-4 {name:<34}{1000 * seconds:8.0f} ms {seconds / whole:7.1%}", flush=True
            )


if __name__ == "__main__":
    main()
