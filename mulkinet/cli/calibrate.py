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
@click.option(
    "--data-dir", type=click.Path(), help="Feature store to calibrate on.  [the index itself]"
)
@click.option("--val-ls", type=_FILE, help="List of its tracks to use.  [all]")
@click.option(
    "--false-accept-rate",
    type=_SHARE,
    help="Set tau so that this share of non-cover pairs is accepted.  [equal error rate]",
)
@click.option(
    "--known",
    type=_SHARE,
    default=0.5,
    help="Prior: share of queries whose work is in the index.",
)
@click.option("--model-file", type=_FILE, help="The index's model, if it has moved.")
def main(path, model_file, data_dir, val_ls, false_accept_rate, known):
    """Set the threshold of an index, and turn its distances into probabilities.

    The tracks must be of works that the model was not trained on, with several performances of each.
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
        f"probabilities assume that {known:.0%} of queries are of one of its {index.n_works} works"
    )
