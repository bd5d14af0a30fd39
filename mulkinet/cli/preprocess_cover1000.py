"""`preprocess.py cover1000`. Public names: `command`."""

from pathlib import Path

import click

from mulkinet.cli.errors import Command
from mulkinet.cli.preprocess_conversion import (
    force_option,
    list_dir_option,
    output_option,
    report,
    write_lists,
)

__all__ = ["command"]


@click.command("cover1000", cls=Command)
@click.option(
    "-d",
    "--data-dir",
    default="datasets",
    type=click.Path(),
    help="Folder of <name>.pyjama and <name>_feat.hdf5.",
)
@output_option()
@list_dir_option("<NAME>-TRAIN and <NAME>-VAL, the fold of the tutorial,")
@force_option()
def command(data_dir, output, list_dir, force):
    """Make a store of Cover-1000, or of datacos-benchmark in its format: <output>/<name>.h5.

    Takes every pair of files in the folder. A run that was interrupted goes on when it is started
    again.
    """
    from mulkinet.data.store import FeatureStore
    from mulkinet.sources.cover1000 import check_pair, convert_pair, find_pairs, tutorial_fold

    pairs_of_files, conversions = find_pairs(data_dir), []
    for _, hdf5_path, pyjama_path in pairs_of_files:
        check_pair(hdf5_path, pyjama_path)
    for name, hdf5_path, pyjama_path in pairs_of_files:
        path = Path(output or data_dir) / f"{name}.h5"
        made, works = convert_pair(name, hdf5_path, pyjama_path, path, force=force)
        conversions.append(made)
        fold, pairs = tutorial_fold(works), list(FeatureStore(path).rows_by_key)
        lists = {
            f"{name.upper()}-TRAIN": [pair for pair in pairs if pair[0] not in fold],
            f"{name.upper()}-VAL": [pair for pair in pairs if pair[0] in fold],
        }
        write_lists(list_dir, lists)
    report(conversions)
