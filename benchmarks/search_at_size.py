"""What an index of a million tracks takes, to build, to open and per query; and what product quantisation would take.

    data      made embeddings of the package model's length. Their cosines are spread as those of its embeddings of 81
              real recordings are: 0.19 with a deviation of 0.20 between works, a median of 0.68 within. Works have 1 to
              5 tracks, and each query is one more performance of a work that is there.
    build     dividing into cells, surveying, writing
    open      reading the index and making its search, with the memory that it takes beside pages of the file, which
              processes share
    queries   one at a time in one thread, the median of 100 in processor time: exact, and by cells (IVF), with the
              recall@10 against exact
    IVF-PQ    FAISS's, which the index does not use, in the same cells: the index's search over the candidates that it
              gives, and its own order alone, as where there is no room for the embeddings

Names are numbers, and there is no chroma, which is read as it is needed: an index of audio has 6 kB more a track.

    python benchmarks/search_at_size.py [--tracks 1000000] [--folder FOLDER]
"""

import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from machine import processor

from mulkinet.cli.errors import Command

_LENGTH = 512
_MOST_TRACKS = 5
_COSINE_OF_ALL = 0.19
# Share of a performance that is its work's, of a beta distribution.
_WORKS_SHARE = (1.4, 0.9)
_DECAY = 0.65
_N_QUERIES = 100
_NEAREST = 10
_REPEATS = 3
_BLOCK = 1 << 16
_PQ_BYTES = 64
_PQ_CANDIDATES = (500, 1000, 2000)
_PQ_TRAINING = 1 << 14


def make_embeddings(n_tracks, seed=0):
    """Embeddings of works and queries.

    Args:
        n_tracks: How many.
        seed: Of the generator.

    Returns:
        (embeddings, work_of, queries): (n_tracks, 512) and (100, 512) float32 of length 1; (n_tracks,) int.
    """
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, _MOST_TRACKS + 1, n_tracks)
    work_of = np.repeat(np.arange(n_tracks), counts)[:n_tracks]
    centres = _drawn(rng, work_of[-1] + 1)
    embeddings = np.empty((n_tracks, _LENGTH), np.float32)
    for start in range(0, n_tracks, _BLOCK):
        works = work_of[start : start + _BLOCK]
        embeddings[start : start + len(works)] = _performed(rng, centres[works])
    asked = rng.choice(len(centres), _N_QUERIES, replace=False)
    return embeddings, work_of, _performed(rng, centres[asked])


def _drawn(rng, n):
    """(n, 512) unit vectors whose components fall off as those of real embeddings do."""
    spread = (1 + np.arange(_LENGTH, dtype=np.float32)) ** -_DECAY
    x = np.empty((n, _LENGTH), np.float32)
    for start in range(0, n, _BLOCK):
        part = rng.standard_normal((min(_BLOCK, n - start), _LENGTH), np.float32) * spread
        x[start : start + _BLOCK] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return x


def _performed(rng, centres):
    """(n, 512) unit vectors: the work, the performance, and what all music shares."""
    share = rng.beta(*_WORKS_SHARE, (len(centres), 1)).astype(np.float32)
    x = np.sqrt(share) * centres + np.sqrt(1 - share) * _drawn(rng, len(centres))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x *= np.sqrt(1 - _COSINE_OF_ALL)
    x[:, -1] += np.sqrt(_COSINE_OF_ALL)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def build(folder, n_tracks):
    """Writes the index and the queries into a folder, and prints what that took."""
    from mulkinet.identify.index_file import _CONFIG, IDS, IndexData, write_index
    from mulkinet.identify.search import prepare, with_cells

    embeddings, work_of, queries = make_embeddings(n_tracks)
    np.save(folder / "queries.npy", queries)
    _print_cosines(embeddings, work_of)
    names = np.arange(n_tracks).astype(str).astype(object)
    ids = {**dict.fromkeys(IDS, names), "work_id": work_of.astype(str).astype(object)}
    config = {**dict.fromkeys(_CONFIG, ""), "distance": "scaled_cosine"}
    data = IndexData(config, ids, embeddings)
    data = _timed("divide into cells", lambda: with_cells(data, click.echo))
    data = _timed("survey", lambda: prepare(data, click.echo))
    _timed("write", lambda: write_index(folder / "x.index", data))
    size = (folder / "x.index").stat().st_size
    click.echo(
        f"  file: {size / 1e6:.0f} MB, {size / n_tracks:.0f} bytes a track, {4 * _LENGTH} of them its embedding; "
        f"at most {_memory('VmHWM'):.0f} MB of memory"
    )


def _print_cosines(embeddings, work_of):
    part = slice(0, 20_000)
    x, works = embeddings[part], work_of[part]
    follows = works[1:] == works[:-1]
    covers = np.einsum("ij,ij->i", x[1:], x[:-1])[follows]
    others = np.einsum("ij,ij->i", x[: len(x) // 2], x[len(x) // 2 : 2 * (len(x) // 2)])
    click.echo(
        f"  cosines between works: mean {others.mean():.2f}, deviation {others.std():.2f}; within: median "
        f"{np.median(covers):.2f}, deviation {covers.std():.2f}"
    )


def measure(folder):
    """Opens the index, and searches it: prints times, memory and recall."""
    import faiss

    from mulkinet.identify.index_file import read_index
    from mulkinet.identify.search import Search, open_search

    before = _memory("RssAnon")
    start = time.perf_counter()
    data = read_index(folder / "x.index")
    search = open_search(data)
    seconds = time.perf_counter() - start
    click.echo(f"  open: {seconds:.2f} s; {_memory('RssAnon') - before:.0f} MB of its own")
    faiss.omp_set_num_threads(1)
    queries = np.load(folder / "queries.npy")
    exact_search = Search(data.embeddings, "scaled_cosine", survey=data.survey)
    seconds, exact = _queried(exact_search, queries, single=5)
    click.echo(f"  exact: {seconds:.0f} ms a query")
    seconds, found = _queried(search, queries)
    click.echo(
        f"  {search.kind}: {seconds:.1f} ms a query, recall@{_NEAREST} {_recall(found, exact):.3f}; "
        f"{_memory('RssAnon') - before:.0f} MB of its own"
    )
    _measure_pq(data, search, queries, exact)


def _measure_pq(data, search, queries, exact):
    import faiss

    n_cells = len(data.cells.centroids)
    index = faiss.index_factory(_LENGTH, f"IVF{n_cells},PQ{_PQ_BYTES}")
    index.quantizer.add(data.cells.centroids)
    rows = np.linspace(0, len(data) - 1, min(_PQ_TRAINING, len(data))).astype(int)
    start = time.process_time()
    index.train(np.asarray(data.embeddings[rows]))
    for first in range(0, len(data), _BLOCK):
        points = np.ascontiguousarray(data.embeddings[first : first + _BLOCK])
        cells = data.cells.cell[first : first + _BLOCK].astype(np.int64)
        index.add_core(len(points), faiss.swig_ptr(points), None, faiss.swig_ptr(cells))
    built = time.process_time() - start
    index.nprobe = data.cells.probes
    size = len(faiss.serialize_index(index)) / len(data)
    ms, found = _queried(_Quantised(index), queries)
    click.echo(
        f"  IVF-PQ of {_PQ_BYTES} bytes: {built:.0f} s of processor time to build, {size:.0f} bytes a track; alone "
        f"{ms:.1f} ms a query, recall@{_NEAREST} {_recall(found, exact):.3f}"
    )
    for n_candidates in _PQ_CANDIDATES:
        search._approximate = _Quantised(index, n_candidates)
        ms, found = _queried(search, queries)
        click.echo(
            f"  {n_candidates} of its nearest by exact distance: {ms:.1f} ms, recall@{_NEAREST} "
            f"{_recall(found, exact):.3f}"
        )


class _Quantised:
    """A FAISS index, as a Search and as the candidates of one."""

    def __init__(self, index, n_candidates=None):
        self._index, self._n_candidates = index, n_candidates

    def search(self, queries, _k):
        """(Q, n_candidates) rows: its distances are rough, and not scaled."""
        return self._index.search(queries, self._n_candidates)[1]

    def nearest(self, queries, k):
        """(rows, distances)."""
        return self._index.search(queries, k)[::-1]


def _queried(search, queries, single=_N_QUERIES):
    """(milliseconds of processor time of a query, the least median of some rounds; (Q, 10) rows)."""
    rows = search.nearest(queries, _NEAREST)[0]
    medians = []
    for _ in range(_REPEATS):
        seconds = []
        for query in queries[:single]:
            start = time.process_time()
            search.nearest(query[None], _NEAREST)
            seconds.append(time.process_time() - start)
        medians.append(np.median(seconds))
    return 1000 * min(medians), rows


def _recall(found, exact):
    return np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, exact)]) / _NEAREST


def _timed(name, function):
    wall, processor_sec = time.perf_counter(), time.process_time()
    result = function()
    wall, processor_sec = time.perf_counter() - wall, time.process_time() - processor_sec
    click.echo(f"  {name}: {wall:.0f} s, {processor_sec:.0f} s of processor time")
    return result


def _memory(field):
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    [found] = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(found) / 1024


def _in_a_process(function, *arguments):
    # A new one has no memory of what was before.
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)


@click.command(cls=Command)
@click.option("--tracks", default=1_000_000, type=click.IntRange(1000), help="Tracks of the index.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Keep the index here, and use it again."
)
def main(tracks, folder):
    """Measure building, opening and searching of a large index."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        click.echo(f"{tracks} tracks of {_LENGTH}, {processor()}, {os.cpu_count()} cores")
        if not (folder / "x.index").is_file():
            _in_a_process(build, folder, tracks)
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        _in_a_process(measure, folder)


if __name__ == "__main__":
    main()
