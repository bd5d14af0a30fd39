"""What lead sheets teach: composed against real ones, and five networks on the same ones. Scored on real recordings.

    python preprocess.py charts --compose 5400 -o composed.jsonl.gz
    python benchmarks/lead_sheets.py composer charts-open.jsonl.gz composed.jsonl.gz covers80-dev.h5 --steps 300
    python benchmarks/lead_sheets.py networks charts-open.jsonl.gz covers80-dev.h5 covers80-dev-cqt.h5

`composer`: the recipe covers for as many steps on so many works composed, real, and both. `networks`: every network by
its own recipe, scaled down to the machine, and by that of covers, each for as many minutes; the residual network on
constant-Q spectra, all others on pitch classes, 1.39 frames a second. Networks are trained on performances of the
charts, selected on those of held-out charts, and no recording is seen before the end. MAP has its 95 % interval, a
bootstrap over works. `--row NAME` makes some rows. `style CHARTS` counts what the composer draws from.
"""

import csv
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
from machine import processor

from mulkinet import FeatureStore, embed, evaluate, load_model
from mulkinet.data.lists import hold_out, select
from mulkinet.sources.charts.chart import read_charts
from mulkinet.sources.charts.chart_store import ChartStore
from mulkinet.sources.composer.style import fit_style, write_style
from mulkinet.training.data import TrainingData
from mulkinet.training.recipes import complete
from mulkinet.training.run import train

_PERFORMANCES = 2
_HELD_OUT = 0.1
_LEAST_VALIDATION = 40  # works, of small sets too
_PART = 4  # one in so many charts says how long an epoch takes
_UNTRAINED = {"max_epoch": 0, "pretrain_epochs": 0}

# row: (composed works, real works); None is all.
_WORKS = {
    "real 350": (0, 350),
    "real 1350": (0, None),
    "composed 350": (350, 0),
    "composed 1350": (1350, 0),
    "composed 5400": (5400, 0),
    "real 1350, composed 1350": (1350, None),
    "real 1350, composed 5400": (5400, None),
}

# The networks, of a size that learns in minutes: (feature, network options, what its own recipe has otherwise).
_SIMPLE = {
    "block": "simple",
    "ki_block_num": 1,
    "ki_out_channel": 128,
    "time_field": 16,
    "chnlatt": False,
    "tempatt": False,
    "embedding_len": 256,
}
_PITCH = {"n_frames": 250, "pad": "wrap"}
_NETWORKS = {
    "keyconv": ("keyconv", "crema", {}, {}),
    "mulkinet simple-1": ("mulkinet", "crema", _SIMPLE, _PITCH),
    "mulkinet bottleneck-4": ("mulkinet", "crema", {"block": "bottleneck"}, _PITCH),
    "move": (
        "move",
        "crema",
        {"n_filters": 32, "embedding_len": 256},
        {"n_frames": 800, "pad": "wrap", "augment": "none"},
    ),
    "siamese": ("siamese", "crema", {"embedding_len": 128}, {**_PITCH, "augment": "none"}),
    "rescnn": ("rescnn", "cqt", {"width": 16, "depth": 1, "embedding_len": 128}, {"n_frames": 200}),
}
# Compared by a distance that is learnt with its own loss alone.
_OWN_LOSS = ("siamese",)
# What the recipe covers has besides, where a network is not its own.
_BY_COVERS = {"move": {"n_frames": 800}, "rescnn": {"n_frames": 200}}


@click.group(context_settings={"show_default": True})
def main():
    """Comparisons of what networks are trained on, and the composer's style."""


@main.command()
@click.argument("real_charts")
@click.argument("composed_charts")
@click.argument("recordings")
@click.option("--steps", default=456, help="Steps of each run.")
@click.option("--row", "rows", multiple=True, type=click.Choice(list(_WORKS)))
@click.option("--seeds", default=1)
def composer(real_charts, composed_charts, recordings, steps, rows, seeds):
    """MAP by number of works."""
    sung = [chart for chart in read_charts(real_charts)[0] if chart.melody]
    composed = read_charts(composed_charts)[0]
    print(f"{processor()}, {os.cpu_count()} cores", flush=True)
    for name in rows or _WORKS:
        n_composed, n_real = _WORKS[name]
        stride = 1 if n_real is None else max(1, len(sung) // max(1, n_real))
        charts = composed[:n_composed] + sung[::stride][:n_real]
        for seed in range(seeds):
            data = _data(charts, "crema", seed)
            settings = complete("covers", {"seed": seed})
            per_epoch = -(-len(data.train_rows) // settings["batchsize"])
            settings["max_epoch"] = max(1, round(steps / per_epoch))
            model, seconds = _trained(settings, data)
            done = settings["max_epoch"] * per_epoch
            print(
                f"{name:<26} {done} steps, {seconds / 60:.1f} min: {_score(model, recordings)}",
                flush=True,
            )


@main.command()
@click.argument("charts")
@click.option("-o", "--output", default="mulkinet/sources/composer/style.json.gz")
def style(charts, output):
    """Count what the composer draws from."""
    write_style(output, fit_style(read_charts(charts)[0]))


@main.command()
@click.argument("charts")
@click.argument("recordings")
@click.argument("recordings_cqt")
@click.option("--minutes", default=5.0, help="Of each run, validation included, compiling not.")
@click.option("--row", "rows", multiple=True, type=click.Choice(list(_NETWORKS)))
@click.option("--recipe", "recipes", multiple=True, type=click.Choice(["own", "covers"]))
@click.option("--seed", default=0)
def networks(charts, recordings, recordings_cqt, minutes, rows, recipes, seed):
    """Every network by its own recipe and by that of covers."""
    sung = [chart for chart in read_charts(charts)[0] if chart.melody]
    print(f"{processor()}, {os.cpu_count()} cores", flush=True)
    for name in rows or _NETWORKS:
        model, feature, network, own = _NETWORKS[name]
        scored = recordings_cqt if feature == "cqt" else recordings
        data, part = _data(sung, feature, seed), _data(sung[::_PART], feature, seed)
        untrained, _ = _trained(
            complete(model, {**network, **own, **_UNTRAINED, "seed": seed}), data
        )
        print(
            f"{name:<22} untrained {untrained.count_params()} parameters: {_score(untrained, scored)}",
            flush=True,
        )
        possible = ("own",) if model in _OWN_LOSS else ("own", "covers")
        for recipe in [recipe for recipe in possible if recipe in (recipes or possible)]:
            if recipe == "own":
                settings = complete(model, {**network, **own, "seed": seed})
            else:
                given = {**network, **_BY_COVERS.get(model, {}), "model": model, "seed": seed}
                settings = complete("covers", given)
            settings = _scaled(
                settings, minutes * 60 / (_PART * _seconds_per_epoch(settings, part))
            )
            trained, seconds = _trained(settings, data)
            epochs = settings["max_epoch"] + settings["pretrain_epochs"]
            print(
                f"{name:<22} {recipe:<9} {epochs} epochs, {seconds / 60:.1f} min: {_score(trained, scored)}",
                flush=True,
            )


def _data(charts, feature, seed):
    """TrainingData of charts, some of them held out."""
    store = ChartStore("charts.jsonl", _PERFORMANCES, charts, feature)
    share = max(_HELD_OUT, _LEAST_VALIDATION / len(charts))
    kept, held = hold_out(list(store.rows_by_key), share, seed)
    lists = {"TRAIN": kept, "VAL": held}
    return _InMemory(store, feature, lists, select(store, kept), select(store, held), [])


class _InMemory(TrainingData):
    """Of charts that are in no file."""

    def fingerprint(self):
        """See TrainingData."""
        return "in memory"


def _trained(settings, data):
    """(model, seconds of the run)."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        _, path = train(settings, lambda: data, **_where(folder))
        return load_model(path), time.perf_counter() - began


def _seconds_per_epoch(settings, data):
    """Of the second epoch, when all is compiled."""
    with tempfile.TemporaryDirectory() as folder:
        train({**settings, "max_epoch": 2, "pretrain_epochs": 0}, lambda: data, **_where(folder))
        [path] = Path(folder).rglob("epochs.csv")
        with open(path, newline="", encoding="utf-8") as file:
            return float(list(csv.DictReader(file))[-1]["seconds"])


def _where(folder):
    folders = {"models_dir": f"{folder}/models", "log_dir": f"{folder}/log"}
    return {"tag": "run", "gpus": [], "report": lambda _line: None, **folders}


def _scaled(settings, epochs):
    """As many epochs in all, pre-training and training in the recipe's proportion."""
    before, after = settings["pretrain_epochs"], settings["max_epoch"]
    first = round(epochs * before / (before + after))
    return {**settings, "pretrain_epochs": first, "max_epoch": max(1, round(epochs) - first)}


def _score(model, recordings):
    store = FeatureStore(recordings)
    embeddings = embed(model, store, feature=model.metadata["feature"])
    options = {"distance": model.distance, "weights": model.distance_weights}
    scores = evaluate(embeddings, store.work_ids, ci=True, **options)
    low, high = scores["intervals"]["MAP"]
    return f"MAP {scores['MAP']:.3f} ({low:.2f} - {high:.2f}), MR1 {scores['MR1']:.1f}"


if __name__ == "__main__":
    main()
