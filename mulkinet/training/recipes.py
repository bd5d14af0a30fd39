"""The options of a run: what the user gives, and for the rest the published training of a system.

A recipe is that training: an attribute of its network's class (`recipes`), with the training options, those of its
loss, and those of the network where a recipe needs others than the network's own defaults.
"""

from mulkinet.errors import MulkinetError
from mulkinet.losses import LOSSES
from mulkinet.models import NETWORKS, PADS
from mulkinet.training.optimizers import OPTIMIZERS
from mulkinet.training.schedules import SCHEDULES

__all__ = [
    "TRAINING_DEFAULTS",
    "complete",
    "crop_lengths",
    "loss_options",
    "network_options",
    "pretraining",
    "recipe_names",
]

# Where neither the user nor the recipe says otherwise.
TRAINING_DEFAULTS = {
    "loss": "softmax",
    "n_frames": 400,
    "longer_crops": "",
    "batchsize": 32,
    "max_epoch": 100,
    "pretrain_epochs": 0,
    "optimizer": "adam",
    "lr": 1e-3,
    "schedule": "cosine",
    "weight_decay": 0.0,
    "clip_norm": None,
    "weight_average": 0.0,
    "augment": "none",
    "pad": "zero",
    "seed": 0,
}

_CHOICES = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "pad": PADS}


def recipe_names():
    """List of str: the recipes of all networks."""
    return [name for entry in NETWORKS.entries().values() for name in entry.recipes]


def network_options(model):
    """{name: Option} of a network, without the sizes that the crops and the features decide."""
    options = NETWORKS.entry(model).options
    return {name: value for name, value in options.items() if name not in ("n_bins", "n_frames")}


def loss_options(loss):
    """{name: Option} of a loss."""
    return LOSSES.entry(loss).options


def complete(recipe, given):
    """The options of a run: what was given, and the recipe's for the rest.

    Args:
        recipe: Name of a recipe, or of a network, which stands for its first recipe; or a dict of such options, "model"
            among them, as an earlier run had.
        given: dict of option to value; None where the user gave none. "model" and "loss" may be others than the
            recipe's: then its options for these do not count.

    Returns:
        dict of every option: "model" and the network's, the training's, the loss's.

    Raises:
        MulkinetError: There is no such recipe, no such loss (optimizer, ...), a number is out of its range, or
            network or loss do not have an option that is given.
    """
    model, values = _find(recipe)
    given = {name: value for name, value in given.items() if value is not None}
    model = given.get("model", model)
    own_loss = values.get("loss", TRAINING_DEFAULTS["loss"])
    loss = given.get("loss", own_loss)
    settings = {"model": model, **_defaults(network_options(model)), **TRAINING_DEFAULTS}
    settings["loss"] = loss
    of_loss = _defaults(loss_options(loss))
    _check_known(given, settings, of_loss)
    settings.update(of_loss)
    fitting = {name: value for name, value in values.items() if name in settings}
    if loss != own_loss:
        fitting = {name: value for name, value in fitting.items() if name not in of_loss}
    if "n_frames" in given:
        fitting.pop("longer_crops", None)  # than the recipe's own
    settings.update({**fitting, **given})
    for name, choices in _CHOICES.items():
        if settings[name] not in choices:
            raise MulkinetError(
                f"expected --{name} among {', '.join(choices)}, found {settings[name]!r}; "
                "try one of these names"
            )
    crop_lengths(settings)
    if settings["clip_norm"] is not None and not settings["clip_norm"] > 0:
        raise MulkinetError(
            f"expected --clip-norm > 0, found {settings['clip_norm']}; leave it out for no limit"
        )
    if not 0 <= settings["weight_average"] < 1:
        raise MulkinetError(
            f"expected --weight-average in [0, 1), found {settings['weight_average']}; try 0.998"
        )
    return settings


def crop_lengths(settings):
    """The lengths of crops (tuple of int) of batches in turn, by "n_frames" and "longer_crops", the shortest first.

    Raises:
        MulkinetError: The longer ones are no numbers, or not longer.
    """
    shortest, longer = settings["n_frames"], settings["longer_crops"]
    parts = longer.split(",") if longer else []
    lengths = (shortest, *(int(part) for part in parts if part.strip().isdecimal()))
    if len(lengths) <= len(parts) or any(a >= b for a, b in zip(lengths, lengths[1:])):
        raise MulkinetError(
            f"expected --longer-crops to rise from --n-frames {shortest}, found {longer!r}; "
            f"try {shortest + 100},{shortest + 200}"
        )
    return lengths


def pretraining(settings):
    """The options of the classification that comes before the training, from those of the training."""
    of_loss = loss_options(settings["loss"])
    kept = {name: value for name, value in settings.items() if name not in of_loss}
    kept.update(loss="softmax", max_epoch=settings["pretrain_epochs"])
    return {**kept, **_defaults(loss_options("softmax"))}


def _find(recipe):
    """(model, options) of a recipe, by its own name or its network's."""
    entries = NETWORKS.entries()
    if isinstance(recipe, dict):
        return recipe["model"], recipe
    if recipe in entries:
        return recipe, next(iter(entries[recipe].recipes.values()), {})
    for model, entry in entries.items():
        if recipe in entry.recipes:
            return model, entry.recipes[recipe]
    names = dict.fromkeys([*entries, *recipe_names()])
    raise MulkinetError(f"model or recipe: expected one of {', '.join(names)}; found {recipe!r}")


def _defaults(options):
    return {name: option.default for name, option in options.items()}


def _check_known(given, settings, of_loss):
    others = {name for loss in LOSSES.entries() for name in loss_options(loss)}
    for name in sorted(set(given) - set(settings) - set(of_loss)):
        if name in others:
            raise MulkinetError(
                f"expected no --{name.replace('_', '-')} with --loss {settings['loss']}, "
                f"found {given[name]}; leave it out or choose a loss that has it"
            )
        known = network_options(settings["model"])
        raise MulkinetError(f"{settings['model']} has no option {name}; it has {', '.join(known)}")
