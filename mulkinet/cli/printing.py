"""Results on standard output. Public names: `echo`."""

import click

__all__ = ["echo"]


def echo(text, **options):
    """Prints text that may hold file names; bytes in them that are no UTF-8 are escaped.

    Args:
        text: str.
        **options: As for `click.echo`.
    """
    click.echo(text.encode("utf-8", "backslashreplace").decode(), **options)
