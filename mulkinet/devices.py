"""Which devices a run uses: `--gpu 0`, `--gpu 0,1` (mirrored), `--gpu -1` (the CPU).

Public names: `parse_gpus`, `strategy_of`.
"""

from mulkinet.errors import MulkinetError

__all__ = ["parse_gpus", "strategy_of"]


def parse_gpus(text):
    """Reads a `--gpu` option.

    Args:
        text: "0", "0,1", ... or "-1" for the CPU.

    Returns:
        list of int, empty for the CPU.

    Raises:
        MulkinetError: It is something else.
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [-2]
    if numbers == [-1]:
        return []
    if min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise MulkinetError(f"expected --gpu 0, --gpu 0,1 or --gpu -1 (CPU), found {text!r}")
    return numbers


def strategy_of(gpus, report):
    """The tf.distribute strategy for some GPUs; the others are left alone.

    On a machine without any GPU this says so and gives the CPU.

    Args:
        gpus: list of int, as `parse_gpus` gives them.
        report: Called with a line to show to the user.

    Returns:
        tf.distribute.Strategy: the default one for one device, mirrored for several.

    Raises:
        MulkinetError: The machine has GPUs, but not these.
    """
    import tensorflow as tf

    there = tf.config.list_physical_devices("GPU")
    if gpus and not there:
        report("no GPU was found; going on with the CPU (--gpu -1 asks for it)")
        gpus = []
    if gpus and max(gpus) >= len(there):
        raise MulkinetError(
            f"expected --gpu below {len(there)}, the number of GPUs here, found {max(gpus)}"
        )
    used = [there[number] for number in gpus]
    tf.config.set_visible_devices(used, "GPU")
    for device in used:
        tf.config.experimental.set_memory_growth(device, True)
    return tf.distribute.MirroredStrategy() if len(used) > 1 else tf.distribute.get_strategy()
