"""Worker processes, one of which dies."""

import os
import signal
import time

import pytest

from mulkinet.errors import MulkinetError
from mulkinet.workers import CRASHED, count_workers, run_in_processes


def square(item):
    if item == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)
    return item**2


def refuse(item):
    raise MulkinetError(f"no room for {item}")


def thread_limits(item):
    return os.environ["TF_NUM_INTRAOP_THREADS"], os.environ["CUDA_VISIBLE_DEVICES"]


def test_a_process_that_dies_takes_only_its_own_item_along():
    results = dict(run_in_processes(square, range(12), 2))
    assert results.pop(5) == CRASHED
    assert results == {item: item**2 for item in range(12) if item != 5}


def test_an_error_ends_the_run():
    with pytest.raises(MulkinetError, match="no room for"):
        list(run_in_processes(refuse, range(4), 2))


def test_workers_share_the_cores_and_leave_the_gpu_alone():
    threads = str(max(1, (os.cpu_count() or 1) // 2))
    assert dict(run_in_processes(thread_limits, [1], 2)) == {1: (threads, "-1")}


def test_one_worker_leaves_the_environment_alone(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    assert dict(
        run_in_processes(os.getenv, ["CUDA_VISIBLE_DEVICES", "TF_NUM_INTRAOP_THREADS"], 1)
    ) == {
        "CUDA_VISIBLE_DEVICES": "0",
        "TF_NUM_INTRAOP_THREADS": None,
    }


def test_count_workers():
    assert count_workers(3) == 3
    assert count_workers(-1) == os.cpu_count()
    with pytest.raises(MulkinetError, match="found 0"):
        count_workers(0)
