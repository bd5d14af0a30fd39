"""What a cluster costs beside the pool of processes of one machine.

empty tasks    tasks per second that do nothing
tracks         seconds of extracting hpcp of as many 3-minute tracks by the local pool and by a cluster of as many
               workers on this machine, in turn, both with workers that are up: the least and the median of some rounds,
               and what the difference of the least is of the whole; the same of processor time, of all processes that
               take part, which others on the machine do not change
bytes          what a worker sends of a track, and what it would be without compression

python benchmarks/cluster.py [--tracks 8] [--tasks 1000] [--rounds 3]
"""

import contextlib
import os
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import psutil
import soundfile
from machine import processor

from mulkinet.cli.errors import Command
from mulkinet.features.cache import extract_all, read_frames
from mulkinet.features.parcel import pack
from mulkinet.workers import count_workers, on_cluster, run_in_processes

_SR = 44100
_TRACK_SEC = 180
_FEATURE = "hpcp"


def write_tracks(folder, n_tracks):
    """Writes harmonic sound with a chord every second.

    Args:
        folder: pathlib.Path.
        n_tracks: How many.

    Returns:
        list of pathlib.Path.
    """
    time_sec, paths = np.arange(_SR) / _SR, []
    for track in range(n_tracks):
        rng = np.random.default_rng(track)
        hz = 110 * 2 ** (rng.integers(0, 24, (_TRACK_SEC, 4, 1)) / 12)
        y = 0.1 * np.sin(2 * np.pi * hz * time_sec).sum(axis=1).ravel()
        paths.append(folder / f"{track}.flac")
        soundfile.write(paths[-1], y, _SR)
    return paths


@contextlib.contextmanager
def cache_in(folder):
    """An empty cache."""
    before = os.environ.get("MULKINET_CACHE")
    os.environ["MULKINET_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("MULKINET_CACHE")
        if before is not None:
            os.environ["MULKINET_CACHE"] = before


def seconds_of_tracks(warm, paths, n_workers, cache):
    """Seconds of extracting all, and of processor time, after the workers have loaded what they need for one more."""
    with cache_in(cache):
        list(extract_all(warm, [_FEATURE], n_workers))
        start, before = time.perf_counter(), processor_seconds()
        for path, found in extract_all(paths, [_FEATURE], n_workers):
            if isinstance(found, str):
                raise SystemExit(f"{path}: {found}")
        return time.perf_counter() - start, processor_seconds() - before


def processor_seconds():
    """Of this process and all that it has started."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def tasks_a_second(tasks, n_workers):
    """Empty tasks per second, on the cluster that is open."""
    start = time.perf_counter()
    for _ in run_in_processes(nothing, range(tasks), n_workers):
        pass
    return tasks / (time.perf_counter() - start)


def nothing(item):
    """An empty task."""
    return item


@click.command(cls=Command)
@click.option("--tracks", default=8, help="3-minute tracks.")
@click.option("--tasks", default=1000, help="Empty tasks.")
@click.option("--rounds", default=3, help="How often pool and cluster take turns.")
def main(tracks, tasks, rounds):
    """Measure tasks per second, overhead per track and bytes moved."""
    n_workers = count_workers(-1)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        paths = write_tracks(folder, tracks + n_workers)
        warm, paths = paths[:n_workers], paths[n_workers:]
        rates, pools, clusters = [], [], []
        for number in range(rounds):
            cache = folder / str(number)
            pools.append(seconds_of_tracks(warm, paths, n_workers, cache / "pool"))
            with on_cluster("local", report=click.echo):
                # First, while idle workers share the tracks that warm them up.
                clusters.append(seconds_of_tracks(warm, paths, n_workers, cache / "cluster"))
                rates.append(tasks_a_second(tasks, n_workers))
        with cache_in(cache / "cluster"):
            sizes = [(len(pack(x)[1]), x.nbytes) for x in (read_frames(p, _FEATURE) for p in paths)]
    sent, plain = np.mean(sizes, axis=0) / 1024
    click.echo(f"{processor()}, {os.cpu_count()} cores")
    click.echo(f"{tasks} empty tasks: {max(rates):.0f} tasks/s, median {np.median(rates):.0f}")
    click.echo(
        f"{tracks} tracks of {_TRACK_SEC} s, {n_workers} workers, least and median of {rounds}:"
    )
    for name, here, there in zip(("time", "processor time"), zip(*pools), zip(*clusters)):
        pool, cluster = min(here), min(there)
        click.echo(
            f"  {name}: pool {pool:.1f}, {np.median(here):.1f} s; cluster {cluster:.1f}, {np.median(there):.1f} s; "
            f"{cluster / pool - 1:+.1%}, {(cluster - pool) / tracks * 1000:+.0f} ms a track"
        )
    click.echo(f"a track's {_FEATURE}: {sent:.0f} kB sent, {plain:.0f} kB uncompressed")


if __name__ == "__main__":
    main()
