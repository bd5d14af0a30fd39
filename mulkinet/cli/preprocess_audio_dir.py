"""`preprocess.py from-audio-dir`. Public names: `command`."""

import click

from mulkinet.cli.errors import Command, report_skipped
from mulkinet.cli.preprocess_options import (
    downsample_option,
    feature_option,
    framing_of,
    spect_len_option,
)
from mulkinet.cli.printing import echo

__all__ = ["command"]


@click.command("from-audio-dir", cls=Command)
@click.option(
    "-a", "--audio-dir", required=True, type=click.Path(), help="Folder of folders, one per work."
)
@click.option("-o", "--output", default="datasets", type=click.Path(), help="Where the store goes.")
@feature_option()
@click.option(
    "-r",
    "--run-mode",
    type=click.Choice(["parallel", "single"]),
    default="parallel",
    help="Several processes, or all in this one.",
)
@click.option("-n", "--n-workers", default=-1, help="Processes; -1 is one per core.")
@spect_len_option()
@downsample_option()
@click.option("--name", help="Name of the data set.  [the name of the audio folder]")
def command(audio_dir, output, features, run_mode, n_workers, spect_len, downsample, name):
    """Extract features from a folder of audio, <dir>/<work>/<track>.<ext>.

    Makes <output>/<name>.h5, the store, and <name>_annotations.csv. The tracks' features are kept
    in <name>_features/: a run that was interrupted goes on from there. The store is made anew by
    every run, with the features of that run alone; those extracted before take no time again.
    """
    from mulkinet.sources.audio_dir import preprocess_audio_dir

    framing_of(spect_len, downsample)  # that they exclude each other is a matter of usage
    result = preprocess_audio_dir(
        audio_dir,
        output,
        features=features,
        run_mode=run_mode,
        n_workers=n_workers,
        spect_len=spect_len,
        downsample=downsample,
        name=name,
    )
    echo(f"{result.n_tracks} tracks of {result.n_works} works: {result.store_path}")
    report_skipped(result.skipped)
