"""Where a feature comes from, and silence from the libraries that make it.

Public names: `SR`, `made_by`, `quiet`.
"""

import contextlib
import importlib.metadata
import os
import sys
import warnings

from mulkinet.errors import MulkinetError

__all__ = ["SR", "made_by", "quiet"]

SR = 44100


def made_by(package):
    """Settings that name the extractor.

    Args:
        package: Name of the installed package.

    Returns:
        dict of `extractor` and `extractor_version`.

    Raises:
        MulkinetError: It is not installed.
    """
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise MulkinetError(
            f"expected the package {package}, found it is not installed; "
            "try pip install 'mulkinet[audio]'"
        ) from error
    return {"extractor": package, "extractor_version": version}


@contextlib.contextmanager
def quiet():
    """Keeps what C libraries, TensorFlow and Keras print away from the terminal.

    The file descriptors themselves are redirected: mpg123 and TensorFlow write past `sys.stderr`.
    Errors are exceptions and still get through.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        sink = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, sink)
        for descriptor in (1, 2):
            saved = os.dup(descriptor)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            os.dup2(sink, descriptor)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
