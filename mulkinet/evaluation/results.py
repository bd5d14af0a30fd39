"""An evaluation as files: JSON to compare runs by, per-query CSV, embeddings, ids and weights.

The JSON holds `format`, `version`, `scores`, `intervals`, `conventions`, `settings`, `versions` and,
under `queries`, one list per column with a value for each query. What is not a number (MulKINet's
mAP, say) is null.
"""

import csv
import json
import math
import platform
import sys
from pathlib import Path

import numpy as np

import mulkinet
from mulkinet.errors import MulkinetError
from mulkinet.evaluation import metrics
from mulkinet.files.atomic import atomic_path

__all__ = ["describe", "write_json", "read_json", "write_tables", "versions"]

FORMAT = "mulkinet-evaluation"
VERSION = 1
# What runs are compared by.
VALUES = ("AP", "first_rank", "found_at_10")
COUNTS = ("tracks", "works", "queries", "references")


def describe(evaluation, candidates):
    """An evaluator.Evaluation of inputs.Candidates as plain data: a dict that JSON can hold."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "scores": evaluation.scores,
        "intervals": evaluation.intervals,
        "conventions": _without_nan(evaluation.conventions),
        "settings": {**candidates.settings, **evaluation.settings},
        "versions": versions(),
        "queries": _query_columns(evaluation, candidates),
    }


def versions():
    """Versions of Python, of mulkinet and of what it computes with, by name."""
    found = {"mulkinet": mulkinet.__version__, "python": platform.python_version()}
    for name in ("numpy", "tensorflow", "essentia", "matplotlib"):
        if name in sys.modules:
            found[name] = sys.modules[name].__version__
    return {**found, "platform": platform.platform()}


def write_json(path, description):
    """Writes what `describe` gives."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def read_json(path):
    """Reads the dict that `write_json` wrote.

    Raises:
        MulkinetError: It is not there, no such file, incomplete, or from a newer version.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        found = content["format"], int(content["version"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "something else"
        raise MulkinetError(
            f"expected the scores of a run at {path}, found {reason}; "
            "make them with evaluate.py --json"
        ) from error
    if found[0] != FORMAT or found[1] > VERSION:
        raise MulkinetError(
            f"expected {FORMAT} of version {VERSION} or older at {path}, found {found[0]} of "
            f"version {found[1]}; upgrade mulkinet or make it again with evaluate.py --json"
        )
    if not _is_whole(content):
        raise MulkinetError(
            f"expected the scores of a run at {path}, found a part of them; "
            "make them again with evaluate.py --json"
        )
    return content


def write_tables(directory, evaluation, candidates):
    """Writes queries.csv, embeddings.npy and tracks.txt.

    queries.csv has one line per query: its ids, title, number of covers, AP, rank of the first cover
    and number of covers in the first 10. embeddings.npy has a row for each line of tracks.txt
    (`<work> TAB <track>`, or `<work>` where tracks have no ids), ready for --embeddings and --works;
    there is none where distances were evaluated. distance_weights.npz, ready for --distance-weights,
    is there where the distance has weights: kernel (embedding,) and bias.

    Args:
        directory: Folder, made when it is not there.
        evaluation: evaluator.Evaluation.
        candidates: inputs.Candidates it was made from.
    """
    directory = Path(directory)
    columns = _query_columns(evaluation, candidates)
    with atomic_path(directory / "queries.csv") as temporary:
        with open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values()))
    if candidates.distance == "precomputed":
        return
    with atomic_path(directory / "embeddings.npy") as temporary:
        np.save(temporary, np.asarray(candidates.embeddings))
    if candidates.weights is not None:
        with atomic_path(directory / "distance_weights.npz") as temporary:
            kernel, bias = candidates.weights
            np.savez(temporary, kernel=kernel, bias=bias)
    ids = [candidates.work_ids] + ([] if candidates.track_ids is None else [candidates.track_ids])
    with atomic_path(directory / "tracks.txt") as temporary:
        lines = ("\t".join(str(part) for part in row) + "\n" for row in zip(*ids))
        temporary.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")


def _is_whole(content):
    try:
        queries, scores = content["queries"], content["scores"]
        columns = [np.asarray(queries[name], dtype=np.float64) for name in VALUES]
        ids = [queries["work_id"], queries.get("track_id") or queries["work_id"]]
        columns += [np.asarray(column, dtype=str) for column in ids]
        is_even = {column.shape for column in columns} == {(len(ids[0]),)}
        return is_even and scores.keys() >= set(COUNTS)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return False


def _query_columns(evaluation, candidates):
    rows = evaluation.selection.queries
    ranks, counts = evaluation.ranking.ranks, evaluation.ranking.counts
    ids = {
        "work_id": candidates.work_ids,
        "track_id": candidates.track_ids,
        "title": candidates.titles,
    }
    named = {name: np.asarray(column)[rows] for name, column in ids.items() if column is not None}
    values = {
        "covers": counts,
        "AP": metrics.average_precision(ranks, counts),
        "first_rank": metrics.first_rank(ranks, counts).astype(np.int64),
        "found_at_10": metrics.found_at(ranks, counts, 10).astype(np.int64),
    }
    return {name: column.tolist() for name, column in {**named, **values}.items()}


def _without_nan(conventions):
    if conventions is None:
        return None
    return {
        code: {name: None if math.isnan(value) else value for name, value in printed.items()}
        for code, printed in conventions.items()
    }
