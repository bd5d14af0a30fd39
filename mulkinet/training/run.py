"""One training run, from options to best.h5.

Public name: `train`.
"""

import contextlib
from pathlib import Path

from mulkinet.errors import MulkinetError
from mulkinet.files.locks import locked
from mulkinet.training.recipes import loss_options, pretraining

__all__ = ["train"]


def train(
    settings,
    open_data,
    *,
    tag,
    gpus,
    patience=None,
    init_from=None,
    mixed_precision=False,
    resume,
    report,
):
    """Trains a network; writes models/<tag>/ and log/<tag>/.

    With `pretrain_epochs` the network is first trained as a classifier, in models/<tag>/pretrain/,
    and training by the loss starts from the best of that.

    Args:
        settings: dict of every option, as `mulkinet.training.recipes.complete` gives it.
        open_data: Function without arguments that gives the TrainingData; it is called when all
            that needs no data has been checked, since the demo set may have to be made for it.
        tag: Name of the run.
        gpus: list of int, empty for the CPU.
        patience: Epochs without a better validation MAP to stop after, or None.
        init_from: Model file to start from; None for random weights.
        mixed_precision: Compute in bfloat16 where the GPUs have it.
        resume: Go on with what is in models/<tag>/.
        report: Called with each line for the user.

    Returns:
        (row of the best epoch, path of best.h5).

    Raises:
        MulkinetError: Another run of this name is going on; or see `Trainer.run`,
            `mulkinet.build_model`, `Objective.check`.
    """
    import tensorflow as tf

    from mulkinet.losses import LOSSES
    from mulkinet.models import build_model, options_of
    from mulkinet.models.model_file import load_model
    from mulkinet.training.devices import is_chief, strategy_of, use_mixed_precision, wait_for_all

    _check_tag(tag)
    strategy = strategy_of(gpus, report)
    if not is_chief(strategy):
        report = _say_nothing
    if mixed_precision:
        use_mixed_precision(report)
    *before, last = phases = _phases_of(settings, tag)
    if resume:
        _check_begun(phases)
    given = None if init_from is None else load_model(init_from)
    tf.keras.utils.set_random_seed(settings["seed"])
    tf.config.experimental.enable_op_determinism()
    known = options_of(settings["model"])

    def new_network(**sizes):
        options = {name: v for name, v in {**settings, **sizes}.items() if name in known}
        with strategy.scope():
            network = build_model(settings["model"], **options)
        network.check_input((None, sizes.get("n_bins"), settings["n_frames"]))
        return network, given and _start_from(network, given, init_from)

    network, started = new_network()
    for phase, _ in phases:
        LOSSES.get(phase["loss"]).check(network, _options_of_loss(phase))
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
    for note in [*data.notes, *_note_on_padding(data, settings)]:
        report(note)
    options = {"patience": patience, "strategy": strategy, "report": report}
    options["init_from"] = None if init_from is None else str(init_from)
    with _alone_with(tag) if is_chief(strategy) else contextlib.nullcontext():
        if not resume and is_chief(strategy):
            _clear(tag)
        for phase, folder in before:
            if resume and (Path("models") / tag / "last.h5").is_file():
                continue  # it is over: the phase after it has begun
            _, path = _run_phase(network, phase, data, folder, resume=resume, **options)
            wait_for_all(strategy)
            resume = False
            report(_start_from(network, load_model(path), path))
        phase, folder = last
        return _run_phase(network, phase, data, folder, resume=resume, **options)


def _check_tag(tag):
    path = Path(tag)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise MulkinetError(
            f"expected a name for --tag, found {str(tag)!r}; it names folders in models/ and log/"
        )


def _note_on_padding(data, settings):
    longest = data.store.n_frames(data.feature)[data.train_rows].max()
    if longest < settings["n_frames"]:
        yield (
            f"warning: crops of {settings['n_frames']} frames (--n-frames) are longer than every training "
            f"track, the longest of {longest}; the rest is filled up (--pad {settings['pad']})"
        )


def _check_begun(phases):
    paths = [Path("models") / folder / "last.h5" for _, folder in phases]
    if not any(path.is_file() for path in paths):
        raise MulkinetError(
            f"expected a run to resume at {paths[-1]}, found none; start it without --resume"
        )


def _alone_with(tag):
    """The lock of a run's name."""

    def when_taken():
        raise MulkinetError(
            f"expected to be alone with models/{tag}, found another run that trains it; "
            "wait for it, or name this one otherwise with --tag"
        )

    return locked(Path("models") / tag / ".lock", when_taken)


def _clear(tag):
    """Removes what an earlier run of this name left and could be taken for a part of this one."""
    for folder in (f"{tag}/pretrain", tag):
        (Path("models") / folder / "last.h5").unlink(missing_ok=True)
        for events in (Path("log") / folder).glob("events.out.tfevents.*"):
            events.unlink()


def _phases_of(settings, tag):
    """The phases of a run, in their order: list of (settings, folder)."""
    phases = [(settings, tag)]
    if settings["pretrain_epochs"]:
        phases.insert(0, (pretraining(settings), f"{tag}/pretrain"))
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


def _run_phase(network, settings, data, folder, *, init_from, patience, strategy, resume, report):
    from mulkinet.training.optimizers import build_optimizer
    from mulkinet.training.schedules import schedule_rate
    from mulkinet.training.trainer import Trainer, Validation

    objective = _build_objective(network, settings, data, strategy)
    with strategy.scope():
        optimizer = build_optimizer(settings["optimizer"], settings["lr"])
    network.metadata.update(
        feature=data.feature,
        feature_settings=data.store.settings(data.feature),
        n_frames=network.n_frames,
        pad=settings["pad"],
        classes=objective.classes.tolist(),
        notes=data.notes,
    )
    model_dir, max_epoch = Path("models") / folder, settings["max_epoch"]
    trainer = Trainer(
        network,
        objective,
        data.store,
        Validation(data.store, data.validation_rows),
        crops={
            "feature": data.feature,
            "n_frames": settings["n_frames"],
            "pad": settings["pad"],
            "augment": _augmentation(settings["augment"]),
        },
        optimizer=optimizer,
        schedule=lambda epoch, losses: schedule_rate(
            settings["schedule"],
            learning_rate=settings["lr"],
            epoch=epoch,
            epochs=max_epoch,
            losses=losses,
        ),
        settings={
            **settings,
            **network.options,
            **data.provenance(),
            "init_from": init_from,
        },
        lists=data.lists,
        model_dir=model_dir,
        log_dir=Path("log") / folder,
        clip_norm=settings["clip_norm"],
        weight_average=settings["weight_average"],
        max_epochs=max_epoch,
        patience=patience,
        strategy=strategy,
        report=report,
    )
    return trainer.run(resume=resume), model_dir / "best.h5"


def _say_nothing(_line):
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
