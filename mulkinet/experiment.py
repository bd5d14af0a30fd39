"""One training run, from options to best.h5.

Public names: `TrainingData`, `train`.
"""

import dataclasses
from pathlib import Path

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.lists import hold_out, read_list, select, write_list
from mulkinet.store import FeatureStore

__all__ = ["TrainingData", "train"]

_HELD_OUT_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """The tracks of a run, all of them finite and in the store.

    Attributes:
        store: FeatureStore.
        feature: Which of its features the network sees.
        lists: {"TRAIN": pairs, "VAL": pairs} of (work_id, track_id).
        train_rows: (N,) int64 rows of the store to train on.
        validation_rows: (M,) int64 rows to validate with.
    """

    store: object
    feature: str
    lists: dict
    train_rows: np.ndarray
    validation_rows: np.ndarray

    @classmethod
    def open(cls, data_dir=None, train_ls=None, val_ls=None, feature=None, *, seed=0):
        """Finds the tracks.

        Args:
            data_dir: A feature store; without one the demo set, made first when it is not there.
            train_ls: List to train on; all tracks of the store by default (the demo set has one).
            val_ls: List to validate with; by default a tenth of the training works is held out.
            feature: Feature of the store; may be left out where there is only one.
            seed: int >= 0, of what is held out.

        Returns:
            TrainingData.

        Raises:
            MulkinetError: A list or the store is not usable, or they do not fit each other.
        """
        if data_dir is None:
            from mulkinet.sources.demo import ensure_demo

            demo = ensure_demo()
            data_dir = demo.store_path
            train_ls = train_ls or demo.lists["TRAIN"]
            val_ls = val_ls or demo.lists["VAL"]
        store = FeatureStore(data_dir)
        feature = choose_feature(store, feature)
        train_pairs = read_list(train_ls) if train_ls else list(store.rows_by_key)
        if val_ls:
            validation_pairs = read_list(val_ls)
        else:
            train_pairs, validation_pairs = hold_out(train_pairs, _HELD_OUT_SHARE, seed)
        train_rows = select(store, train_pairs, train_ls)
        validation_rows = select(store, validation_pairs, val_ls)
        store.check_finite(feature, np.concatenate([train_rows, validation_rows]))
        lists = {"TRAIN": train_pairs, "VAL": validation_pairs}
        return cls(store, feature, lists, train_rows, validation_rows)


def choose_feature(store, feature=None):
    """The named feature of a store, or its only one.

    Args:
        store: FeatureStore.
        feature: One of its features, or None.

    Returns:
        str.

    Raises:
        MulkinetError: The store has no such feature, or several and none was named.
    """
    if feature is None and len(store.features) > 1:
        raise MulkinetError(
            f"expected --feature, found {len(store.features)} features in {store.path}; "
            f"choose one of {', '.join(store.features)}"
        )
    feature = feature or store.features[0]
    store.settings(feature)
    return feature


def train(
    model,
    network_options,
    data,
    *,
    tag,
    gpus,
    batchsize,
    max_epoch,
    lr,
    patience,
    seed,
    resume,
    report,
):
    """Trains a network; writes models/<tag>/ and log/<tag>/.

    Args:
        model: Name of the network.
        network_options: dict, as `mulkinet.build_model` takes them.
        data: TrainingData.
        tag: Name of the run.
        gpus: list of int, empty for the CPU.
        batchsize: Tracks in a batch.
        max_epoch: Epochs; 0 saves the untrained network.
        lr: Learning rate of the first epoch.
        patience: Epochs without a better validation MAP to stop after, or None.
        seed: int >= 0.
        resume: Go on with what is in models/<tag>/.
        report: Called with each line for the user.

    Returns:
        (row of the best epoch, path of best.h5).

    Raises:
        MulkinetError: See `Trainer.run`, `mulkinet.build_model`.
    """
    import tensorflow as tf

    from mulkinet.devices import strategy_of
    from mulkinet.models import build_model
    from mulkinet.optimizers import build_optimizer
    from mulkinet.schedules import schedule_rate
    from mulkinet.stages import SoftmaxStage
    from mulkinet.training import Trainer, Validation

    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    strategy = strategy_of(gpus, report)
    with strategy.scope():
        network = build_model(model, **network_options)
        works = data.store.work_ids[data.train_rows]
        stage = SoftmaxStage(network, data.train_rows, works, batch_size=batchsize, seed=seed)
        optimizer = build_optimizer("adam", lr)
    network.metadata.update(
        feature=data.feature,
        feature_settings=data.store.settings(data.feature),
        n_frames=network.n_frames,
        pad="zero",
        classes=stage.classes.tolist(),
    )
    report(
        f"{model}: {network.count_params()} parameters; {len(data.train_rows)} tracks of "
        f"{len(stage.classes)} works to train on, {len(data.validation_rows)} to validate with"
    )
    model_dir = Path("models") / tag
    trainer = Trainer(
        network,
        stage,
        data.store,
        Validation(data.store, data.validation_rows),
        optimizer=optimizer,
        schedule=lambda epoch: schedule_rate(
            "cosine", learning_rate=lr, epoch=epoch, epochs=max_epoch
        ),
        settings={
            "model": model,
            **network.options,
            "feature": data.feature,
            "batchsize": batchsize,
            "max_epoch": max_epoch,
            "lr": lr,
            "seed": seed,
        },
        model_dir=model_dir,
        log_dir=Path("log") / tag,
        max_epochs=max_epoch,
        patience=patience,
        strategy=strategy,
        report=report,
    )
    best = trainer.run(resume=resume)
    for name, pairs in data.lists.items():
        write_list(model_dir / name, pairs)
    return best, model_dir / "best.h5"
