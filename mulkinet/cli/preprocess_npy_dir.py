"""`preprocess.py npy-dir`. Public names: `command`."""

from pathlib import Path

import click

from mulkinet.cli.errors import Command
from mulkinet.cli.preprocess_conversion import force_option, list_dir_option, report, write_lists
from mulkinet.cli.printing import echo

__all__ = ["command"]


@click.command("npy-dir", cls=Command)
@click.option(
    "-d", "--npy-dir", required=True, type=click.Path(), help="Folder of <song>_<version>.npy."
)
@click.option("-o", "--output", default="datasets", type=click.Path(), help="Where the store goes.")
@click.option("--name", help="Name of the data set.  [the name of the folder]")
@click.option(
    "--list",
    "lists",
    type=click.Path(),
    multiple=True,
    help="List of tracks to take; may be given several times.  [all files]",
)
@click.option(
    "--skip-missing",
    is_flag=True,
    help="Leave out listed tracks without a file, and works with one left.",
)
@list_dir_option("the lists without what is missing")
@force_option()
def command(npy_dir, output, name, lists, skip_missing, list_dir, force):
    """Make a store of a folder of .npy files, such as SHS100K's: <output>/<name>.h5.

    Files are (frames, 12) HPCP or (84, frames) CQT. train.py and evaluate.py also take the folder
    itself as --data-dir; a store is read faster. A run that was interrupted goes on when it is
    started again.
    """
    from mulkinet.data.store_writer import check_name
    from mulkinet.sources.npy_dir import convert_npy_dir

    if list_dir is not None:
        _refuse_overwriting(lists, Path(list_dir))
    path = Path(output) / f"{check_name(name or Path(npy_dir).resolve().name)}.h5"
    made, remaining = convert_npy_dir(
        npy_dir, path, lists=lists, skip_missing=skip_missing, force=force
    )
    for source, kept in remaining.items():
        if kept.n_missing:
            echo(kept.describe(source))
    write_lists(list_dir, {Path(source).name: kept.pairs for source, kept in remaining.items()})
    report([made])


def _refuse_overwriting(lists, list_dir):
    written = {}
    for source in map(Path, lists):
        if (list_dir / source.name).resolve() == source.resolve():
            raise click.UsageError(f"--list-dir would write over {source}; name another folder")
        if written.setdefault(source.name, source) != source:
            raise click.UsageError(
                f"--list-dir would write both {written[source.name]} and {source} as "
                f"{list_dir / source.name}; rename one"
            )
