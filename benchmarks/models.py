"""Speed and memory of the networks against their published form, as ratios in one run.

    python benchmarks/models.py               every row of the table
    python benchmarks/models.py wider-4 move  some rows

The published form (`tests/direct_networks.py`) has all 23 rows written out, plain convolutions and plain statistics, in
the same framework. It and the package's network start from the same weights; that they agree is checked before anything
is timed. Then both are timed in turn, so that both see the same machine, and medians are printed:

- `s`: seconds of the published form and of ours; `ratio` of these; `cpu` is the ratio of their processor seconds, which
  compares them on a machine that is shared.
- `Gmul`: billions of multiplications of convolutions and dense layers. A training step has three times those of
  inference, the first layer, whose input needs no gradient, twice.
- `rate`: share of this machine's matrix product rate, measured at the beginning, that these come to.
- `MB`: peak memory of one call, above what TensorFlow takes by itself, in a process of its own.

Inference is that of `embed`: kernels are transformed once, before.
"""

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import tensorflow as tf
from machine import processor

from mulkinet.losses import triplet_loss, twin_loss
from mulkinet.models import build_model
from mulkinet.training.optimizers import build_optimizer, prepare_optimizer
from tests.direct_networks import direct_classifier, direct_network

N_CLASSES = 1000
REPEATS = 15
SECONDS = 60  # for the repeats of one measurement; two at least
TOLERANCE = 1e-4
MEASURES = ("training", "inference")


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        network: Name in the registry.
        options: Of the network.
        n_frames: Of its input.
        batch: Tracks; pairs for the training of the Siamese network.
        optimizer: Of its recipe.
        targets: The ratios to reach, (training, inference).
    """

    network: str
    options: dict
    n_frames: int
    batch: int
    optimizer: str
    targets: tuple


ROWS = {
    "wider-4": Row("mulkinet", {"block": "wider"}, 400, 32, "adam", (2.5, 3)),
    "simple-4": Row("mulkinet", {"block": "simple"}, 400, 32, "adam", (3, 3.5)),
    "bottleneck-4": Row("mulkinet", {"block": "bottleneck"}, 400, 32, "adam", (2, 2.5)),
    "move": Row("move", {}, 1800, 16, "sgd", (1.9, 2.2)),
    "cqtnet": Row("cqtnet", {}, 400, 8, "adam", (1.3, 1.3)),
    "siamese": Row("siamese", {}, 500, 128, "lookahead-adam", (1.5, 1.5)),
}


class Contender:
    """A network in one of its two forms, ready to train and to embed."""

    def __init__(self, row, form):
        tf.keras.utils.set_random_seed(0)
        self.row = row
        self.network = build_model(row.network, **row.options)
        self.embedder = self.trained = self.network
        if row.network == "mulkinet":
            self.trained = self.network.classifier(N_CLASSES)
            self.trained.dropout.rate = 0.0
        if row.network == "siamese":
            self.network.dropout.rate = 0.0
        if form == "published":
            self.embedder = direct_network(self.network)
            if row.network == "mulkinet":
                self.trained = direct_classifier(self.network, self.trained)
            else:
                self.trained = self.embedder
        self.variables = self.trained.trainable_variables
        if row.network == "siamese" and form == "published":
            self.variables = self.variables + self.network.head.trainable_variables
        self.optimizer = build_optimizer(row.optimizer, 1e-3)
        prepare_optimizer(self.optimizer, self.variables)
        rng = np.random.default_rng(0)
        n_tracks = 2 * row.batch if row.network == "siamese" else row.batch
        self.x = tf.constant(rng.random((n_tracks, self.network.n_bins, row.n_frames), np.float32))
        self.works = tf.constant(np.arange(row.batch) // 4, tf.int32)
        self._step = tf.function(self._training_step)
        self._embed = self._inference(form)

    def training(self):
        """One step; returns its loss."""
        return float(self._step())

    def inference(self):
        """The embeddings of a batch."""
        return self._embed()

    def _inference(self, form):
        x = self.x[: self.row.batch]
        if form == "published":
            embed = tf.function(lambda: self.embedder(x, training=False))
            return lambda: embed().numpy()
        kernels = self.network.transformed_kernels()
        return lambda: self.network.embed_batch(x, kernels)

    def _training_step(self):
        with tf.GradientTape() as tape:
            loss = self._loss()
            if self.trained.losses:
                loss += tf.add_n(self.trained.losses)
        gradients = tape.gradient(loss, self.variables)
        self.optimizer.apply_gradients(zip(gradients, self.variables))
        return loss

    def _loss(self):
        output = self.trained(self.x, training=True)
        if self.row.network == "mulkinet":
            return tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(self.works, output)
            )
        if self.row.network in ("move", "cqtnet"):
            return triplet_loss(
                output, self.works, margin=1.0, mining="hard", distance="sqeuclidean"
            )
        a, b = tf.split(output, 2)
        return twin_loss(self.network.head([a, b]), self.works % 2)

    def multiplications(self, measure):
        """Of the convolutions and dense layers in one call."""
        n_frames = self.row.n_frames
        tracks, kernels = [], []
        model = self.embedder if measure == "inference" else self.trained
        for layer in model.layers:
            if isinstance(layer, tf.keras.layers.Conv2D):
                n_frames = layer.input_shape[2] or n_frames
                width, dilation = layer.kernel_size[1], layer.dilation_rate[1]
                n_out = n_frames - (width - 1) * dilation
                if hasattr(layer, "form"):
                    *track, kernel = layer.form.multiplications(n_frames)
                    tracks.append(sum(track))
                    kernels.append(kernel)
                else:
                    tracks.append(layer.output_shape[1] * n_out * np.prod(layer.kernel.shape))
                n_frames = n_out
            elif layer.name.startswith(("pool", "max_pooling")):
                n_frames = n_frames // 2 + 1
            elif isinstance(layer, tf.keras.layers.Dense):
                tracks.append(np.prod(layer.kernel.shape))
        if measure == "inference":
            return sum(tracks) * self.row.batch
        return (3 * sum(tracks) - tracks[0]) * len(self.x) + 2 * sum(kernels)


def matrix_product_rate():
    """Multiplications a second in products of 2048 x 2048 matrices."""
    a = tf.random.normal((2048, 2048))
    product = tf.function(lambda: tf.matmul(a, a))
    return 2048**3 / min(seconds_of(lambda: product().numpy())[0] for _ in range(10))


def seconds_of(call):
    """(wall, processor) seconds of a call."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def check_equal(row_name, ours, published):
    """Stops unless embeddings and loss agree; also compiles everything that is timed later."""
    a, b = ours.inference(), published.inference()
    error = np.abs(a - b).max() / np.abs(b).max()
    loss, published_loss = ours.training(), published.training()
    loss_error = abs(loss - published_loss) / abs(published_loss)
    print(f"{row_name}: embeddings differ by {error:.1e}, loss by {loss_error:.1e}", flush=True)
    if not max(error, loss_error) < TOLERANCE:
        sys.exit(f"expected less than {TOLERANCE}")


def timed(ours, published, measure):
    """Median (wall, processor) seconds of both, called in turn."""
    calls = [getattr(contender, measure) for contender in (published, ours)]
    taken = ([], [])
    began = time.perf_counter()
    while len(taken[0]) < 2 or (len(taken[0]) < REPEATS and time.perf_counter() - began < SECONDS):
        for call, seconds in zip(calls, taken):
            seconds.append(seconds_of(call))
    return [[statistics.median(column) for column in zip(*seconds)] for seconds in taken]


def peak_memory(row_name, form, measure):
    """MB of one call in a process of its own."""
    command = [sys.executable, __file__, "--peak", row_name, form, measure]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(row_name, form, measure):
    """The child's side of `peak_memory`."""
    tf.matmul(tf.ones((8, 8)), tf.ones((8, 8)))
    before = peak()
    getattr(Contender(ROWS[row_name], form), measure)()
    print(peak() - before)


def peak():
    """Peak MB of this process, or of its GPU."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e6
    # Not ru_maxrss, which begins with the peak of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1e3


def measure_row(name, rate):
    """Checks, times and prints one row."""
    row = ROWS[name]
    ours, published = Contender(row, "ours"), Contender(row, "published")
    check_equal(name, ours, published)
    lines = []
    for measure, target in zip(MEASURES, row.targets):
        (slow, slow_cpu), (fast, fast_cpu) = timed(ours, published, measure)
        counts = [contender.multiplications(measure) for contender in (published, ours)]
        rates = [count / seconds / rate for count, seconds in zip(counts, (slow, fast))]
        memory = [peak_memory(name, form, measure) for form in ("published", "ours")]
        met = "" if slow / fast >= target and memory[1] <= 1.25 * memory[0] else "  not met"
        lines.append(
            f"{name:13s} {measure:9s} {slow:7.2f} {fast:7.2f} {slow / fast:6.2f} {slow_cpu / fast_cpu:6.2f}"
            f" {target:6.1f} {counts[0] / 1e9:8.1f} {counts[1] / 1e9:7.1f} {rates[0]:6.0%} {rates[1]:6.0%}"
            f" {memory[0]:7.0f} {memory[1]:7.0f}{met}"
        )
        print(lines[-1], flush=True)
    return lines


HEADER = (
    f"{'':13s} {'':9s} {'s':>7s} {'':7s} {'':6s} {'':6s} {'':6s} {'Gmul':>8s} {'':7s} {'rate':>6s} {'':6s} {'MB':>7s}\n"
    f"{'':13s} {'':9s} {'publ.':>7s} {'ours':>7s} {'ratio':>6s} {'cpu':>6s} {'target':>6s} {'publ.':>8s} {'ours':>7s}"
    f" {'publ.':>6s} {'ours':>6s} {'publ.':>7s} {'ours':>7s}"
)


def main():
    """The table."""
    parser = argparse.ArgumentParser(
        description="Speed of the networks against their published form."
    )
    parser.add_argument("rows", nargs="*", help=f"some of {', '.join(ROWS)}; all by default")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    unknown = set(arguments.rows) - set(ROWS)
    if unknown:
        parser.error(f"expected rows of {', '.join(ROWS)}; found {', '.join(sorted(unknown))}")
    if arguments.peak:
        print_peak(*arguments.peak)
        return
    rate = matrix_product_rate()
    devices = [device.name for device in tf.config.list_physical_devices()]
    print(f"TensorFlow {tf.__version__}, {processor()}, {os.cpu_count()} cores, {devices}")
    print(f"matrix product: {rate / 1e9:.0f} billion multiplications a second", flush=True)
    lines = [line for name in arguments.rows or ROWS for line in measure_row(name, rate)]
    print(f"\n{HEADER}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
