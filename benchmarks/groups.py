"""How long the groups of a large collection take, with what memory; and how many pairs of real covers are found.

    python benchmarks/groups.py [--tracks 100000]
    python benchmarks/groups.py --real ../shared/data/real/covers80-dev.h5 [--model-file covers]

Without --real: an index of made embeddings, works of one track and a hundredth of two, without chroma, so that what is
timed is the search and the grouping. With --real: the development recordings, each a work of its own; precision and
recall of the pairs by embedding and confirmed by alignment, the index being calibrated as its model is.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import resource
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
from machine import processor

from mulkinet.cli.table import table

_LENGTH = 256
_CALIBRATION = {"intercept": 26.0, "slope": -25.0, "floor": 0.15, "known": 0.5}


class _Made(SimpleNamespace):
    """What `find_groups` asks of an index."""

    def __len__(self):
        return len(self.data)


def made_index(n_tracks, seed=0):
    """An index of random embeddings, of which every hundredth track is near to the one before."""
    from mulkinet.identify.index_file import IDS, IndexData
    from mulkinet.identify.search import Search

    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n_tracks, _LENGTH)).astype(np.float32)
    x[99::100] = x[98::100] + 0.3 * rng.standard_normal((len(x[99::100]), _LENGTH))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    names = np.array([str(number) for number in range(n_tracks)], object)
    ids = dict.fromkeys(IDS, names)
    data = IndexData({"distance": "scaled_cosine"}, ids, x, _CALIBRATION)
    return _Made(data=data, path="made", search=Search(x, "scaled_cosine"))


def of_real(store_path, model_file):
    """Rows of the table of found pairs."""
    from mulkinet import FeatureStore, Index
    from mulkinet.identify.groups import find_groups

    store = FeatureStore(store_path)
    true_work = dict(zip(store.track_ids.tolist(), store.work_ids.tolist()))
    truth = np.asarray(store.work_ids)[:, None] == store.work_ids
    n_true = (truth.sum() - len(store)) // 2
    with tempfile.TemporaryDirectory() as folder:
        index = Index.build(Path(folder) / "i", store_path, model_file, progress=False)
        for rerank in (False, True):
            found = find_groups(index, rerank=rerank, progress=False)
            pairs = [pair for group in found.groups for pair in group.pairs]
            right = sum(true_work[p.a.track_id] == true_work[p.b.track_id] for p in pairs)
            yield (
                "confirmed by alignment" if rerank else "by embedding",
                f"{found.tau:.3f}",
                str(len(pairs)),
                f"{right / max(len(pairs), 1):.2f}",
                f"{right / n_true:.2f}",
            )


@click.command()
@click.option("--tracks", default=100_000, show_default=True)
@click.option("--real")
@click.option("--model-file", default="covers", show_default=True)
def main(tracks, real, model_file):
    """Time, memory; or precision and recall."""
    if real:
        click.echo(
            table([("pairs", "tau", "found", "precision", "recall"), *of_real(real, model_file)])
        )
        return
    from mulkinet.identify.groups import find_groups

    index = made_index(tracks)
    before, start = time.process_time(), time.perf_counter()
    found = find_groups(index, progress=False)
    seconds, busy = time.perf_counter() - start, time.process_time() - before
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    click.echo(f"{processor()}, {os.cpu_count()} cores")
    click.echo(
        f"{tracks} tracks: {len(found.groups)} groups ({tracks // 100} made) in {seconds:.0f} s, "
        f"{busy:.0f} s of processor time; {memory:.0f} MB at the most, embeddings "
        f"{index.data.embeddings.nbytes / 2**20:.0f} MB"
    )


if __name__ == "__main__":
    main()
