"""`mulkinet calibrate`: what a distance means, for an index."""

import functools

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
    help="Set tau, the largest distance of a pair of covers, so that this share of others is accepted.  [equal error]",
)
@click.option(
    "--known",
    type=_SHARE,
    default=0.5,
    help="Prior: share of queries whose work is in the index.",
)
@click.option("--model-file", type=_FILE, help="The index's model, if it has moved.")
def main(path, model_file, data_dir, val_ls, false_accept_rate, known):
    """Turn the distances of an index into probabilities.

    The tracks must be of works that the model was not trained on, with several performances of each.
    """
    from mulkinet.identify.answer_text import rule_text
    from mulkinet.identify.index import Index
    from mulkinet.identify.posterior import choose_rule

    say = functools.partial(click.echo, err=True)
    index = Index.open(path, model_file, report=say)
    found = index.calibrate(
        data_dir=data_dir, val_ls=val_ls, false_accept_rate=false_accept_rate, known=known
    )
    click.echo(
        f"{found['tracks']} tracks of {found['works']} works: {found['pairs']} pairs, "
        f"{found['cover_pairs']} of them covers\n"
        f"tau {found['tau']:.4f} ({found['criterion']}): accepts {found['false_accepts']:.2%} of "
        f"non-covers, rejects {found['false_rejects']:.2%} of covers"
    )
    decisive = found.get("reranked", found)
    click.echo(rule_text(choose_rule(decisive, index.n_works)))
