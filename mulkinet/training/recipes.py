"""How each system was trained: the options of a run that the user does not give.

A recipe has a value for every training option; those of the networks keep the networks' own
defaults, except where a recipe needs another. Each is the published one, as far as it was
published; what was not is marked.

Public names: `RECIPES`, `complete`.
"""

from mulkinet.embedding import PADS
from mulkinet.errors import MulkinetError
from mulkinet.losses import MININGS
from mulkinet.training.optimizers import OPTIMIZERS
from mulkinet.training.schedules import SCHEDULES

__all__ = ["RECIPES", "complete"]

# What no recipe is about.
_COMMON = {
    "margin": None,
    "mining": None,
    "tracks_per_work": None,
    "augment": "none",
    "pad": "zero",
    "pretrain_epochs": 0,
    "clip_norm": None,
}

RECIPES = {
    # Cao 2020: classification with crops of 400 frames.
    "mulkinet": {
        **_COMMON,
        "model": "mulkinet",
        "loss": "softmax",
        "n_frames": 400,
        "batchsize": 32,
        "max_epoch": 100,
        "optimizer": "adam",
        "lr": 1e-3,
        "schedule": "cosine",
    },
    # Yesiler, Serra, Gomez 2020: 16 works of 4 tracks, crops of 1800 frames of cremaPCP.
    "move": {
        **_COMMON,
        "model": "move",
        "loss": "triplet",
        "mining": "hard",
        "margin": 1.0,
        "n_frames": 1800,
        "batchsize": 64,
        "tracks_per_work": 4,
        "max_epoch": 120,
        "optimizer": "sgd",
        "lr": 0.1,
        "schedule": "steps",
        "augment": "move",
    },
    # vignejs 2020: pairs of 180 s resized to 500 frames, one of the two augmented.
    "siamese": {
        **_COMMON,
        "model": "siamese",
        "loss": "twin",
        "n_frames": 500,
        "batchsize": 128,
        "max_epoch": 100,
        "optimizer": "lookahead-adam",
        "lr": 1e-4,
        "schedule": "warmup-decay",
        "augment": "siamese",
    },
    # NetEase, MIREX 2020: softmax first, then triplets by Euclidean distance. The note gives no
    # numbers: batch, margin, rate, epochs and length of the crops are ours.
    "rescnn": {
        **_COMMON,
        "model": "rescnn",
        "loss": "triplet",
        "mining": "hard",
        "margin": 0.3,
        "n_frames": 400,
        "batchsize": 32,
        "tracks_per_work": 4,
        "pretrain_epochs": 30,
        "max_epoch": 70,
        "optimizer": "adam",
        "lr": 1e-3,
        "schedule": "cosine",
    },
}

_CHOICES = {
    "loss": ("softmax", "triplet", "twin", "contrastive"),
    "mining": MININGS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "pad": PADS,
}

# Where another loss is asked for than a recipe's own.
_LOSS_DEFAULTS = {
    "triplet": {"mining": "hard", "margin": 1.0, "tracks_per_work": 4},
    "contrastive": {"margin": 1.0},
}


def complete(recipe, given):
    """The options of a run: what was given, and the recipe's for the rest.

    Args:
        recipe: A key of `RECIPES`.
        given: dict of option to value; None where the user gave none.

    Returns:
        dict of every training option.

    Raises:
        MulkinetError: There is no such recipe, no such loss (mining, optimizer, ...), a number is
            out of its range, or an option is given that the loss has no use for.
    """
    if recipe not in RECIPES:
        raise MulkinetError(
            f"model or recipe: expected one of {', '.join(RECIPES)}; found {recipe!r}"
        )
    given = {name: value for name, value in given.items() if value is not None}
    for name, choices in _CHOICES.items():
        if given.get(name, choices[0]) not in choices:
            raise MulkinetError(
                f"expected --{name} of {', '.join(choices)}, found {given[name]!r}; "
                "try one of these names"
            )
    settings = {**RECIPES[recipe], **given}
    needed = _LOSS_DEFAULTS.get(settings["loss"], {})
    for name in ("mining", "margin", "tracks_per_work"):
        if name not in needed and name in given:
            raise MulkinetError(
                f"expected no --{name.replace('_', '-')} with --loss {settings['loss']}, "
                f"found {given[name]}; leave it out or choose a loss that has it"
            )
        if settings[name] is None or name not in needed:
            settings[name] = needed.get(name)
    _check_numbers(settings)
    return settings


def _check_numbers(settings):
    margin, clip_norm = settings["margin"], settings["clip_norm"]
    # A contrastive margin of zero would let all embeddings be the same.
    strict = settings["loss"] == "contrastive"
    if margin is not None and not (margin > 0 if strict else margin >= 0):
        bound = "> 0" if strict else ">= 0"
        raise MulkinetError(f"expected --margin {bound}, found {margin}; try 1.0, MOVE's")
    if clip_norm is not None and not clip_norm > 0:
        raise MulkinetError(
            f"expected --clip-norm > 0, found {clip_norm}; leave it out for no limit"
        )
