"""`preprocess.py siamese-testset`. Public names: `command`."""

from pathlib import Path

import click

from mulkinet.cli.errors import Command
from mulkinet.cli.preprocess_conversion import force_option, output_option, report

__all__ = ["command"]


@click.command("siamese-testset", cls=Command)
@click.option(
    "-f",
    "--file",
    "hdf_path",
    default="datasets/testset.h5",
    type=click.Path(),
    help="The release's testset.h5, trainset.h5 or valset.h5.",
)
@output_option()
@force_option()
def command(hdf_path, output, force):
    """Make a store of a pandas store of the Siamese release: <output>/siamese-<name>.h5."""
    from mulkinet.sources.siamese_testset import convert_testset

    hdf_path = Path(hdf_path)
    path = Path(output or hdf_path.parent) / f"siamese-{hdf_path.stem}.h5"
    report([convert_testset(hdf_path, path, force=force)])
