"""The networks, by name: one constructor for all, whose options are those of the commands.

One file each: `mulkinet` (Cao 2020), `move` (Yesiler, Serra, Gomez 2020), `siamese` (vignejs 2020), `rescnn` (NetEase,
MIREX 2020, after Deep Speaker), `cqtnet` (Yu et al. 2020; Discogs-VINet, Araz et al. 2024), `keyconv` (this package's
own). Reading their names and options does not import TensorFlow.
"""

from mulkinet.errors import MulkinetError
from mulkinet.registry import Registry

__all__ = ["NETWORKS", "PADS", "build_model", "options_of", "register_network"]

# What tracks shorter than a network sees are filled up with at the end: zeros, or the track over again.
PADS = ("zero", "wrap")

NETWORKS = Registry("network", __name__, "register_network", "network")


def register_network(name):
    """A class decorator that makes an `EmbeddingNetwork` known by a name.

    Args:
        name: As for `build_model` and `--model`.

    Returns:
        Function from the class to itself.

    Raises:
        MulkinetError: Another network has the name.
    """
    return NETWORKS.register(name)


def build_model(name, **options):
    """A new network with random weights.

    Args:
        name: A name in `NETWORKS`.
        **options: Any of `options_of(name)`; the others keep their defaults.

    Returns:
        EmbeddingNetwork: (batch, n_bins, n_frames) -> (batch, embedding_len).

    Raises:
        MulkinetError: No such network, no such option, or a value that is not possible.

    Examples:
        >>> from mulkinet import build_model
        >>> build_model("keyconv", n_filters=16, embedding_len=32).embedding_len
        32
        >>> options_of("keyconv")
        {'n_filters': 128, 'embedding_len': 256, 'members': 1}
    """
    defaults = options_of(name)
    unknown = sorted(set(options) - set(defaults))
    if unknown:
        raise MulkinetError(
            f"{name} has no option {', '.join(unknown)}; it has {', '.join(defaults)}"
        )
    # numpy's numbers as Python's: options have to go into JSON.
    plain = {key: v.item() if hasattr(v, "item") else v for key, v in options.items()}
    return NETWORKS.get(name)(**plain)


def options_of(name):
    """{option: default} of a network; raises MulkinetError when there is no network of that name.

    Examples:
        >>> options_of("keyconv")
        {'n_filters': 128, 'embedding_len': 256, 'members': 1}
    """
    return {option: value.default for option, value in NETWORKS.entry(name).options.items()}
