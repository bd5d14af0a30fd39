"""Learning rates by epoch, the ones that the reproduced systems were trained with.

Conventions: epochs count from 0; `learning_rate` is the `--lr` of a run, and what each schedule
makes of it is stated here.

    constant: learning_rate.
    cosine: learning_rate * (1 + cos(pi * epoch / epochs)) / 2 (MulKINet).
    steps: learning_rate, times 0.2 after two thirds of the epochs, times 0.2 again after five sixths (MOVE: from
        epochs 80 and 100 on, of 120).
    warmup-decay: in a line from half of learning_rate to all of it at epoch 5, then
        learning_rate * (0.01 + 0.99 * 0.95^(epoch - 5)). A learning_rate of 1e-4 gives the Siamese
        release's 5e-5 -> 1e-4, then 1e-6 + 0.000099 * 0.95^(epoch - 5).
    exponential: learning_rate * 0.95^epoch (Discogs-VINet).
    warmup-cosine: in a line from 0.01 of learning_rate to all of it at epoch 5, then by a cosine back to 0.01 of it
        at the end (Discogs-VINet at MIREX 2024: 1e-4 -> 1e-2 -> 1e-4).
    plateau: learning_rate, times 0.8 whenever the epoch's training loss has not fallen below its least for more than
        2 epochs, but never below 0.005 of it (CQTNet: 1e-3, and 5e-6).
"""

import math

from mulkinet.errors import MulkinetError

__all__ = ["SCHEDULES", "schedule_rate"]


_PATIENCE, _FALL, _FLOOR = 2, 0.8, 0.005


def _constant(learning_rate, epoch, epochs):
    return learning_rate


def _cosine(learning_rate, epoch, epochs):
    return learning_rate * (1 + math.cos(math.pi * epoch / epochs)) / 2


def _steps(learning_rate, epoch, epochs):
    return learning_rate * 0.2 ** sum(6 * epoch >= sixths * epochs for sixths in (4, 5))


def _warmup_decay(learning_rate, epoch, epochs):
    if epoch < 5:
        return learning_rate * (0.5 + 0.5 * epoch / 5)
    return learning_rate * (0.01 + 0.99 * 0.95 ** (epoch - 5))


def _exponential(learning_rate, epoch, epochs):
    return learning_rate * 0.95**epoch


def _warmup_cosine(learning_rate, epoch, epochs):
    if epoch < 5:
        return learning_rate * (0.01 + 0.99 * epoch / 5)
    share = (epoch - 5) / max(epochs - 5, 1)
    return learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)


def _plateau(learning_rate, losses):
    rate, least, waited = learning_rate, math.inf, 0
    for loss in losses:
        least, waited = (loss, 0) if loss < least else (least, waited + 1)
        if waited > _PATIENCE:
            rate, waited = max(rate * _FALL, learning_rate * _FLOOR), 0
    return rate


_SCHEDULES = {
    "constant": _constant,
    "cosine": _cosine,
    "steps": _steps,
    "warmup-decay": _warmup_decay,
    "exponential": _exponential,
    "warmup-cosine": _warmup_cosine,
}
SCHEDULES = (*_SCHEDULES, "plateau")


def schedule_rate(schedule, *, learning_rate, epoch, epochs, losses=()):
    """Learning rate of one epoch.

    Args:
        schedule: One of `SCHEDULES`.
        learning_rate: The run's base rate, > 0.
        epoch: From 0 to `epochs`.
        epochs: Length of the run in epochs, >= 1.
        losses: Training loss of each epoch so far, for "plateau".

    Returns:
        float: the rate.

    Raises:
        MulkinetError: The schedule is unknown, or a number is out of its range.

    Examples:
        >>> schedule_rate("cosine", learning_rate=1e-3, epoch=50, epochs=100)
        0.0005
    """
    if schedule not in SCHEDULES:
        raise MulkinetError(
            f"expected a schedule among {', '.join(SCHEDULES)}, found {schedule!r}; "
            "try one of these names"
        )
    if not learning_rate > 0 or not 0 <= epoch <= epochs or epochs < 1:
        raise MulkinetError(
            "expected a learning rate > 0, at least 1 epoch, and an epoch from 0 to their number; "
            f"found rate {learning_rate}, epoch {epoch} of {epochs}; "
            "try --lr 0.001 and --max-epoch 100"
        )
    if schedule == "plateau":
        return _plateau(learning_rate, losses)
    return _SCHEDULES[schedule](learning_rate, epoch, epochs)
