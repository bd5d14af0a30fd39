"""`train.py`: trains a network on a store."""

import collections
import os
from pathlib import Path

import click

from mulkinet.cli.errors import Command
from mulkinet.cli.printing import echo
from mulkinet.errors import MulkinetError

__all__ = ["main"]


# Options of `mulkinet.training.run.train` that have the same names there.
_RUN_OPTIONS = (
    *("tag", "models_dir", "log_dir", "patience", "init_from", "mixed_precision", "deterministic"),
    *("resume", "force"),
)


class _TrainCommand(Command):
    """The command; its options of networks and losses are those that are registered when it is called."""

    def make_context(self, info_name, args, parent=None, **extra):
        context = super().make_context(info_name, list(args), parent, **extra)
        given = context.params
        path = given["config"]
        if given["resume"] and path is None:
            path = Path(given["models_dir"]) / given["tag"] / "run.yaml"
            path = path if path.is_file() else None
        if path is None:
            return context
        # Once more, with the options of that run in the place of the defaults.
        extra.update(self._options_of_run(context, path))
        return super().make_context(info_name, list(args), parent, **extra)

    def _options_of_run(self, context, path):
        """Of a run.yaml: options of the command as "default_map", those of recipes as "obj"."""
        from mulkinet.training.recipes import TRAINING_DEFAULTS
        from mulkinet.training.run_record import read_record

        try:
            recorded = read_record(path)["options"]
        except MulkinetError as error:
            raise click.ClickException(str(error)) from error
        unknown = sorted(set(recorded) - {option.name for option in self.get_params(context)})
        if unknown:
            raise click.ClickException(
                f"expected options of train.py in {path}, found {', '.join(map(str, unknown))}"
            )
        of_command = {option.name for option in self.params} - set(TRAINING_DEFAULTS)
        sides = {True: {}, False: {}}
        for name, value in recorded.items():
            sides[name in of_command][name] = value
        return {"default_map": sides[True], "obj": sides[False]}

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
    flags = f"--{dashed}/--no-{dashed}" if isinstance(default, bool) else f"--{dashed}"
    texts = dict.fromkeys(option.help for option in options.values())
    by_default = collections.defaultdict(list)
    for owner, option in options.items():
        by_default[option.default].append(owner)
    defaults = "; ".join(f"{', '.join(names)}: {value}" for value, names in by_default.items())
    return _option(
        flags,
        name,
        type=str if default is None else type(default),
        default=None,
        help=f"{' / '.join(texts)}  [{defaults}]",
    )


def _option(*names, **settings):
    return click.Option(names, show_default=False, **settings)


@click.command(cls=_TrainCommand)
@click.option(
    "--config",
    type=click.Path(),
    help="Options of an earlier run, from its run.yaml; those on the command line win.",
)
@click.option("--show", is_flag=True, help="Print the options of the run and stop.")
@click.option("--tag", default="test", help="Name of the run: models/<tag>/ and log/<tag>/.")
@click.option("--models-dir", type=click.Path(), default="models", help="Folder of models/<tag>/.")
@click.option("--log-dir", type=click.Path(), default="log", help="Folder of log/<tag>/.")
@click.option(
    "--data-dir",
    type=click.Path(),
    help="Feature store, folder of .npy, or file of charts.  [the demo set]",
)
@click.option("--train-ls", type=click.Path(), help="List to train on.  [all tracks]")
@click.option("--val-ls", type=click.Path(), help="List to validate with.  [a tenth of the works]")
@click.option("--skip-missing", is_flag=True, help="Leave out listed tracks that are not there.")
@click.option(
    "--feature",
    help="Feature of the store; of charts crema, hpcp or cqt.  [the only one there; crema]",
)
@click.option("--batchsize", type=click.IntRange(1), help="Tracks (pairs) in a batch.  [recipe]")
@click.option("--n-frames", type=click.IntRange(1), help="Frames of a crop.  [recipe]")
@click.option(
    "--longer-crops",
    metavar="N,N,...",
    help="Longer crops, of which batches come in turn with those of --n-frames.  [recipe]",
)
@click.option("--pad", help="Fill short tracks up: zero or wrap.  [recipe]")
@click.option(
    "--augment",
    help="none, move, siamese, cqtnet, cqtnet-8bit, or steps such as rotate+masks.  [recipe]",
)
@click.option(
    "--max-epoch", type=click.IntRange(0), help="Epochs; 0 saves the untrained network.  [recipe]"
)
@click.option(
    "--pretrain-epochs", type=click.IntRange(0), help="Epochs of softmax training first.  [recipe]"
)
@click.option("--optimizer", help="adam, adamw, sgd, lookahead-adam or lookahead-sgd.  [recipe]")
@click.option(
    "--lr", type=click.FloatRange(0, 1e38, min_open=True), help="Learning rate.  [recipe]"
)
@click.option(
    "--schedule",
    help="constant, cosine, steps, warmup-decay, warmup-cosine, exponential or plateau.  [recipe]",
)
@click.option("--weight-decay", type=click.FloatRange(0), help="Decay of all weights.  [recipe]")
@click.option("--clip-norm", type=float, help="Largest norm of the gradients.  [recipe]")
@click.option(
    "--weight-average", type=float, help="Share of the average that each step keeps.  [recipe]"
)
@click.option("--init-from", type=click.Path(), help="Model file to start from.")
@click.option(
    "--patience",
    type=click.IntRange(1),
    help="Stop after this many epochs without a better validation MAP.  [never]",
)
@click.option("--gpu", default="0", help="0, or 0,1 for several, or -1 for the CPU.")
@click.option("--mixed-precision", is_flag=True, help="bfloat16 on GPUs that have it.")
@click.option(
    "--deterministic/--no-deterministic",
    default=True,
    help="The same seed gives the same bits.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Resume after the last finished epoch; options not given are the run's own.",
)
@click.option("--force", is_flag=True, help="Overwrite a run of this name.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Random seed.  [0]")
@click.pass_context
def main(
    ctx,
    config,
    recipe,
    show,
    data_dir,
    train_ls,
    val_ls,
    skip_missing,
    feature,
    gpu,
    **options,
):
    """Train a network; models/<tag>/best.h5 is the epoch with the highest validation MAP.

    Without --data-dir the demo set is used, and made first if it is not there. Defaults come from a
    recipe, the published training of a system: --recipe move --show prints it.
    """
    from mulkinet.training.devices import parse_gpus
    from mulkinet.training.recipes import complete

    of_run = {name: options.pop(name) for name in _RUN_OPTIONS}
    settings = complete(recipe or ctx.obj or options["model"] or "mulkinet", options)
    gpus = parse_gpus(gpu)
    if show:
        for name, value in settings.items():
            echo(f"{name.replace('_', '-'):<18} {value}")
        return
    from mulkinet.training.data import TrainingData
    from mulkinet.training.run import train

    paths = {"data_dir": data_dir, "train_ls": train_ls, "val_ls": val_ls}
    best, path = train(
        settings,
        lambda: TrainingData.open(
            **paths, feature=feature, seed=settings["seed"], skip_missing=skip_missing
        ),
        gpus=gpus,
        recorded={
            **{name: path and os.path.abspath(path) for name, path in paths.items()},
            "feature": feature,
            "skip_missing": skip_missing,
        },
        ends_process=True,
        report=echo,
        **of_run,
    )
    echo(f"best: epoch {best['epoch']}, validation MAP {best['MAP']:.4f} -> {path}")
