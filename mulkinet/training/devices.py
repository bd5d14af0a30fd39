"""Which devices a run uses: `--gpu 0`, `--gpu 0,1` (mirrored), `--gpu -1` (the CPU), TF_CONFIG; and its memory."""

import contextlib
import ctypes
import os
import sys

from mulkinet.errors import MulkinetError

__all__ = [
    "is_chief",
    "memory_kept",
    "parse_gpus",
    "strategy_of",
    "use_mixed_precision",
    "wait_for_all",
]

_BFLOAT16_CAPABILITY = (8, 0)
# Of glibc's mallopt, malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8
_NEVER, _LARGEST_MMAP_THRESHOLD, _USUAL_MMAP_MAX = -1, 32 << 20, 65536


@contextlib.contextmanager
def memory_kept():
    """Meanwhile what is freed stays with the process, for the next step to use; afterwards it is handed back.

    glibc asks the system for every map of more than 32 MB, and hands it back when it is freed. The system clears its
    pages one at a time: half of the time of a training step on a CPU. One arena, because another thread's cannot hold
    such maps; it stays one afterwards. Threads keep the arena they have: most is gained before TensorFlow has computed
    anything. Without glibc nothing is changed.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if not hasattr(libc, "mallopt"):
        yield
        return
    for parameter, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_ARENA_MAX, 1)):
        libc.mallopt(parameter, value)
    try:
        yield
    finally:
        # To where glibc's own thresholds go in a process that uses large blocks.
        libc.mallopt(_MMAP_MAX, _USUAL_MMAP_MAX)
        libc.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        libc.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_MMAP_THRESHOLD)
        libc.malloc_trim(0)


def parse_gpus(text):
    """Reads a `--gpu` option, "0", "0,1", ... or "-1" for the CPU: list of int, empty for the CPU.

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

    On a machine without any GPU this says so and gives the CPU. Where TF_CONFIG names a cluster,
    this process is one of its workers and has to ask before TensorFlow has computed anything.

    Args:
        gpus: list of int, as `parse_gpus` gives them.
        report: Called with a line to show to the user.

    Returns:
        tf.distribute.Strategy: the default one for one device, mirrored for several, and over
        machines where TF_CONFIG is set.

    Raises:
        MulkinetError: The machine has GPUs, but not these; TF_CONFIG is no description of a cluster.
    """
    import tensorflow as tf

    there = tf.config.list_physical_devices("GPU")
    if gpus and not there:
        report("no GPU found: using the CPU (--gpu -1 chooses it without this line)")
        gpus = []
    if gpus and max(gpus) >= len(there):
        raise MulkinetError(
            f"expected --gpu below {len(there)}, the number of GPUs here, found {max(gpus)}"
        )
    used = [there[number] for number in gpus]
    tf.config.set_visible_devices(used, "GPU")
    for device in used:
        tf.config.experimental.set_memory_growth(device, True)
    if os.environ.get("TF_CONFIG"):
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MulkinetError(
                f"expected a cluster and a task as JSON in TF_CONFIG, found something else ({error}); "
                "correct it, or unset it to train in this process alone"
            ) from error
    return tf.distribute.MirroredStrategy() if len(used) > 1 else tf.distribute.get_strategy()


def is_chief(strategy):
    """Whether this process writes the run's files: the cluster's chief, its first worker, or all."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return (resolver.task_type, resolver.task_id) == ("worker", 0)


def wait_for_all(strategy):
    """Returns when every worker has called it: then all of them see the files that the chief wrote."""
    import tensorflow as tf

    if strategy.num_replicas_in_sync == 1:
        return

    def one():
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.ones(()))

    @tf.function
    def count():
        return strategy.reduce(tf.distribute.ReduceOp.MEAN, strategy.run(one), axis=None)

    count().numpy()


def use_mixed_precision(report):
    """Computes in bfloat16, with float32 weights, where every visible GPU has it in hardware; reports where not.

    float16 is not offered: it needs its losses scaled, and bfloat16 does not.
    """
    import tensorflow as tf

    details = [
        tf.config.experimental.get_device_details(device)
        for device in tf.config.get_visible_devices("GPU")
    ]
    capabilities = [detail.get("compute_capability", (0, 0)) for detail in details]
    if capabilities and min(capabilities) >= _BFLOAT16_CAPABILITY:
        tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    else:
        report("no GPU with bfloat16 (compute capability 8.0) found: using float32")
