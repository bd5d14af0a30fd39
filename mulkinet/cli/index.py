"""`mulkinet index`: makes and keeps the index of a collection."""

import functools
import os

import click
from click.core import ParameterSource

from mulkinet.cli.errors import Group, report_skipped
from mulkinet.cli.options import accept_partial_option, cluster_options, workers_option
from mulkinet.cli.printing import echo
from mulkinet.files.text import in_one_line

__all__ = ["main"]

_INDEX = click.Path(dir_okay=False)
_batchsize = click.option(
    "--batchsize", default=16, type=click.IntRange(1), help="Tracks embedded at a time."
)
_index = click.option("--index", "path", required=True, type=_INDEX, help="The index.")
_model_file = click.option(
    "--model-file",
    type=click.Path(dir_okay=False),
    help="The index's model, if it has moved.",
)


_layout = click.option(
    "--layout",
    type=click.Choice(["work", "flat", "tree", "csv"]),
    help="work: <work>/<track>. flat: every file a work. tree: the same below, as Artist/Album/Track. csv: a "
    "table of path, work, title.  [csv for a .csv, flat where no audio lies deeper, work]",
)


@click.group(cls=Group)
def main():
    """Build and update the index that mulkinet identify searches."""


@main.command()
@click.argument("collection", type=click.Path())
@click.option("--model-file", default="covers", type=click.Path(), help="A model's file or name.")
@click.option(
    "--baseline", help="Instead of a model: 2dftm or mean-chroma, which need no training."
)
@click.option("--feature", help="Feature of the baseline.  [crema, or a store's first of 12 bins]")
@click.option("-o", "--output", required=True, type=_INDEX, help="The index to make.")
@click.option(
    "--no-alignment", is_flag=True, help="Keep no chroma: identify cannot align queries then."
)
@_layout
@accept_partial_option
@workers_option
@cluster_options(shared_output=True)
@_batchsize
@click.pass_context
def build(
    ctx, collection, model_file, baseline, feature, output, no_alignment, batchsize, **options
):
    """Make the index of a folder of audio, of a table of files, or of a feature store.

    A folder is <dir>/<work>/<track>.<ext>, or flat: every file is a work of its own; --layout knows others.
    Extracted features are kept in ~/.cache/mulkinet/features (or $MULKINET_CACHE/features): an interrupted run
    resumes, and another model of the same feature extracts nothing again. You may delete that folder. With FAISS
    installed, search is exact up to 200000 tracks; beyond, it is approximate, and its measured recall is printed.
    """
    if baseline and ctx.get_parameter_source("model_file") != ParameterSource.DEFAULT:
        raise click.UsageError("expected --model-file or --baseline, found both")
    if feature and not baseline:
        raise click.UsageError("--feature goes with --baseline")
    index = _import_index().build(
        output,
        collection,
        model_file,
        baseline=baseline,
        feature=feature,
        alignment=not no_alignment,
        **options,
        batch_size=batchsize,
        report=_say,
    )
    _report(index, collection)


@main.command()
@click.argument("collection", type=click.Path())
@_index
@_model_file
@click.option(
    "--alignment", is_flag=True, help="Keep chroma from now on, also of tracks that are not new."
)
@_layout
@accept_partial_option
@workers_option
@cluster_options(shared_output=True)
@_batchsize
def add(collection, path, model_file, batchsize, **options):
    """Add new and changed tracks of COLLECTION to an index."""
    index = _import_index().open(path, model_file, report=_say)
    index.add(collection, batch_size=batchsize, **options)
    _report(index, collection)


@main.command()
@click.argument("names", nargs=-1, required=True, metavar="WORK[/TRACK]...")
@_index
@_model_file
def remove(names, path, model_file):
    """Remove works or single tracks from an index."""
    index = _import_index().open(path, model_file, report=_say)
    index.remove(names)
    _report(index)


@main.command()
@click.argument("path", type=_INDEX, metavar="INDEX")
def info(path):
    """Show what an index holds and how it was made."""
    echo(_facts(_import_index().open(path).info()))


@main.command()
@click.argument("path", type=_INDEX, metavar="INDEX")
@click.option("--shards", required=True, type=click.IntRange(2), help="How many.")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False), help="Folder.  [beside the index]"
)
def shard(path, shards, output):
    """Divide an index into several, for machines with less memory.

    mulkinet identify takes several indexes and answers as the whole one would. Indexes of parts of a collection,
    built at the same time on several machines, do as well.
    """
    for made in _import_index().open(path, report=_say).shard(shards, output):
        echo(str(made))


def _import_index():
    from mulkinet.identify.index import Index

    return Index


_say = functools.partial(click.echo, err=True)


def _report(index, collection=None):
    changes = index.changes
    numbers = [(name, getattr(changes, name)) for name in ("added", "replaced", "unchanged")]
    numbers += [("removed", changes.removed), ("embedded", changes.embedded)]
    told = ", ".join(f"{number} {name}" for name, number in numbers if number)
    echo(f"{len(index)} tracks of {index.n_works} works: {index.path} ({told or 'unchanged'})")
    if changes.repeated:
        least_sec = index.embedder.least_sec
        purpose = "was trained on" if index.embedder.trained_sec else "takes at least"
        click.echo(
            f"{changes.repeated} of them are shorter than the {least_sec:.0f} s that the model {purpose}; "
            "they were repeated to that length",
            err=True,
        )
    if collection and os.path.isdir(collection) and (others := _passed_over(collection)):
        click.echo(others, err=True)
    for path, note in changes.notes:
        click.echo(in_one_line(f"{path}: {note}"), err=True)
    report_skipped(changes.skipped)


def _passed_over(collection):
    from mulkinet.sources.layout import describe_passed_over

    return describe_passed_over(collection)


_OF_RERANKED = ("tau", "false_accepts", "false_rejects")


def _facts(info):
    calibration = info.pop("calibration")
    settings = info.pop("feature_settings")
    scalars = {k: v for k, v in settings.items() if not isinstance(v, (str, list, dict))}
    info["feature"] += " (" + ", ".join(f"{k} {v:g}" for k, v in scalars.items()) + ")"
    if info["trained_sec"] is None:
        info["trained_sec"] = "unknown: the model does not say"
    lines = list(info.items())
    if calibration is None:
        lines.append(("calibration", "none, so no probabilities; see mulkinet calibrate"))
    else:
        if source := calibration.get("source"):
            lines.append(("calibrated on", f"{source['data_dir']}, {source['val_ls']}"))
        # Curves and distances are for programs.
        lines += [(k, v) for k, v in calibration.items() if not isinstance(v, (list, dict))]
        if reranked := calibration.get("reranked"):
            lines += [
                ("re-ranked", ", ".join(f"{name} {reranked[name]:.6g}" for name in _OF_RERANKED))
            ]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name.replace('_', ' ').ljust(width)}  {_text(v)}" for name, v in lines)


def _text(value):
    return f"{value:.6g}" if isinstance(value, float) else str(value)
