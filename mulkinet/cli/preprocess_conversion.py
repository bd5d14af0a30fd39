"""What the sub-commands share that make a store of a data set of ready-made features.

Public names: `output_option`, `list_dir_option`, `force_option`, `report`, `write_lists`.
"""

from pathlib import Path

import click

from mulkinet.cli.errors import report_skipped
from mulkinet.cli.printing import echo

__all__ = ["output_option", "list_dir_option", "force_option", "report", "write_lists"]


def output_option():
    """`-o`: the folder of the stores."""
    return click.option(
        "-o", "--output", type=click.Path(), help="Where the store goes.  [the data folder]"
    )


def list_dir_option(text):
    """`--list-dir`: the folder of list files.

    Args:
        text: What is written there.
    """
    return click.option("--list-dir", type=click.Path(), help=f"Write {text} to this folder.")


def force_option():
    """`--force`: make the store again."""
    return click.option("--force", is_flag=True, help="Write over a store that is there.")


def write_lists(list_dir, lists):
    """Writes list files and says which.

    Args:
        list_dir: Their folder; None writes nothing.
        lists: dict of file name to (work_id, track_id) pairs.
    """
    from mulkinet.data.lists import write_list

    if list_dir is not None:
        for name, pairs in lists.items():
            path = Path(list_dir) / name
            write_list(path, pairs)
            echo(f"{len(pairs)} tracks: {path}")


def report(conversions):
    """Says what was made, lists what was skipped, and ends with exit code 3 if there is any.

    Args:
        conversions: list of mulkinet.sources.conversion.Conversion.
    """
    for made in conversions:
        line = f"{made.n_tracks} tracks of {made.n_works} works: {made.store_path}"
        if made.was_there:
            line += ", which was there, made of the same files with the same settings"
        echo(line)
    report_skipped([skipped for made in conversions for skipped in made.skipped])
