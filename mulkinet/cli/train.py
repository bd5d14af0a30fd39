"""`train.py`: trains a network on a store. Public names: `main`."""

import os
from pathlib import Path

import click

from mulkinet.cli.errors import Command

__all__ = ["main"]

# Options of the networks; those not given take the network's own default.
_NETWORK_OPTIONS = (
    click.option("--block", help="Block: simple, bottleneck or wider.  [mulkinet: wider]"),
    click.option(
        "--ki-block-num",
        type=int,
        help="Key-invariant stages: 1, 2, 3, 4, 6 or 12.  [mulkinet: 4]",
    ),
    click.option("--no-chnlatt", "chnlatt", is_flag=True, help="Without channel attention."),
    click.option("--no-tempatt", "tempatt", is_flag=True, help="Without temporal attention."),
    click.option(
        "--ki-out-channel", type=int, help="Filters of the convolutions.  [mulkinet: 256]"
    ),
    click.option(
        "--bn-ratio", type=int, help="Narrowing inside bottleneck and wider.  [mulkinet: 4]"
    ),
    click.option("--time-field", type=int, help="Frames that the stages span.  [mulkinet: 48]"),
    click.option("--embedding-len", type=int, help="Size of the embedding.  [mulkinet: 128]"),
    click.option("--n-frames", type=int, help="Frames of a crop.  [mulkinet: 400]"),
)


def _network_options(command):
    for option in reversed(_NETWORK_OPTIONS):
        command = option(command)
    return command


@click.command(cls=Command)
@click.option("--model", default="mulkinet", help="Network.")
@_network_options
@click.option("--tag", default="test", help="Name of the run: models/<tag>/ and log/<tag>/.")
@click.option("--data-dir", type=click.Path(), help="Feature store.  [the demo set]")
@click.option("--train-ls", type=click.Path(), help="List to train on.  [all tracks]")
@click.option(
    "--val-ls", type=click.Path(), help="List to validate with.  [a tenth of the training works]"
)
@click.option("--feature", help="Feature of the store.  [the only one there]")
@click.option("--batchsize", default=32, type=click.IntRange(1), help="Tracks in a batch.")
@click.option("--max-epoch", default=100, type=click.IntRange(0), help="0 saves it untrained.")
@click.option(
    "--lr",
    default=1e-3,
    type=click.FloatRange(0, min_open=True),
    help="Learning rate of the first epoch.",
)
@click.option(
    "--patience",
    type=click.IntRange(1),
    help="Stop after so many epochs without a better validation MAP.  [never]",
)
@click.option("--gpu", default="0", help="0, or 0,1 for several, or -1 for the CPU.")
@click.option("--resume", is_flag=True, help="Go on from the last finished epoch.")
@click.option("--seed", default=0, type=click.IntRange(0), help="Of all that is drawn.")
def main(model, tag, data_dir, train_ls, val_ls, feature, gpu, resume, patience, **options):
    """Train a network; models/<tag>/best.h5 is the epoch with the highest validation MAP.

    With no data named, the demo set is used, and made first when it is not there.
    """
    from mulkinet.devices import parse_gpus

    gpus = parse_gpus(gpu)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    data = _Data(data_dir, train_ls, val_ls, feature, options["seed"])
    _train(model, tag, data, gpus, resume=resume, patience=patience, **options)


class _Data:
    """The tracks to train on and to validate with."""

    def __init__(self, data_dir, train_ls, val_ls, feature, seed):
        from mulkinet.lists import hold_out, read_list, select
        from mulkinet.store import FeatureStore

        if data_dir is None:
            from mulkinet.sources.demo import ensure_demo

            demo = ensure_demo()
            data_dir = demo.store_path
            train_ls = train_ls or demo.lists["TRAIN"]
            val_ls = val_ls or demo.lists["VAL"]
        self.store = FeatureStore(data_dir)
        self.feature = self._feature(feature)
        self.train_list = train_ls or data_dir
        if train_ls:
            train = read_list(train_ls)
        else:
            train = list(self.store.rows_by_key)
        if val_ls:
            validation = read_list(val_ls)
        else:
            train, validation = hold_out(train, 0.1, seed)
        self.lists = {"TRAIN": train, "VAL": validation}
        self.train_rows = select(self.store, train, train_ls)
        self.validation_rows = select(self.store, validation, val_ls)
        for rows in (self.train_rows, self.validation_rows):
            self.store.check_finite(self.feature, rows)

    def _feature(self, feature):
        from mulkinet.errors import MulkinetError

        features = self.store.features
        if feature is None and len(features) > 1:
            raise MulkinetError(
                f"expected --feature, found {len(features)} features in {self.store.path}: "
                f"choose one of {', '.join(features)}"
            )
        feature = feature or features[0]
        self.store.settings(feature)
        return feature


def _train(model, tag, data, gpus, *, resume, patience, **options):
    import tensorflow as tf

    import mulkinet
    from mulkinet.devices import strategy_of
    from mulkinet.lists import write_list
    from mulkinet.stages import SoftmaxStage
    from mulkinet.training import Trainer, Validation, cosine_schedule

    training = {key: options.pop(key) for key in ("batchsize", "max_epoch", "lr", "seed")}
    network_options = _given(options)
    strategy = strategy_of(gpus, click.echo)
    tf.keras.utils.set_random_seed(training["seed"])
    tf.config.experimental.enable_op_determinism()
    with strategy.scope():
        network = mulkinet.build_model(model, **network_options)
        stage = SoftmaxStage(
            network,
            data.train_rows,
            data.store.work_ids[data.train_rows],
            batch_size=training["batchsize"],
            seed=training["seed"],
        )
        optimizer = tf.keras.optimizers.Adam(training["lr"])
    network.metadata.update(
        feature=data.feature,
        n_frames=network.n_frames,
        pad="zero",
        feature_settings=data.store.settings(data.feature),
        classes=stage.classes.tolist(),
    )
    click.echo(
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
        schedule=cosine_schedule(training["lr"], training["max_epoch"]),
        settings={"model": model, **network.options, **training, "feature": data.feature},
        model_dir=model_dir,
        log_dir=Path("log") / tag,
        max_epochs=training["max_epoch"],
        patience=patience,
        strategy=strategy,
        report=click.echo,
    )
    for name, pairs in data.lists.items():
        write_list(model_dir / name, pairs)
    best = trainer.run(resume=resume)
    click.echo(
        f"best: epoch {best['epoch']}, validation MAP {best['MAP']:.4f} -> {model_dir / 'best.h5'}"
    )


def _given(options):
    """The network options that were given; a --no- flag switches its option off."""
    switched = {name: False for name in ("chnlatt", "tempatt") if options.pop(name)}
    return {**{name: v for name, v in options.items() if v is not None}, **switched}
