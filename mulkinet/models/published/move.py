"""MOVE's and re-MOVE's published PyTorch weights, as a network of this package."""

import copy

from mulkinet.errors import MulkinetError
from mulkinet.models import build_model
from mulkinet.models.published.layout import check_axes, copy_state_dict

__all__ = ["FIRST_KEYS", "import_move"]

FIRST_KEYS = ("conv1.weight",)
# cremaPCP of the whole track, every 8th frame.
METADATA = {
    "feature": "crema",
    "n_frames": None,
    "pad": "zero",
    "feature_settings": {
        "n_bins": 12,
        "bin0": "C",
        "sr": 44100,
        "hop_length": 512,
        "downsample": 8,
    },
    # What the whole tracks of an evaluation are not: the patches it was trained on.
    "training": {"settings": {"n_frames": 1800}},
}
# re-MOVE's embeddings have this size, and are compared by their cosine.
RE_MOVE_SIZE = 256


def import_move(tensors, **options):
    """EmbeddingNetwork of a state_dict, whose `metadata` says what features it needs.

    Args:
        tensors: {key: array, or what `open_state_dict` gave}.
        **options: Options of `move` that shapes do not tell: `sum_method` where it is not the paper's,
            `final_activation` where the linear layer has a bias, `invariance`.

    Raises:
        MulkinetError: A key is missing, left over or mis-shaped, or an option is missing or contradicts the file.
    """
    model = build_model("move", **_options(tensors, options))
    # autopool's p is there whatever the summary; in ours it belongs to that layer.
    copy_state_dict(model, tensors, _their_layer, unused=["autopool_p"])
    model.metadata = copy.deepcopy(METADATA)
    return model


def _their_layer(layer):
    return "" if layer == "summary" else layer


def _options(tensors, given):
    """The options of the network: as given, else as keys and shapes imply, else the paper's."""
    check_axes(tensors, {"conv1.weight": 4, "conv5.weight": 4, "lin1.weight": 2})
    n_filters = tensors["conv1.weight"].shape[0]
    is_doubled = tensors["conv5.weight"].shape[0] == 2 * n_filters
    ambiguous = {
        "sum_method": () if is_doubled else ("max", "mean", "autopool"),
        "final_activation": ("none", "sigmoid", "tanh") if "lin1.bias" in tensors else (),
    }
    for name, values in ambiguous.items():
        if values and name not in given:
            raise MulkinetError(
                f"{name}: the weights' shapes leave several; name one of {', '.join(values)}"
            )
    size = tensors["lin1.weight"].shape[0]
    distance = "cosine" if size == RE_MOVE_SIZE else "sqeuclidean"
    return {"n_filters": n_filters, "embedding_len": size, "distance": distance, **given}
