"""Makes the package's model `covers` of a trained one, and says what it is worth on real recordings.

    python train.py --recipe covers --data-dir charts-open.jsonl.gz --tag covers
    python benchmarks/covers_model.py models/covers/best.h5 charts-open.jsonl.gz --real covers80-dev.h5 \
        --real-full covers80-dev-full8.h5 -o mulkinet/pretrained/covers.h5

The weights are kept as float16, and embeddings are compared by the scaled cosine distance. What a distance means is
fitted to performances of charts whose works and titles the model was not trained on. Recordings of different works are
nearer to each other than performances are: so the fitted threshold and curve are moved, by the difference between the
distances at which the same share of other works' pairs is accepted among performances and among the recordings of
--real. Scores are those of the file that was written. --real is 180 s of each recording, --real-full the whole;
excerpts of 30 s, three of each, are looked for among the whole ones.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np

from mulkinet import FeatureStore, embed, evaluate, load_model, save_model
from mulkinet.data.averaged import at_rate_of
from mulkinet.evaluation.distances import compare
from mulkinet.evaluation.scaling import typical_neighbourhood
from mulkinet.evaluation.selection import select_tracks
from mulkinet.identify.calibration import calibrate
from mulkinet.identify.search import Search
from mulkinet.sources.charts.chart import read_charts
from mulkinet.sources.charts.chart_store import ChartStore

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
    store, recordings = _unseen(charts, set(model.metadata["classes"])), FeatureStore(real)
    found = calibrate(
        embed(model, store),
        store.work_ids,
        store.track_ids,
        distance=model.distance,
        weights=None,
        false_accept_rate=false_accept_rate,
        known=0.5,
    )
    model.metadata["calibration"] = _moved(found, model, recordings, false_accept_rate)
    save_model(model, output, dtype="float16")
    click.echo(f"{output}: {os.path.getsize(output)} bytes, {model.count_params()} parameters")
    for name, value in model.metadata["calibration"].items():
        click.echo(f"  {name} {value}")
    shipped, whole = load_model(output), FeatureStore(real_full)
    _score("180 s of each", shipped, recordings)
    _score("whole recordings", shipped, whole)
    _score_excerpts(shipped, whole)


def _unseen(path, trained):
    """A store of performances of the charts that share neither work nor title with those trained on."""
    charts, _ = read_charts(path)
    titles = {_plain(chart.title) for chart in charts if chart.work in trained}
    unseen = [c for c in charts if c.work not in trained and _plain(c.title) not in titles]
    return ChartStore(path, charts=unseen)


def _plain(title):
    return "".join(filter(str.isalnum, title.lower()))


def _moved(found, model, recordings, rate):
    """The calibration of performances, moved to the distances of recordings."""
    covers, others = _distances(model, recordings)
    tau = float(np.quantile(others, rate))
    moved_by = tau - found["tau"]
    typical = typical_neighbourhood(embed(model, recordings, feature="crema"))
    n_works = len(set(recordings.work_ids))
    source = {
        "data_dir": f"performances of {found['works']} charts unseen in training, moved by {moved_by:.4f}",
        "val_ls": f"to {len(recordings)} recordings of {n_works} works, on which the shares at tau are",
    }
    return {
        **found,
        "typical": typical,
        "tau": tau,
        "intercept": found["intercept"] - found["slope"] * moved_by,
        "false_accepts": float((others <= tau).mean()),
        "false_rejects": float((covers > tau).mean()),
        "source": source,
    }


def _distances(model, store):
    """Distances of all pairs of covers, and of all others."""
    x, selection = embed(model, store, feature="crema"), select_tracks(np.arange(len(store)) * 0)
    keys = compare(x, selection, distance=model.distance)
    table = np.empty((len(store), len(store)))
    keys.fill(table, slice(0, len(store)))
    first, second = np.triu_indices(len(store), 1)
    distances = keys.distance(table[first, second])
    same = store.work_ids[first] == store.work_ids[second]
    return distances[same], distances[~same]


def _score(what, model, store):
    embeddings = embed(model, store, feature="crema")
    scores = evaluate(embeddings, store.work_ids, distance=model.distance, ci=True)
    low, high = scores["intervals"]["MAP"]
    covers, others = _distances(model, store)
    tau = model.metadata["calibration"]["tau"]
    click.echo(
        f"{what}: MAP {scores['MAP']:.4f} ({low:.3f} - {high:.3f}), MR1 {scores['MR1']:.2f}, "
        f"{len(store)} tracks; at tau {(others <= tau).mean():.4f} of the pairs of other works "
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
