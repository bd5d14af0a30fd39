"""The published PyTorch weights of CQTNet and of both Discogs-VINets, as a network of this package."""

from mulkinet.errors import MulkinetError
from mulkinet.features import cqt
from mulkinet.models import build_model
from mulkinet.models.published.layout import check_axes, copy_state_dict

__all__ = ["FIRST_KEYS", "import_cqtnet"]

# Of CQTNet, Discogs-VINet and its MIREX variant: how the first convolution and the projection are named.
LAYOUTS = {
    "features.conv0.weight": "fc0",
    "features.0.weight": "proj.0",
    "front_end.0.weight": "proj.lin",
}
FIRST_KEYS = tuple(LAYOUTS)
# Where the VINets' convolutions stand among their layers; a norm follows each.
PLACES = (0, 3, 7, 10, 14, 17, 21, 24, 28, 31)
# The shortest crops that each was trained on, to which shorter tracks are repeated. CQTNet's author advises it too.
N_FRAMES = {"fc0": 200, "proj.0": 400, "proj.lin": 380}
# The softmax over somebody's list of works, which the file does not hold.
CLASSIFIER = ("fc1.weight", "fc1.bias")


def import_cqtnet(tensors):
    """EmbeddingNetwork of a state_dict, whose `metadata` says what features it needs.

    `tensors` is {key: array, or what `open_state_dict` gave}.

    Raises:
        MulkinetError: A key is missing, left over or mis-shaped.
    """
    first = next(key for key in FIRST_KEYS if key in tensors)
    root, head = first.partition(".")[0], LAYOUTS[first]
    check_axes(tensors, {first: 4, f"{head}.weight": 2})
    is_cqtnet = head == "fc0"
    width, size = tensors[first].shape[0], tensors[f"{head}.weight"].shape[0]
    if not width:
        raise MulkinetError(f"{first}: expected filters, found {tensors[first].shape}")
    model = build_model(
        "cqtnet",
        width=width,
        embedding_len=size,
        bias=is_cqtnet,
        normalized=not is_cqtnet,
        divide=not is_cqtnet,
    )

    def their_layer(layer):
        if layer == "projection":
            return head
        kind, i = layer[:4], int(layer[4:])
        if is_cqtnet:
            return f"{root}.{layer}"
        return f"{root}.{PLACES[i] + (kind == 'norm')}"

    copy_state_dict(model, tensors, their_layer, unused=CLASSIFIER)
    feature = "cqt_cqtnet" if is_cqtnet else "cqt_vinet"
    model.metadata = {
        "feature": feature,
        "n_frames": None,
        "pad": "zero",
        "feature_settings": dict(cqt.settings_of(feature)),
        "training": {"settings": {"n_frames": N_FRAMES[head]}},
    }
    return model
