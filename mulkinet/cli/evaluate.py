"""`evaluate.py`: ranks a collection and scores the ranking. Public names: `main`."""

import json
import os

import click

from mulkinet.cli.errors import Command
from mulkinet.cli.table import table

__all__ = ["main"]

_SHOWN = ("MAP", "MR1", "MRR", "P@1", "P@5", "P@10", "hit@10", "recall@10", "TOP10", "TOP10_total")
_FILE = click.Path(dir_okay=False)


@click.command(cls=Command)
@click.option("--model-file", type=_FILE, help="Model file of the network to evaluate.")
@click.option("--baseline", help="A baseline instead of a network: mean-chroma.")
@click.option("--embeddings", type=_FILE, help="Anybody's embeddings instead: .npy, with --works.")
@click.option("--distances", type=_FILE, help="Anybody's distances instead: .npy, with --works.")
@click.option(
    "--works", type=_FILE, help="One <work> or <work> TAB <track> a line, in their order."
)
@click.option("--distance", default="cosine", help="How --embeddings are compared.")
@click.option("--data-dir", type=click.Path(), help="Feature store.  [the demo set]")
@click.option("--test-ls", type=_FILE, help="List to rank.  [all tracks; the demo's test list]")
@click.option("--query-ls", type=_FILE, help="List of the queries.  [the tracks to rank]")
@click.option("--feature", help="Feature for a baseline.  [the first of 12 bins]")
@click.option("--gpu", default="0", help="0, or -1 for the CPU.")
@click.option("--batchsize", default=32, type=click.IntRange(1), help="Tracks embedded at a time.")
@click.option(
    "--memory",
    default=64.0,
    type=click.FloatRange(0, min_open=True),
    help="Size of the blocks of distances, MB.",
)
@click.option("--json", "json_file", type=_FILE, help="Write the scores to this file.")
def main(json_file, memory, **options):
    """Rank every track's candidates and score the rankings.

    With no data named, the demo set and its test list are used, and made first when not there.
    """
    from mulkinet.evaluation.evaluator import run_evaluation

    candidates = _candidates(**options)
    evaluation = run_evaluation(**candidates.arguments, memory=memory, progress=True)
    click.echo(_summary(evaluation.scores))
    if json_file:
        _write_json(json_file, {"scores": evaluation.scores, "settings": candidates.settings})


def _candidates(model_file, baseline, embeddings, distances, works, distance, **options):
    from mulkinet.evaluation import inputs

    systems = {
        "--model-file": model_file,
        "--baseline": baseline,
        "--embeddings": embeddings,
        "--distances": distances,
    }
    given = [name for name, value in systems.items() if value]
    if len(given) != 1:
        raise click.UsageError(
            f"expected one of {', '.join(systems)}, found {' and '.join(given) or 'none'}"
        )
    from_file = embeddings or distances
    if bool(from_file) != bool(works):
        raise click.UsageError("--works goes with --embeddings or --distances")
    if from_file:
        lists = options["query_ls"], options["test_ls"]
        return inputs.from_files(
            works, embeddings=embeddings, distances=distances, distance=distance, lists=lists
        )
    tracks = inputs.open_tracks(options["data_dir"], options["test_ls"], options["query_ls"])
    if baseline:
        return inputs.from_baseline(baseline, tracks, feature=options["feature"], progress=True)
    _use_gpu(options["gpu"])
    return inputs.from_model(model_file, tracks, batch_size=options["batchsize"], progress=True)


def _use_gpu(gpu):
    # Before TensorFlow is loaded: it greets the user with a page of notes otherwise.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from mulkinet.devices import parse_gpus, strategy_of

    strategy_of(parse_gpus(gpu), lambda line: click.echo(line, err=True))


def _summary(scores):
    numbers = (
        f"{scores['tracks']} tracks, {scores['works']} works, {scores['queries']} queries, "
        f"{scores['references']} references; {scores['excluded_queries']} tracks are no queries: "
        "no other performance of their work"
    )
    rows = [("metric", "value"), *((name, _number(scores[name])) for name in _SHOWN)]
    return f"{numbers}\n{table(rows)}"


def _number(value):
    return f"{value:.0f}" if value == int(value) and value > 1 else f"{value:.4f}"


def _write_json(path, content):
    from mulkinet.atomic import atomic_path

    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
