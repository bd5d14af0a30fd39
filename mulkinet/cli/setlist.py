"""`mulkinet setlist`: what is played when?"""

import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import click

from mulkinet.cli.errors import Command, check_any_is_there, report_skipped
from mulkinet.cli.printing import clock, csv_of, echo
from mulkinet.cli.table import table

__all__ = ["main"]

_FILE = click.Path(dir_okay=False)
_PIPE = "-"


@click.command(cls=Command)
@click.argument("recordings", nargs=-1, required=True, type=click.Path(), metavar="LONG...")
@click.option("--index", "path", required=True, type=_FILE, help="The index.")
@click.option(
    "--change-cost",
    type=click.FloatRange(0),
    metavar="C",
    help="Log-odds that a change of work takes; more gives fewer, longer spans.  [1]",
)
@click.option(
    "--least",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Probability below which a span is nothing.  [0.5]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--labels", type=_FILE, help="Write an Audacity label file here; of one recording.")
@click.option("--cue", type=_FILE, help="Write a cue sheet here; of one recording.")
@click.option("--report", type=_FILE, help="Write a page to look at and listen to here.")
@click.option("--embed-audio", is_flag=True, help="Make the recordings part of the page.")
@click.option("-n", "--n-workers", default=-1, help="Processes and threads; -1 is one per core.")
@click.option("--model-file", type=_FILE, help="The index's model, if it has moved.")
def main(
    recordings,
    path,
    as_json,
    as_csv,
    labels,
    cue,
    report,
    embed_audio,
    n_workers,
    model_file,
    **chosen,
):
    """Find out what is played when in concerts, broadcasts and livestreams.

    LONG is an audio file, or - for one from standard input. Every span of time is told with its work, the part of
    the index's track that is played, and a probability; what is between spans is no work of the index.
    """
    if as_json and as_csv:
        raise click.UsageError("expected --json or --csv, found both")
    if (labels or cue) and len(recordings) > 1:
        raise click.UsageError("expected one recording with --labels or --cue, found several")
    if recordings.count(_PIPE) > 1:
        raise click.UsageError("expected - once, found it several times")
    if embed_audio and not report:
        raise click.UsageError("--embed-audio goes with --report")
    if _PIPE not in recordings:
        check_any_is_there(recordings)
    from mulkinet.identify.index import Index
    from mulkinet.identify.labels import audacity_labels, cue_sheet

    if report:
        from mulkinet.identify.pages.set_list_page import write_set_list_page

    options = {name: value for name, value in chosen.items() if value is not None}
    index = Index.open(path, model_file)
    with tempfile.TemporaryDirectory() as folder:
        files = [_from_pipe(folder) if name == _PIPE else Path(name) for name in recordings]
        lists = index.set_list(files, n_workers=n_workers, **options)
    lists = [replace(found, query=name) for found, name in zip(lists, recordings)]
    for found in lists:
        for warning in found.warnings:
            click.echo(f"{found.query}: {warning}", err=True)
    if not lists[0].skipped:
        for file, text in ((labels, audacity_labels), (cue, cue_sheet)):
            if file:
                _write(file, text(lists[0]))
    if as_json:
        echo(json.dumps([found.to_dict() for found in lists], indent=2))
    elif as_csv:
        echo(_csv(lists), nl=False)
    elif texts := [_text(found) for found in lists if not found.skipped]:
        echo("\n\n".join(texts))
    if report:
        write_set_list_page(report, lists, embed_audio=embed_audio)
        echo(f"report: {report}", err=True)
    skipped = [(found.query, found.skipped) for found in lists if found.skipped]
    report_skipped(skipped, is_all=len(skipped) == len(lists))


def _from_pipe(folder):
    """Standard input as a file: formats such as MP4 have to be read from both ends."""
    path = Path(folder) / "stdin"
    with open(path, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return path


def _write(path, text):
    from mulkinet.files.atomic import atomic_path

    with atomic_path(path) as temporary:
        Path(temporary).write_text(text, encoding="utf-8")


def _text(found):
    heading = f"{found.query} ({clock(found.seconds)})"
    if not found.spans:
        return f"{heading}\nno part of it is of a work of the index"
    rows = [
        (
            span.name,
            f"{clock(span.start_sec)} - {clock(span.end_sec)}",
            f"{span.track_id} {clock(span.track_start_sec)} - {clock(span.track_end_sec)}",
            f"{span.probability:.2f}",
        )
        for span in found.spans
    ]
    return f"{heading}\n{table([('work', 'from - to', 'part of track', 'probability'), *rows])}"


def _csv(lists):
    names = ("start_sec", "end_sec", "work_id", "track_id", "title", "path")
    names += ("track_start_sec", "track_end_sec", "probability")
    rows = [("query", *names)]
    for found in lists:
        for span in found.spans:
            values = (getattr(span, name) for name in names)
            rows.append((found.query, *(f"{v:.3f}" if isinstance(v, float) else v for v in values)))
    return csv_of(rows)
