"""What helps, on the demo set: networks side by side, losses and minings, strict invariance.

Every run trains on DEMO-TRAIN, is selected on DEMO-VAL and scored on DEMO-TEST; the table gives
mean and spread (standard deviation) over seeds. The set is synthetic and small: what it shows is
that the parts work and how they compare here, not how they would on recorded music.

    python preprocess.py demo
    python benchmarks/experiments.py networks   each network by its own recipe, scaled down
    python benchmarks/experiments.py losses     pre-training, minings, Lookahead
    python benchmarks/experiments.py strict     published against strict MulKINet

A table takes up to half an hour on one core; `--row NAME` makes some of its rows.
"""

import csv
import os
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from machine import processor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# The demo's network (see the Makefile), narrower, and one with stages and both attentions.
SMALL = {
    "block": "simple",
    "ki_block_num": 1,
    "ki_out_channel": 64,
    "time_field": 24,
    "chnlatt": False,
    "tempatt": False,
}
STAGED = {"block": "wider", "ki_block_num": 2, "ki_out_channel": 64, "time_field": 24}
CROPS = {"n_frames": 160, "augment": "move", "lr": 2e-3}
TRIPLET = {"loss": "triplet", "margin": 0.3, "batchsize": 64}
# On pitch classes: the demo has too few works to teach a network of a constant-Q spectrum what a transposition is.
RESCNN = {"width": 16, "depth": 1, "embedding_len": 128}
RESCNN_CROPS = {"n_frames": 200, "batchsize": 32, "augment": "move"}

# row: (recipe, feature, network options, training options)
NETWORKS = {
    "mulkinet": (
        "mulkinet",
        "hpcp",
        {**SMALL, "ki_out_channel": 128},
        {**CROPS, "max_epoch": 80},
    ),
    "move": (
        "move",
        "hpcp",
        {"n_filters": 32, "embedding_len": 256},
        {"n_frames": 400, "max_epoch": 60, "batchsize": 48},
    ),
    "siamese": (
        "siamese",
        "hpcp",
        {"embedding_len": 128},
        {"max_epoch": 30, "lr": 1e-3},
    ),
    "rescnn": ("rescnn", "hpcp", RESCNN, {**RESCNN_CROPS, "pretrain_epochs": 40, "max_epoch": 10}),
}


def _with_small(**training):
    return "mulkinet", "hpcp", SMALL, {**CROPS, "max_epoch": 30, **training}


def _pretrained(mining):
    return _with_small(**TRIPLET, mining=mining, pretrain_epochs=20, max_epoch=10)


MININGS = ("random", "semihard", "hard", "batch_all")
# A pre-trained run and one from scratch see as many epochs.
LOSSES = {
    "softmax": _with_small(),
    "softmax, lookahead": _with_small(optimizer="lookahead-adam"),
    **{f"scratch, {mining}": _with_small(**TRIPLET, mining=mining) for mining in MININGS},
    "scratch, semihard, lookahead": _with_small(
        **TRIPLET, mining="semihard", optimizer="lookahead-adam"
    ),
    **{f"pre-trained, {mining}": _pretrained(mining) for mining in MININGS},
    "rescnn, scratch": (
        "rescnn",
        "hpcp",
        RESCNN,
        {**RESCNN_CROPS, "pretrain_epochs": 0, "max_epoch": 50},
    ),
    "rescnn, pre-trained": (
        "rescnn",
        "hpcp",
        RESCNN,
        {**RESCNN_CROPS, "pretrain_epochs": 40, "max_epoch": 10},
    ),
}
STRICT = {
    name: ("mulkinet", "hpcp", {**STAGED, "strict_invariance": strict}, {**CROPS, "max_epoch": 50})
    for name, strict in (("published", False), ("strict", True))
}
TABLES = {"networks": NETWORKS, "losses": LOSSES, "strict": STRICT}


@click.command(context_settings={"show_default": True})
@click.argument("table", type=click.Choice(list(TABLES)))
@click.option("--row", "rows", multiple=True, help="Row to make; all by default. Repeatable.")
@click.option("--seeds", default=3, type=click.IntRange(1), help="Runs of each row.")
@click.option("--data-dir", default="datasets/demo.h5", help="Store of the demo set.")
@click.option("--lists", default="meta", help="Folder of DEMO-TRAIN, DEMO-VAL and DEMO-TEST.")
def main(table, rows, seeds, data_dir, lists):
    """Train and score the rows of a table."""
    from mulkinet import FeatureStore

    store, lists = Path(data_dir).resolve(), Path(lists).resolve()
    unknown = set(rows) - set(TABLES[table])
    if unknown:
        raise click.UsageError(
            f"expected rows of {', '.join(TABLES[table])}; found {', '.join(sorted(unknown))}"
        )
    chosen = {name: row for name, row in TABLES[table].items() if not rows or name in rows}
    missing = {feature for _, feature, _, _ in chosen.values()} - set(FeatureStore(store).features)
    if missing:
        raise click.UsageError(
            f"expected {', '.join(sorted(missing))} in {store}, found none; "
            "run python preprocess.py demo"
        )
    print(f"{processor()}, {os.cpu_count()} cores", flush=True)
    for name, row in chosen.items():
        for label, run in _runs(table, name, row):
            found = [run(store, lists, seed) for seed in range(seeds)]
            columns = [f"{key} {_spread([scores[key] for scores in found])}" for key in found[0]]
            print(f"{label:<30} {'  '.join(columns)}", flush=True)


def _runs(table, name, row):
    """(label, function of store, lists and seed) of a row; networks are scored untrained too."""
    recipe, feature, network, training = row
    variants = {name: training}
    if table == "networks":
        untrained = {**training, "max_epoch": 0, "pretrain_epochs": 0}
        variants = {f"{name}, untrained": untrained, name: training}
    for label, options in variants.items():

        def run(store, lists, seed, options=options):
            return _train_and_score(recipe, feature, network, options, store, lists, seed, table)

        yield label, run


def _train_and_score(recipe, feature, network, training, store, lists, seed, table):
    from mulkinet import load_model
    from mulkinet.training.data import TrainingData
    from mulkinet.training.recipes import complete
    from mulkinet.training.run import train

    settings = complete(recipe, {**network, **training, "seed": seed})
    data = TrainingData.open(store, lists / "DEMO-TRAIN", lists / "DEMO-VAL", feature, seed=seed)
    run = {"tag": "run", "gpus": [], "resume": False, "report": _say_nothing}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            _, path = train(settings, lambda: data, **run)
            model = load_model(path)
            seconds = _seconds_per_epoch(Path("log/run"))
        finally:
            os.chdir(before)
    scores = _score(model, data.store, lists / "DEMO-TEST", table == "strict")
    if table == "networks":
        scores["parameters"] = model.count_params()
        scores["s/epoch"] = seconds
        scores["ms/track"] = _embedding_ms(model, data.store)
    return scores


def _seconds_per_epoch(log_dir):
    """Of all stages; 0 where nothing was trained."""
    seconds = []
    for path in log_dir.rglob("epochs.csv"):
        with open(path, newline="", encoding="utf-8") as file:
            seconds += [float(row["seconds"]) for row in csv.DictReader(file) if "seconds" in row]
    return float(np.mean(seconds)) if seconds else 0.0


def _say_nothing(_line):
    pass


def _score(model, store, test_list, transposed):
    from mulkinet.data.lists import read_list, select
    from mulkinet.embedding import embed
    from mulkinet.evaluation.evaluator import run_evaluation

    rows = select(store, read_list(test_list))
    embeddings = embed(model, store, rows=rows)
    options = {"distance": model.distance, "weights": model.distance_weights}
    scores = run_evaluation(embeddings, store.work_ids[rows], **options).scores
    found = {name: scores[name] for name in ("MAP", "MR1", "EER", "accuracy")}
    if transposed:
        found.update(_transposed(model, store, rows, embeddings))
    return found


def _transposed(model, store, rows, embeddings):
    """How far a transposition moves an embedding, and MAP of transposed queries."""
    from mulkinet import evaluate
    from mulkinet.embedding import prepare_track

    feature = model.metadata["feature"]
    moved = np.concatenate(
        [
            model.embed_batch(
                np.roll(prepare_track(model, store.read(feature, row).T), 1 + i % 11, axis=0)[None]
            )
            for i, row in enumerate(rows)
        ]
    )
    n = len(rows)
    scores = evaluate(
        np.concatenate([moved, embeddings]),
        np.tile(store.work_ids[rows], 2),
        track_ids=np.tile(store.track_ids[rows], 2),
        queries=np.arange(n),
        references=np.arange(n, 2 * n),
        distance=model.distance,
    )
    distances = 1 - (moved * embeddings).sum(axis=1)
    return {
        "transposed MAP": scores["MAP"],
        "moved by": distances.mean(),
        "at most": distances.max(),
    }


def _embedding_ms(model, store):
    from mulkinet.embedding import embed

    rows = np.arange(min(64, len(store)))
    embed(model, store, rows=rows)
    began = time.perf_counter()
    embed(model, store, rows=rows)
    return 1000 * (time.perf_counter() - began) / len(rows)


def _spread(values):
    if isinstance(values[0], int):
        return str(values[0])
    return f"{np.mean(values):.3f}" + (f"±{np.std(values, ddof=1):.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
