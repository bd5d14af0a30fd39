"""Training steps with the memory that a step frees kept for the next (as `train` does), and handed back each time.

    python benchmarks/training_memory.py [--steps 5] [--row NAME]

Each network takes its steps in two processes of its own, one after the other. Seconds are those of a step: by the
clock, of the processor in the program, and in the system, which clears pages that are asked for anew.
"""

import contextlib
import json
import multiprocessing
import os
import resource
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
from machine import processor

# row: (network, options, batch, frames), as their recipes train them.
_ROWS = {
    "keyconv": ("keyconv", {}, 128, 250),
    "bottleneck-4": ("mulkinet", {"block": "bottleneck"}, 32, 400),
    "move": ("move", {}, 16, 1800),
    "siamese": ("siamese", {}, 128, 500),
}


@click.command(context_settings={"show_default": True})
@click.option("--steps", default=5, help="Timed steps.")
@click.option("--row", "rows", multiple=True, type=click.Choice(list(_ROWS)))
def main(steps, rows):
    """Print seconds, page faults and memory of both, and the ratio of times by the clock."""
    print(f"{processor()}, {os.cpu_count()} cores")
    print(
        f"{'':<14}{'memory':<13}{'clock':>7}{'program':>9}{'system':>8}{'faults':>10}{'MB':>6}{'ratio':>7}"
    )
    for name in rows or _ROWS:
        handed_back = _in_a_process(*_ROWS[name], steps, False)
        kept = _in_a_process(*_ROWS[name], steps, True)
        for label, found in (("handed back", handed_back), ("kept", kept)):
            ratio = handed_back["clock"] / found["clock"]
            print(
                f"{name:<14}{label:<13}{found['clock']:>7.2f}{found['program']:>9.2f}{found['system']:>8.2f}"
                f"{found['faults']:>10.0f}{found['megabytes']:>6.0f}{ratio:>7.2f}",
                flush=True,
            )


def _in_a_process(*arguments):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(theirs, *arguments))
    process.start()
    theirs.close()  # so that the end of a process that was killed is seen
    found = json.loads(ours.recv())
    process.join()
    return found


def _measure(pipe, name, options, batch, n_frames, steps, is_kept):
    from mulkinet.training.devices import memory_kept

    with memory_kept() if is_kept else contextlib.nullcontext():
        pipe.send(json.dumps(_step(name, options, batch, n_frames, steps)))


def _step(name, options, batch, n_frames, steps):
    """Means of a step: forward, backward and Adam's update."""
    import numpy as np
    import tensorflow as tf

    from mulkinet import build_model

    model = build_model(name, **options)
    x = tf.constant(np.random.default_rng(0).random((batch, 12, n_frames)), tf.float32)
    optimizer = tf.keras.optimizers.legacy.Adam(1e-4)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=True)))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))

    for _ in range(2):
        step()
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(steps):
        step()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "clock": (time.perf_counter() - began) / steps,
        "program": (after.ru_utime - before.ru_utime) / steps,
        "system": (after.ru_stime - before.ru_stime) / steps,
        "faults": (after.ru_minflt - before.ru_minflt) / steps,
        "megabytes": after.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    main()
