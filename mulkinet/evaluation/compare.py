"""Two runs side by side, on the queries that both have."""

from dataclasses import dataclass

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.evaluation.bootstrap import difference
from mulkinet.evaluation.results import COUNTS, VALUES

__all__ = ["Comparison", "compare_runs"]

# Metric to how it follows from the columns of a query.
_METRICS = {
    "MAP": lambda queries: queries["AP"],
    "MR1": lambda queries: queries["first_rank"],
    "MRR": lambda queries: 1 / queries["first_rank"],
    "P@1": lambda queries: (queries["first_rank"] == 1).astype(np.float64),
    "P@10": lambda queries: queries["found_at_10"] / 10,
    "TOP10": lambda queries: queries["found_at_10"],
}


@dataclass(frozen=True)
class Comparison:
    """Two runs on the queries they share.

    Attributes:
        n_queries: How many they share.
        rows: list of dict: `metric`, `a`, `b` (means over the shared queries), `difference` (b - a),
            `low` and `high` (its 95 % interval over works), `p`.
        notes: list of str: why the runs may not be comparable.
    """

    n_queries: int
    rows: list
    notes: list


def compare_runs(a, b, seed=0):
    """Compares two runs query by query, with a paired bootstrap over works.

    Args:
        a: What `results.read_json` gives for one run.
        b: The same for another.
        seed: Of the bootstrap.

    Raises:
        MulkinetError: They share no query.
    """
    keys_a, keys_b = _keys(a), _keys(b)
    place_b = {key: place for place, key in enumerate(keys_b)}
    shared = [(place, place_b[key]) for place, key in enumerate(keys_a) if key in place_b]
    if not shared:
        raise MulkinetError(
            f"expected runs with queries in common, found none among {len(keys_a)} and "
            f"{len(keys_b)}; evaluate both on the same list"
        )
    places_a, places_b = zip(*shared)
    queries_a, queries_b = _columns(a, places_a), _columns(b, places_b)
    works = [keys_a[place][0] for place in places_a]
    rows = []
    for metric, values in _METRICS.items():
        value_a, value_b = values(queries_a), values(queries_b)
        means = {"metric": metric, "a": float(value_a.mean()), "b": float(value_b.mean())}
        rows.append({**means, **difference(value_a, value_b, works, seed)})
    return Comparison(len(shared), rows, _notes(a, b, len(shared)))


def _keys(run):
    # Without track ids the place in the list has to do.
    queries = run["queries"]
    tracks = queries.get("track_id") or range(len(queries["work_id"]))
    return list(zip(queries["work_id"], tracks))


def _columns(run, places):
    places = list(places)
    return {name: np.asarray(run["queries"][name], dtype=np.float64)[places] for name in VALUES}


def _notes(a, b, n_shared):
    notes = [
        f"{name} differ: {a['scores'][name]} and {b['scores'][name]}"
        for name in COUNTS
        if a["scores"][name] != b["scores"][name]
    ]
    if notes:
        notes.append("ranks among other candidates are not comparable")
    if len(_keys(a)) != n_shared or len(_keys(b)) != n_shared:
        notes.append(f"compared on the {n_shared} queries that both have")
    return notes
