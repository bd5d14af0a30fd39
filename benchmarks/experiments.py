"""What helps, on the demo set: networks side by side, losses and minings, strict invariance.

Every run trains on DEMO-TRAIN, is selected on DEMO-VAL and scored on DEMO-TEST; the table gives
mean and spread (standard deviation) over seeds. The set is synthetic and small: what it shows is
that the parts work and how they compare here, not how they would on recorded music.

    python benchmarks/experiments.py networks           each network by its own recipe, scaled down
    python benchmarks/experiments.py losses --seeds 3   pre-training, minings, Lookahead
    python benchmarks/experiments.py strict --seeds 3   published against strict MulKINet
"""

import os
import tempfile
import time
from pathlib import Path

import click
import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SMALL = {"block": "simple", "ki_block_num": 1, "ki_out_channel": 32, "tempatt": False}
STAGED = {"block": "bottleneck", "ki_block_num": 4, "ki_out_channel": 32}
TRIPLET = {"loss": "triplet", "margin": 0.3, "mining": "semihard", "batchsize": 48}

# name: (recipe, feature, network options, training options)
NETWORKS = {
    "mulkinet": ("mulkinet", "hpcp", STAGED, {"max_epoch": 40, "lr": 2e-3}),
    "move": (
        "move",
        "hpcp",
        {"n_filters": 32, "embedding_len": 256},
        {"n_frames": 400, "max_epoch": 60, "batchsize": 48},
    ),
    "siamese": ("siamese", "hpcp", {"embedding_len": 128}, {"n_frames": 400, "max_epoch": 30}),
    "rescnn": (
        "rescnn",
        "cqt",
        {"width": 8, "depth": 1, "embedding_len": 64},
        {"n_frames": 256, "pretrain_epochs": 30, "max_epoch": 20, "batchsize": 48},
    ),
}
LOSSES = {
    "softmax alone": {"max_epoch": 30},
    "scratch, random": {**TRIPLET, "mining": "random", "max_epoch": 30},
    "scratch, semihard": {**TRIPLET, "max_epoch": 30},
    "scratch, hard": {**TRIPLET, "mining": "hard", "max_epoch": 30},
    "scratch, batch_all": {**TRIPLET, "mining": "batch_all", "max_epoch": 30},
    "pre-trained, semihard": {**TRIPLET, "pretrain_epochs": 20, "max_epoch": 10},
    "pre-trained, hard": {**TRIPLET, "mining": "hard", "pretrain_epochs": 20, "max_epoch": 10},
    "scratch, semihard, lookahead": {**TRIPLET, "optimizer": "lookahead-adam", "max_epoch": 30},
    "softmax, lookahead": {"optimizer": "lookahead-adam", "max_epoch": 30},
}


@click.command(context_settings={"show_default": True})
@click.argument("table", type=click.Choice(["networks", "losses", "strict"]))
@click.option("--seeds", default=1, type=click.IntRange(1), help="Runs of each row.")
@click.option("--data-dir", default="datasets/demo.h5", help="Store of the demo set.")
@click.option("--lists", default="meta", help="Folder of DEMO-TRAIN, DEMO-VAL and DEMO-TEST.")
def main(table, seeds, data_dir, lists):
    """Train and score the rows of a table."""
    store, lists = Path(data_dir).resolve(), Path(lists).resolve()
    rows = {"networks": _networks, "losses": _losses, "strict": _strict}[table]
    for name, run in rows(store, lists):
        found = [run(seed) for seed in range(seeds)]
        columns = [
            f"{key} {_spread([scores[key] for scores in found])}" for key in sorted(found[0])
        ]
        print(f"{name:<30} {'  '.join(columns)}", flush=True)


def _networks(store, lists):
    for name, (recipe, feature, network, training) in NETWORKS.items():
        for label, changes in (("untrained", {"max_epoch": 0, "pretrain_epochs": 0}), ("", {})):
            options = {**training, **changes}

            def run(seed, arguments=(recipe, feature, network, options)):
                return _train_and_score(*arguments, store, lists, seed, costs=True)

            yield f"{name} {label}".strip(), run


def _losses(store, lists):
    for name, training in LOSSES.items():
        options = {"lr": 2e-3, **training}

        def run(seed, options=options):
            return _train_and_score("mulkinet", "hpcp", SMALL, options, store, lists, seed)

        yield name, run


def _strict(store, lists):
    for name, strict in (("published", False), ("strict", True)):
        network = {**STAGED, "strict_invariance": strict}
        options = {"max_epoch": 40, "lr": 2e-3}

        def run(seed, arguments=(network, options)):
            return _train_and_score(
                "mulkinet", "hpcp", *arguments, store, lists, seed, transposed=True
            )

        yield name, run


def _train_and_score(
    recipe, feature, network, training, store, lists, seed, *, costs=False, transposed=False
):
    from mulkinet import load_model
    from mulkinet.experiment import TrainingData, train
    from mulkinet.recipes import complete

    settings = {**complete(recipe, training), "seed": seed}
    data = TrainingData.open(store, lists / "DEMO-TRAIN", lists / "DEMO-VAL", feature, seed=seed)
    run = {"tag": "run", "gpus": [], "resume": False, "report": _say_nothing}
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            began = time.perf_counter()
            _, path = train(network, settings, lambda: data, **run)
            seconds = time.perf_counter() - began
            model = load_model(path)
        finally:
            os.chdir(before)
    scores = _score(model, data.store, lists / "DEMO-TEST", transposed)
    if costs:
        epochs = settings["max_epoch"] + settings["pretrain_epochs"]
        scores["parameters"] = model.count_params()
        scores["s/epoch"] = seconds / epochs if epochs else 0.0
        scores["ms/track"] = _embedding_ms(model, data.store)
    return scores


def _say_nothing(_line):
    pass


def _score(model, store, test_list, transposed):
    from mulkinet.evaluation.embeddings import embed
    from mulkinet.evaluation.evaluator import run_evaluation
    from mulkinet.lists import read_list, select

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
    from mulkinet.evaluation.embeddings import prepare_track

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
    from mulkinet.evaluation.embeddings import embed

    rows = np.arange(min(64, len(store)))
    embed(model, store, rows=rows)
    began = time.perf_counter()
    embed(model, store, rows=rows)
    return 1000 * (time.perf_counter() - began) / len(rows)


def _spread(values):
    if isinstance(values[0], int):
        return str(values[0])
    return f"{np.mean(values):.3f}" + (f"±{np.std(values):.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
