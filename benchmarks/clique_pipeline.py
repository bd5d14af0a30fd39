"""Speed and memory of the clique road with all augmentation, against MOVE's training step.

Makes a store as large as Da-TACOS' benchmark subset (15000 tracks of 1900 frames of 12 bins: every
8th frame of full length), and measures in processes of their own: how many tracks a second
`batches` delivers of MOVE's cliques (16 works of 4 tracks, crops of 1800 frames) through every
augmentation there is, and the most memory resident meanwhile; how many a training step of MOVE
(embedding of 16000) takes on the same machine; how long a store of 100000 tracks takes to open.

    python benchmarks/clique_pipeline.py [--steps 40]
"""

import itertools
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from machine import processor

from mulkinet.data.store import FeatureStore
from mulkinet.data.store_writer import StoreWriter

N_FRAMES, CROP, BATCH, PER_WORK = 1900, 1800, 64, 4
SETTINGS = {"n_bins": 12, "bin0": "C", "sr": 44100, "hop_length": 512, "frame_rate": 44100 / 4096}


def write_store(path, n_tracks, n_frames):
    """Works of 13 tracks and random values, a few megabytes of which come again and again."""
    rng = np.random.default_rng(0)
    values = rng.random((50, n_frames, 12), np.float32)
    tracks = [(f"W_{i // 13}", f"P_{i}") for i in range(n_tracks)]
    with StoreWriter(path, name="benchmark", tracks=tracks) as store:
        store.add_feature("crema", n_frames=[n_frames] * n_tracks, settings=SETTINGS)
        # Natural order, in which the writer has them too.
        for start in range(0, n_tracks, len(values)):
            run = tracks[start : start + len(values)]
            store.write_run("crema", run, values[: len(run)].reshape(-1, 12))


def deliver(path, n_steps):
    """(tracks/s, MB resident at most) of the road alone."""
    from mulkinet.losses.plans import clique_plan, labels_of
    from mulkinet.training.augment import (
        Augmentation,
        MaskBins,
        MaskFrames,
        RollTime,
        RotatePitch,
        StretchTime,
        WarpTime,
    )
    from mulkinet.training.pipeline import batches

    store = FeatureStore(path)
    _, labels = labels_of(store.work_ids)
    rows = np.arange(len(store))
    sizes = {"batch_size": BATCH, "tracks_per_work": PER_WORK}
    steps = [RollTime(), RotatePitch(), StretchTime(1.0), WarpTime(1.0), MaskBins(), MaskFrames()]
    augment = Augmentation(steps)

    def epochs():
        for epoch in itertools.count():
            plan = clique_plan(rows, labels, **sizes, seed=0, epoch=epoch)
            yield from batches(plan, store, feature="crema", n_frames=CROP, augment=augment)

    batch = epochs()
    next(batch)
    start = time.perf_counter()
    n_tracks = sum(len(next(batch)[0]) for _ in range(n_steps))
    seconds = time.perf_counter() - start
    return n_tracks / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def consume(n_steps):
    """Tracks/s of MOVE's training step: forward, hard triplets, backward, SGD."""
    import tensorflow as tf

    import mulkinet
    from mulkinet.losses import triplet_loss

    network = mulkinet.build_model("move")
    optimizer = tf.keras.optimizers.SGD(0.1)
    x = tf.random.stateless_uniform((BATCH, 12, CROP), (0, 0))
    works = tf.repeat(tf.range(BATCH // PER_WORK), PER_WORK)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            embeddings = network(x, training=True)
            loss = triplet_loss(
                embeddings, works, margin=1.0, mining="hard", distance="sqeuclidean"
            )
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))

    step()
    start = time.perf_counter()
    for _ in range(n_steps):
        step()
    return BATCH * n_steps / (time.perf_counter() - start)


def open_large(path):
    """(seconds to open a store of 100000 tracks, seconds a crop of it takes)."""
    start = time.perf_counter()
    store = FeatureStore(path)
    opened = time.perf_counter() - start
    rows = np.random.default_rng(0).integers(0, len(store), 1000)
    start = time.perf_counter()
    for row in rows:
        store.read("crema", row, 10, 20).sum()
    return opened, (time.perf_counter() - start) / len(rows)


def apart(function, *arguments):
    """Calls a function in a fresh process."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sending, function, arguments))
    process.start()
    # Then the end of the process ends the waiting too.
    sending.close()
    result = receiving.recv()
    process.join()
    return result


def _send(pipe, function, arguments):
    pipe.send(function(*arguments))


@click.command()
@click.option("--tracks", default=15000, help="Tracks of the store.")
@click.option("--steps", default=100, help="Batches to deliver.")
@click.option("--move-steps", default=2, help="Training steps of MOVE.")
def main(tracks, steps, move_steps):
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        path, large = Path(folder) / "cliques.h5", Path(folder) / "large.h5"
        write_store(path, tracks, N_FRAMES)
        delivered, memory = apart(deliver, path, steps)
        print(processor())
        print(f"{tracks} tracks of {N_FRAMES} x 12, {path.stat().st_size / 1e6:.0f} MB")
        print(f"cliques with all augmentation: {delivered:.0f} tracks/s, {memory:.0f} MB resident")
        consumed = apart(consume, move_steps)
        print(f"MOVE's training step:          {consumed:.1f} tracks/s")
        print(f"ratio: {delivered / consumed:.1f}")
        write_store(large, 100_000, 50)
        opened, crop = apart(open_large, large)
        print(f"store of 100000 tracks: opened in {opened:.2f} s, a crop in {1e6 * crop:.0f} us")


if __name__ == "__main__":
    main()
