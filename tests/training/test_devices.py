"""Which devices and which process: errors, the chief of a cluster, mixed precision without a GPU."""

import ctypes
import subprocess
import sys
import types

import pytest
import tensorflow as tf

from mulkinet import MulkinetError
from mulkinet.training.devices import (
    is_chief,
    parse_gpus,
    strategy_of,
    use_mixed_precision,
    wait_for_all,
)


@pytest.mark.parametrize(("text", "gpus"), [("0", [0]), ("0,1", [0, 1]), ("-1", [])])
def test_gpus(text, gpus):
    assert parse_gpus(text) == gpus


@pytest.mark.parametrize("text", ["", "x", "0,0", "-2", "0,-1"])
def test_no_gpus(text):
    with pytest.raises(MulkinetError, match="expected --gpu 0, --gpu 0,1 or --gpu -1"):
        parse_gpus(text)


def test_a_machine_without_gpus_says_so_and_goes_on():
    lines = []
    strategy = strategy_of([0], lines.append)
    assert strategy.num_replicas_in_sync == 1
    assert lines == ["no GPU found: using the CPU (--gpu -1 chooses it without this line)"]


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["one", "two"])
    with pytest.raises(MulkinetError, match="expected --gpu below 2.*found 2"):
        strategy_of([0, 2], print)


@pytest.mark.parametrize("text", ["{bad", '{"cluster": 3}'])
def test_what_is_no_cluster(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(MulkinetError, match="expected a cluster and a task as JSON in TF_CONFIG"):
        strategy_of([], print)


TWO_WORKERS = {"worker": ["a:1", "b:1"]}
WITH_CHIEF = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}


@pytest.mark.parametrize(
    ("cluster", "task_type", "task_id", "chief"),
    [
        (TWO_WORKERS, "worker", 0, True),
        (TWO_WORKERS, "worker", 1, False),
        (WITH_CHIEF, "chief", 0, True),
        (WITH_CHIEF, "worker", 0, False),
        (WITH_CHIEF, "worker", 1, False),
    ],
)
def test_one_process_of_a_cluster_writes(cluster, task_type, task_id, chief):
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster), task_type=task_type, task_id=task_id
    )
    assert is_chief(types.SimpleNamespace(cluster_resolver=resolver)) == chief


def test_a_process_alone_writes_and_waits_for_nobody():
    assert is_chief(tf.distribute.get_strategy())
    wait_for_all(tf.distribute.get_strategy())


def test_mixed_precision_without_a_gpu_says_why_not():
    lines = []
    use_mixed_precision(lines.append)
    assert lines == ["no GPU with bfloat16 (compute capability 8.0) found: using float32"]
    assert tf.keras.mixed_precision.global_policy().name == "float32"


_MALLOC_100_MB = """
import ctypes
from mulkinet.training.devices import memory_kept

class Malloc(ctypes.Structure):  # struct mallinfo: arena, ordblks, smblks, hblks (blocks that are mapped alone), ...
    _fields_ = [(f"field{number}", ctypes.c_int) for number in range(10)]

libc = ctypes.CDLL(None)
libc.mallinfo.restype = Malloc
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def mapped_alone():
    before = libc.mallinfo().field3
    block = libc.malloc(ctypes.c_size_t(100 << 20))
    found = libc.mallinfo().field3 - before
    libc.free(block)
    return found

outside = mapped_alone()
with memory_kept():
    inside = mapped_alone()
print(outside, inside, mapped_alone())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo"), reason="no glibc")
def test_memory_is_kept_while_training_and_handed_back_afterwards():
    """Whether a block of 100 MB is mapped by itself, in a process whose threads have no arenas of their own yet."""
    done = subprocess.run(
        [sys.executable, "-c", _MALLOC_100_MB], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 0 1\n"
