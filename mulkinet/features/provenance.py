"""Where a feature comes from, and silence from the libraries that make it."""

import contextlib
import importlib.metadata
import threading
import warnings

from mulkinet.errors import MulkinetError

__all__ = ["SR", "made_by", "quiet"]

SR = 44100

_FILTERS = threading.RLock()


def made_by(package):
    """Settings that name the extractor: dict of `extractor`, an installed package, and `extractor_version`.

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
    """Keeps the warnings of Python libraries away from the terminal; errors still get through.

    What C libraries print is thrown away in worker processes only (`mulkinet.workers`): a process has one
    standard error, and other threads may be writing to it.
    """
    # The filters belong to the process too.
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
