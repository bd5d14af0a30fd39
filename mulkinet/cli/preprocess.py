"""`preprocess.py`: one sub-command for each kind of source. Public names: `main`.

A source's own module, `mulkinet.cli.preprocess_<source>`, holds its `command`.
"""

import importlib

import click

from mulkinet.cli.main import LazyGroup

__all__ = ["main"]

_SOURCES = {
    "from-audio-dir": (
        "mulkinet.cli.preprocess_audio_dir",
        "Extract features from a folder of audio, <dir>/<work>/<track>.<ext>.",
    ),
    "da-tacos": ("mulkinet.cli.preprocess_da_tacos", "Convert (and download) Da-TACOS."),
    "cover1000": ("mulkinet.cli.preprocess_cover1000", "Convert Cover-1000."),
    "npy-dir": (
        "mulkinet.cli.preprocess_npy_dir",
        "Convert a folder of <song>_<version>.npy, such as SHS100K's.",
    ),
    "siamese-testset": (
        "mulkinet.cli.preprocess_siamese_testset",
        "Convert the pandas store of the Siamese release.",
    ),
    "demo": ("mulkinet.cli.preprocess_demo", "Compose, render and extract the demo set."),
}


class _Sources(LazyGroup):
    def get_command(self, ctx, name):
        if name not in _SOURCES:
            return None
        return importlib.import_module(_SOURCES[name][0]).command


@click.command(cls=_Sources, commands=_SOURCES)
def main():
    """Make a feature store: one HDF5 file that train.py and evaluate.py read."""
