"""`train.py`: trains a network on a store. Public names: `main`."""

import os

import click

from mulkinet.cli.errors import Command
from mulkinet.cli.printing import echo

__all__ = ["main"]


def _switch(flag, name, *, to, help):
    """A flag that is None, and so left to the network, when it is not given."""

    def take(_ctx, _option, given):
        return to if given else None

    return click.option(flag, name, is_flag=True, callback=take, show_default=False, help=help)


# Options of the networks; those not given take the network's own default.
_NETWORK_OPTIONS = (
    click.option("--block", help="simple, bottleneck or wider.  [mulkinet: wider]"),
    click.option("--ki-block-num", type=int, help="Stages: 1, 2, 3, 4, 6 or 12.  [mulkinet: 4]"),
    _switch("--no-chnlatt", "chnlatt", to=False, help="No channel attention."),
    _switch("--no-tempatt", "tempatt", to=False, help="No temporal attention."),
    _switch("--strict-invariance", "strict_invariance", to=True, help="Means over distinct rows."),
    click.option("--ki-out-channel", type=int, help="Filters.  [mulkinet: 256]"),
    click.option("--bn-ratio", type=int, help="Narrowing inside a block.  [mulkinet: 4]"),
    click.option("--time-field", type=int, help="Frames the stages span.  [mulkinet: 48]"),
    click.option("--sum-method", help="Summary over time.  [move: adaptive-attention]"),
    click.option("--final-activation", help="Of the embedding.  [move: batch-norm]"),
    click.option("--n-filters", type=int, help="Filters.  [move: 256]"),
    _switch("--no-invariance", "invariance", to=False, help="See 12 rows as they are."),
    click.option("--width", type=int, help="Filters of the first group.  [rescnn: 64]"),
    click.option("--depth", type=int, help="Residual blocks in a group.  [rescnn: 3]"),
    click.option(
        "--embedding-len",
        type=int,
        help="Size of the embedding.  [mulkinet: 128; move: 16000; siamese, rescnn: 512]",
    ),
)

_TRAINING_OPTIONS = (
    click.option("--loss", help="softmax, triplet, contrastive; siamese: twin alone.  [recipe]"),
    click.option(
        "--mining", help="random, semihard, hard, batch_all, move_random, move_semihard.  [recipe]"
    ),
    click.option("--margin", type=float, help="Of triplet and contrastive.  [recipe]"),
    click.option("--batchsize", type=click.IntRange(1), help="Tracks (pairs).  [recipe]"),
    click.option("--tracks-per-work", type=int, help="In a batch of triplets.  [recipe]"),
    click.option("--n-frames", type=click.IntRange(1), help="Frames of a crop.  [recipe]"),
    click.option("--pad", help="Fill short tracks by zero or wrap.  [recipe]"),
    click.option("--augment", help="none, move, siamese, or steps such as rotate+masks.  [recipe]"),
    click.option("--max-epoch", type=click.IntRange(0), help="0 saves it untrained.  [recipe]"),
    click.option("--pretrain-epochs", type=click.IntRange(0), help="Softmax first.  [recipe]"),
    click.option("--optimizer", help="adam, sgd, lookahead-adam or lookahead-sgd.  [recipe]"),
    click.option("--lr", type=click.FloatRange(0, 1e38, min_open=True), help="Rate.  [recipe]"),
    click.option("--schedule", help="constant, cosine, steps or warmup-decay.  [recipe]"),
    click.option("--clip-norm", type=float, help="Largest norm of the gradients.  [recipe]"),
)


def _options(options):
    def decorate(command):
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.command(cls=Command)
@click.option("--model", help="mulkinet, move, siamese or rescnn.  [recipe]")
@click.option("--recipe", help="A system's published training.  [that of the model]")
@click.option("--show", is_flag=True, help="Print the options of the run and stop.")
@click.option("--tag", default="test", help="Name of the run: models/<tag>/ and log/<tag>/.")
@click.option(
    "--data-dir", type=click.Path(), help="Feature store, or folder of .npy.  [the demo set]"
)
@click.option("--train-ls", type=click.Path(), help="List to train on.  [all tracks]")
@click.option("--val-ls", type=click.Path(), help="List to validate with.  [a tenth of the works]")
@click.option("--skip-missing", is_flag=True, help="Leave out listed tracks that are not there.")
@click.option("--feature", help="Feature of the store.  [the only one there]")
@_options(_NETWORK_OPTIONS)
@_options(_TRAINING_OPTIONS)
@click.option("--init-from", type=click.Path(), help="Model file to start from.")
@click.option(
    "--patience",
    type=click.IntRange(1),
    help="Stop after so many epochs without a better validation MAP.  [never]",
)
@click.option("--gpu", default="0", help="0, or 0,1 for several, or -1 for the CPU.")
@click.option("--mixed-precision", is_flag=True, help="bfloat16 on GPUs that have it.")
@click.option("--resume", is_flag=True, help="Go on from the last finished epoch.")
@click.option("--seed", default=0, type=click.IntRange(0, 2**32 - 1), help="Of all that is drawn.")
def main(
    model,
    recipe,
    show,
    tag,
    data_dir,
    train_ls,
    val_ls,
    skip_missing,
    feature,
    init_from,
    patience,
    gpu,
    mixed_precision,
    resume,
    seed,
    **options,
):
    """Train a network; models/<tag>/best.h5 is the epoch with the highest validation MAP.

    With no data named, the demo set is used, and made first when it is not there. What is not given
    is filled in by a recipe, the published training of a system: --recipe move --show prints it.
    """
    from mulkinet.training.devices import parse_gpus
    from mulkinet.training.recipes import RECIPES, complete

    given = {name: options.pop(name) for name in list(options) if name in RECIPES["mulkinet"]}
    settings = complete(recipe or model or "mulkinet", {**given, "model": model})
    settings["seed"] = seed
    network_options = {name: value for name, value in options.items() if value is not None}
    gpus = parse_gpus(gpu)
    # Before TensorFlow is loaded: it greets the user with a page of notes otherwise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if show:
        from mulkinet.models import options_of

        defaults = options_of(settings["model"])
        defaults.pop("n_bins", None)  # those of the features
        for name, value in {**defaults, **network_options, **settings}.items():
            echo(f"{name.replace('_', '-'):<18} {value}")
        return
    from mulkinet.training.data import TrainingData
    from mulkinet.training.run import train

    best, path = train(
        network_options,
        settings,
        lambda: TrainingData.open(
            data_dir, train_ls, val_ls, feature, seed=seed, skip_missing=skip_missing
        ),
        tag=tag,
        gpus=gpus,
        patience=patience,
        init_from=init_from,
        mixed_precision=mixed_precision,
        resume=resume,
        report=echo,
    )
    echo(f"best: epoch {best['epoch']}, validation MAP {best['MAP']:.4f} -> {path}")
