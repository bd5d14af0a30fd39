"""Qmax of a pair, of a query's nearest and of all pairs, against essentia and against the products alone.

    python benchmarks/alignment.py [--frames 500] [--tracks 60]

One core; each figure is the least of several runs that take turns, in processor time, which other work on the machine
disturbs less than the clock. All pairs are timed by the clock, on all cores. Without essentia its row is left out.
"""

import argparse
import itertools
import time

import numpy as np
from machine import processor

from mulkinet.alignment import dmax, kernels, qmax
from mulkinet.alignment.chroma import prepare
from mulkinet.alignment.pairs import score_pairs
from mulkinet.alignment.transposition import ranked_transpositions
from mulkinet.identify.chroma import KeptChroma
from mulkinet.identify.reranking import NEAREST, Reranking
from mulkinet.workers import count_workers


def main():
    """Prints the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--frames", type=int, default=500, help="frames of a track")
    arguments.add_argument(
        "--tracks", type=int, default=60, help="tracks of which all pairs are aligned"
    )
    options = arguments.parse_args()
    rng = np.random.default_rng(0)
    x, y = (_song(rng, options.frames) for _ in range(2))
    _time_pair(x, y)
    _time_parts(x, y)
    _time_query([_song(rng, options.frames) for _ in range(NEAREST + 1)])
    _time_all_pairs([_song(rng, options.frames) for _ in range(options.tracks)])


def _song(rng, n_frames):
    # Chords of two seconds over noise: 12 pitch classes at a frame of half a second.
    chords = np.repeat(rng.random((12, n_frames // 4 + 1)) ** 4, 4, axis=1)[:, :n_frames]
    return (chords + 0.2 * rng.random((12, n_frames))).astype(np.float32)


def _time_pair(x, y):
    calls = {"qmax": lambda: qmax(x, y), "dmax": lambda: dmax(x, y)}
    n_repeats = {"qmax": 40, "dmax": 40, "essentia": 3}
    try:
        calls["essentia"] = _essentia(x, y)
    except ImportError:
        print("essentia is not installed: no comparison")
    values = {name: call() for name, call in calls.items()}
    seconds = _least(calls, n_repeats)
    print(f"{processor()}: a pair of {x.shape[1]} x {y.shape[1]} frames, one core")
    for name, value in values.items():
        print(f"  {name:10} {1000 * seconds[name]:8.2f} ms   score {value:g}")
    if "essentia" in calls:
        assert values["qmax"] == values["essentia"], "Qmax is not essentia's"
        print(f"  qmax is {seconds['essentia'] / seconds['qmax']:.0f} times as fast as essentia")


def _essentia(x, y):
    import essentia

    essentia.log.infoActive = False
    import essentia.standard as standard

    plot = standard.ChromaCrossSimilarity(oti=True)
    score = standard.CoverSongSimilarity(distanceType="symmetric")
    frames = [np.ascontiguousarray(part.T) for part in (x, y)]
    return lambda: score(plot(*frames))[1]


def _time_parts(x, y):
    x, y = prepare(x), prepare(y)
    key = ranked_transpositions(x, y)[0]
    moved = y.transposed(key)
    norms = x.norms, moved.norms
    distances = kernels.stack_distances(x.frames, moved.columns, *norms)
    recurrence = kernels.recurrence_of(distances)
    parts = {
        "transposition": lambda: ranked_transpositions(x, y),
        "distances of stacks": lambda: kernels.stack_distances(x.frames, moved.columns, *norms),
        "thresholds, plot": lambda: kernels.recurrence_of(distances),
        "recursion": lambda: kernels.best_qmax(recurrence),
    }
    products = {"12 products a cell alone": lambda: x.frames @ moved.columns}
    seconds = _least({**parts, **products}, dict.fromkeys({**parts, **products}, 40))
    total = sum(seconds[name] for name in parts)
    print("shares of Qmax")
    for name in parts:
        print(f"  {name:26} {1000 * seconds[name]:6.2f} ms  {seconds[name] / total:4.0%}")
    alone = seconds["12 products a cell alone"]
    print(
        f"  12 products a cell alone   {1000 * alone:6.2f} ms: the whole is {total / alone:.0f} times that"
    )


def _time_query(tracks):
    """What `identify --rerank 50` adds to a query."""
    query, *kept = [np.rint(255 * np.clip(track.T, 0, 1)).astype(np.uint8) for track in tracks]
    reranking = Reranking(KeptChroma.of_tracks(kept), spread=1.0)
    rows, distances = np.arange(len(kept)), np.linspace(0, 1, len(kept))
    call = {"query": lambda: reranking.reorder(query, rows, distances)}
    seconds = _least(call, {"query": 10})["query"]
    print(f"a query and its {len(kept)} nearest: {seconds:.3f} s of one core")


def _time_all_pairs(tracks):
    prepared = [prepare(track) for track in tracks]
    for n_workers in sorted({1, count_workers(-1)}):
        pairs = itertools.combinations(prepared, 2)
        start = time.perf_counter()
        n_pairs = sum(map(len, score_pairs(pairs, "qmax", n_workers)))
        seconds = time.perf_counter() - start
        print(
            f"all {n_pairs} pairs of {len(tracks)} tracks, {n_workers} threads: {seconds:.1f} s, "
            f"{1000 * seconds / n_pairs:.2f} ms each"
        )


def _least(calls, n_repeats):
    seconds = dict.fromkeys(calls, float("inf"))
    for repeat in range(max(n_repeats.values())):
        for name, call in calls.items():
            if repeat < n_repeats[name]:
                start = time.process_time()
                call()
                seconds[name] = min(seconds[name], time.process_time() - start)
    return seconds


if __name__ == "__main__":
    main()
