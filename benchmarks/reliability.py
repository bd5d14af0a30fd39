"""How far probabilities hold on works that calibration never saw.

A model is calibrated on DEMO-VAL. All performances of the works of DEMO-TEST but the last of each are
indexed from their audio, the last ones are identified, and probabilities are compared with how often
they were right: of all tracks as covers of the query, and of all works, each by its nearest track.

All queries are of works of the index, so probabilities are those for `known` of 1. Each bin holds the
same share of the covers that the probabilities promise; none is empty.

    python benchmarks/reliability.py [--model-file models/demo/best.h5] [--data-dir datasets]
"""

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from mulkinet.cli.errors import Command
from mulkinet.cli.table import table

N_BINS = 5
_ALL_KNOWN = 1 - 1e-9


class Bin(NamedTuple):
    """Pairs of similar probability.

    Attributes:
        low: The least probability.
        high: The greatest.
        n: Pairs.
        promised: Mean probability.
        observed: Share of pairs that are covers.
    """

    low: float
    high: float
    n: int
    promised: float
    observed: float


def reliability(probabilities, is_true, n_bins=N_BINS):
    """Compares probabilities with what came true.

    Args:
        probabilities: (n,) in [0, 1].
        is_true: (n,) bool.
        n_bins: Number of bins; the probabilities of each have the same sum, as far as possible.

    Returns:
        list of Bin, ascending.
    """
    order = np.argsort(probabilities, kind="stable")
    p, truth = np.asarray(probabilities)[order], np.asarray(is_true, float)[order]
    sums = np.cumsum(p)
    cuts = np.searchsorted(sums, sums[-1] * np.arange(1, n_bins) / n_bins) + 1
    parts = zip(np.split(p, cuts), np.split(truth, cuts))
    return [Bin(p[0], p[-1], len(p), p.mean(), truth.mean()) for p, truth in parts if len(p)]


def split(test_ls):
    """The tracks of a list to index, and those to ask for.

    Args:
        test_ls: List file.

    Returns:
        (indexed, asked): lists of (work_id, track_id). Of each work with several tracks the last is asked for.
    """
    from mulkinet.data.lists import read_list

    works = {}
    for work, track in read_list(test_ls):
        works.setdefault(work, []).append(track)
    indexed = [(work, track) for work in works for track in works[work][:-1] or works[work]]
    asked = [(work, tracks[-1]) for work, tracks in works.items() if len(tracks) > 1]
    return indexed, asked


def build_demo_index(folder, demo, model_file, indexed):
    """Builds and calibrates an index of the demo set's audio.

    Args:
        folder: pathlib.Path to make it in.
        demo: mulkinet.sources.demo.demo_set.Demo.
        model_file: Model file.
        indexed: (work_id, track_id) of the tracks to index.

    Returns:
        Index.
    """
    from mulkinet import Index

    for work, track in indexed:
        (folder / "library" / work).mkdir(parents=True, exist_ok=True)
        os.symlink(audio_of(demo, work, track), folder / "library" / work / f"{track}.flac")
    index = Index.build(folder / "demo.index", folder / "library", model_file)
    index.calibrate(data_dir=demo.store_path, val_ls=demo.lists["VAL"])
    return index


def audio_of(demo, work, track):
    """pathlib.Path of a performance of the demo set."""
    return Path(demo.store_path).absolute().parent / "demo_audio" / work / f"{track}.flac"


def judge(index, demo, asked):
    """Identifies performances, and compares the probabilities with the truth.

    Args:
        index: Index of `build_demo_index`.
        demo: mulkinet.sources.demo.demo_set.Demo.
        asked: (work_id, track_id) of performances that the index does not hold.

    Returns:
        dict of "tracks" and "works" to (probabilities (n,), is_true (n,)).
    """
    from mulkinet.identify.calibration import probability

    answers = index.identify([audio_of(demo, *pair) for pair in asked], top=len(index))
    calibration = {**index.data.calibration, "known": _ALL_KNOWN}
    judged = {}
    for kind in ("tracks", "works"):
        pairs = [
            (match.distance, match.work_id == work)
            for answer, (work, _) in zip(answers, asked)
            for match in getattr(answer, kind)
        ]
        distances, is_true = (np.array(column) for column in zip(*pairs))
        judged[kind] = probability(calibration, distances, index.n_works), is_true
    return judged


@click.command(cls=Command)
@click.option("--model-file", default="models/demo/best.h5", help="Model trained on DEMO-TRAIN.")
@click.option("--data-dir", default="datasets", help="Folder of the demo set.")
def main(model_file, data_dir):
    """Print how far probabilities hold on works that calibration never saw."""
    from mulkinet.sources.demo.demo_set import ensure_demo

    demo = ensure_demo(data_dir)
    indexed, asked = split(demo.lists["TEST"])
    with tempfile.TemporaryDirectory() as folder:
        judged = judge(build_demo_index(Path(folder), demo, model_file, indexed), demo, asked)
    for kind, (probabilities, is_true) in judged.items():
        rows = [
            (
                f"{bin.low:.4f} - {bin.high:.4f}",
                str(bin.n),
                f"{bin.promised:.4f}",
                f"{bin.observed:.4f}",
            )
            for bin in reliability(probabilities, is_true)
        ]
        click.echo(table([(f"probability of {kind}", "pairs", "mean", "covers"), *rows]) + "\n")


if __name__ == "__main__":
    main()
