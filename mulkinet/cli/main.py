"""The `mulkinet` command: the same commands as the scripts at the top of the project, and more."""

import importlib
import importlib.metadata

import click

import mulkinet
from mulkinet.cli.errors import Group

__all__ = ["main"]


class LazyGroup(Group):
    """A group whose sub-commands are imported when they are called.

    Args:
        commands: dict of sub-command to (module, one line of help).
    """

    def __init__(self, *args, commands, **kwargs):
        super().__init__(*args, **kwargs)
        self._commands = commands

    def list_commands(self, ctx):
        return list(self._commands)

    def get_command(self, ctx, name):
        if name not in self._commands:
            return None
        return importlib.import_module(self._commands[name][0]).main

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, help) in self._commands.items()])


# What numbers depend on: the arithmetic, the extractors and what decodes for them.
_VERSIONED = ("tensorflow", "numpy", "essentia", "crema", "librosa", "av", "soxr", "faiss-cpu")


def _show_versions(ctx, _param, is_asked):
    """Prints versions as the installed packages state them: nothing is imported."""
    if not is_asked or ctx.resilient_parsing:
        return
    click.echo(f"mulkinet, version {mulkinet.__version__}")
    for name in _VERSIONED:
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "not installed"
        click.echo(f"{name} {found}")
    ctx.exit()


@click.command(
    cls=LazyGroup,
    commands={
        "preprocess": ("mulkinet.cli.preprocess", "Make a feature store from audio or a data set."),
        "train": ("mulkinet.cli.train", "Train a network."),
        "evaluate": ("mulkinet.cli.evaluate", "Rank a collection and score the ranking."),
        "compare": ("mulkinet.cli.compare", "Compare two evaluations query by query."),
        "index": ("mulkinet.cli.index", "Build and update the index of a collection."),
        "identify": ("mulkinet.cli.identify", "Find out which songs recordings are."),
        "setlist": ("mulkinet.cli.setlist", "Find out what is played when in long recordings."),
        "match": ("mulkinet.cli.match", "Tell whether two recordings are of the same work."),
        "serve": ("mulkinet.cli.serve", "Serve an index as a web application on this machine."),
        "groups": ("mulkinet.cli.groups", "Find versions of each other in a collection."),
        "calibrate": ("mulkinet.cli.calibrate", "Set an index's threshold and probabilities."),
        "check": ("mulkinet.cli.check", "Describe and check a store or folder."),
        "weights": ("mulkinet.cli.weights", "List and fetch trained networks by name."),
        "import": ("mulkinet.cli.import_", "Convert published weights to a model file."),
    },
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_versions,
    help="Show the versions of mulkinet and of what its results depend on.",
)  # fmt: skip
def main():
    """Find cover songs: other performances of the same work come first."""


if __name__ == "__main__":
    main()
