"""What every command shares: one line for an error, and the exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some inputs were skipped.
"""

import os
import sys

import click

from mulkinet.errors import MulkinetError
from mulkinet.files.text import in_one_line

__all__ = ["Command", "Group", "check_any_is_there", "report_skipped"]

_CONTEXT = {"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 100}


class Command(click.Command):
    """A click command with `--debug`, whose `MulkinetError` is one line on stderr and exit code 1.

    So is an OSError that names a file: wherever a path is looked at, it may be out of reach.
    """

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("context_settings", _CONTEXT)
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--debug"],
                is_flag=True,
                expose_value=False,
                help="Show the traceback of an error.",
                callback=_remember_debug,
            )
        )

    def make_context(self, *args, **kwargs):  # noqa: D102
        # Before TensorFlow is loaded, here or by code outside the package: it prints a page of notes otherwise.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        return super().make_context(*args, **kwargs)

    def invoke(self, ctx):  # noqa: D102
        try:
            return super().invoke(ctx)
        except MulkinetError as error:
            _fail(ctx, error, error)
        except OSError as error:
            if error.filename is None:
                raise
            _fail(
                ctx,
                error,
                f"expected a path that can be used, found {error.filename}: {error.strerror}; "
                "check its name and permissions",
            )


class Group(click.Group):
    """A group of `Command`s."""

    command_class = Command

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("context_settings", _CONTEXT)
        super().__init__(*args, **kwargs)


def _fail(ctx, error, line):
    if ctx.meta.get("mulkinet.debug"):
        raise error
    click.echo(f"Error: {in_one_line(line)}", err=True)
    ctx.exit(1)


def _remember_debug(ctx, _option, value):
    ctx.meta["mulkinet.debug"] = value


def check_any_is_there(files):
    """Raises MulkinetError where no recording is there, before seconds of loading.

    Where some are there, a missing one is among the skipped.
    """
    if not any(map(os.path.lexists, files)):
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        raise MulkinetError(
            f"expected a recording at {files[0]}{more}, found no file; check the path"
        )


def report_skipped(skipped, *, is_all=False):
    """Lists skipped inputs on stderr and ends the command with exit code 3 if there are any.

    Args:
        skipped: (input, reason) pairs.
        is_all: Whether nothing else was left to do: then the command has failed, with exit code 1.
    """
    if not skipped:
        return
    click.echo(f"{len(skipped)} skipped:", err=True)
    for item, reason in skipped:
        click.echo(f"  {in_one_line(item)}: {in_one_line(reason)}", err=True)
    sys.exit(1 if is_all else 3)
