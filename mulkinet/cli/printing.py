"""Results on standard output."""

import csv
import io

import click

from mulkinet.files.text import in_one_line

__all__ = ["clock", "csv_of", "echo"]


def echo(text, **options):
    """Prints, as `click.echo`, lines that may hold file names and tags; what cannot be printed is escaped."""
    click.echo(in_one_line(text, keep="\n\t"), **options)


def csv_of(rows):
    """Rows as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def clock(seconds):
    """Minutes and seconds, m:ss; hours where there are any."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
