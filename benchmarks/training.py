"""Training steps per second of MulKINet, through the real data road, against the same steps without it.

Baseline: the same compiled step on one batch that lies in memory. A ratio near 1 means that reading,
cropping and padding cost nothing while the network trains.

    python benchmarks/training.py [--batchsize 32] [--steps 5] [--ki-out-channel 256] [--no-deterministic]
"""

import os
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from machine import processor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SETTINGS = {"n_bins": 12, "bin0": "A", "sr": 44100, "hop_length": 512, "frame_rate": 2.78}
CONFIGURATIONS = [("simple", 1), ("wider", 4), ("bottleneck", 4)]


@click.command(context_settings={"show_default": True})
@click.option("--batchsize", default=32, help="Tracks in a batch.")
@click.option("--steps", default=5, help="Timed steps of each configuration.")
@click.option("--ki-out-channel", default=256, help="Filters of the convolutions.")
@click.option("--deterministic/--no-deterministic", default=True, help="As for train.py.")
def main(batchsize, steps, ki_out_channel, deterministic):
    """Time training steps."""
    import tensorflow as tf

    from mulkinet import FeatureStore

    tf.keras.utils.set_random_seed(0)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    print(
        f"{processor()}, {os.cpu_count()} cores, "
        f"TensorFlow {tf.__version__}, batch {batchsize}, {ki_out_channel} filters, T 400"
    )
    print(f"{'network':<16}{'steps/s':>9}{'tracks/s':>10}{'in memory':>11}{'ratio':>7}")
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(_store(Path(folder) / "store.h5", batchsize * (steps + 1)))
        for block, n_stages in CONFIGURATIONS:
            options = {"block": block, "ki_block_num": n_stages, "ki_out_channel": ki_out_channel}
            road, memory = _seconds_per_step(store, options, batchsize)
            print(
                f"{block + '-' + str(n_stages):<16}{1 / road:>9.2f}{batchsize / road:>10.1f}"
                f"{1 / memory:>11.2f}{memory / road:>7.2f}"
            )


def _store(path, n_tracks, n_frames=500):
    from mulkinet.data.store_writer import StoreWriter

    rng = np.random.default_rng(0)
    tracks = [(str(i // 4), str(i)) for i in range(n_tracks)]
    with StoreWriter(path, name="benchmark", tracks=tracks) as writer:
        writer.add_feature("hpcp", n_frames=[n_frames] * n_tracks, settings=SETTINGS)
        for track in tracks:
            writer.write("hpcp", track, rng.random((n_frames, 12), np.float32))
    return path


def _seconds_per_step(store, options, batchsize):
    """Median seconds of a step fed by the data road, and of one fed from memory, interleaved."""
    import tensorflow as tf

    from mulkinet import build_model
    from mulkinet.losses.softmax import SoftmaxObjective
    from mulkinet.training.optimizers import build_optimizer, prepare_optimizer
    from mulkinet.training.pipeline import batches

    network = build_model("mulkinet", **options)
    rows = np.arange(len(store))
    objective = SoftmaxObjective(network, rows, store.work_ids, batchsize=batchsize, seed=0)
    optimizer = build_optimizer("adam", 1e-3)
    prepare_optimizer(optimizer, objective.model.trainable_variables)

    @tf.function
    def step(x, targets):
        with tf.GradientTape() as tape:
            loss = objective.loss(x, targets, optimizer.iterations)[0] + tf.add_n(
                objective.model.losses
            )
        variables = objective.model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    data = iter(batches(objective.plan(0), store, feature="hpcp", n_frames=network.n_frames))
    in_memory = next(data)
    step(*in_memory)
    times = {"road": [], "memory": []}
    began = time.perf_counter()
    for batch in data:
        float(step(*batch))
        times["road"].append(time.perf_counter() - began)
        began = time.perf_counter()
        float(step(*in_memory))
        times["memory"].append(time.perf_counter() - began)
        began = time.perf_counter()
    return np.median(times["road"]), np.median(times["memory"])


if __name__ == "__main__":
    main()
