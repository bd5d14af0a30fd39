"""`mulkinet identify`: which song is this? Public names: `main`."""

import csv
import io
import json
import os
from pathlib import Path

import click

from mulkinet.cli.errors import Command, report_skipped
from mulkinet.cli.printing import echo
from mulkinet.cli.table import table

__all__ = ["main"]

_FILE = click.Path(dir_okay=False)
_WARNINGS_SHOWN = 3
# Works of a query whose match with it a page shows.
_PICTURES = 5
_SECONDS = click.FloatRange(0, min_open=True)


@click.command(cls=Command)
@click.argument("queries", nargs=-1, required=True, type=click.Path(), metavar="QUERY...")
@click.option("--index", "path", required=True, type=_FILE, help="The index.")
@click.option(
    "--top",
    default=10,
    type=click.IntRange(1),
    help="How many works and tracks to show; of a span, one.",
)
@click.option("--tau", type=float, help="Largest distance of a cover.  [from mulkinet calibrate]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option(
    "--segments",
    "segment_sec",
    type=_SECONDS,
    help="Report spans of time, from windows of this many seconds.",
)
@click.option(
    "--hop",
    "hop_sec",
    type=_SECONDS,
    help="Seconds from one window to the next.  [a quarter of a window]",
)
@click.option(
    "--rerank",
    type=click.IntRange(0),
    metavar="N",
    help="Align the query with its N nearest tracks and order them by both; 0 for none.  [50 where the index can]",
)
@click.option("--report", type=_FILE, help="Write a page to look at and listen to here.")
@click.option("--embed-audio", is_flag=True, help="Make the recordings part of the page.")
@click.option("-n", "--n-workers", default=-1, help="Processes; -1 is one per core.")
@click.option("--model-file", type=_FILE, help="The index's model, if it has moved.")
def main(queries, path, model_file, as_json, as_csv, report, embed_audio, **options):
    """Find out which songs recordings are.

    A QUERY is an audio file, or a folder with all audio in it and below. With --segments, the answer for a
    long recording or a medley says what is played when.
    """
    if as_json and as_csv:
        raise click.UsageError("expected --json or --csv, found both")
    if options["hop_sec"] and not options["segment_sec"]:
        raise click.UsageError("--hop goes with --segments")
    if embed_audio and not report:
        raise click.UsageError("--embed-audio goes with --report")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from mulkinet.identify.index import Index

    if report:
        from mulkinet.identify.pages.answers_page import write_answers_page
    index = Index.open(path, model_file)
    answers = index.identify(_files(queries), n_aligned=_PICTURES if report else 0, **options)
    warnings = [f"{answer.query}: {text}" for answer in answers for text in answer.warnings]
    for line in warnings[:_WARNINGS_SHOWN]:
        click.echo(line, err=True)
    if len(warnings) > _WARNINGS_SHOWN:
        click.echo(f"the same for {len(warnings) - _WARNINGS_SHOWN} more queries", err=True)
    if index.data.calibration is None:
        click.echo(
            "no probabilities: the index is not calibrated; see mulkinet calibrate",
            err=True,
        )
    elif options["rerank"] and "reranked" not in index.data.calibration:
        click.echo(
            "the index was calibrated without re-ranking, so there is no probability; calibrate it again",
            err=True,
        )
    if as_json:
        echo(json.dumps([answer.to_dict() for answer in answers], indent=2))
    elif as_csv:
        echo(_csv(answers), nl=False)
    elif texts := [_text(answer) for answer in answers if not answer.skipped]:
        echo("\n\n".join(texts))
    if report:
        write_answers_page(report, answers, embed_audio=embed_audio)
        echo(f"report: {report}", err=True)
    skipped = [(answer.query, answer.skipped) for answer in answers if answer.skipped]
    report_skipped(skipped, is_all=len(skipped) == len(answers))


def _files(queries):
    from mulkinet.errors import MulkinetError
    from mulkinet.sources.layout import find_audio

    files = []
    for query in queries:
        found = find_audio(query) if Path(query).is_dir() else [Path(query)]
        if not found:
            raise MulkinetError(f"expected audio in {query}, found none; name a file or a folder")
        files += found
    return files


def _text(answer):
    if answer.spans or not answer.works:
        rows = [
            (_work(span.match), f"{_clock(span.start_sec)} - {_clock(span.end_sec)}")
            + _numbers(span.match)
            for span in answer.spans
        ]
        headings = ("work", "from - to")
    else:
        rows = [(_work(match), match.track_id) + _numbers(match) for match in answer.works]
        headings = ("nearest works", "by track")
    lines = [f"{answer.query} ({_clock(answer.seconds)})"]
    if not rows:
        return f"{lines[0]}\nno part of it is within tau of any work in the index"
    lines.append(table([headings + _HEADINGS, *rows]))
    if answer.tracks:
        rows = [(match.track_id, match.work_id) + _numbers(match) for match in answer.tracks]
        lines += ["", table([("nearest tracks", "work") + _HEADINGS, *rows])]
    return "\n".join(lines)


_HEADINGS = ("distance", "probability", "cover")


def _work(match):
    return (
        match.work_id
        if match.title in ("", match.track_id)
        else (f"{match.work_id}: {match.title}")
    )


def _numbers(match):
    chance = "" if match.probability is None else f"{match.probability:.3f}"
    decision = {None: "", True: "yes", False: "no"}[match.is_cover]
    return f"{match.distance:.4f}", chance, decision


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


_MATCH = ("work_id", "track_id", "title", "path", "distance", "probability", "is_cover", "reranked")


def _csv(answers):
    """One row per match: kind is work, track or span; times are those of the query or the span."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["query", "kind", "rank", "start_sec", "end_sec", *_MATCH])
    for answer in answers:
        found = [("work", rank, 0, answer.seconds, match) for rank, match in _ranked(answer.works)]
        found += [
            ("track", rank, 0, answer.seconds, match) for rank, match in _ranked(answer.tracks)
        ]
        found += [
            ("span", rank, span.start_sec, span.end_sec, span.match)
            for rank, span in _ranked(answer.spans)
        ]
        for kind, rank, start, end, match in found:
            times = f"{start:.2f}", f"{end:.2f}"
            values = [getattr(match, name) for name in _MATCH]
            rows.writerow([answer.query, kind, rank, *times, *values])
    return text.getvalue()


def _ranked(items):
    return enumerate(items, start=1)
