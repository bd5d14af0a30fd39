"""The training loop: epochs, validation, the best and the last model, logs, resuming.

After each epoch the network embeds the validation tracks and ranks them. `best.h5` is the epoch
with the highest validation MAP; `last.h5` also holds the optimizer and the head, so that a killed
run resumes after its last finished epoch and ends as if it had not been killed. Everything drawn
while training follows from (seed, epoch, step). Ctrl-C and SIGTERM end the process at once.

With several workers (TF_CONFIG) every worker runs this loop; the first one writes the files, which
all must be able to read.
"""

import contextlib
import dataclasses
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

import mulkinet
from mulkinet.data.lists import write_list
from mulkinet.embedding import embed
from mulkinet.errors import MulkinetError
from mulkinet.evaluation import validate
from mulkinet.files.atomic import remove_leftovers
from mulkinet.models.model_file import load_model, load_state, save_model
from mulkinet.training.averaging import WeightAverage
from mulkinet.training.devices import is_chief
from mulkinet.training.interrupts import ending_at_once
from mulkinet.training.log import open_logs
from mulkinet.training.optimizers import prepare_optimizer
from mulkinet.training.pipeline import batches
from mulkinet.training.schedules import schedule_rate

__all__ = ["VALIDATED", "Trainer", "Validation"]

VALIDATED = ("MAP", "TOP10", "MR1")


@dataclasses.dataclass(frozen=True)
class Validation:
    """The tracks a model is selected by.

    Attributes:
        store: FeatureStore.
        rows: (N,) int64 rows of the validation tracks.
    """

    store: object
    rows: np.ndarray

    def embeddings(self, network):
        """(N, embedding) float32."""
        return embed(network, self.store, rows=self.rows)

    def measure(self, network, embeddings):
        """What `mulkinet.evaluation.validate` gives: scores, and distances of covers and of others."""
        return validate(
            embeddings,
            self.store.work_ids[self.rows],
            distance=network.distance,
            weights=network.distance_weights,
        )


class Trainer:
    """Trains a network by one objective.

    Attributes:
        history: list of dict, one row per finished epoch, as in `epochs.csv`.

    Args:
        network: EmbeddingNetwork, with its `metadata` (feature, ...) set.
        objective: `mulkinet.losses.objective.Objective` of that network.
        data: TrainingData; its lists are written as list files beside best.h5.
        crops: dict of arguments of `mulkinet.training.pipeline.batches`: feature, n_frames (one or several), pad,
            augment.
        optimizer: From `mulkinet.training.optimizers.build_optimizer`.
        settings: dict, JSON-able: the options of the run, kept in the model file; a run is resumed only with the
            same, but for a larger max_epoch. With max_epoch 0 the untrained network is saved as best.h5. The averaged
            weights, where weight_average is above 0, are what is validated and saved as best.h5.
        model_dir: Folder of best.h5 and last.h5.
        log_dir: Folder of epochs.csv and the TensorBoard events.
        patience: Epochs without a better validation MAP after which training stops; None for never.
        strategy: tf.distribute.Strategy under which network, objective and optimizer were made.
        report: Called with a line to show to the user.
    """

    def __init__(
        self,
        network,
        objective,
        data,
        *,
        crops,
        optimizer,
        settings,
        model_dir,
        log_dir,
        patience,
        strategy,
        report,
    ):
        self.history = []
        self._n_saved = 0
        self._network = network
        self._objective = objective
        self._data = data
        self._validation = Validation(data.store, data.validation_rows)
        self._crops = crops
        self._optimizer = optimizer
        self._settings = settings
        self._resumed_path = Path(model_dir) / "last.h5"
        self._max_epochs = settings["max_epoch"]
        self._patience = patience
        self._strategy = strategy
        self._report = report
        if not is_chief(strategy):
            # Reading the weights takes all workers, so all of them save, each to its own place.
            self._scratch = tempfile.TemporaryDirectory()
            model_dir = log_dir = self._scratch.name
        self._best_path = Path(model_dir) / "best.h5"
        self._last_path = Path(model_dir) / "last.h5"
        self._log_dir = Path(log_dir)
        with strategy.scope():
            prepare_optimizer(optimizer, objective.model.trainable_variables)
            self._average = WeightAverage(network.variables, settings["weight_average"])
        self._train_step = tf.function(self._distributed_step, reduce_retracing=True)

    def run(self, resume=False, begun=lambda: None, ends_process=False):
        """Trains to the end.

        Args:
            resume: Continue from last.h5.
            begun: Called when what is to be resumed has been found to fit, before anything is written.
            ends_process: As for `mulkinet.training.run.train`.

        Returns:
            dict: the row of `history` of the best epoch.

        Raises:
            MulkinetError: What is to be resumed is not there, or was made with other settings; the loss
                is not finite; a file cannot be written.
        """
        if resume:
            self._resume()
        begun()
        for folder in (self._best_path.parent, self._log_dir):
            remove_leftovers(folder)
        logs = open_logs(self._log_dir, self._settings)
        with ending_at_once(self._say_what_is_kept) if ends_process else contextlib.nullcontext():
            return self._run(logs)

    def _run(self, logs):
        embeddings = None
        if self._max_epochs == 0:
            embeddings = self._validation.embeddings(self._network)
            scores, _ = self._validation.measure(self._network, embeddings)
            self.history = [{"epoch": 0, **scores}]
            self._save_best()
        for log in logs:
            log.begin(self.history)
        while len(self.history) < self._max_epochs and not self._out_of_patience():
            embeddings = self._run_epoch(len(self.history), logs)
        if embeddings is None:  # resumed at its end: it may have been killed before the projector
            with self._average.in_place():
                embeddings = self._validation.embeddings(self._network)
        rows = self._validation.rows
        store = self._validation.store
        for log in logs:
            log.end(embeddings, store.work_ids[rows], store.track_ids[rows])
        return self._best()

    def _run_epoch(self, epoch, logs):
        """Trains, validates, saves and logs one epoch -> the validation tracks' embeddings."""
        began = time.monotonic()
        lr = schedule_rate(
            self._settings["schedule"],
            learning_rate=self._settings["lr"],
            epoch=epoch,
            epochs=self._max_epochs,
            losses=[row["loss"] for row in self.history if "loss" in row],
        )
        self._optimizer.learning_rate = lr
        plan = self._objective.plan(epoch, np.size(self._crops["n_frames"]))
        trained, steps = self._train_epoch(epoch, plan)
        with self._average.in_place():
            embeddings, scores, distances = self._validate(epoch, plan)
        seconds = round(time.monotonic() - began, 2)
        row = {"epoch": epoch + 1, "lr": lr, **trained, **scores, "seconds": seconds}
        self.history.append(row)
        is_best = self._best() is row
        # last.h5 after them: a run killed before it repeats the epoch and writes them again.
        if is_best:
            with self._average.in_place():
                self._save_best()
        for log in logs:
            log.epoch(row, steps, distances)
        self._save(self._last_path, with_state=True)
        self._n_saved = len(self.history)
        self._report(self._line(row, is_best))
        return embeddings

    def _validate(self, epoch, plan):
        """(embeddings, scores, distances) of the validation tracks after an epoch."""
        embeddings = self._validation.embeddings(self._network)
        if not np.isfinite(embeddings).all():
            raise MulkinetError(
                f"expected finite embeddings, found NaN or infinity after epoch {epoch + 1}, whose "
                f"last batch, {len(plan.steps)}, had {self._tracks_of(plan, -1)}; "
                "lower --lr, or limit the gradients by --clip-norm"
            )
        return (embeddings, *self._validation.measure(self._network, embeddings))

    def _train_epoch(self, epoch, plan):
        """Takes the epoch's steps -> the means of what they give, and (step, what it gives) pairs."""
        progress = tqdm(
            self._batches(plan),
            f"epoch {epoch + 1}/{self._max_epochs}",
            total=len(plan.steps),
            unit="batch",
            leave=False,
            disable=None,  # no bar where nobody looks: a log file, a pipe
        )
        taken = []
        for x, targets in progress:
            taken.append(self._train_step(x, targets))
            if len(taken) > 1:
                # The step before, which is done while this one is computed: nothing waits for it.
                self._check_loss(epoch, plan, len(taken) - 2, taken)
        self._check_loss(epoch, plan, len(taken) - 1, taken)
        taken = [{name: float(value) for name, value in values.items()} for values in taken]
        sizes = [len(rows) for rows, _ in plan.steps]
        means = {
            name: sum(values[name] * size for values, size in zip(taken, sizes)) / sum(sizes)
            for name in taken[0]
        }
        first = int(self._optimizer.iterations.numpy()) - len(taken) + 1
        return means, list(enumerate(taken, first))

    def _check_loss(self, epoch, plan, step, taken):
        loss = float(taken[step]["loss"])
        if not math.isfinite(loss):
            raise MulkinetError(
                f"expected a finite loss, found {loss} in epoch {epoch + 1}, batch {step + 1}, "
                f"with {self._tracks_of(plan, step)}; "
                "lower --lr, or look for broken features in these tracks"
            )

    def _batches(self, plan):
        n_replicas = self._strategy.num_replicas_in_sync
        if n_replicas == 1:
            return batches(plan, self._data.store, **self._crops)

        def share(context):
            here = n_replicas // context.num_input_pipelines
            first = context.input_pipeline_id * here
            replicas = (range(first, first + here), n_replicas)
            return batches(plan, self._data.store, replicas=replicas, **self._crops)

        return self._strategy.distribute_datasets_from_function(share)

    def _distributed_step(self, x, targets):
        values = self._strategy.run(self._replica_step, (x, targets))
        self._average.update(self._optimizer.iterations)
        return {
            name: self._strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None)
            for name, value in values.items()
        }

    def _replica_step(self, x, targets):
        context = tf.distribute.get_replica_context()
        variables = self._objective.model.trainable_variables
        with tf.GradientTape() as tape:
            share, logged = self._objective.loss(x, targets, self._optimizer.iterations)
            penalties = self._objective.model.losses
            penalty = tf.add_n(penalties) if penalties else tf.zeros(())
            penalty = penalty / context.num_replicas_in_sync
            total = share + penalty
        gradients = tape.gradient(total, variables)
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        if self._settings["clip_norm"] is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._settings["clip_norm"])
        self._optimizer.apply_gradients(
            zip(gradients, variables), experimental_aggregate_gradients=False
        )
        return {"loss": share, "penalty": penalty, **logged}

    def _best(self):
        return max(self.history, key=lambda row: row["MAP"])

    def _say_what_is_kept(self):
        folder = self._best_path.parent
        if self._n_saved:
            best = max(self.history[: self._n_saved], key=lambda row: row["MAP"])["epoch"]
            self._report(
                f"\ninterrupted: {folder} has the run up to epoch {self._n_saved}, and the best epoch, "
                f"{best}, in best.h5; --resume continues it"
            )
        else:
            self._report(f"\ninterrupted before the first epoch ended: {folder} has nothing of it")

    def _out_of_patience(self):
        if self._patience is None or not self.history:
            return False
        waited = self.history[-1]["epoch"] - self._best()["epoch"]
        if waited >= self._patience:
            self._report(f"stopped: no better validation MAP for {waited} epochs")
        return waited >= self._patience

    def _line(self, row, is_best):
        width = len(str(self._max_epochs))
        logged = [name for name in row if name not in ("epoch", "lr", "seconds", *VALIDATED)]
        trained = "  ".join(f"{name} {row[name]:.4f}" for name in logged)
        return (
            f"epoch {row['epoch']:>{width}}/{self._max_epochs}  {trained}  |  validation "
            f"MAP {row['MAP']:.4f}  TOP10 {row['TOP10']:.3f}  MR1 {row['MR1']:.2f}  |  "
            f"{row['seconds']:.1f} s{'  best' if is_best else ''}"
        )

    def _tracks_of(self, plan, step):
        rows = np.ravel(plan.steps[step][0])
        store = self._data.store
        shown = [f"{store.work_ids[row]}/{store.track_ids[row]}" for row in rows[:3]]
        return f"tracks {', '.join(shown)}{', ...' if len(rows) > 3 else ''}"

    def _save_best(self):
        # The lists with it: those of an earlier run are not to be taken for what this one saw.
        for name, pairs in self._data.lists.items():
            write_list(self._best_path.with_name(name), pairs)
        self._save(self._best_path)

    def _save(self, path, with_state=False):
        self._network.metadata["training"] = {
            "settings": self._settings,
            "epoch": self.history[-1]["epoch"],
            "validation_MAP": self.history[-1]["MAP"],
            "history": self.history,
            "mulkinet_version": mulkinet.__version__,
        }
        state = None
        if with_state:
            state = {"optimizer": self._optimizer.get_weights(), "head": self._objective.state()}
            state["average"] = self._average.state()
        save_model(self._network, path, state=state)

    def _resume(self):
        path = self._resumed_path
        network = load_model(path)
        training = network.metadata["training"]
        self._check_settings(training["settings"])
        self._network.set_weights(network.get_weights())
        state = load_state(path)
        self._optimizer.set_weights(state["optimizer"])
        self._objective.restore(state["head"])
        self._average.restore(state["average"])
        self.history = training["history"]
        self._n_saved = len(self.history)
        self._report(f"resuming after epoch {len(self.history)}")

    def _check_settings(self, recorded):
        different = [
            f"{name} {recorded.get(name)!r}, not {value!r}"
            for name, value in self._settings.items()
            if recorded.get(name) != value
            and not (name == "max_epoch" and value >= recorded.get(name, value + 1))
        ]
        if different:
            raise MulkinetError(
                f"expected the settings of the run to resume, found {self._resumed_path} made with "
                f"{'; '.join(different)}; give the same (--max-epoch may be raised), or start anew without --resume"
            )
