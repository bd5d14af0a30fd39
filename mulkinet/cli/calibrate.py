"""`mulkinet calibrate`: what a distance means, for an index. Public names: `main`."""

import functools
import os

import click

from mulkinet.cli.errors import Command

__all__ = ["main"]

_FILE = click.Path(dir_okay=False)
_SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command(cls=Command)
@click.option("--index", "path", required=True, type=_FILE, help="The index.")
@click.option("--data-dir", type=click.Path(), help="Feature store.  [the index itself]")
@click.option("--val-ls", type=_FILE, help="List of its tracks to calibrate on.  [all of them]")
@click.option("--false-accept-rate", type=_SHARE, help="At tau, over all pairs.  [equal error]")
@click.option(
    "--known",
    type=_SHARE,
    default=0.5,
    help="Share of queries taken to be of a work of the index: probabilities are for this.",
)
@click.option("--model-file", type=_FILE, help="The index's model.  [where it was]")
def main(path, model_file, data_dir, val_ls, false_accept_rate, known):
    """Choose the threshold tau of an index, and fit the probability that a distance means a cover.

    The tracks have to be of works that the model was not trained on, several performances of each.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from mulkinet.identify.index import Index

    say = functools.partial(click.echo, err=True)
    index = Index.open(path, model_file, report=say)
    found = index.calibrate(
        data_dir=data_dir, val_ls=val_ls, false_accept_rate=false_accept_rate, known=known
    )
    expected = found["false_accepts"] * len(index)
    click.echo(
        f"{found['tracks']} tracks of {found['works']} works: {found['pairs']} pairs, "
        f"{found['cover_pairs']} of them covers\n"
        f"tau {found['tau']:.4f} ({found['criterion']}): accepts {found['false_accepts']:.2%} of "
        f"non-covers, rejects {found['false_rejects']:.2%} of covers\n"
        f"in an index of {len(index)} tracks that is {expected:.2g} wrong tracks a query\n"
        f"probabilities take {known:.0%} of queries to be of one of its {index.n_works} works"
    )
