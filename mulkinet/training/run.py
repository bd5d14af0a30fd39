"""One training run, from options to best.h5."""

import contextlib
import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.files.locks import locked
from mulkinet.training.devices import memory_kept
from mulkinet.training.recipes import crop_lengths, loss_options, pretraining
from mulkinet.training.run_record import RECORD, write_record

__all__ = ["train"]

# From 30 on the standard error of a MAP is below a tenth.
_FEW_QUERIES = 30


@memory_kept()
def train(
    settings,
    open_data,
    *,
    tag,
    gpus,
    patience=None,
    init_from=None,
    mixed_precision=False,
    deterministic=True,
    resume=False,
    force=False,
    models_dir="models",
    log_dir="log",
    recorded=None,
    ends_process=False,
    report,
):
    """Trains a network; writes <models_dir>/<tag>/ and <log_dir>/<tag>/.

    With `pretrain_epochs` the network is first trained as a classifier, in the folder pretrain/ of
    both, and training by the loss starts from the best of that.

    Args:
        settings: dict of every option, as `mulkinet.training.recipes.complete` gives it.
        open_data: Function without arguments that gives the TrainingData; it is called when all
            that needs no data has been checked, since the demo set may have to be made for it.
        tag: Name of the run.
        gpus: list of int, empty for the CPU.
        patience: Epochs without a better validation MAP to stop after, or None.
        init_from: Model file to start from; None for random weights.
        mixed_precision: Compute in bfloat16 where the GPUs have it.
        deterministic: The same seed gives the same bits on one machine; without it roundings may differ.
        resume: Continue what is in <models_dir>/<tag>/; where no epoch has ended, start anew.
        force: Overwrite what is there.
        models_dir: Folder of the runs' models.
        log_dir: Folder of the runs' logs.
        recorded: dict of further options to be kept in run.yaml: those of the data.
        ends_process: Ctrl-C and SIGTERM end the process at once, as those of a command should; otherwise they do
            what they do in any Python, after the step in hand.
        report: Called with each line for the user.

    Returns:
        (row of the best epoch, path of best.h5).

    Raises:
        MulkinetError: There is a run of this name, and neither `resume` nor `force`; another process is
            training it; or see `Trainer.run`, `mulkinet.build_model`, `Objective.check`.
    """
    import tensorflow as tf

    from mulkinet.models.model_file import load_model
    from mulkinet.training.devices import is_chief, strategy_of, use_mixed_precision, wait_for_all
    from mulkinet.training.trainer import VALIDATED

    folders = _folders(models_dir, log_dir, tag)
    if not (resume or force):
        _check_new(folders)
    strategy = strategy_of(gpus, report)
    if not is_chief(strategy):
        report = _say_nothing
    if mixed_precision:
        use_mixed_precision(report)
    *before, last = phases = _phases_of(settings, folders)
    if resume and not any(folder.last.is_file() for _, folder in phases):
        report(f"no epoch of {folders.models} has ended: starting anew")
        resume = False
    tf.keras.utils.set_random_seed(settings["seed"])
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    network, data = _prepare(settings, phases, open_data, init_from, strategy, report)
    options = {
        "patience": patience,
        "init_from": None if init_from is None else str(Path(init_from).absolute()),
    }
    record = functools.partial(
        write_record,
        folders.models / RECORD,
        options={
            **settings,
            **options,
            **(recorded or {}),
            "tag": str(tag),
            "models_dir": str(models_dir),
            "log_dir": str(log_dir),
            "gpu": ",".join(map(str, gpus or [-1])),
            "mixed_precision": mixed_precision,
            "deterministic": deterministic,
        },
        data={**data.provenance(), "store": data.fingerprint()},
    )
    chief = is_chief(strategy)
    options.update(strategy=strategy, report=report, begun=record if chief else _say_nothing)
    options.update(ends_process=ends_process)
    with _alone_with(folders.models) if chief else contextlib.nullcontext():
        if chief and not resume:
            _clear(folders)
        for phase, where in before:
            if resume and folders.last.is_file():
                continue  # it is over: the phase after it has begun
            _, path = _run_phase(network, phase, data, where, resume=resume, **options)
            wait_for_all(strategy)
            resume = False
            report(_start_from(network, load_model(path), path))
        best, path = _run_phase(network, last[0], data, last[1], resume=resume, **options)
        if chief:
            record(best={name: best[name] for name in ("epoch", *VALIDATED)})
        return best, path


def _prepare(settings, phases, open_data, init_from, strategy, report):
    """The network to train and its TrainingData, when all phases are possible with them."""
    from mulkinet.losses import LOSSES
    from mulkinet.models import build_model, options_of
    from mulkinet.models.model_file import load_model

    given = None if init_from is None else load_model(init_from)
    known = options_of(settings["model"])

    def new_network(**sizes):
        options = {name: v for name, v in {**settings, **sizes}.items() if name in known}
        with strategy.scope():
            network = build_model(settings["model"], **options)
        for n_frames in crop_lengths(settings):
            network.check_input((None, sizes.get("n_bins"), n_frames))
        return network, given and _start_from(network, given, init_from)

    network, started = new_network()
    for phase, _ in phases:
        loss, loss_options = LOSSES.get(phase["loss"]), _options_of_loss(phase)
        loss.check(network, loss_options)
        for n_frames in crop_lengths(settings):
            network.check_input((None, None, loss.frames_at_once(n_frames, loss_options)))
    augment = _augmentation(settings["augment"])
    data = open_data()
    n_bins = data.store.settings(data.feature)["n_bins"]
    if n_bins != network.n_bins:
        network, started = new_network(n_bins=n_bins)
    if augment:
        augment.check_bins(n_bins)
    for phase, _ in phases:
        # What cannot be trained is told now, not when the phase before it is over.
        _build_objective(network, phase, data, strategy).plan(0)
    if started:
        report(started)
        _warn_of_other_features(given, init_from, data, report)
    report(
        f"{settings['model']}: {network.count_params()} parameters; {len(data.train_rows)} tracks "
        f"to train on, {len(data.validation_rows)} to validate with"
    )
    for note in [*data.notes, *_warnings(data, settings)]:
        report(note)
    return network, data


class _Folders(NamedTuple):
    """Where a run, or its pre-training, keeps what it makes."""

    models: Path
    logs: Path

    @property
    def last(self):
        return self.models / "last.h5"

    @property
    def pretraining(self):
        return _Folders(self.models / "pretrain", self.logs / "pretrain")


def _folders(models_dir, log_dir, tag):
    path = Path(tag)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise MulkinetError(
            f"expected a name for --tag, found {str(tag)!r}; it names folders in models/ and log/"
        )
    return _Folders(Path(models_dir) / path, Path(log_dir) / path)


def _check_new(folders):
    pretraining = folders.pretraining
    for path in (folders.models / "best.h5", folders.last, pretraining.last):
        if path.is_file():
            raise MulkinetError(
                f"expected no run in {folders.models}, found {path}; continue it by --resume, "
                "choose another name by --tag, or overwrite it by --force"
            )


def _warnings(data, settings):
    longest = data.store.n_frames(data.feature)[data.train_rows].max()
    if longest < settings["n_frames"]:
        yield (
            f"warning: crops of {settings['n_frames']} frames (--n-frames) are longer than every training "
            f"track, the longest of {longest}; the rest is filled up (--pad {settings['pad']})"
        )
    works = data.store.work_ids[data.validation_rows]
    counts = np.unique(works, return_counts=True)[1]
    n_queries = counts[counts > 1].sum()
    if n_queries < _FEW_QUERIES:
        yield (
            f"warning: the best epoch is chosen by the MAP of {n_queries} queries, which is mostly "
            f"chance below {_FEW_QUERIES}; name more tracks with covers by --val-ls"
        )


def _alone_with(folder):
    """The lock of a run's name."""

    def when_taken():
        raise MulkinetError(
            f"another run is already training {folder}; wait for it, or choose another name by --tag"
        )

    return locked(folder / ".lock", when_taken)


def _clear(folders):
    """Removes what an earlier run of this name left and could be taken for a part of this one."""
    for folder in (folders.pretraining, folders):
        folder.last.unlink(missing_ok=True)
        for events in folder.logs.glob("events.out.tfevents.*"):
            events.unlink()


def _phases_of(settings, folders):
    """The phases of a run, in their order: list of (settings, folders)."""
    phases = [(settings, folders)]
    if settings["pretrain_epochs"]:
        phases.insert(0, (pretraining(settings), folders.pretraining))
    return phases


def _options_of_loss(settings):
    return {name: settings[name] for name in loss_options(settings["loss"])}


def _build_objective(network, settings, data, strategy):
    from mulkinet.losses import LOSSES

    works = data.store.work_ids[data.train_rows]
    options = {**_options_of_loss(settings), "batchsize": settings["batchsize"]}
    with strategy.scope():
        return LOSSES.get(settings["loss"])(
            network, data.train_rows, works, seed=settings["seed"], **options
        )


def _run_phase(
    network,
    settings,
    data,
    folders,
    *,
    init_from,
    patience,
    strategy,
    resume,
    report,
    begun,
    ends_process,
):
    from mulkinet.training.optimizers import build_optimizer
    from mulkinet.training.trainer import Trainer

    objective = _build_objective(network, settings, data, strategy)
    with strategy.scope():
        optimizer = build_optimizer(settings["optimizer"], settings["lr"], settings["weight_decay"])
    network.metadata.update(
        feature=data.feature,
        feature_settings=data.store.settings(data.feature),
        trained_on={"data": data.store.name, "synthetic": data.store.is_synthetic},
        n_frames=network.n_frames,
        pad=settings["pad"],
        classes=objective.classes.tolist(),
        notes=data.notes,
    )
    trainer = Trainer(
        network,
        objective,
        data,
        crops={
            "feature": data.feature,
            "n_frames": crop_lengths(settings),
            "pad": settings["pad"],
            "augment": _augmentation(settings["augment"]),
        },
        optimizer=optimizer,
        settings={
            **settings,
            **network.options,
            **data.provenance(),
            "init_from": init_from,
        },
        model_dir=folders.models,
        log_dir=folders.logs,
        patience=patience,
        strategy=strategy,
        report=report,
    )
    best = trainer.run(resume=resume, begun=begun, ends_process=ends_process)
    return best, folders.models / "best.h5"


def _say_nothing(*_line):
    """What the workers beside the first one report."""


def _augmentation(name):
    if name == "none":
        return None
    from mulkinet.training.augment import augmentation

    return augmentation(name)


def _warn_of_other_features(model, path, data, report):
    """Says in what way the features are not those that the model of a file was trained on."""
    from mulkinet.embedding import check_compatible

    trained_on = model.metadata.get("feature", data.feature)
    if trained_on != data.feature:
        report(f"warning: {path} was trained on {trained_on}, and this run is on {data.feature}")
        return
    try:
        check_compatible(model, data.store, feature=data.feature)
    except MulkinetError as error:
        report(f"warning: {path}: {error}")


def _start_from(network, model, path):
    """Copies the weights of a file's model that fit by name and shape -> a line that says which."""
    from mulkinet.models.model_file import named_weights

    given = named_weights(model)
    wanted = named_weights(network)
    fitting = [name for name in wanted if name in given and given[name].shape == wanted[name].shape]
    if not fitting:
        raise MulkinetError(
            f"expected a model whose weights fit a {network.network}, found none in {path}; "
            "start from a model of the same network"
        )
    for name in fitting:
        wanted[name].assign(given[name].numpy())
    left = [name for name in wanted if name not in fitting]
    return (
        f"started from {path}: {len(fitting)} of {len(wanted)} weights"
        f"{'; not ' + ', '.join(left) if left else ''}; the classifier is not taken over"
    )
