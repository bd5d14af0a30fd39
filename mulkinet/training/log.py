"""What a run leaves to look at: epochs.csv, TensorBoard scalars and histograms, the projector.

TensorBoard shows the numbers of an epoch (`loss`, `MAP`, ...) over epochs, and those of a step
(`step/loss`, ...) over the steps taken.

Public names: `RunLog`.
"""

import contextlib
import csv
import re

import numpy as np
import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.files.atomic import atomic_path

__all__ = ["RunLog"]


class RunLog:
    """The log folder of a run.

    Args:
        folder: pathlib.Path of it.

    Raises:
        MulkinetError: Here and in every method: the folder cannot be written to, or the disk is
            full.
    """

    def __init__(self, folder):
        self._folder = folder
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            self._events = tf.summary.create_file_writer(str(folder))

    def write_csv(self, history):
        """Writes epochs.csv anew, one row per finished epoch.

        Args:
            history: list of dict; all have the keys of the first.
        """
        columns = list(history[0]) if history else ["epoch"]
        with atomic_path(self._folder / "epochs.csv") as temporary:
            with open(temporary, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(history)

    def write_events(self, row, steps, distances):
        """Writes the numbers of an epoch, and of its steps, for TensorBoard.

        Args:
            row: dict of an epoch, with its number as "epoch".
            steps: (step, dict of name to float) pairs, the steps counted from 1 through the run.
            distances: dict of name to array, distances of the validation tracks, as histograms.
        """
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

    def write_projector(self, embeddings, work_ids, track_ids):
        """Leaves embeddings for TensorBoard's projector, labelled by work and track.

        Args:
            embeddings: (N, embedding) float32.
            work_ids: (N,) str.
            track_ids: (N,) str.
        """
        from tensorboard.plugins import projector

        rows = [("work", "track"), *zip(work_ids, track_ids)]
        with atomic_path(self._folder / "metadata.tsv") as temporary:
            temporary.write_text("".join(f"{w}\t{t}\n" for w, t in rows), encoding="utf-8")
        with atomic_path(self._folder / "embeddings.tsv") as temporary:
            np.savetxt(temporary, embeddings, fmt="%.6g", delimiter="\t")
        config = projector.ProjectorConfig()
        config.embeddings.add(
            tensor_name="validation",
            tensor_path="embeddings.tsv",
            metadata_path="metadata.tsv",
        )
        with self._writing():
            projector.visualize_embeddings(str(self._folder), config)

    @contextlib.contextmanager
    def _writing(self):
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            # TensorFlow puts the name of its operation before and after what went wrong.
            plain = re.sub(r"{{.*?}} | \[Op:.*", "", str(error))
            reason = getattr(error, "strerror", None) or plain.splitlines()[0]
            raise MulkinetError(
                f"cannot write the log {self._folder}: {reason}; "
                "check that the folder is writable and the disk has room"
            ) from error
