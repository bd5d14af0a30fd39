"""mulkinet: cover song identification with TensorFlow/Keras.

The public names below are imported when first used, so that `import mulkinet` costs nothing.
"""

import importlib

__version__ = "0.2.0"

_PUBLIC = {
    "MulkinetError": "mulkinet.errors",
    "FeatureStore": "mulkinet.data.store",
    "build_model": "mulkinet.models",
    "register_network": "mulkinet.models",
    "register_loss": "mulkinet.losses",
    "load_model": "mulkinet.models.model_file",
    "save_model": "mulkinet.models.model_file",
    "import_weights": "mulkinet.models.published",
    "embed": "mulkinet.embedding",
    "evaluate": "mulkinet.evaluation",
    "Index": "mulkinet.identify.index",
    "CoverIdentifier": "mulkinet.identify.identifier",
    "distance": "mulkinet.identify.identifier",
    "embed_audio": "mulkinet.identify.identifier",
    "match": "mulkinet.identify.match",
}

__all__ = [*_PUBLIC, "losses"]


def __getattr__(name):
    if name == "losses":
        return importlib.import_module("mulkinet.losses")
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'mulkinet' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
