"""Makes the package's model `covers` of a trained one, and says what it is worth on real recordings.

    python train.py --recipe covers --data-dir charts-open.jsonl.gz --tag covers
    python benchmarks/covers_model.py models/covers/best.h5 charts-open.jsonl.gz --real covers80-dev.h5 \
        --real-full covers80-dev-full8.h5 -o mulkinet/pretrained/covers.h5

The weights are kept as float16, and embeddings are compared by the scaled cosine distance. What a distance means is
fitted to performances of charts whose works and titles the model was not trained on: the distance by embedding, and
that after alignment, of a part of the works. Recordings of different works are nearer to each other than performances
are: so the fitted threshold and curve are moved, by the difference between the distances at which the same share of
other works' pairs is accepted among performances and among the recordings of --real. Scores are those of the file that
was written. --real is 180 s of each recording, --real-full the whole; excerpts of 30 s, three of each, are looked for
among the whole ones.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np

from mulkinet import FeatureStore, embed, evaluate, load_model, save_model
from mulkinet.data.averaged import at_rate_of
from mulkinet.evaluation.scaling import typical_neighbourhood
from mulkinet.identify.calibration import calibrate
from mulkinet.identify.chroma import KeptChroma, chromas_in_store
from mulkinet.identify.embedder import Embedder
from mulkinet.identify.reranking import Reranking, spread_of
from mulkinet.identify.search import Search
from mulkinet.sources.charts.chart import read_charts
from mulkinet.sources.charts.chart_store import ChartStore

# Charts whose performances are aligned: four minutes of a processor for 150.
_ALIGNED_CHARTS = 150
_EXCERPT_SEC = 30
_EXCERPTS_AT = (0.25, 0.5, 0.75)


@click.command()
@click.argument("model_file")
@click.argument("charts")
@click.option("--real", required=True)
@click.option("--real-full", required=True)
@click.option("--false-accept-rate", default=0.01, show_default=True)
@click.option("-o", "--output", default="mulkinet/pretrained/covers.h5", show_default=True)
def main(model_file, charts, real, real_full, false_accept_rate, output):
    """Calibrate, write in float16, score."""
    model = load_model(model_file)
    model.distance = "scaled_cosine"
    unseen = _unseen_charts(charts, set(model.metadata["classes"]))
    performances = _Collection(model, ChartStore(charts, charts=unseen))
    recordings = _Collection(model, FeatureStore(real))
    fitted = _moved(performances.fit(false_accept_rate), recordings.distances, recordings)
    fitted["typical"] = typical_neighbourhood(recordings.embeddings)
    aligned = performances
    if len(unseen) > _ALIGNED_CHARTS:
        aligned = _Collection(model, ChartStore(charts, charts=unseen[:_ALIGNED_CHARTS]))
    spread = spread_of(recordings.search, recordings.embeddings)
    reranked = _moved(
        aligned.fit(false_accept_rate, aligned.reranked(spread)),
        recordings.reranked(spread),
        recordings,
    )
    fitted["reranked"] = {**reranked, "spread": spread}
    model.metadata["calibration"] = fitted
    save_model(model, output, dtype="float16")
    click.echo(f"{output}: {os.path.getsize(output)} bytes, {model.count_params()} parameters")
    for name, value in fitted.items():
        click.echo(f"  {name} {value}")
    shipped, whole = load_model(output), FeatureStore(real_full)
    _score("180 s of each", _Collection(shipped, recordings.store), spread)
    _score("whole recordings", _Collection(shipped, whole), spread)
    _score_excerpts(shipped, whole)


def _unseen_charts(path, trained):
    """The charts that share neither work nor title with those trained on."""
    charts, _ = read_charts(path)
    titles = {_plain(chart.title) for chart in charts if chart.work in trained}
    return [c for c in charts if c.work not in trained and _plain(c.title) not in titles]


def _plain(title):
    return "".join(filter(str.isalnum, title.lower()))


class _Collection:
    """A store's tracks and their distances, as an index of them computes these."""

    def __init__(self, model, store):
        self.model, self.store = model, store
        self.embeddings = embed(model, store, feature="crema")
        self.search = Search(self.embeddings, model.distance)
        self.distances = np.full((len(store), len(store)), np.inf)
        rows, distances = self.search.nearest(self.embeddings, len(store))
        np.put_along_axis(self.distances, rows, distances, axis=1)
        np.fill_diagonal(self.distances, np.inf)

    def reranked(self, spread):
        """(N, N) distances after alignment."""
        chroma = KeptChroma.of_tracks(
            chromas_in_store(
                self.store, self.store.work_ids, self.store.track_ids, Embedder(self.model)
            )
        )
        return Reranking(chroma, spread).all_distances(self.embeddings, self.search)

    def fit(self, rate, reranked=None):
        """The calibration of embeddings, or of distances after alignment."""
        return calibrate(
            self.embeddings if reranked is None else reranked,
            self.store.work_ids,
            self.store.track_ids,
            distance=self.model.distance if reranked is None else "precomputed",
            weights=None,
            false_accept_rate=rate,
            known=0.5,
        )

    def split(self, distances):
        """Distances of all pairs of covers, and of all others."""
        works = self.store.work_ids
        same = works[:, None] == works
        return distances[same & ~np.eye(len(works), dtype=bool)], distances[~same]


def _moved(found, distances, recordings):
    """The calibration of performances, moved to the distances of recordings."""
    covers, others = recordings.split(distances)
    tau = float(np.quantile(others, found["false_accepts"]))
    moved_by = tau - found["tau"]
    n_works = len(set(recordings.store.work_ids))
    source = {
        "data_dir": f"performances of {found['works']} charts unseen in training, moved by {moved_by:.4f}",
        "val_ls": f"to {len(recordings.store)} recordings of {n_works} works, on which the shares at tau are",
    }
    return {
        **found,
        "tau": tau,
        "intercept": found["intercept"] - found["slope"] * moved_by,
        "false_accepts": float((others <= tau).mean()),
        "false_rejects": float((covers > tau).mean()),
        "source": source,
    }


def _score(what, collection, spread):
    fitted = collection.model.metadata["calibration"]
    stages = {
        "by embedding": (collection.distances, fitted),
        "re-ranked": (collection.reranked(spread), fitted["reranked"]),
    }
    works = collection.store.work_ids
    for stage, (distances, calibration) in stages.items():
        covers, others = collection.split(distances)
        scores = evaluate(distances, works, distance="precomputed", ci=True)
        low, high = scores["intervals"]["MAP"]
        tau = calibration["tau"]
        click.echo(
            f"{what}, {stage}: MAP {scores['MAP']:.4f} ({low:.3f} - {high:.3f}), MR1 {scores['MR1']:.2f}, "
            f"{len(works)} tracks; at tau {(others <= tau).mean():.4f} of the pairs of other works "
            f"are accepted, {(covers <= tau).mean():.3f} of {len(covers)} pairs of covers"
        )


def _score_excerpts(model, store):
    store = at_rate_of(model, store)
    search = Search(
        embed(model, store), model.distance, typical=model.metadata["calibration"]["typical"]
    )
    length = round(_EXCERPT_SEC * store.settings("crema")["frame_rate"])
    ranks, precisions = [], []
    for row in range(len(store)):
        x = store.read("crema", row).T
        starts = [int((x.shape[1] - length) * place) for place in _EXCERPTS_AT]
        queries = np.stack([x[:, start : start + length] for start in starts])
        for found in search.nearest(model.embed_batch(queries), len(store))[0]:
            others = found[found != row]
            hits = np.flatnonzero(store.work_ids[others] == store.work_ids[row]) + 1
            if len(hits):
                ranks.append(hits[0])
                precisions.append((np.arange(1, len(hits) + 1) / hits).mean())
    click.echo(
        f"{_EXCERPT_SEC} s excerpts among whole recordings: MAP {np.mean(precisions):.4f}, "
        f"MR1 {np.mean(ranks):.2f}, {len(ranks)} queries"
    )


if __name__ == "__main__":
    main()
