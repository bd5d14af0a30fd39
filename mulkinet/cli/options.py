"""Options that several commands share."""

import functools

import click

from mulkinet.errors import MulkinetError

__all__ = [
    "accept_partial_option",
    "cluster_options",
    "downsample_option",
    "feature_option",
    "force_option",
    "list_dir_option",
    "output_option",
    "spect_len_option",
    "track_length",
    "workers_option",
]


class _SpectLen(click.ParamType):
    """A number of frames, or "full", which becomes None."""

    name = "frames|full"

    def convert(self, value, param, ctx):
        """Checks a value of the command line."""
        if value is None or isinstance(value, int):
            return value
        if value == "full":
            return None
        if not value.isdecimal() or int(value) < 1:
            self.fail(f"expected a number of frames from 1, or full, found {value!r}", param, ctx)
        return int(value)


spect_len_option = click.option(
    "-s",
    "--spect-len",
    type=_SpectLen(),
    default="500",
    help="Resize the first 180 s (shorter tracks repeated) to this many frames; full keeps all frames.",
)
downsample_option = click.option(
    "--downsample",
    type=click.IntRange(1),
    default=1,
    metavar="K",
    help="With -s full: keep every K-th frame.",
)
workers_option = click.option(
    "-n", "--n-workers", default=-1, help="Number of processes; -1 is one per core."
)
output_option = click.option(
    "-o", "--output", type=click.Path(), help="Folder for the store.  [the data folder]"
)
accept_partial_option = click.option(
    "--accept-partial", is_flag=True, help="Take what there is of truncated files."
)
force_option = click.option("--force", is_flag=True, help="Overwrite an existing file.")


def cluster_options(*, shared_output=False, unfit=lambda options: None):
    """`--cluster`, and `--shared-output` where asked for: the command runs within `workers.on_cluster`.

    `unfit`, given the command's other options, says what --cluster does not go with; None where it fits.
    """

    def decorate(command):
        @functools.wraps(command)
        def run(*args, cluster, shared_output=False, **kwargs):
            from mulkinet.workers import on_cluster

            if cluster and (reason := unfit(kwargs)):
                raise click.UsageError(reason)
            if shared_output and not cluster:
                raise click.UsageError("--shared-output goes with --cluster")
            say = functools.partial(click.echo, err=True)
            n_workers = kwargs.get("n_workers", -1)
            with on_cluster(cluster, n_workers=n_workers, shared_output=shared_output, report=say):
                return command(*args, **kwargs)

        if shared_output:
            run = click.option(
                "--shared-output",
                is_flag=True,
                help="Workers write features to this machine's cache, a folder that all of them see.",
            )(run)
        return click.option(
            "--cluster",
            metavar="ADDRESS|local",
            help="Run on a Dask cluster: its scheduler's address, or local to start one here.",
        )(run)

    return decorate


def feature_option(default, among):
    """`-p`, repeatable: one of the features `among`; `default` where none is named."""
    return click.option(
        "-p",
        "--feature",
        "features",
        type=click.Choice(among),
        multiple=True,
        default=[default],
        help="Feature to store; may be given several times.",
    )


def list_dir_option(text):
    """`--list-dir`: the folder that lists are written to, which `text` describes."""
    return click.option("--list-dir", type=click.Path(), help=f"Write {text} to this folder.")


def track_length(spect_len, downsample):
    """The mulkinet.features.resize.TrackLength of both options.

    Raises:
        click.UsageError: They exclude each other.
    """
    from mulkinet.features.resize import TrackLength

    try:
        return TrackLength(spect_len, downsample)
    except MulkinetError as error:
        raise click.UsageError(str(error)) from error
