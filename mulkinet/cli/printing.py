"""Results on standard output."""

import click

from mulkinet.files.text import in_one_line

__all__ = ["echo"]


def echo(text, **options):
    """Prints lines that may hold file names and tags; in them, what cannot be printed is escaped.

    Args:
        text: str.
        **options: As for `click.echo`.
    """
    click.echo(in_one_line(text, keep="\n\t"), **options)
