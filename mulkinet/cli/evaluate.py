"""`evaluate.py`: ranks a collection and scores the ranking."""

import dataclasses
import math
import os

import click
from click.core import ParameterSource

from mulkinet.cli.errors import Command
from mulkinet.cli.options import cluster_options
from mulkinet.cli.printing import echo
from mulkinet.cli.table import table

__all__ = ["main"]

_SHOWN = (
    *("MAP", "MR1", "MRR", "P@1", "P@5", "P@10", "hit@10", "recall@10", "TOP10", "TOP10_total"),
    *("mAP@10", "NDCG", "EER", "EER_threshold", "accuracy", "accuracy_threshold"),
    *("tau", "accuracy@tau", "precision@tau", "recall@tau"),
)
# What each option is for; elsewhere it would do nothing.
_GOES_WITH = {
    "works": ("embeddings", "distances"),
    "distance": ("embeddings", "model_file"),
    "distance_weights": ("embeddings",),
    "data_dir": ("model_file", "baseline"),
    "feature": ("model_file", "baseline"),
    "batchsize": ("model_file",),
    "pad": ("model_file",),
    "n_workers": ("model_file", "baseline"),
    "rerank": ("model_file", "baseline"),
    "rerank_feature": ("model_file", "baseline"),
}
_FILE = click.Path(dir_okay=False)
_FOLDER = click.Path(file_okay=False)


@click.command(cls=Command)
@click.option("--model-file", type=_FILE, help="Score this network.")
@click.option("--baseline", help="Score a baseline: mean-chroma, 2dftm, qmax or dmax.")
@click.option("--embeddings", type=_FILE, help="Score precomputed embeddings: .npy, with --works.")
@click.option("--distances", type=_FILE, help="Score precomputed distances: .npy, with --works.")
@click.option(
    "--works",
    type=_FILE,
    help="Text file of their tracks, in order: one <work> or <work> TAB <track> per line.",
)
@click.option(
    "--distance",
    help="Distance between embeddings: cosine, scaled_cosine (corrected for tracks that are near to everything), "
    "euclidean, sqeuclidean, transposed_cosine or weighted_l1.  [the model's; of --embeddings cosine]",
)
@click.option(
    "--distance-weights",
    type=_FILE,
    help="Weights of weighted_l1: .npz with kernel and bias.  [ones, 0]",
)
@click.option(
    "--data-dir", type=click.Path(), help="Feature store, or folder of .npy files.  [the demo set]"
)
@click.option(
    "--test-ls",
    type=_FILE,
    help="List of the tracks to rank.  [all; of the demo set its test list]",
)
@click.option("--query-ls", type=_FILE, help="List of the queries.  [the tracks to rank]")
@click.option(
    "--val-ls", type=_FILE, help="List on which to choose the threshold tau, at equal error."
)
@click.option("--skip-missing", is_flag=True, help="Skip listed tracks that are missing.")
@click.option(
    "--feature",
    help="Feature to use.  [the model's; for a baseline crema, or the first of 12 bins]",
)
@click.option("--gpu", default="0", help="GPU to use; -1 for the CPU.")
@click.option("--batchsize", default=32, type=click.IntRange(1), help="Batch size when embedding.")
@click.option(
    "--pad",
    type=click.Choice(["zero", "wrap"]),
    help="Fill short tracks with zeros, as published, or repeat them.  [wrap]",
)
@click.option(
    "--rerank",
    type=click.IntRange(1),
    metavar="N",
    help="Align the N nearest of each query, and order them by both. The share of alignment is chosen on "
    "--val-ls.  [the model's; 0.5]",
)
@click.option("--rerank-feature", help="Feature to align.  [crema, or the first of 12 bins]")
@click.option("-n", "--n-workers", default=-1, help="Threads of alignment; -1 for all processors.")
@click.option(
    "--memory",
    default=64.0,
    type=click.FloatRange(0, min_open=True),
    help="Memory for a block of distances, in MB.",
)
@click.option(
    "--ci",
    is_flag=True,
    help="Add 95 % confidence intervals (bootstrap over works) to the means over queries.",
)
@click.option("--conventions", is_flag=True, help="Add the scores as published code counts them.")
@click.option(
    "--json", "json_file", type=_FILE, help="Write the scores to this file, for mulkinet compare."
)
@click.option(
    "--out",
    type=_FOLDER,
    help="Write per-query results, embeddings and distance weights into this folder.",
)
@click.option("--report", type=_FOLDER, help="Write an HTML report with figures into this folder.")
@click.option(
    "--beside",
    multiple=True,
    type=_FILE,
    help="Another run, written with --json, to draw in the report's figure; several times for several.",
)
@click.option(
    "--audio-dir",
    type=_FOLDER,
    help="Folder the store was made of: the report plays its recordings.",
)
@cluster_options(
    unfit=lambda options: (
        None
        if options["baseline"] in ("qmax", "dmax")
        else "--cluster goes with --baseline qmax or dmax"
    )
)
@click.pass_context
def main(
    ctx,
    test_ls,
    query_ls,
    val_ls,
    memory,
    ci,
    conventions,
    json_file,
    out,
    report,
    beside,
    audio_dir,
    **system,
):
    """Rank every track's candidates and score the rankings.

    Without --data-dir the demo set is used, and made first if it is missing.
    """
    from mulkinet.evaluation.evaluator import run_evaluation
    from mulkinet.evaluation.results import describe, read_json, write_json, write_tables
    from mulkinet.evaluation.thresholds import choose_tau

    if report:
        from mulkinet.evaluation.report.page import write_report
    elif beside or audio_dir:
        raise click.UsageError("--beside and --audio-dir go with --report")
    _check_usage(ctx, system)
    runs = [read_json(path) for path in beside]
    loader = _loader(**system)
    tau, weight, chosen_on = None, None, {}
    if val_ls:
        validation = loader(val_ls, None)
        if system["rerank"]:
            validation, weight = _rerank(validation, system, memory)
        tau = choose_tau(run_evaluation(**validation.arguments, memory=memory).pairs)
        chosen_on = {"val_ls": val_ls, "val_missing": validation.settings.get("missing")}
    candidates, alone = loader(test_ls, query_ls), None
    if system["rerank"]:
        alone = run_evaluation(**candidates.arguments, ci=ci, memory=memory)
        candidates, _ = _rerank(
            candidates, system, memory, candidates.rerank_weight if weight is None else weight
        )
    settings = {name: value for name, value in chosen_on.items() if value}
    candidates = dataclasses.replace(candidates, settings={**candidates.settings, **settings})
    evaluation = run_evaluation(
        **candidates.arguments,
        tau=tau,
        ci=ci,
        conventions=conventions or bool(report),
        memory=memory,
        progress=True,
    )
    if alone:
        click.echo(f"by embedding alone\n{_summary(alone)}\n\n{_rerank_line(candidates.settings)}")
    click.echo(_summary(evaluation))
    if system["baseline"]:
        echo(f"{system['baseline']} of the feature {candidates.settings['feature']}")
    for name in ("missing", "val_missing"):
        if name in candidates.settings:
            echo(candidates.settings[name])
    if conventions:
        click.echo(_conventions(evaluation.conventions))
    if json_file:
        write_json(json_file, describe(evaluation, candidates))
    if out:
        write_tables(out, evaluation, candidates)
    if report:
        page = write_report(
            report,
            evaluation,
            candidates,
            model_file=system["model_file"],
            beside=runs,
            audio_dir=audio_dir,
        )
        echo(f"report: {page}")


def _rerank(candidates, system, memory, weight=None):
    """Candidates re-ranked, and the weight: chosen on them where none is given."""
    from mulkinet.evaluation.evaluator import run_evaluation
    from mulkinet.evaluation.reranking import choose_weight, find_nearest

    nearest = find_nearest(
        candidates,
        system["rerank"],
        feature=system["rerank_feature"],
        n_workers=system["n_workers"],
        progress=True,
    )

    def score(fused):
        return run_evaluation(**fused.arguments, thresholds=False, memory=memory).scores["MAP"]

    weight = choose_weight(nearest, score) if weight is None else weight
    return nearest.fused(weight), weight


def _rerank_line(settings):
    return (
        f"the {settings['rerank']} nearest re-ranked by alignment ({settings['rerank_feature']}, weight "
        f"{settings['rerank_weight']:g}, {settings['rerank_seconds_per_query']:.2f} s per query)"
    )


def _check_usage(ctx, system):
    names = ("model_file", "baseline", "embeddings", "distances")
    given = [name for name in names if system[name]]
    if len(given) != 1:
        raise click.UsageError(
            f"expected one of {', '.join(map(_option, names))}, found "
            f"{' and '.join(map(_option, given)) or 'none'}"
        )
    for name, owners in _GOES_WITH.items():
        is_given = ctx.get_parameter_source(name) != ParameterSource.DEFAULT
        if is_given and given[0] not in owners:
            owners = " or ".join(map(_option, owners))
            raise click.UsageError(f"{_option(name)} goes with {owners}")
    if given[0] in _GOES_WITH["works"] and not system["works"]:
        raise click.UsageError(f"{_option(given[0])} goes with --works")
    if system["rerank_feature"] and not system["rerank"]:
        raise click.UsageError("--rerank-feature goes with --rerank")
    if system["rerank"] and system["baseline"] in ("qmax", "dmax"):
        raise click.UsageError(
            f"--rerank goes with embeddings, {system['baseline']} aligns all pairs"
        )
    if system["distance_weights"] and system["distance"] != "weighted_l1":
        raise click.UsageError("--distance-weights goes with --distance weighted_l1")


def _option(name):
    return "--" + name.replace("_", "-")


def _loader(model_file, baseline, embeddings, distances, works, data_dir, **options):
    from mulkinet.evaluation import files, inputs

    _use_gpu(options["gpu"], with_tensorflow=bool(model_file))
    if works:
        return files.file_loader(
            works,
            embeddings=embeddings,
            distances=distances,
            distance=options["distance"] or "cosine",
            weights=options["distance_weights"],
            skip_missing=options["skip_missing"],
        )
    if baseline:
        return inputs.baseline_loader(
            baseline,
            data_dir,
            feature=options["feature"],
            skip_missing=options["skip_missing"],
            n_workers=options["n_workers"],
            progress=True,
            report=lambda line: click.echo(line, err=True),
        )
    return inputs.network_loader(
        model_file,
        data_dir,
        feature=options["feature"],
        batch_size=options["batchsize"],
        pad=options["pad"] or "wrap",
        distance=options["distance"],
        progress=True,
        skip_missing=options["skip_missing"],
    )


def _use_gpu(gpu, with_tensorflow):
    from mulkinet.evaluation.products import may_have_gpu
    from mulkinet.training.devices import parse_gpus, strategy_of

    gpus = parse_gpus(gpu)
    if with_tensorflow or (gpus and may_have_gpu()):
        strategy_of(gpus, lambda line: click.echo(line, err=True))
    elif not gpus:
        # What needs no network loads TensorFlow only to use a GPU.
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def _summary(evaluation):
    from mulkinet.evaluation.results import COUNTS

    scores, intervals = evaluation.scores, evaluation.intervals
    rows = [("metric", "value") + (("95 % interval",) if intervals else ())]
    for name in _SHOWN:
        if name in scores:
            rows.append((name, _number(scores[name])) + _interval(intervals, name))
    counts = ", ".join(f"{scores[name]} {name}" for name in COUNTS)
    n_excluded = scores["excluded_queries"]
    if n_excluded:
        one = n_excluded == 1
        are, its = ("track is not a query", "its") if one else ("tracks are not queries", "their")
        counts += f"; {n_excluded} {are} (no other track of {its} work)"
    return f"{counts}\n{table(rows)}"


def _interval(intervals, name):
    if not intervals:
        return ()
    if name not in intervals:
        return ("",)
    low, high = intervals[name]
    return (f"{_number(low)} to {_number(high)}",)


def _conventions(conventions):
    printed = [
        (code, "  ".join(f"{name} {_number(value)}" for name, value in values.items()))
        for code, values in conventions.items()
    ]
    width = max(len(code) for code, _ in printed)
    return "\n".join(
        ["", "as published code counts"]
        + [f"{code.ljust(width)}  {values}" for code, values in printed]
    )


def _number(value):
    if math.isnan(value):
        return "nan"
    if 0 < abs(value) < 0.001:
        return f"{value:.4g}"
    return f"{value:.0f}" if value > 1 and value == int(value) else f"{value:.4f}"
