"""`train.py`: trains a network on a store. Public names: `main`."""

import os

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
    # Before TensorFlow is loaded: it greets the user with a page of notes otherwise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from mulkinet.experiment import TrainingData, train

    training = {name: options.pop(name) for name in ("batchsize", "max_epoch", "lr", "seed")}
    data = TrainingData.open(data_dir, train_ls, val_ls, feature, seed=training["seed"])
    best, path = train(
        model,
        _given(options),
        data,
        tag=tag,
        gpus=gpus,
        resume=resume,
        patience=patience,
        report=click.echo,
        **training,
    )
    click.echo(f"best: epoch {best['epoch']}, validation MAP {best['MAP']:.4f} -> {path}")


def _given(options):
    """The network options that were given; a --no- flag switches its option off."""
    switched = {name: False for name in ("chnlatt", "tempatt") if options.pop(name)}
    return {**{name: v for name, v in options.items() if v is not None}, **switched}
