"""`mulkinet weights`: trained networks by name."""

import functools
from pathlib import Path

import click

from mulkinet.cli.errors import Group
from mulkinet.cli.printing import echo
from mulkinet.cli.table import table

__all__ = ["main"]

_cache_dir = click.option(
    "--cache-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for fetched weights.  [$MULKINET_CACHE/weights]",
)


@click.group(cls=Group)
def main():
    """List and fetch trained networks. A name goes wherever a model file does."""


@main.command(name="list")
@_cache_dir
def list_(cache_dir):
    """Show the names, what they were trained on, their licences, and which are here."""
    from mulkinet.models.weights import PUBLISHED, fetched, how_to_bring, shipped_names

    rows = [("name", "system", "trained on", "feature", "licence", "MB", "here")]
    rows += [
        (name, "KeyConv, this package's own", "lead sheets, performed", "crema", "MIT", "1", "yes")
        for name in shipped_names()
    ]
    for name, weights in PUBLISHED.items():
        path = fetched(name, cache_dir)
        is_here = path.is_file()
        size = path.stat().st_size / 1e6 if is_here else weights.megabytes
        shown = f"{'' if is_here else 'about '}{size:.0f}" if size else "?"
        rows.append((name, *weights[:4], shown, "yes" if is_here else "no"))
    echo(table(rows))
    for name, weights in PUBLISHED.items():
        if weights.url is None and not fetched(name, cache_dir).is_file():
            echo(
                f"{name}: no lasting address is known; {how_to_bring(name, cache_dir)} makes it of a file"
            )
        if weights.warning:
            echo(f"{name}: {weights.warning}")


@main.command()
@click.argument("name")
@_cache_dir
def get(name, cache_dir):
    """Fetch the weights NAME, check them and make a model file of them."""
    from mulkinet.models.weights import fetch

    echo(str(fetch(name, cache_dir, report=functools.partial(click.echo, err=True))))
