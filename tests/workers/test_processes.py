"""Worker processes: one dies, or their parent does."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time

import pytest

from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.workers import CRASHED, count_workers, reason_or_result, run_in_processes


def square(item):
    if item == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)
    return item**2


def refuse(item):
    raise MulkinetError(f"no room for {item}")


def thread_limits(item):
    return os.environ["TF_NUM_INTRAOP_THREADS"], os.environ["CUDA_VISIBLE_DEVICES"]


def speak(item):
    os.write(1, b"noise")
    os.write(2, b"noise")
    return item


def test_a_process_that_dies_takes_only_its_own_item_along():
    results = dict(run_in_processes(square, range(12), 2))
    assert results.pop(5) == CRASHED
    assert results == {item: item**2 for item in range(12) if item != 5}


def test_relative_paths_are_where_this_program_is_by_now(tmp_path, monkeypatch):
    """Processes are kept from one run to the next."""
    for name in "ab":
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert dict(run_in_processes(os.path.abspath, ["x"], 2)) == {
            "x": str(tmp_path / name / "x")
        }


def test_an_error_ends_the_run():
    with pytest.raises(MulkinetError, match="no room for"):
        list(run_in_processes(refuse, range(4), 2))


def test_workers_share_the_cores_and_leave_the_gpu_alone(monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
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


def test_what_workers_print_is_thrown_away(capfd):
    assert dict(run_in_processes(speak, [1, 2], 2)) == {1: 1, 2: 2}
    assert capfd.readouterr() == ("", "")


def test_count_workers():
    assert count_workers(3) == 3
    assert count_workers(-1) == os.cpu_count()
    with pytest.raises(MulkinetError, match="found 0"):
        count_workers(0)


def test_what_is_wrong_with_an_item_is_its_reason():
    def fail(error):
        raise error

    assert reason_or_result(str.upper, "a") == "A"
    assert reason_or_result(fail, SkippedInput("empty")) == "empty"
    assert reason_or_result(fail, ValueError("two\n  lines")) == "ValueError: two lines"
    with pytest.raises(MulkinetError, match="disk"):
        reason_or_result(fail, MulkinetError("the disk is full"))


# Every task notes its process, then computes for minutes without ever letting go of Python's lock.
BUSY = """
import os, sys
from mulkinet.workers import run_in_processes
def busy(item):
    open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
    return sum(range(10**11))
list(run_in_processes(busy, range(4), 2))
"""


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def own_terminal(terminal):
    # Also where the suite was started ignoring them, as by nohup.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGKILL", "the terminal closes"])
def test_workers_end_with_their_parent(tmp_path, how):
    main_end, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(tmp_path)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: own_terminal(terminal),
    )
    os.close(terminal)
    while len(list(tmp_path.iterdir())) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    pids = [process.pid, *(int(path.name) for path in tmp_path.iterdir())]
    if how == "SIGINT":
        os.write(main_end, b"\x03")  # Ctrl-C, as the terminal makes it of the key
    elif how == "the terminal closes":
        os.close(main_end)
    else:
        process.send_signal(getattr(signal, how))
    try:
        process.wait(timeout=5)
        deadline = time.monotonic() + 5
        while (left := [pid for pid in pids if is_running(pid)]) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert left == []
    finally:
        for pid in filter(is_running, pids):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        if how != "the terminal closes":
            os.close(main_end)
