"""The models that the package brings, by name: `covers` is `mulkinet/pretrained/covers.h5`, told of in `covers.md`.

Public names: `find_model`, `is_shipped`, `shipped_names`.
"""

import os
from pathlib import Path

from mulkinet.errors import MulkinetError

__all__ = ["find_model", "is_shipped", "shipped_names"]

_FOLDER = Path(__file__).parent.parent / "pretrained"


def shipped_names():
    """Sorted list of str, the models of the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.h5"))


def is_shipped(model_file):
    """Whether this names a model of the package; a file of that name in the current folder goes before.

    Args:
        model_file: What the user gave.
    """
    return os.fspath(model_file) in shipped_names() and not Path(model_file).is_file()


def find_model(model_file):
    """The file of a model.

    Args:
        model_file: A path, or the name of a model of the package.

    Returns:
        pathlib.Path.

    Raises:
        MulkinetError: It is a bare name of which there is neither a file nor a model.
    """
    path = Path(model_file)
    if is_shipped(model_file):
        return _FOLDER / f"{model_file}.h5"
    if len(path.parts) == 1 and not path.suffix and not path.exists():
        raise MulkinetError(
            f"expected a model file, or one of the package's models ({', '.join(shipped_names())}), "
            f"found no {str(model_file)!r}; train.py makes one"
        )
    return path
