"""What a run leaves to look at: a list of small callbacks, of which ours write CSV and TensorBoard.

A callback is made with (folder, settings), the log folder of the run and its options, and has three methods; see
`LogCallback`. To add one (Weights & Biases, MLflow), append its class to `LOGS`, in a module that `MULKINET_PLUGINS`
names or before `mulkinet.training.run.train` is called.

TensorBoard shows the numbers of an epoch (`loss`, `MAP`, ...) over epochs, and those of a step (`step/loss`, ...) over
the steps taken.
"""

import contextlib
import csv
import re

import numpy as np
import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.files.atomic import atomic_path

__all__ = ["LOGS", "CsvLog", "LogCallback", "TensorBoardLog", "open_logs"]

# What the projector is given at most. TensorBoard reduces further than this before it draws.
_PROJECTED_TRACKS, _PROJECTED_SIZE = 1000, 256


class LogCallback:
    """Base of the callbacks; what is not overridden does nothing.

    Args:
        folder: pathlib.Path of the run's log folder, which is there.
        settings: dict of the options of the run, JSON-able.
    """

    def __init__(self, folder, settings):
        self.folder = folder

    def begin(self, history):
        """Called before the first epoch, and where a run is resumed.

        Args:
            history: list of dict, a row per epoch that is finished already; see `epoch`.
        """

    def epoch(self, row, steps, distances):
        """Called after each epoch. A killed run may repeat an epoch, and calls this again.

        Args:
            row: dict of name to number: "epoch" (from 1), "lr", "loss", ..., "MAP", "seconds".
            steps: (step, dict of name to float) pairs, the steps counted from 1 through the run.
            distances: dict of name to array, distances of the validation tracks.
        """

    def end(self, embeddings, work_ids, track_ids):
        """Called at the end of the run.

        Args:
            embeddings: (N, embedding) float32 of the validation tracks.
            work_ids: (N,) str.
            track_ids: (N,) str.
        """


class CsvLog(LogCallback):
    """epochs.csv, one row per finished epoch."""

    def begin(self, history):
        """See `LogCallback`."""
        self._history = list(history)
        self._write()

    def epoch(self, row, steps, distances):
        """See `LogCallback`."""
        self._history.append(row)
        self._write()

    def _write(self):
        columns = list(self._history[0]) if self._history else ["epoch"]
        with atomic_path(self.folder / "epochs.csv") as temporary:
            with open(temporary, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(self._history)


class TensorBoardLog(LogCallback):
    """Scalars, histograms of distances, and the embeddings for the projector, for TensorBoard.

    Raises:
        MulkinetError: Here and in every method: the folder cannot be written to, or the disk is full.
    """

    def __init__(self, folder, settings):
        super().__init__(folder, settings)
        with self._writing():
            self._events = tf.summary.create_file_writer(str(folder))

    def epoch(self, row, steps, distances):
        """See `LogCallback`."""
        with self._writing():
            for step, values in steps:
                with self._events.as_default(step=step):
                    for name, value in values.items():
                        tf.summary.scalar(f"step/{name}", value)
            with self._events.as_default(step=row["epoch"]):
                for name, value in row.items():
                    if name != "epoch":
                        tf.summary.scalar(name, value)
                for name, values in distances.items():
                    tf.summary.histogram(f"{name}_distance", values)
                self._events.flush()

    def end(self, embeddings, work_ids, track_ids):
        """See `LogCallback`; at most 1000 tracks, in 256 dimensions."""
        from tensorboard.plugins import projector

        embeddings = _principal_components(embeddings[:_PROJECTED_TRACKS], _PROJECTED_SIZE)
        rows = [("work", "track"), *zip(work_ids[:_PROJECTED_TRACKS], track_ids)]
        with atomic_path(self.folder / "metadata.tsv") as temporary:
            temporary.write_text("".join(f"{w}\t{t}\n" for w, t in rows), encoding="utf-8")
        with atomic_path(self.folder / "embeddings.tsv") as temporary:
            np.savetxt(temporary, embeddings, fmt="%.6g", delimiter="\t")
        config = projector.ProjectorConfig()
        config.embeddings.add(
            tensor_name="validation",
            tensor_path="embeddings.tsv",
            metadata_path="metadata.tsv",
        )
        with self._writing():
            projector.visualize_embeddings(str(self.folder), config)

    @contextlib.contextmanager
    def _writing(self):
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            # TensorFlow puts the name of its operation before and after what went wrong.
            plain = re.sub(r"{{.*?}} | \[Op:.*", "", str(error))
            reason = getattr(error, "strerror", None) or plain.splitlines()[0]
            raise _unwritable(self.folder, reason) from error


LOGS = [CsvLog, TensorBoardLog]


def open_logs(folder, settings):
    """Makes the log folder (pathlib.Path), and the callbacks of `LOGS` for it and the options of the run.

    Raises:
        MulkinetError: The folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error.strerror) from error
    return [log(folder, settings) for log in LOGS]


def _unwritable(folder, reason):
    return MulkinetError(
        f"cannot write the log {folder}: {reason}; "
        "check that the folder is writable and the disk has room"
    )


def _principal_components(points, size):
    """Points (N, D) as they are where D <= size, else their first principal components, (N, size) at most."""
    if points.shape[1] <= size:
        return points
    centred = points.astype(np.float64) - points.mean(axis=0)
    # By way of the (N, N) products, since N is the smaller of the two.
    squares, directions = np.linalg.eigh(centred @ centred.T)
    return (directions * np.sqrt(np.maximum(squares, 0)))[:, ::-1][:, :size]
