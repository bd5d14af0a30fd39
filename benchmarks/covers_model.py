"""Makes the package's model `covers` of trained ones, and says what it is worth on real recordings.

    python train.py --recipe covers --data-dir charts-open.jsonl.gz --tag first
    python train.py --recipe covers --data-dir charts-open.jsonl.gz --tag second --seed 1
    python benchmarks/covers_model.py models/first/best.h5 models/second/best.h5 --real covers80-dev.h5 \
        --real-full covers80-dev-full8.h5 -o mulkinet/pretrained/covers.h5

Several models become members of one, whose embeddings are theirs side by side. The weights are kept as float16, and
embeddings are compared by the scaled cosine distance. What a distance means, by embedding and after alignment, is
fitted to the recordings of --real, with draws of their works that say how uncertain it is. (It was fitted to
performances of charts that the model was not trained on, and moved to the recordings; but covers are nearer to each
other among performances, and a curve of some of the recordings holds better on the others.) Scores are those of the
file that was written. --real is 180 s of each recording, --real-full the whole; excerpts of 30 s, three of each, are
looked for among the whole ones.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np

from mulkinet import FeatureStore, embed, evaluate, load_model, save_model
from mulkinet.data.averaged import at_rate_of
from mulkinet.identify.calibration import calibrate
from mulkinet.identify.chroma import KeptChroma, chromas_in_store
from mulkinet.identify.embedder import Embedder
from mulkinet.identify.reranking import Reranking, spread_of
from mulkinet.identify.search import Search
from mulkinet.models.keyconv import KeyConv

# Share of alignment in the distance of the re-ranked; --rerank 50 of the 81 recordings, 180 s / whole:
# MAP .772 / .793 at .25, .777 / .798 at .35, .769 / .788 at .5.
_WEIGHT = 0.35
_EXCERPT_SEC = 30
_EXCERPTS_AT = (0.25, 0.5, 0.75)


@click.command()
@click.argument("model_files", nargs=-1, required=True)
@click.option("--real", required=True)
@click.option("--real-full", required=True)
@click.option("--false-accept-rate", default=0.01, show_default=True)
@click.option("-o", "--output", default="mulkinet/pretrained/covers.h5", show_default=True)
def main(model_files, real, real_full, false_accept_rate, output):
    """Join, calibrate, write in float16, score."""
    models = [load_model(path) for path in model_files]
    model = KeyConv.joined(models)
    model.distance = "scaled_cosine"
    trained = set().union(*(member.metadata["classes"] for member in models))
    model.metadata["classes"] = sorted(trained)
    recordings = _Collection(model, FeatureStore(real))
    spread = spread_of(recordings.search, recordings.embeddings)
    n_works = len(set(recordings.store.work_ids))
    source = {
        "data_dir": f"{len(recordings.store)} recordings of {n_works} works of covers80",
        "val_ls": "all tracks",
        "synthetic": False,
    }
    fitted = {
        **recordings.fit(false_accept_rate),
        "reranked": {
            **recordings.fit(false_accept_rate, recordings.reranked(spread)),
            "spread": spread,
            "weight": _WEIGHT,
        },
        "source": source,
    }
    model.metadata.setdefault("trained_on", {"data": "performances of charts", "synthetic": True})
    model.metadata["calibration"] = fitted
    save_model(model, output, dtype="float16")
    click.echo(f"{output}: {os.path.getsize(output)} bytes, {model.count_params()} parameters")
    for stage, values in (("by embedding", fitted), ("re-ranked", fitted["reranked"])):
        told = [f"{k} {v}" for k, v in values.items() if not isinstance(v, (list, dict))]
        click.echo(f"  {stage}: {', '.join(told)}")
    shipped = load_model(output)
    whole = _Collection(shipped, FeatureStore(real_full))
    _score("180 s of each", _Collection(shipped, recordings.store), spread)
    _score("whole recordings", whole, spread)
    _score_excerpts(whole, spread)


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

    def reranking(self, spread):
        """The second stage: (its Reranking, the KeptChroma of the tracks)."""
        chroma = KeptChroma.of_tracks(
            chromas_in_store(
                self.store, self.store.work_ids, self.store.track_ids, Embedder(self.model)
            )
        )
        return Reranking(chroma, spread, weight=_WEIGHT), chroma

    def reranked(self, spread):
        """(N, N) distances after alignment."""
        return self.reranking(spread)[0].all_distances(self.embeddings, self.search)

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


def _score_excerpts(collection, spread):
    reranking, chroma = collection.reranking(spread)
    model, works = collection.model, collection.store.work_ids
    store = at_rate_of(model, collection.store)
    typical = model.metadata["calibration"]["typical"]
    search = Search(collection.embeddings, model.distance, typical=typical)
    length = round(_EXCERPT_SEC * store.settings("crema")["frame_rate"])
    found = {"by embedding": [], "re-ranked": []}
    for row, work in enumerate(works):
        x, frames = store.read("crema", row).T, chroma.track(row)
        for place in _EXCERPTS_AT:
            start = int((x.shape[1] - length) * place)
            query = model.embed_batch(x[None, :, start : start + length])
            rows, distances = (part[0] for part in search.nearest(query, len(works)))
            rows, distances = rows[rows != row], distances[rows != row]
            heard = slice(*(int(at * len(frames) / x.shape[1]) for at in (start, start + length)))
            reordered = reranking.reorder(frames[heard], rows, distances)[0]
            for stage, order in (("by embedding", rows), ("re-ranked", reordered)):
                hits = np.flatnonzero(works[order] == work) + 1
                if len(hits):
                    precision = (np.arange(1, len(hits) + 1) / hits).mean()
                    found[stage].append((precision, hits[0]))
    for stage, scores in found.items():
        precision, rank = np.mean(scores, axis=0)
        click.echo(
            f"{_EXCERPT_SEC} s excerpts among whole recordings, {stage}: MAP {precision:.4f}, "
            f"MR1 {rank:.2f}, {len(scores)} queries"
        )


if __name__ == "__main__":
    main()
