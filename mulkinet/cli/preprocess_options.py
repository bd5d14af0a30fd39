"""Options that the sub-commands of `preprocess.py` share.

Public names: `SpectLen`, `spect_len_option`, `downsample_option`, `framing_of`, `feature_option`.
"""

import click

from mulkinet.errors import MulkinetError
from mulkinet.features import FEATURES

__all__ = ["SpectLen", "spect_len_option", "downsample_option", "framing_of", "feature_option"]


class SpectLen(click.ParamType):
    """A number of frames, or "full", which becomes None."""

    name = "frames|full"

    def convert(self, value, param, ctx):
        """Checks a value of the command line: int of at least 1, or None for "full"."""
        if value is None or isinstance(value, int):
            return value
        if value == "full":
            return None
        if not value.isdecimal() or int(value) < 1:
            self.fail(f"expected a number of frames from 1, or full, found {value!r}", param, ctx)
        return int(value)


def spect_len_option(default="500"):
    """`-s`: the length of stored tracks.

    Args:
        default: A number as text, or "full".
    """
    return click.option(
        "-s",
        "--spect-len",
        type=SpectLen(),
        default=default,
        help="Frames that the first 180 s, wrapped around, are resized to; full keeps all.",
    )


def downsample_option():
    """`--downsample`: every k-th frame of full-length tracks."""
    return click.option(
        "--downsample",
        type=click.IntRange(1),
        default=1,
        metavar="K",
        help="With -s full: keep every K-th frame.",
    )


def framing_of(spect_len, downsample):
    """The mulkinet.features.resize.TrackLength of both options, which is wrong usage when both are given."""
    from mulkinet.features.resize import TrackLength

    try:
        return TrackLength(spect_len, downsample)
    except MulkinetError as error:
        raise click.UsageError(str(error)) from error


def feature_option(default="hpcp", among=FEATURES):
    """`-p`: the features, repeatable.

    Args:
        default: The one taken when none is named.
        among: The features to choose from.
    """
    return click.option(
        "-p",
        "--feature",
        "features",
        type=click.Choice(among),
        multiple=True,
        default=[default],
        help="Feature to extract; may be given several times.",
    )
