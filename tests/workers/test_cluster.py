"""Tasks on a Dask cluster whose workers die, hang, come late or differ, and whose scheduler goes."""

import contextvars
import functools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("distributed")

from mulkinet import Index
from mulkinet.cli.evaluate import main as evaluate
from mulkinet.cli.preprocess import main as preprocess
from mulkinet.errors import MulkinetError
from mulkinet.evaluation import aligned
from mulkinet.evaluation.inputs import open_tracks
from mulkinet.identify import groups
from mulkinet.identify.chroma import KeptChroma
from mulkinet.identify.groups import find_groups
from mulkinet.identify.index_file import read_index, write_index
from mulkinet.workers import CRASHED, current_cluster, environment, on_cluster, run_in_processes
from tests.commands import invoke
from tests.identify.test_groups import as_kept, song
from tests.sources.audio_folders import make_works, write_chord
from tests.sources.test_audio_dir import contents
from tests.stores import write_store
from tests.workers import dask_cluster


@pytest.fixture(scope="module")
def cluster():
    with dask_cluster.local_cluster(2) as cluster:
        yield cluster


@pytest.fixture
def lines():
    return []


@pytest.fixture
def connection(cluster, lines):
    with on_cluster(cluster.scheduler_address, report=lines.append):
        yield current_cluster()


def test_results_are_those_of_processes(cluster, connection, lines):
    assert dict(run_in_processes(dask_cluster.nap, range(20), 1)) == {n: n**2 for n in range(20)}
    [line] = lines
    assert line == (
        f"cluster {cluster.scheduler_address}: 2 workers, dashboard {cluster.dashboard_link}"
    )


def test_a_worker_killed_in_the_middle_costs_nothing_but_time(connection, tmp_path):
    task = functools.partial(dask_cluster.die_once, tmp_path)
    assert dict(run_in_processes(task, range(8), 1)) == {n: n**2 for n in range(8)}
    assert (tmp_path / "died").exists()


def test_an_item_that_kills_its_workers_is_given_up_and_others_are_not(connection):
    results = dict(run_in_processes(dask_cluster.crash_at_five, range(10), 1))
    assert results.pop(5) == CRASHED
    assert results == {n: n**2 for n in range(10) if n != 5}


def test_the_task_of_a_worker_that_hangs_is_not_lost(connection, tmp_path):
    task = functools.partial(dask_cluster.note_and_nap, tmp_path)
    stopped = []

    def stop_for_a_while():
        while not (notes := list(tmp_path.iterdir())):
            time.sleep(0.02)
        stopped.append(int(notes[0].name.partition("-")[2]))
        os.kill(stopped[0], signal.SIGSTOP)
        time.sleep(4)
        os.kill(stopped[0], signal.SIGCONT)

    thread = threading.Thread(target=stop_for_a_while)
    thread.start()
    results = dict(run_in_processes(task, range(5), 1))
    thread.join()
    assert results == {n: n for n in range(5)}
    assert stopped


def test_a_worker_that_joins_late_is_given_tasks(cluster, connection):
    pids = set()
    for number, (_, pid) in enumerate(run_in_processes(dask_cluster.sleep_and_tell, range(400), 1)):
        if not number:
            cluster.scale(3)
        pids.add(pid)
        if len(pids) == 3:
            break
    cluster.scale(2)
    assert len(pids) == 3


def test_a_worker_of_another_version_is_named(cluster, monkeypatch):
    there = environment.describe()["numpy"]
    monkeypatch.setattr(environment, "describe", lambda: {"numpy": "0.1"})
    with pytest.raises(MulkinetError, match=rf"tcp://[^;]*numpy {there} \(here 0\.1\)"):
        with on_cluster(cluster.scheduler_address):
            pass


def test_a_late_worker_of_another_version_is_left_out(cluster, connection, lines):
    known = set(cluster.workers)
    with cluster.get_client() as client:
        client.register_plugin(dask_cluster.AnotherVersion(known))
        results = {}
        for item, result in run_in_processes(dask_cluster.nap, range(400), 1):
            if not results:
                cluster.scale(len(known) + 1)
            results[item] = result
            if len(lines) > 1:
                break
        client.unregister_worker_plugin(dask_cluster.AnotherVersion.name)
        cluster.scale(2)
    assert re.fullmatch(r"left out the worker tcp://\S+: av 0\.1 \(here .*\)", lines[1])
    assert results == {n: n**2 for n in results}


def test_errors_come_back(connection):
    with pytest.raises(MulkinetError, match="expected n_workers of 1 or more"):
        list(run_in_processes(_fail, range(3), 1))


def _fail(_item):
    raise MulkinetError("expected n_workers of 1 or more")


def test_an_address_where_nothing_answers(monkeypatch):
    monkeypatch.setattr("mulkinet.workers.cluster._CONNECT_SEC", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense://x", "127.0.0.1"):
        with pytest.raises(MulkinetError, match="expected a Dask scheduler at"):
            with on_cluster(address):
                pass


SCHEDULER = """
import time
from tests.workers.dask_cluster import local_cluster
if __name__ == "__main__":
    with local_cluster(1) as cluster:
        print(cluster.scheduler_address, flush=True)
        time.sleep(1000)
"""


def run_and_kill(address, process, found):
    with on_cluster(address):
        for item, result in run_in_processes(dask_cluster.nap, range(100), 1):
            found[item] = result
            if len(found) == 5:
                process.kill()


# What Dask has under way to it is cancelled, and says so when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_scheduler_is_gone(repository, tmp_path):
    script = tmp_path / "scheduler.py"
    script.write_text(SCHEDULER)
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(repository)},
    )
    try:
        address, found = process.stdout.readline().strip(), {}
        with pytest.raises(MulkinetError, match=r"found it gone after \d of 100 tasks; what was"):
            run_and_kill(address, process, found)
        assert len(found) >= 5
        assert all(result == item**2 for item, result in found.items())
    finally:
        process.kill()
        process.wait()


def test_from_audio_dir_is_bit_equal_and_lists_what_crashes(cluster, tmp_path, monkeypatch):
    audio = make_works(tmp_path / "audio")
    arguments = ["from-audio-dir", "-a", audio, "-p", "hpcp", "-s", "50"]
    monkeypatch.setenv("MULKINET_CACHE", str(tmp_path / "cache-here"))
    assert invoke(preprocess, *arguments, "-o", tmp_path / "here", "-n", 1).exit_code == 0
    with cluster.get_client() as client:
        client.register_plugin(dask_cluster.CrashingDecoder())
    write_chord(audio / "work1" / "crash.wav")
    expected = contents(tmp_path / "here" / "audio.h5")
    for name, more in (("sent", ()), ("shared", ["--shared-output"])):
        monkeypatch.setenv("MULKINET_CACHE", str(tmp_path / f"cache-{name}"))
        output = tmp_path / name
        result = invoke(
            preprocess, *arguments, "-o", output, "--cluster", cluster.scheduler_address, *more
        )
        assert result.exit_code == 3, result.stderr
        assert f"work1/crash.wav: {CRASHED}" in result.stderr
        assert contents(output / "audio.h5") == expected
        assert len(list((tmp_path / f"cache-{name}" / "features").glob("*.h5"))) == 4


def test_charts_are_those_of_one_machine(cluster, tmp_path, monkeypatch):
    sheets = tmp_path / "sheets"
    sheets.mkdir()
    for number in range(6):
        (sheets / f"song {number}.txt").write_text("| C | Am | F | G7 |\n" * (number % 3 + 1))
    (sheets / "bad.txt").write_text("| no chords |")
    made = []
    for name, more in (("here", ["-n", 1]), ("there", ["--cluster", cluster.scheduler_address])):
        monkeypatch.setenv("MULKINET_CACHE", str(tmp_path / f"cache-{name}"))
        output = tmp_path / f"{name}.jsonl"
        result = invoke(preprocess, "charts", sheets, "-o", output, *more)
        assert result.exit_code == 3, result.stderr
        assert f"{sheets}/bad.txt: " in result.stderr
        made.append(output.read_text())
    assert made[0] == made[1]
    assert made[0].count("\n") >= 6
    # Read on the workers, which keep what they read.
    assert not (tmp_path / "cache-there").exists()


def test_alignment_is_bit_equal(connection, rng, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(aligned, "_TILE_AFAR", 4)
    tracks = [(work, track) for work in "abc" for track in "123"]
    write_store(tmp_path / "s.h5", rng, tracks, [40 + n for n in range(9)], attributes={})
    tracks = open_tracks(tmp_path / "s.h5")
    there = aligned.alignment_distances(tracks, "hpcp", "qmax")
    here = contextvars.Context().run(aligned.alignment_distances, tracks, "hpcp", "qmax")
    assert np.isfinite(here).sum() == 72
    np.testing.assert_array_equal(there, here)


def test_an_index_is_bit_equal(connection, built, library, model_file, tmp_path, monkeypatch):
    monkeypatch.setenv("MULKINET_CACHE", str(tmp_path / "cache"))
    index = Index.build(tmp_path / "there.index", library, model_file, progress=False)
    assert index.changes.embedded == len(index)
    assert contents(tmp_path / "there.index") == contents(built)


def test_groups_are_those_of_one_machine(connection, built, tmp_path, monkeypatch):
    monkeypatch.setattr(groups, "_QUERIES_AT_A_TIME", 5)
    monkeypatch.setattr(groups, "_PAIRS_AT_A_TIME", 2)
    data = read_index(built)
    songs = {work: as_kept(song(seed)) for seed, work in enumerate(set(data.ids["work_id"]))}
    chroma = KeptChroma.of_tracks([songs[work] for work in data.ids["work_id"]])
    write_index(tmp_path / "x.index", replace(data, chroma=chroma))
    old = Index.open(tmp_path / "x.index")
    Index.open(old.path).remove(["w1"])
    with pytest.raises(MulkinetError, match="as it was when the command opened it, found another"):
        find_groups(old, tau=0.5, progress=False)
    index = Index.open(old.path)
    there = find_groups(index, tau=0.5, progress=False)
    here = contextvars.Context().run(find_groups, index, tau=0.5, progress=False)
    assert here.aligned
    assert here.candidates > 2
    assert any(pair.score for group in here.groups for pair in group.pairs)
    assert there == here


def test_local_starts_its_own_cluster_and_is_quiet(capfd):
    lines = []
    with on_cluster("local", n_workers=1, report=lines.append):
        assert dict(run_in_processes(dask_cluster.say, range(3), 1)) == {0: 0, 1: 1, 2: 2}
    assert lines[0].startswith("cluster tcp://127.0.0.1:")
    assert capfd.readouterr() == ("", "")


def test_wrong_usage(tmp_path):
    for arguments in (["--shared-output"], ["--cluster", "local", "-r", "single"]):
        result = invoke(preprocess, "from-audio-dir", "-a", tmp_path, *arguments)
        assert result.exit_code == 2, result.stderr
    result = invoke(evaluate, "--baseline", "2dftm", "--cluster", "local")
    assert result.exit_code == 2
    assert "--cluster goes with --baseline qmax or dmax" in result.stderr
