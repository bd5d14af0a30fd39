"""Commands run inside the tests' own process."""

import inspect

from click.testing import CliRunner

# click 8.1, the last for Python 3.9, has to be told not to mix stderr into stdout; later ones never do.
_APART = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}


def invoke(command, *arguments):
    """Runs a command: a result with `.exit_code`, `.stdout` and `.stderr`."""
    return CliRunner(**_APART).invoke(command, [str(argument) for argument in arguments])
