"""How fast recordings are identified, and what the search of large indexes costs.

    recording   one 3-minute recording against an index, in a warm process: decoding, features, embedding,
                search; the network is untrained, which changes no time
    search      the exact 10 nearest of 100 queries among embeddings, and the approximate index:
                times, memory, recall

The embeddings are synthetic, as a trained network's are: works of five tracks each around centres
whose spread falls off over the components, as that of principal components does. Of evenly spread
embeddings, whose neighbours are hardly nearer than all others, any cells find less.

    python benchmarks/identify.py [--tracks 100000] [--embeddings 1000000]
"""

import resource
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import soundfile

from mulkinet.cli.errors import Command

_EMBEDDING_LEN = 128
_TRACKS_A_WORK = 5
_N_QUERIES = 100
_RECORDING_SEC = 180
_REPEATS = 5


def make_embeddings(n_tracks, seed=0):
    """Unit embeddings of works of five tracks.

    Args:
        n_tracks: How many.
        seed: Of the generator.

    Returns:
        (n_tracks, 128) float32.
    """
    rng = np.random.default_rng(seed)
    spread = (1 / np.sqrt(1 + np.arange(_EMBEDDING_LEN))).astype(np.float32)
    shape = -(-n_tracks // _TRACKS_A_WORK), _EMBEDDING_LEN
    centres = rng.standard_normal(shape, np.float32)
    noise = rng.standard_normal((n_tracks, _EMBEDDING_LEN), np.float32)
    points = (np.repeat(centres, _TRACKS_A_WORK, axis=0)[:n_tracks] + 0.5 * noise) * spread
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def seconds_of(function):
    """The median wall-clock time of a few calls, after one that warms up."""
    function()
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def measure_recording(n_tracks):
    """Prints the share of each part of identifying one recording."""
    from mulkinet import build_model
    from mulkinet.features.audio import decode
    from mulkinet.features.provenance import SR
    from mulkinet.features.resize import Framing
    from mulkinet.identify.answering import Answering, read_queries
    from mulkinet.identify.extraction import Extraction, stored_settings
    from mulkinet.identify.index_file import IDS, IndexData
    from mulkinet.identify.search import Search

    model = build_model("mulkinet")
    settings = stored_settings("hpcp", Framing(spect_len=500))
    model.metadata = {"feature": "hpcp", "feature_settings": settings, "n_frames": model.n_frames}
    extraction = Extraction(model)
    embeddings = make_embeddings(n_tracks)
    names = np.array([str(number // _TRACKS_A_WORK) for number in range(n_tracks)], dtype=object)
    config = {"trained_sec": extraction.trained_sec}
    data = IndexData(config, dict.fromkeys(IDS, names), embeddings)
    search = Search(embeddings, model.distance)
    answering = Answering(data, extraction, search, tau=None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "query.wav"
        _write_chords(path, SR)
        y = decode(path).y
        recording = extraction.from_samples(y)
        [embedding] = extraction.embed([recording])
        parts = {
            "decoding": lambda: decode(path),
            "features (hpcp)": lambda: extraction.from_samples(y),
            "embedding": lambda: extraction.embed([recording]),
            "search": lambda: search.nearest(embedding[None], 10),
            "all of it": lambda: answering.whole(read_queries([path], extraction, 1), 10),
        }
        click.echo(f"one recording of {_RECORDING_SEC} s against {n_tracks} tracks, {search.kind}")
        for name, function in parts.items():
            click.echo(f"  {name:<16}{1000 * seconds_of(function):9.1f} ms")


def measure_search(n_embeddings):
    """Prints times, memory and recall of exact and approximate search."""
    from mulkinet.identify.cells import divide
    from mulkinet.identify.search import Search

    embeddings = make_embeddings(n_embeddings + _N_QUERIES)
    # Queries are performances of works that the index holds others of.
    rows = np.arange(_N_QUERIES) * (n_embeddings // _N_QUERIES)
    queries = embeddings[rows]
    embeddings = np.ascontiguousarray(np.delete(embeddings, rows, axis=0))
    click.echo(f"{n_embeddings} embeddings of {_EMBEDDING_LEN}: {embeddings.nbytes / 1e6:.0f} MB")
    exact = Search(embeddings, "cosine")
    seconds, expected = _timed(lambda: exact.nearest(queries, 10)[0])
    click.echo(f"  exact, {_N_QUERIES} queries   {1000 * seconds:9.1f} ms  ({_memory()})")
    seconds, cells = _timed(lambda: divide(embeddings))
    click.echo(f"  dividing into {len(cells.centroids)} cells {seconds:6.1f} s")
    seconds, approximate = _timed(lambda: Search(embeddings, "cosine", cells=cells))
    click.echo(f"  opening             {seconds:8.1f} s   ({_memory()})")
    seconds, found = _timed(lambda: approximate.nearest(queries, 10)[0])
    shared = np.mean([len(np.intersect1d(a, b)) for a, b in zip(expected, found)]) / 10
    click.echo(
        f"  approximate, {_N_QUERIES} queries {1000 * seconds:5.1f} ms, recall@10 {shared:.4f} "
        f"({cells.probes} probes; {cells.recall:.4f} as measured on the index's own)"
    )
    one = seconds_of(lambda: approximate.nearest(queries[:1], 10))
    one_exact = seconds_of(lambda: exact.nearest(queries[:1], 10))
    click.echo(f"  one query: exact {1000 * one_exact:.1f} ms, approximate {1000 * one:.1f} ms")


def _timed(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def _memory():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{peak:.0f} MB at most so far"


def _write_chords(path, sr):
    rng = np.random.default_rng(1)
    time_sec = np.arange(sr // 2) / sr
    hz = 440 * 2 ** ((rng.integers(40, 80, (2 * _RECORDING_SEC, 4)) - 69) / 12)
    y = 0.1 * np.sin(2 * np.pi * hz[..., None] * time_sec).sum(axis=1).ravel()
    soundfile.write(path, y, sr)


@click.command(cls=Command)
@click.option("--tracks", default=100_000, type=click.IntRange(100), help="Tracks of the index.")
@click.option("--embeddings", default=1_000_000, type=click.IntRange(200), help="For the search.")
def main(tracks, embeddings):
    """Measure the speed of identification and of search."""
    measure_recording(tracks)
    measure_search(embeddings)


if __name__ == "__main__":
    main()
