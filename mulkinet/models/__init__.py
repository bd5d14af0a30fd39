"""The networks, by name: one constructor for all, whose options are those of the commands.

- `mulkinet`: `mulkinet.models.mulkinet.MulKINet` (Cao 2020)
- `move`: `mulkinet.models.move.MOVE` (Yesiler, Serra, Gomez 2020)
- `siamese`: `mulkinet.models.siamese.Siamese` (vignejs 2020)
- `rescnn`: `mulkinet.models.rescnn.ResCNN` (NetEase, MIREX 2020, after Deep Speaker)

Public names: `NETWORKS`, `build_model`, `options_of`.
"""

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.models.move import MOVE
from mulkinet.models.mulkinet import MulKINet
from mulkinet.models.rescnn import ResCNN
from mulkinet.models.siamese import Siamese

__all__ = ["NETWORKS", "build_model", "options_of"]

NETWORKS = {cls.network: cls for cls in (MulKINet, MOVE, Siamese, ResCNN)}


def build_model(name, **options):
    """A new network with random weights.

    Args:
        name: A key of `NETWORKS`.
        **options: Any of `options_of(name)`; the others keep their defaults.

    Returns:
        EmbeddingNetwork: (batch, n_bins, n_frames) -> (batch, embedding_len).

    Raises:
        MulkinetError: No such network, no such option, or a value that is not possible.
    """
    defaults = options_of(name)
    unknown = sorted(set(options) - set(defaults))
    if unknown:
        raise MulkinetError(
            f"{name} has no option {', '.join(unknown)}; it has {', '.join(defaults)}"
        )
    # numpy's numbers as Python's: options have to go into JSON.
    plain = {key: v.item() if isinstance(v, np.generic) else v for key, v in options.items()}
    return NETWORKS[name](**plain)


def options_of(name):
    """{option: default} of a network; raises MulkinetError when there is no network of that name."""
    if name not in NETWORKS:
        raise MulkinetError(f"model: expected one of {', '.join(NETWORKS)}; found {name!r}")
    return NETWORKS[name].defaults()
