"""Speed and memory of the evaluator, as ratios in one run.

    python benchmarks/evaluator.py            15000 x 128 with the works of Da-TACOS' benchmark
    python benchmarks/evaluator.py --shs      25000, 50000 and 100000 x 128, works as in SHS100K-TRAIN

Every measurement is made in a process of its own, whose peak memory is therefore its own. Embeddings
are random unit vectors around the centres of their works.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import time

import numpy as np

EMBEDDING_LEN = 128
N_REPEATS = 3
# Works of each size in SHS100K-TRAIN, roughly: 5324 works with 2 to 359 tracks, 87091 in all.
SHS_TRACKS, SHS_WORKS, SHS_LARGEST = 87091, 5324, 359


def da_tacos():
    """(work of each of 15000 tracks): 1000 works of 13, 2000 of 1."""
    return np.concatenate([np.repeat(np.arange(1000), 13), np.arange(1000, 3000)])


def shs(n_tracks):
    """(work of each track), in works distributed as in SHS100K-TRAIN."""
    # A Pareto tail whose mean and mean square are those of the list: 16.4 tracks a work, and
    # 33.6 for the work of a track drawn at random.
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


def rank(embeddings, works):
    """All ranking metrics."""
    from mulkinet.evaluation import evaluate

    return evaluate(embeddings, works, thresholds=False)["MAP"]


def rank_and_thresholds(embeddings, works):
    """All metrics."""
    from mulkinet.evaluation import evaluate

    return evaluate(embeddings, works)["MAP"]


def product(embeddings, works):
    """The bare matrix product of the evaluator's blocks."""
    from mulkinet.evaluation.distances import pair_keys
    from mulkinet.evaluation.ranking import DEFAULT_MEMORY, Blocks
    from mulkinet.evaluation.selection import select_tracks

    selection = select_tracks(works)
    keys = pair_keys(embeddings, selection, distance="cosine")
    blocks = Blocks(keys, len(selection.queries), len(selection.references), memory=DEFAULT_MEMORY)
    blocks.visit(lambda *_: None, "")


def sort(embeddings, works):
    """The full float32 matrix, and every row sorted by numpy, as published code does."""
    return np.argsort(1 - embeddings @ embeddings.T, axis=1)[0, 0]


MEASURED = {function.__name__: function for function in (rank, rank_and_thresholds, product, sort)}


def measure_here(name, n_tracks):
    """Prints the best time in seconds and the peak memory in MB of this process as JSON."""
    embeddings, works = embed(shs(n_tracks) if n_tracks else da_tacos())
    seconds = []
    for _ in range(1 if n_tracks or name == "sort" else N_REPEATS):
        start = time.perf_counter()
        MEASURED[name](embeddings, works)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak /= 1 << 20 if sys.platform == "darwin" else 1 << 10
    print(json.dumps([min(seconds), peak]))


def measure(name, n_tracks=0):
    """(seconds, MB) of a measurement in its own process."""
    command = [sys.executable, __file__, "--measure", name, "--n-tracks", str(n_tracks)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(found.splitlines()[-1])


def report_da_tacos():
    """Prints the table of 15000 tracks."""
    found = {name: measure(name) for name in MEASURED}
    bare, sorting = found["product"][0], found["sort"][0]
    print(f"{'15000 x 128, works of Da-TACOS':34}{'s':>8}{'MB':>8}{'x product':>11}{'sort /':>9}")
    for name, (seconds, peak) in found.items():
        ratios = f"{seconds / bare:>11.1f}{sorting / seconds:>9.1f}"
        print(f"{MEASURED[name].__doc__[:32]:34}{seconds:>8.2f}{peak:>8.0f}{ratios}")


def report_shs():
    """Prints the table of growing sizes."""
    print(f"{'n x 128, works as SHS100K-TRAIN':34}{'s':>8}{'MB':>8}{'ns / pair':>11}")
    for n_tracks in (25000, 50000, 100000):
        for name in ("rank", "rank_and_thresholds"):
            seconds, peak = measure(name, n_tracks)
            label = f"{n_tracks}: {MEASURED[name].__doc__}"
            print(f"{label:34}{seconds:>8.1f}{peak:>8.0f}{1e9 * seconds / n_tracks**2:>11.2f}")


def main():
    """Parses the command line and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shs", action="store_true", help="the large collections")
    parser.add_argument("--measure", choices=MEASURED, help=argparse.SUPPRESS)
    parser.add_argument("--n-tracks", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure_here(arguments.measure, arguments.n_tracks)
        return
    print(f"{platform.processor() or platform.machine()}, numpy {np.__version__}")
    if arguments.shs:
        report_shs()
    else:
        report_da_tacos()


if __name__ == "__main__":
    main()
