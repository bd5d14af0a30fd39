"""The exceptions of mulkinet: one root, raised for whatever a user can put right.

A message is one line that says what was expected, what was found and what to try.
"""

import importlib

__all__ = ["MulkinetError", "SkippedInput", "import_extra"]


class MulkinetError(Exception):
    """Something the user did or brought cannot be worked with; the message says what to try.

    Examples:
        >>> import mulkinet
        >>> try:
        ...     mulkinet.FeatureStore("nowhere.h5")
        ... except mulkinet.MulkinetError as error:
        ...     print(error)
        expected a feature store at nowhere.h5, found no file; make one with preprocess.py
    """


class SkippedInput(MulkinetError):
    """One input among many cannot be used: it is listed with this reason and the run goes on."""


def import_extra(module, extra):
    """Imports a module that only an extra of this package brings, named as in setup.cfg.

    Raises:
        MulkinetError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MulkinetError(
            f"expected the package {package}, found it is not installed; "
            f"try pip install 'mulkinet[{extra}]'"
        ) from error
