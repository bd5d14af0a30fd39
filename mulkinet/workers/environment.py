"""What a machine would compute with: versions of packages, of this package's code and of the models in both."""

import functools
import hashlib
import importlib.metadata
import importlib.util
import platform
from pathlib import Path

__all__ = ["describe", "differences"]

_PACKAGES = (
    *("mulkinet", "distributed", "numpy", "scipy", "h5py", "tensorflow", "numba", "music21"),
    *("essentia", "crema", "librosa", "av", "soxr", "soundfile"),
)
# What is computed with that has no version: code that may have been edited, and trained models.
_FILES = {"mulkinet": ("*.py", "*.h5"), "crema": ("models/**/*.h5", "models/**/*.pkl")}


@functools.lru_cache(None)
def describe():
    """Names and versions, of this process: dict of str to str, without packages that are not installed."""
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    for package, patterns in _FILES.items():
        if package in found:
            found[f"files of {package}"] = _digest(package, patterns)
    return found


def differences(found, expected):
    """What differs between two processes' `describe()`, in words, "essentia 2.1b5 (here 2.1b6)"; "" for nothing."""
    return ", ".join(
        f"{name} {found.get(name, 'missing')} (here {expected.get(name, 'missing')})"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    )


def _digest(package, patterns):
    # Found, not imported: crema's import takes seconds.
    root = Path(importlib.util.find_spec(package).submodule_search_locations[0])
    sha = hashlib.sha256()
    for pattern in patterns:
        for path in sorted(root.rglob(pattern)):
            sha.update(path.relative_to(root).as_posix().encode() + b"\0")
            sha.update(path.read_bytes())
    return sha.hexdigest()[:12]
