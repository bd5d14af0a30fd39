"""The report of an evaluation: one HTML page with everything in it, and its figures as files.

The page asks the network for nothing, opens from disk, and is laid out for a phone and for print.
"""

import base64
import csv
import datetime
import math
import os
import urllib.parse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mulkinet.errors import MulkinetError
from mulkinet.evaluation import metrics
from mulkinet.evaluation.report import curves
from mulkinet.evaluation.results import COUNTS, versions
from mulkinet.files.atomic import atomic_path

try:
    import jinja2

    from mulkinet.evaluation.report import figures
except ImportError as error:
    raise MulkinetError(
        f"a report needs matplotlib and jinja2, found no {error.name}; "
        "install them with pip install mulkinet[report]"
    ) from error

__all__ = ["write_report"]

_HARDEST = 10
_TOP = 10
_MATRIX_WORKS, _MATRIX_TRACKS = 12, 8
_COLOURED_WORKS = 8
_MAP_TRACKS = 5000
_PNG_DPI = 150
# What of the scores is no metric, or is shown elsewhere.
_NUMBERS = {
    "tracks": "tracks",
    "works": "works",
    "queries": "queries",
    "references": "references",
    "excluded_queries": "tracks that are not queries (no other track of their work)",
    "noise_works": "works of such tracks",
    "pairs": "pairs",
    "cover_pairs": "pairs of covers",
}


_DEFINITIONS = {
    "MAP": "Mean over queries of the average precision: covers so far / rank, at the rank of each cover; its mean.",
    "MR1": "Mean over queries of the rank of the first cover; 1 is perfect.",
    "MRR": "Mean of 1 / that rank.",
    "P@k": "Covers among the first k, divided by k.",
    "hit@k": "Share of queries with a cover among the first k.",
    "recall@k": "Covers among the first k, divided by all covers of the query.",
    "TOP10": "Mean number of covers among the first 10; TOP10_total is their sum.",
    "mAP@k": "Average precision of the first k, divided by k or the number of covers, whichever is less.",
    "NDCG": "Covers weighted by 1 / log2(rank + 1), divided by what a perfect order has.",
    "EER": "The error over all pairs, at the distance where the share of covers rejected is that of others accepted.",
    "accuracy": "Share of pairs judged rightly at the best distance; where covers are rare, 'never' scores high too.",
}


@dataclass(frozen=True)
class _Drawing:
    """A figure with its words."""

    name: str
    title: str
    caption: str
    figure: object
    source: str = ""


def write_report(directory, evaluation, candidates, *, model_file=None, beside=(), audio_dir=None):
    """Writes index.html, and figures/<name>.svg and .png.

    Args:
        directory: Folder, made when it is not there.
        evaluation: evaluator.Evaluation with pairs.
        candidates: inputs.Candidates it was made from.
        model_file: The model that was evaluated; training curves are drawn when its log
            (log/<tag>/epochs.csv beside models/<tag>/) is there.
        beside: Other runs, as `results.read_json` gives them, drawn in the figure of first covers.
        audio_dir: Folder that the store was made of, whose recordings the page plays.

    Returns:
        Path of index.html.

    Raises:
        MulkinetError: The folder cannot be written to.
    """
    directory = Path(directory)
    drawings = [
        _saved(directory / "figures", drawing)
        for drawing in _drawings(evaluation, candidates, model_file, beside)
    ]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mulkinet.evaluation.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["number"] = _number
    page = environment.get_template("report.html").render(
        title=_title(candidates),
        settings={**candidates.settings, **evaluation.settings},
        versions=versions(),
        date=datetime.datetime.now().strftime("%Y-%m-%d %H:%M"),
        scores={k: v for k, v in evaluation.scores.items() if k not in _NUMBERS},
        numbers={
            words: evaluation.scores[name]
            for name, words in _NUMBERS.items()
            if name in evaluation.scores
        },
        intervals=evaluation.intervals or {},
        conventions=evaluation.conventions or {},
        drawings=drawings,
        hardest=_hardest(evaluation, candidates, _audio(candidates, audio_dir, directory)),
        chance=_by_chance(evaluation),
        definitions=_DEFINITIONS,
        queries=_queries(evaluation, candidates),
    )
    path = directory / "index.html"
    with atomic_path(path) as temporary:
        # File names may hold bytes that are no UTF-8.
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
    return path


def _drawings(evaluation, candidates, model_file, beside):
    yield _first_cover_drawing(evaluation, candidates, beside)
    yield from _ranking_drawings(evaluation)
    yield from _pair_drawings(evaluation)
    yield _matrix_drawing(evaluation, candidates)
    if candidates.distance != "precomputed":
        yield _map_drawing(evaluation, candidates)
    history = _history(model_file)
    if history:
        yield _Drawing(
            "training",
            "Training",
            "Loss on the training works and MAP on the validation works, by epoch.",
            figures.training_curves(*history),
        )


def _first_cover_drawing(evaluation, candidates, beside):
    ranks, counts = evaluation.ranking.ranks, evaluation.ranking.counts
    caption = "Share of the queries that have a cover among the first so many candidates."
    others = []
    for run in beside:
        # A query of which only the first rank is known has one cover.
        first = np.asarray(run["queries"]["first_rank"])
        curve = curves.first_cover_curve(first, np.ones(len(first), int))
        others.append((f"{_system(run['settings'])}, MAP {run['scores']['MAP']:.3f}", *curve))
        if any(run["scores"][name] != evaluation.scores[name] for name in COUNTS):
            caption += f" {_system(run['settings'])} was evaluated on other tracks."
    return _Drawing(
        "first_cover",
        "Rank of the first cover",
        caption,
        figures.first_cover(
            *curves.first_cover_curve(ranks, counts),
            curves.chance_curve(counts, _n_candidates(evaluation)),
            f"{_system(candidates.settings)}, MAP {evaluation.scores['MAP']:.3f}",
            others,
        ),
    )


def _ranking_drawings(evaluation):
    ranks, counts = evaluation.ranking.ranks, evaluation.ranking.counts
    pooled = curves.pair_precision_recall(evaluation.pairs)
    yield _Drawing(
        "precision_recall",
        "Precision and recall",
        "Along the ranking of each query (interpolated), and of all pairs up to a distance.",
        figures.precision_recall(curves.ranking_precision_recall(ranks, counts), pooled),
    )
    yield _Drawing(
        "work_size",
        "MAP against size of work",
        "The more tracks a work has, the easier it is to find one of them, and the harder to find all. "
        "The area and the label of a point give its number of queries.",
        figures.precision_by_size(*curves.precision_by_size(ranks, counts)),
    )


def _pair_drawings(evaluation):
    pairs, scores = evaluation.pairs, evaluation.scores
    at_tau = None
    if "tau" in scores:
        false_rejects = 1 - scores["recall@tau"]
        errors = (1 - scores["accuracy@tau"]) * scores["pairs"]
        n_others = scores["pairs"] - scores["cover_pairs"]
        at_tau = (errors - false_rejects * scores["cover_pairs"]) / max(n_others, 1), false_rejects
    yield _Drawing(
        "error_trade_off",
        "Errors of a distance threshold",
        "Each point is a threshold on the distance of a pair; lower left is better.",
        figures.error_trade_off(*curves.error_curve(pairs), scores["EER"], at_tau),
    )
    yield _Drawing(
        "distances",
        "Distances of covers and non-covers",
        "A threshold separates what does not overlap. Each histogram has area 1, although there are far "
        "more pairs of non-covers.",
        figures.distance_histograms(
            pairs.distances, pairs.covers, pairs.others, scores["EER_threshold"], scores.get("tau")
        ),
    )


def _matrix_drawing(evaluation, candidates):
    selection = evaluation.selection
    # Evenly spread over the works, so that it is the same sample in every run.
    works = np.unique(selection.query_works)
    chosen = works[np.linspace(0, len(works) - 1, min(_MATRIX_WORKS, len(works))).astype(int)]
    rows, columns, names = [], [], []
    for work in chosen:
        queries = np.flatnonzero(selection.query_works == work)
        queries = queries[selection.own[queries] >= 0][:_MATRIX_TRACKS]
        rows += queries.tolist()
        columns += selection.own[queries].tolist()
        names += [candidates.work_ids[selection.queries[query]] for query in queries]
    caption = "Dark squares on the diagonal are works whose tracks are close to each other."
    if not rows:
        # Queries that are not references: against the references of their works.
        rows = [np.flatnonzero(selection.query_works == work)[0] for work in chosen]
        columns = [np.flatnonzero(selection.reference_works == work)[0] for work in chosen]
        names = [candidates.work_ids[selection.queries[row]] for row in rows]
        caption = "One query of each work (down) against one reference of each (across)."
    distances = np.empty((len(rows), len(columns)))
    whole = np.empty((1, len(selection.references)))
    for place, row in enumerate(rows):
        evaluation.keys.fill(whole, slice(row, row + 1))
        distances[place] = evaluation.keys.distance(whole[0, columns])
    return _Drawing(
        "similarity_matrix",
        f"Distances within and between {len(chosen)} works",
        caption,
        figures.similarity_matrix(distances, names),
    )


def _map_drawing(evaluation, candidates):
    selection = evaluation.selection
    rows = np.union1d(selection.asked, selection.references)
    rows = rows[np.linspace(0, len(rows) - 1, min(_MAP_TRACKS, len(rows))).astype(int)]
    points, shares = curves.principal_plane(np.asarray(candidates.embeddings)[rows])
    works, sizes = np.unique(candidates.work_ids[rows], return_counts=True)
    largest = set(works[np.argsort(-sizes, kind="stable")[:_COLOURED_WORKS]])
    names = [work if work in largest else None for work in candidates.work_ids[rows]]
    return _Drawing(
        "embedding_map",
        "Map of the embeddings",
        f"The two principal components; the {len(largest)} largest works are coloured.",
        figures.embedding_map(points, shares, names),
    )


def _history(model_file):
    # Training writes models/<tag>/best.h5 and log/<tag>/epochs.csv.
    if model_file is None:
        return None
    folder = Path(model_file).resolve().parent
    log = folder.parent.parent / "log" / folder.name / "epochs.csv"
    if not log.is_file():
        return None
    with open(log, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ("epoch", "loss", "MAP")
    if not rows or any(not rows[0].get(column) for column in columns):
        return None
    return [np.array([float(row[column]) for row in rows]) for column in columns]


def _hardest(evaluation, candidates, audio=lambda row: None):
    selection, ranking = evaluation.selection, evaluation.ranking
    precisions = metrics.average_precision(ranking.ranks, ranking.counts)
    first = metrics.first_rank(ranking.ranks, ranking.counts)
    hardest = np.lexsort((selection.queries, -first, precisions))
    # Where all covers come first nothing is hard.
    hardest = hardest[precisions[hardest] < 1][:_HARDEST]
    described = []
    for query in hardest:
        columns, distances, is_cover = curves.nearest(evaluation, query, _TOP)
        found = [
            {
                "name": _name(candidates, row),
                "distance": distance,
                "is_cover": cover,
                "audio": audio(row),
            }
            for row, distance, cover in zip(selection.references[columns], distances, is_cover)
        ]
        described.append(
            {
                "name": _name(candidates, selection.queries[query]),
                "audio": audio(selection.queries[query]),
                "AP": precisions[query],
                "first_rank": int(first[query]),
                "covers": int(ranking.counts[query]),
                "found": found,
            }
        )
    return described


def _queries(evaluation, candidates):
    """Every query: its name, average precision, rank of its first cover, and covers."""
    selection, ranking = evaluation.selection, evaluation.ranking
    columns = (
        metrics.average_precision(ranking.ranks, ranking.counts),
        metrics.first_rank(ranking.ranks, ranking.counts),
        ranking.counts,
    )
    return [
        (_name(candidates, row), float(precision), int(rank), int(covers))
        for row, precision, rank, covers in zip(selection.queries, *columns)
    ]


def _by_chance(evaluation):
    """Scores to expect of an order drawn at random, where every order is as likely.

    The expected average precision of c covers among n candidates is (H + (c - 1) (n - H) / (n - 1)) / n, H being the
    sum of 1 / k up to n: at a cover of rank k one cover is sure, the others are spread over the remaining ranks.
    """
    selection = evaluation.selection
    n = _n_candidates(evaluation)
    covers = evaluation.ranking.counts
    harmonic = np.concatenate([[0], np.cumsum(1 / np.arange(1, len(selection.references) + 1))])
    sums = harmonic[n]
    precision = (sums + (covers - 1) * (n - sums) / np.maximum(n - 1, 1)) / n
    return {
        "MAP": float(precision.mean()),
        "MR1": float(np.mean((n + 1) / (covers + 1))),
        "P@1": float(np.mean(covers / n)),
        "EER": 0.5,
    }


def _n_candidates(evaluation):
    """(n_queries,) candidates of each query, which is none itself."""
    selection = evaluation.selection
    return len(selection.references) - (selection.own >= 0).astype(int)


def _audio(candidates, audio_dir, directory):
    """What gives the address of a track's recording, relative to the page; None where it is not known."""
    store = candidates.tracks and candidates.tracks.store
    if audio_dir is None or store is None or "path" not in store.metadata:
        return lambda row: None

    def address(row):
        name = store.metadata["path"][candidates.tracks.rows[row]]
        file = Path(audio_dir, name)
        if not name or not file.is_file():
            return None
        relative = os.path.relpath(file.absolute(), directory.absolute())
        return urllib.parse.quote(Path(relative).as_posix())

    return address


def _name(candidates, row):
    parts = [str(candidates.work_ids[row])]
    if candidates.track_ids is not None:
        parts.append(str(candidates.track_ids[row]))
    ids = " / ".join(parts)
    if candidates.titles is None or not candidates.titles[row]:
        return ids if len(parts) > 1 else f"{ids} (row {row})"
    return f"{candidates.titles[row]} [{ids}]"


def _system(settings, tracks=""):
    names = ("model_file", "baseline", "embeddings", "distances")
    system = next((str(settings[name]) for name in names if name in settings), "")
    heading = " on ".join(part for part in (system, tracks) if part) or "Evaluation"
    heading += ", re-ranked" if settings.get("rerank") else ""
    return f"{heading} ({settings['feature']})" if settings.get("feature") else heading


def _title(candidates):
    settings = candidates.settings
    return _system(settings, Path(settings.get("test_ls") or settings.get("store", "")).name)


def _saved(folder, drawing):
    for suffix in (".svg", ".png"):
        with atomic_path(folder / f"{drawing.name}{suffix}") as temporary:
            drawing.figure.savefig(temporary, dpi=_PNG_DPI)
    svg = (folder / f"{drawing.name}.svg").read_bytes()
    source = "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")
    return replace(drawing, source=source)


def _number(value):
    if isinstance(value, (int, np.integer)):
        return f"{value:,}"
    if math.isnan(value):
        return "NaN"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if 0 < abs(value) < 0.001 else f"{value:.4f}"
