"""Work shared among forked processes: each number once, whatever happens to a process."""

import os
import signal
import time

import pytest

from mulkinet.sources.forks import CRASHED, n_cores, run_in_forks


def test_cores():
    assert 1 <= n_cores() <= os.cpu_count()


@pytest.mark.parametrize("n_workers", [1, 2, 5])
def test_each_number_once_and_the_skipped_in_order(tmp_path, n_workers):
    def work(numbers):
        for number in numbers:
            (tmp_path / str(number)).touch(exist_ok=False)
            if number % 3 == 0:
                yield number, f"three divides {number}"

    done = []
    skipped = run_in_forks(work, 40, n_workers, done.append)
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == list(range(40))
    assert skipped == [(number, f"three divides {number}") for number in range(0, 40, 3)]
    assert sum(done) == 40


def test_a_process_that_dies_takes_one_item_along(tmp_path):
    def work(numbers):
        for number in numbers:
            if number in (3, 4, 9):
                os.kill(os.getpid(), signal.SIGKILL)
            (tmp_path / str(number)).touch(exist_ok=False)
            if number == 7:
                yield number, "skipped"

    skipped = run_in_forks(work, 20, 2, lambda n: None)
    assert skipped == [(3, CRASHED), (4, CRASHED), (7, "skipped"), (9, CRASHED)]
    assert len(list(tmp_path.iterdir())) == 17


def test_an_error_ends_all(tmp_path):
    def work(numbers):
        for number in numbers:
            if number == 5:
                raise OSError(28, "No space left on device")
            time.sleep(0.01)
            (tmp_path / str(number)).touch()
        yield from ()

    with pytest.raises(OSError, match="No space left"):
        run_in_forks(work, 1000, 2, lambda n: None)
    made = len(list(tmp_path.iterdir()))
    time.sleep(0.1)
    assert len(list(tmp_path.iterdir())) == made < 100


def test_orphans_stop(tmp_path):
    def work(numbers):
        for number in numbers:
            time.sleep(0.01)
            (tmp_path / str(number)).touch()
        yield from ()

    child = os.fork()
    if not child:
        run_in_forks(work, 10_000, 2, lambda n: None)
        os._exit(0)
    while len(list(tmp_path.iterdir())) < 3:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    time.sleep(0.3)
    made = len(list(tmp_path.iterdir()))
    time.sleep(0.2)
    assert len(list(tmp_path.iterdir())) == made
