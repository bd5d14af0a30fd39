"""`preprocess.py da-tacos`. Public names: `command`."""

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
from mulkinet.cli.preprocess_options import (
    downsample_option,
    feature_option,
    framing_of,
    spect_len_option,
)

__all__ = ["command"]


@click.command("da-tacos", cls=Command)
@click.option(
    "-d",
    "--data-dir",
    default="datasets",
    type=click.Path(),
    help="Folder of da-tacos_<subset>_subset_... folders.",
)
@output_option()
@feature_option(default="crema", among=("crema", "hpcp", "chroma_cens"))
@spect_len_option()
@downsample_option()
@click.option(
    "--subset",
    "subsets",
    type=click.Choice(["benchmark", "coveranalysis"]),
    multiple=True,
    help="May be given twice.  [those that are there; with --download both]",
)
@list_dir_option("DATACOS-BENCHMARK and DATACOS-COVERANALYSIS")
@click.option("--download", is_flag=True, help="Fetch from Zenodo what is not there (CC BY-NC-SA).")
@force_option()
def command(data_dir, output, features, spect_len, downsample, subsets, list_dir, download, force):
    """Make stores of Da-TACOS: <output>/benchmark.h5 and coveranalysis.h5.

    Reads both layouts, one file for each track or one folder for each feature. -s 500 is what the
    Siamese system used, -s full --downsample 8 what MOVE did. A run that was interrupted goes on
    when it is started again.
    """
    from mulkinet.data.store import FeatureStore
    from mulkinet.sources import da_tacos

    track_length = framing_of(spect_len, downsample)
    if download:
        subsets = subsets or da_tacos.SUBSETS
        _download(data_dir, subsets, features)
    subsets, conversions = list(dict.fromkeys(subsets)) or da_tacos.find_subsets(data_dir), []
    for subset in subsets:
        da_tacos.check_subset(data_dir, subset, features)
    for subset in subsets:
        path = Path(output or data_dir) / f"{subset}.h5"
        made = da_tacos.convert_subset(
            data_dir, subset, path, features=features, track_length=track_length, force=force
        )
        conversions.append(made)
        write_lists(list_dir, {f"DATACOS-{subset.upper()}": FeatureStore(path).rows_by_key})
        if da_tacos.describe_shortfall(subset, made.n_tracks):
            click.echo(da_tacos.describe_shortfall(subset, made.n_tracks))
    report(conversions)


def _download(data_dir, subsets, features):
    from mulkinet.sources.da_tacos import has_single_files
    from mulkinet.sources.download import check_room, da_tacos_archives, fetch

    click.echo("Da-TACOS, Music Technology Group, UPF: licence CC BY-NC-SA 4.0")
    # What is there as single files has every feature already.
    absent = [subset for subset in subsets if not has_single_files(data_dir, subset)]
    archives = da_tacos_archives(absent, features)
    check_room(archives, data_dir)
    for archive in archives:
        click.echo(f"{fetch(archive, data_dir)}")
