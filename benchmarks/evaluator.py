"""Speed and memory of the evaluator, as ratios in one run.

    python benchmarks/evaluator.py            15000 x 128 with the works of Da-TACOS' benchmark
    python benchmarks/evaluator.py --shs      25000, 50000 and 100000 x 128, works as in SHS100K-TRAIN
    python benchmarks/evaluator.py --shs N    so many tracks

Seconds are those of a machine left alone; processor seconds also compare where it is shared.

Every measurement is made in a process of its own, whose peak memory is therefore its own. Embeddings
are random unit vectors around the centres of their works.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
from machine import processor

EMBEDDING_LEN = 128
N_REPEATS = 3
# Works of each size in SHS100K-TRAIN, roughly: 5324 works with 2 to 359 tracks, 87091 in all.
SHS_SIZES = (25000, 50000, 100000)
SHS_TRACKS, SHS_WORKS, SHS_LARGEST = 87091, 5324, 359


def da_tacos():
    """(work of each of 15000 tracks): 1000 works of 13, 2000 of 1."""
    return np.concatenate([np.repeat(np.arange(1000), 13), np.arange(1000, 3000)])


def shs(n_tracks):
    """(work of each track), in works distributed as in SHS100K-TRAIN."""
    # Lognormal, so that means are those of the list: 16.4 tracks a work, and 33.6 in the work of a
    # track drawn at random.
    rng = np.random.default_rng(0)
    n_works = round(n_tracks * SHS_WORKS / SHS_TRACKS)
    sizes = np.clip(rng.lognormal(2.44, 0.85, 2 * n_works), 2, SHS_LARGEST).astype(int)
    sizes = sizes[np.cumsum(sizes) <= n_tracks]
    works = np.repeat(np.arange(len(sizes)), sizes)
    return np.concatenate([works, np.full(n_tracks - len(works), len(sizes))])


def embed(works):
    """(N, 128) float32."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((works.max() + 1, EMBEDDING_LEN), dtype=np.float32)
    embeddings = centres[works] + 1.5 * rng.standard_normal((len(works), EMBEDDING_LEN), np.float32)
    order = rng.permutation(len(works))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings[order], works[order]


# Each gives the function to be timed; what it does before is not.


def rank(embeddings, works):
    """All ranking metrics."""
    from mulkinet.evaluation import evaluate

    return lambda: evaluate(embeddings, works, thresholds=False)


def rank_and_thresholds(embeddings, works):
    """All metrics."""
    from mulkinet.evaluation import evaluate

    return lambda: evaluate(embeddings, works)


def product(embeddings, works):
    """Bare product of the same blocks."""
    from mulkinet.evaluation.distances import compare
    from mulkinet.evaluation.ranking import DEFAULT_MEMORY
    from mulkinet.evaluation.selection import select_tracks

    selection = select_tracks(works)
    keys = compare(embeddings, selection, distance="cosine")
    n_rows = int(DEFAULT_MEMORY * 2**20 / 8) // len(selection.references)
    block = np.empty((n_rows, len(selection.references)))

    def fill():
        for start in range(0, len(selection.queries), n_rows):
            rows = slice(start, min(start + n_rows, len(selection.queries)))
            keys.fill(block[: rows.stop - start], rows)

    return fill


def sort(embeddings, works):
    """Full float32 matrix, rows argsorted."""
    return lambda: np.argsort(1 - embeddings @ embeddings.T, axis=1)


MEASURED = {function.__name__: function for function in (rank, rank_and_thresholds, product, sort)}


def measure_here(name, n_tracks):
    """Prints the best time (s), its processor time (s) and the peak memory (MB) as JSON."""
    embeddings, works = embed(shs(n_tracks) if n_tracks else da_tacos())
    timed = MEASURED[name](embeddings, works)
    found = []
    for _ in range(1 if n_tracks else N_REPEATS):
        start = time.perf_counter(), time.process_time()
        timed()
        found.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak /= 1 << 20 if sys.platform == "darwin" else 1 << 10
    print(json.dumps([*min(found), peak]))


def measure(name, n_tracks=0):
    """(seconds, processor seconds, MB) of a measurement in its own process."""
    command = [sys.executable, __file__, "--measure", name, "--n-tracks", str(n_tracks)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(found.splitlines()[-1])


def report_da_tacos():
    """Prints the table of 15000 tracks."""
    found = {name: measure(name) for name in MEASURED}
    bare, sorting = found["product"][0], found["sort"][0]
    headings = f"{'s':>8}{'CPU s':>8}{'MB':>8}{'/ product':>11}{'sort /':>9}"
    print(f"{'15000 x 128, works of Da-TACOS':38}{headings}")
    for name, (seconds, cpu, peak) in found.items():
        ratios = f"{seconds / bare:>11.1f}{sorting / seconds:>9.1f}"
        print(f"{_label(name):38}{seconds:>8.2f}{cpu:>8.2f}{peak:>8.0f}{ratios}")


def report_shs(sizes):
    """Prints the table of growing sizes."""
    print(
        f"{'n x 128, works as SHS100K-TRAIN':38}{'s':>8}{'CPU s':>8}{'MB':>8}{'CPU ns / pair':>15}"
    )
    for n_tracks in sizes:
        for name in ("rank", "rank_and_thresholds"):
            seconds, cpu, peak = measure(name, n_tracks)
            per_pair = 1e9 * cpu / n_tracks**2
            label = f"{n_tracks}: {_label(name)}"
            print(f"{label:38}{seconds:>8.1f}{cpu:>8.1f}{peak:>8.0f}{per_pair:>15.2f}", flush=True)


def _label(name):
    return MEASURED[name].__doc__.splitlines()[0].rstrip(".")


def main():
    """Parses the command line and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shs", type=int, nargs="*", metavar="N", help="such numbers of tracks")
    parser.add_argument("--measure", choices=MEASURED, help=argparse.SUPPRESS)
    parser.add_argument("--n-tracks", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure_here(arguments.measure, arguments.n_tracks)
        return
    print(f"{processor()}, numpy {np.__version__}")
    if arguments.shs is not None:
        report_shs(arguments.shs or SHS_SIZES)
    else:
        report_da_tacos()


if __name__ == "__main__":
    main()
