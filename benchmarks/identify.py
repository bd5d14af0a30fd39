"""How fast recordings are identified, and what the search of large indexes costs.

    recording   one stereo 3-minute recording against an index file of the package's model, in a warm
                process: all of `Index.identify`, the nearest 50 aligned, then each of its parts on its own
    recordings  several at once, on all cores
    search      the exact 10 nearest of 100 queries among embeddings, and the approximate index: times,
                recall, and memory, each in a process of its own

The embeddings are synthetic, as a trained network's are: works of five tracks each around centres
whose spread falls off over the components, as that of principal components does. Of evenly spread
embeddings, whose neighbours are hardly nearer than all others, any cells find less.

    python benchmarks/identify.py [--tracks 10000] [--embeddings 1000000]
"""

import multiprocessing
import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import soundfile
from machine import processor

from mulkinet.cli.errors import Command

_EMBEDDING_LEN = 128
_CHROMA_FRAMES = 360  # of 180 s
_TRACKS_A_WORK = 5
_N_QUERIES = 100
_RECORDING_SEC = 180
_N_RECORDINGS = 8
_REPEATS = 5


def make_embeddings(n_tracks, length=_EMBEDDING_LEN, seed=0):
    """Unit embeddings of works of five tracks.

    Args:
        n_tracks: How many.
        length: Numbers of an embedding.
        seed: Of the generator.

    Returns:
        (n_tracks, length) float32.
    """
    rng = np.random.default_rng(seed)
    spread = (1 / np.sqrt(1 + np.arange(length))).astype(np.float32)
    shape = -(-n_tracks // _TRACKS_A_WORK), length
    centres = rng.standard_normal(shape, np.float32)
    noise = rng.standard_normal((n_tracks, length), np.float32)
    points = (np.repeat(centres, _TRACKS_A_WORK, axis=0)[:n_tracks] + 0.5 * noise) * spread
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def seconds_of(function):
    """The median wall-clock time of a few calls, after one that warms up."""
    function()
    return float(np.median([_timed(function)[0] for _ in range(_REPEATS)]))


def measure_recordings(n_tracks):
    """Prints the time of identifying one recording and several, and the parts of it."""
    from mulkinet import Index

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        recordings = write_recordings(folder / "library")
        first = recordings[0]
        path = write_large_index(folder, recordings, n_tracks)
        seconds, index = _timed(lambda: Index.open(path))
        click.echo(f"opening an index of {n_tracks} tracks: {seconds:.2f} s")
        whole = seconds_of(lambda: index.identify(first))
        click.echo(f"one stereo {first.suffix[1:]} of {_RECORDING_SEC} s, {index.search.kind}")
        click.echo(f"  {'Index.identify':<20}{1000 * whole:9.1f} ms")
        for name, function in parts_of(index, first).items():
            seconds = seconds_of(function)
            click.echo(f"  {name:<20}{1000 * seconds:9.1f} ms {seconds / whole:7.1%}")
        several = seconds_of(lambda: index.identify(recordings, progress=False))
        click.echo(
            f"{len(recordings)} of them on all cores: {several:.2f} s, "
            f"{1000 * several / len(recordings):.1f} ms each"
        )


def parts_of(index, path):
    """What `index.identify(path)` consists of: dict of name to function."""
    from mulkinet.features.audio import decode
    from mulkinet.identify.chroma import chroma_of
    from mulkinet.identify.reranking import NEAREST, Reranking

    embedder, search, asked = index.embedder, index.search, []
    nearest = search.nearest
    search.nearest = lambda queries, k: (asked.append(k), nearest(queries, k))[1]
    index.identify(path)
    search.nearest = nearest
    y = decode(path).y
    recording = embedder.from_samples(y)
    embedding = embedder.embed([recording])
    frames = chroma_of(recording, embedder)
    rows, distances = (part[0] for part in nearest(embedding, NEAREST))
    reranking = Reranking(index.data.chroma, 1.0)
    return {
        "decoding": lambda: decode(path),
        f"features ({embedder.feature})": lambda: embedder.from_samples(y),
        "embedding": lambda: embedder.embed([recording]),
        f"search (k {asked})": lambda: [nearest(embedding, k) for k in asked],
        "alignment of 50": lambda: reranking.reorder(frames, rows, distances),
    }


def write_recordings(folder):
    """Writes stereo recordings, as MP3 where libsndfile can: list of pathlib.Path."""
    suffix = "mp3" if "MP3" in soundfile.available_formats() else "flac"
    paths = [folder / f"work{number}" / f"a.{suffix}" for number in range(_N_RECORDINGS)]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True)
        soundfile.write(path, _stereo_chords(number), 44100)
    return paths


def write_large_index(folder, recordings, n_tracks):
    """Writes an index of `n_tracks` tracks, as `Index.build` makes it of a few: its path."""
    from mulkinet import Index
    from mulkinet.identify.chroma import KeptChroma
    from mulkinet.identify.index_file import IDS, write_index
    from mulkinet.identify.search import prepare

    (folder / "one" / "work").mkdir(parents=True)
    shutil.copy(recordings[0], folder / "one" / "work")
    index = Index.build(folder / "i.index", folder / "one", progress=False)
    numbers = np.arange(n_tracks)
    columns = {name: numbers.astype(str).astype(object) for name in IDS}
    columns["work_id"] = (numbers // _TRACKS_A_WORK).astype(str).astype(object)
    rng = np.random.default_rng(0)
    chroma = KeptChroma(
        rng.integers(0, 256, (n_tracks * _CHROMA_FRAMES, 12), np.uint8),
        np.arange(n_tracks + 1) * _CHROMA_FRAMES,
    )
    embeddings = make_embeddings(n_tracks, index.data.embeddings.shape[1])
    data = replace(index.data, ids=columns, embeddings=embeddings, chroma=chroma, survey=None)
    write_index(index.path, prepare(data, click.echo))
    return index.path


def measure_search(n_embeddings):
    """Prints times, memory and recall of exact and approximate search."""
    from mulkinet.identify.search import has_faiss

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        embeddings = make_embeddings(n_embeddings + _N_QUERIES)
        # Queries are performances of works that the index holds others of.
        rows = np.arange(_N_QUERIES) * (n_embeddings // _N_QUERIES)
        np.save(folder / "queries.npy", embeddings[rows])
        np.save(folder / "embeddings.npy", np.delete(embeddings, rows, axis=0))
        del embeddings
        megabytes = n_embeddings * _EMBEDDING_LEN * 4 / 1e6
        click.echo(f"{n_embeddings} embeddings of {_EMBEDDING_LEN}: {megabytes:.0f} MB")
        exact = _in_a_process(search_in, folder, None)
        _print_search("exact", exact)
        if not has_faiss("cosine"):
            click.echo("  FAISS is not installed, so there is no approximate search")
            return
        seconds, cells, peak = _in_a_process(divide_in, folder)
        click.echo(
            f"  dividing into {len(cells.centroids)} cells: {seconds:.1f} s, at most {peak:.0f} MB; "
            f"{cells.probes} probes, recall@10 {cells.recall:.4f} on the index's own tracks"
        )
        approximate = _in_a_process(search_in, folder, cells)
        _print_search("approximate", approximate)
        both = zip(exact["rows"], approximate["rows"])
        shared = np.mean([len(np.intersect1d(a, b)) for a, b in both]) / 10
        click.echo(f"  recall@10 of the approximate search {shared:.4f}")


def search_in(folder, cells):
    """Searches for the 10 nearest: dict of seconds (open, many, one), rows and peak memory in MB."""
    from mulkinet.identify.search import Search

    embeddings, queries = np.load(folder / "embeddings.npy"), np.load(folder / "queries.npy")
    seconds_open, search = _timed(lambda: Search(embeddings, "cosine", cells=cells))
    many = seconds_of(lambda: search.nearest(queries, 10))
    one = seconds_of(lambda: search.nearest(queries[:1], 10))
    rows = search.nearest(queries, 10)[0]
    return {"open": seconds_open, "many": many, "one": one, "rows": rows, "peak": _peak_megabytes()}


def divide_in(folder):
    """Divides the embeddings: (seconds, Cells, peak memory in MB)."""
    from mulkinet.identify.cells import divide

    embeddings = np.load(folder / "embeddings.npy")
    return (*_timed(lambda: divide(embeddings)), _peak_megabytes())


def _in_a_process(function, *arguments):
    # Spawned: a forked one would begin with the memory of this process.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _print_search(name, found):
    click.echo(
        f"  {name}: {_N_QUERIES} queries {1000 * found['many']:.1f} ms, one {1000 * found['one']:.1f} ms; "
        f"opened in {found['open']:.2f} s; at most {found['peak']:.0f} MB"
    )


def _timed(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def _peak_megabytes():
    # Not ru_maxrss, which a process inherits from the one that started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(peak) / 1024


def _stereo_chords(seed):
    """(n_samples, 2) samples at 44.1 kHz: two chords a second, a little noise."""
    rng = np.random.default_rng(seed)
    turns = np.arange(22050, dtype=np.float32) * (2 * np.pi / 44100)
    notes = rng.integers(40, 80, (2 * _RECORDING_SEC, 4))
    hz = (440 * 2 ** ((notes - 69) / 12)).astype(np.float32)
    y = 0.1 * np.concatenate([np.sin(np.outer(turns, chord)).sum(axis=1) for chord in hz])
    return np.stack([y, 0.8 * y], axis=1) + 0.003 * rng.standard_normal((len(y), 2), np.float32)


@click.command(cls=Command)
@click.option("--tracks", default=10_000, type=click.IntRange(100), help="Tracks of the index.")
@click.option("--embeddings", default=1_000_000, type=click.IntRange(200), help="For the search.")
def main(tracks, embeddings):
    """Measure the speed of identification and of search."""
    click.echo(f"{processor()}, {os.cpu_count()} cores")
    measure_recordings(tracks)
    measure_search(embeddings)


if __name__ == "__main__":
    main()
