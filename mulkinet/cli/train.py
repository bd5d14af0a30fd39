"""`train.py`: trains a network on a store. Public names: `main`."""

import collections
import os

import click

from mulkinet.cli.errors import Command
from mulkinet.cli.printing import echo
from mulkinet.errors import MulkinetError

__all__ = ["main"]


class _TrainCommand(Command):
    """The command; its options of networks and losses are those that are registered when it is called."""

    def get_params(self, ctx):
        fixed = super().get_params(ctx)
        try:
            return [*_named_choices(), *fixed, *_registered_options()]
        except MulkinetError as error:
            raise click.ClickException(str(error)) from error


def _named_choices():
    from mulkinet.losses import LOSSES
    from mulkinet.models import NETWORKS
    from mulkinet.training.recipes import recipe_names

    yield _option("--model", help=f"Network: {', '.join(NETWORKS.entries())}.  [recipe]")
    yield _option(
        "--recipe",
        help=f"Published training of a system: {', '.join(recipe_names())}.  [the model's]",
    )
    yield _option("--loss", help=f"Loss: {', '.join(LOSSES.entries())}.  [recipe]")


def _registered_options():
    """A click option for every option of a network or a loss; one that several have is one."""
    from mulkinet.losses import LOSSES
    from mulkinet.models import NETWORKS
    from mulkinet.training.recipes import loss_options, network_options

    owners = collections.defaultdict(dict)
    for entries, options_of in ((NETWORKS, network_options), (LOSSES, loss_options)):
        for owner in entries.entries():
            for name, option in options_of(owner).items():
                owners[name][owner] = option
    for name, options in owners.items():
        yield _registered_option(name, options)


def _registered_option(name, options):
    """Of options: dict of owner to its Option."""
    dashed, default = name.replace("_", "-"), next(iter(options.values())).default
    kind = str if default is None else type(default)
    texts = dict.fromkeys(option.help for option in options.values())
    by_default = collections.defaultdict(list)
    for owner, option in options.items():
        by_default[option.default].append(owner)
    shown = " / ".join(texts)
    if kind is bool:
        (default,) = by_default
        help = f"Without {shown[0].lower()}{shown[1:]}" if default else shown
        return _option(
            f"--no-{dashed}" if default else f"--{dashed}",
            name,
            is_flag=True,
            callback=lambda _ctx, _option, given: not default if given else None,
            help=f"{help}  [{', '.join(options)}]",
        )
    defaults = "; ".join(f"{', '.join(names)}: {value}" for value, names in by_default.items())
    return _option(f"--{dashed}", name, type=kind, help=f"{shown}  [{defaults}]")


def _option(*names, **settings):
    return click.Option(names, show_default=False, **settings)


@click.command(cls=_TrainCommand)
@click.option("--show", is_flag=True, help="Print the options of the run and stop.")
@click.option("--tag", default="test", help="Name of the run: models/<tag>/ and log/<tag>/.")
@click.option(
    "--data-dir", type=click.Path(), help="Feature store, or folder of .npy.  [the demo set]"
)
@click.option("--train-ls", type=click.Path(), help="List to train on.  [all tracks]")
@click.option("--val-ls", type=click.Path(), help="List to validate with.  [a tenth of the works]")
@click.option("--skip-missing", is_flag=True, help="Leave out listed tracks that are not there.")
@click.option("--feature", help="Feature of the store.  [the only one there]")
@click.option("--batchsize", type=click.IntRange(1), help="Tracks (pairs) in a batch.  [recipe]")
@click.option("--n-frames", type=click.IntRange(1), help="Frames of a crop.  [recipe]")
@click.option("--pad", help="Fill short tracks up: zero or wrap.  [recipe]")
@click.option("--augment", help="none, move, siamese, or steps such as rotate+masks.  [recipe]")
@click.option(
    "--max-epoch", type=click.IntRange(0), help="Epochs; 0 saves the untrained network.  [recipe]"
)
@click.option(
    "--pretrain-epochs", type=click.IntRange(0), help="Epochs of softmax before.  [recipe]"
)
@click.option("--optimizer", help="adam, sgd, lookahead-adam or lookahead-sgd.  [recipe]")
@click.option(
    "--lr", type=click.FloatRange(0, 1e38, min_open=True), help="Learning rate.  [recipe]"
)
@click.option("--schedule", help="constant, cosine, steps or warmup-decay.  [recipe]")
@click.option("--clip-norm", type=float, help="Largest norm of the gradients.  [recipe]")
@click.option(
    "--weight-average", type=float, help="Share of the averaged weights kept a step.  [recipe]"
)
@click.option("--init-from", type=click.Path(), help="Model file to start from.")
@click.option(
    "--patience",
    type=click.IntRange(1),
    help="Stop after so many epochs without a better validation MAP.  [never]",
)
@click.option("--gpu", default="0", help="0, or 0,1 for several, or -1 for the CPU.")
@click.option("--mixed-precision", is_flag=True, help="bfloat16 on GPUs that have it.")
@click.option("--resume", is_flag=True, help="Resume after the last finished epoch.")
@click.option("--seed", default=0, type=click.IntRange(0, 2**32 - 1), help="Random seed.")
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
    **options,
):
    """Train a network; models/<tag>/best.h5 is the epoch with the highest validation MAP.

    Without --data-dir the demo set is used, and made first if it is not there. Defaults come from a
    recipe, the published training of a system: --recipe move --show prints it.
    """
    from mulkinet.training.devices import parse_gpus
    from mulkinet.training.recipes import complete

    settings = complete(recipe or model or "mulkinet", {**options, "model": model})
    gpus = parse_gpus(gpu)
    # Before TensorFlow is loaded: it greets the user with a page of notes otherwise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if show:
        for name, value in settings.items():
            echo(f"{name.replace('_', '-'):<18} {value}")
        return
    from mulkinet.training.data import TrainingData
    from mulkinet.training.run import train

    best, path = train(
        settings,
        lambda: TrainingData.open(
            data_dir, train_ls, val_ls, feature, seed=settings["seed"], skip_missing=skip_missing
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
