"""What there is to evaluate: embeddings of a network or a baseline; `files` has precomputed ones.

A loader is a function of (test_ls, query_ls), two list files or None, that gives `Candidates`; so
that the same network can be asked about the tracks to test and those to choose a threshold on.
"""

import functools
from dataclasses import dataclass, field, replace

import numpy as np

from mulkinet.data.lists import describe_left_out, drop_missing, read_list, select
from mulkinet.data.npy_folder import open_data
from mulkinet.data.store import FeatureStore
from mulkinet.evaluation.baselines import check_name, chroma_feature, run_baseline
from mulkinet.evaluation.reranking import DEFAULT_WEIGHT, weight_of

__all__ = [
    "Tracks",
    "Candidates",
    "open_tracks",
    "listed_rows",
    "network_loader",
    "baseline_loader",
]


@dataclass(frozen=True)
class Tracks:
    """Tracks of a store, and which of them are queries and references.

    Attributes:
        store: FeatureStore.
        rows: (N,) rows of the store, each once.
        queries: (Q,) positions in `rows`.
        references: (M,) positions in `rows`.
        names: dict of what they were chosen by: store, and list files.
    """

    store: FeatureStore
    rows: np.ndarray
    queries: np.ndarray
    references: np.ndarray
    names: dict


@dataclass(frozen=True)
class Candidates:
    """What an evaluation takes, from wherever it came.

    Attributes:
        embeddings: (N, embedding); or (Q, M) distances where `distance` is "precomputed", in memory
            or read as they are asked for.
        work_ids: (N,) work of each track.
        track_ids: (N,) id of each track, or None.
        queries: (Q,) rows of the queries, or None for all.
        references: (M,) rows of the references, or None for all.
        distance: Name of the distance.
        weights: (kernel, bias) of "weighted_l1", or None.
        titles: (N,) what a person calls each track, or None.
        settings: dict of where all this came from, to be shown beside the scores.
        tracks: Tracks of the store that it was made from, or None.
        rerank_weight: Share of alignment where the nearest are re-ranked and no validation list says better.
    """

    embeddings: np.ndarray
    work_ids: np.ndarray
    track_ids: np.ndarray = None
    queries: np.ndarray = None
    references: np.ndarray = None
    distance: str = "cosine"
    weights: tuple = None
    titles: np.ndarray = None
    settings: dict = field(default_factory=dict)
    tracks: Tracks = None
    rerank_weight: float = DEFAULT_WEIGHT

    @property
    def arguments(self):
        """The arguments of `evaluate`, as a dict."""
        names = ("embeddings", "work_ids", "track_ids", "queries", "references", "distance")
        return {name: getattr(self, name) for name in (*names, "weights")}


def open_tracks(data_dir=None, test_ls=None, query_ls=None, *, skip_missing=False, check=None):
    """Finds the tracks to evaluate on.

    Args:
        data_dir: A feature store or a folder of .npy files; without one the demo set, made first
            when it is not there.
        test_ls: List of the references, which are the queries as well unless `query_ls` says
            otherwise. By default all tracks of the store; of the demo set, its test list.
        query_ls: List of the queries.
        skip_missing: Leave out tracks of the lists that the store lacks, and works of which one is
            left for that reason among queries and references; `Tracks.names` says how many.
        check: Function of a store that raises MulkinetError where it is of no use: the demo set is
            then not made.

    Returns:
        Tracks.

    Raises:
        MulkinetError: A list or the store is not usable, or they do not fit each other.
    """
    if data_dir is None:
        from mulkinet.sources.demo.demo_set import ensure_demo

        for path in filter(None, (test_ls, query_ls)):
            read_list(path)  # what is wrong with it is told before minutes of composing
        demo = ensure_demo(check=check)
        data_dir, test_ls = demo.store_path, test_ls or demo.lists["TEST"]
    store = open_data(data_dir)
    names = {"store": str(store.path), "test_ls": test_ls, "query_ls": query_ls}
    reference_rows, query_rows, missing = listed_rows(
        store, test_ls, query_ls, skip_missing=skip_missing
    )
    names["missing"] = "; ".join(filter(None, [describe_left_out(store), missing]))
    rows = np.union1d(reference_rows, query_rows)
    return Tracks(
        store,
        rows,
        np.searchsorted(rows, query_rows),
        np.searchsorted(rows, reference_rows),
        {name: str(value) for name, value in names.items() if value},
    )


def listed_rows(store, test_ls, query_ls, *, skip_missing=False):
    """Rows of the references and of the queries.

    Args:
        store: FeatureStore, or anything with its `path`, `rows_by_key` and length.
        test_ls: List of the references, or None for all.
        query_ls: List of the queries, or None for the references.
        skip_missing: As for `open_tracks`.

    Returns:
        (references, queries, missing): (M,) and (Q,) rows, and a line about what was left out, empty
        if nothing was.

    Raises:
        MulkinetError: As for `open_tracks`.
    """
    lists = {path: read_list(path) for path in (test_ls, query_ls) if path}
    rows_of, missing = {}, []
    for path, pairs in lists.items():
        if skip_missing:
            # A work may have one track among the queries and one among the references.
            others = lists[test_ls] + lists.get(query_ls, []) if test_ls else store.rows_by_key
            left = drop_missing(store, pairs, others)
            missing.append(left.describe(path))
            pairs = left.pairs
        rows_of[path] = select(store, pairs, path)
    references = rows_of[test_ls] if test_ls else np.arange(len(store))
    queries = rows_of[query_ls] if query_ls else references
    return references, queries, "; ".join(filter(None, missing))


def network_loader(
    model_file,
    data_dir=None,
    *,
    feature=None,
    batch_size=32,
    pad="wrap",
    distance=None,
    progress=False,
    skip_missing=False,
):
    """A network's embeddings.

    Args:
        model_file: A model file.
        data_dir: A feature store; without one the demo set.
        feature: The store's feature; by default the one the model was trained on.
        batch_size: Tracks embedded at a time.
        pad: What short tracks are filled up with, as for `mulkinet.embed`.
        distance: Distance to compare by; by default the model's.
        progress: Whether to show a progress bar.
        skip_missing: As for `open_tracks`.

    Returns:
        A loader; it raises MulkinetError when the store's features are not the model's.

    Raises:
        MulkinetError: The file is no model.
    """
    from mulkinet.embedding import check_compatible, embed
    from mulkinet.models.model_file import load_model

    model = load_model(model_file)
    system = {
        "model_file": str(model_file),
        "network": model.network,
        **model.options,
        "pad": pad,
        "batchsize": batch_size,
    }

    check = functools.partial(check_compatible, model, feature=feature)

    def loader(test_ls, query_ls):
        tracks = open_tracks(data_dir, test_ls, query_ls, skip_missing=skip_missing, check=check)
        used = check(tracks.store)
        embeddings = embed(
            model,
            tracks.store,
            rows=tracks.rows,
            feature=used,
            batch_size=batch_size,
            pad=pad,
            progress=progress,
        )
        by = distance or model.distance
        weights = model.distance_weights if by == model.distance else None
        found = _of_tracks(embeddings, by, weights, tracks, {**system, "feature": used})
        return replace(found, rerank_weight=weight_of(model.metadata.get("calibration")))

    return loader


def baseline_loader(name, data_dir=None, *, feature=None, skip_missing=False, **options):
    """A baseline's embeddings or distances.

    Args:
        name: One of `baselines.BASELINES`.
        data_dir: A feature store; without one the demo set.
        feature: The store's feature; by default crema, or its first of 12 bins.
        skip_missing: As for `open_tracks`.
        **options: n_workers, progress and report of `baselines.run_baseline`.

    Returns:
        A loader; it raises MulkinetError when there is no feature for it.

    Raises:
        MulkinetError: There is no such baseline.
    """
    check_name(name)
    check = functools.partial(chroma_feature, feature=feature)

    def loader(test_ls, query_ls):
        tracks = open_tracks(data_dir, test_ls, query_ls, skip_missing=skip_missing, check=check)
        embeddings, distance, used = run_baseline(name, tracks, feature=feature, **options)
        return _of_tracks(embeddings, distance, None, tracks, {"baseline": name, "feature": used})

    return loader


def _of_tracks(embeddings, distance, weights, tracks, system):
    store, rows = tracks.store, tracks.rows
    return Candidates(
        embeddings,
        store.work_ids[rows],
        store.track_ids[rows],
        tracks.queries,
        tracks.references,
        distance=distance,
        weights=weights,
        titles=_titles(store, rows),
        settings={**system, **tracks.names},
        tracks=tracks,
    )


def _titles(store, rows):
    title, artist = (store.metadata.get(name) for name in ("title", "artist"))
    if title is None:
        return None
    names = title[rows]
    if artist is None:
        return names
    return np.asarray([f"{t} ({a})" if a else t for t, a in zip(names, artist[rows])])
