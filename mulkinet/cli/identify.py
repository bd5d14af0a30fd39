"""`mulkinet identify`: which song is this?"""

import json
from pathlib import Path

import click

from mulkinet.cli.errors import Command, check_any_is_there, report_skipped
from mulkinet.cli.options import accept_partial_option
from mulkinet.cli.printing import clock, csv_of, echo
from mulkinet.cli.table import table, without_empty
from mulkinet.files.text import in_one_line
from mulkinet.identify.answer_text import chance, rule_text

__all__ = ["main"]

_FILE = click.Path(dir_okay=False)
_WARNINGS_SHOWN = 4
# Works of a query whose match with it a page shows.
_PICTURES = 5
_SECONDS = click.FloatRange(0, min_open=True)


@click.command(cls=Command)
@click.argument("queries", nargs=-1, type=click.Path(), metavar="QUERY...")
@click.option(
    "--list",
    "list_file",
    type=click.File(),
    help="Read queries from this file, a path on a line; - is standard input.",
)
@click.option(
    "--index",
    "paths",
    required=True,
    multiple=True,
    type=_FILE,
    help="The index; several, one option each, are searched as one.",
)
@click.option(
    "--top",
    default=10,
    type=click.IntRange(1),
    help="How many works and tracks to show; of a span, one.",
)
@click.option(
    "--false-alarms",
    type=click.FloatRange(0, 100, min_open=True),
    metavar="N",
    help="Say yes so seldom that N of 100 queries get a wrong one.  [where the probability is .5 or more]",
)
@click.option(
    "--tau",
    type=float,
    help="Distance beyond which nothing is a cover, for an index without probabilities.",
)
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
@click.option(
    "--exclude-self",
    is_flag=True,
    help="Leave the query itself out, where it is a track of the index by its content or path.",
)
@click.option(
    "--start",
    "start_sec",
    default=0.0,
    type=click.FloatRange(0),
    help="Begin at this second of each recording.",
)
@click.option(
    "--duration", "duration_sec", type=_SECONDS, help="Take so many seconds.  [to the end]"
)
@accept_partial_option
@click.option("-n", "--n-workers", default=-1, help="Processes; -1 is one per core.")
@click.option("--model-file", type=_FILE, help="The index's model, if it has moved.")
def main(queries, list_file, paths, model_file, as_json, as_csv, report, embed_audio, **options):
    """Find out which songs recordings are.

    A QUERY is an audio file, or a folder with all audio in it and below. With --segments, the answer for a
    long recording or a medley says what is played when. The probabilities of a recording's works and of "none of
    these" sum to 1.
    """
    if as_json and as_csv:
        raise click.UsageError("expected --json or --csv, found both")
    if list_file is not None:
        queries += tuple(line.rstrip("\r\n") for line in list_file if line.strip())
    if not queries:
        raise click.UsageError("expected a QUERY or --list with some, found none")
    if options["hop_sec"] and not options["segment_sec"]:
        raise click.UsageError("--hop goes with --segments")
    if embed_audio and not report:
        raise click.UsageError("--embed-audio goes with --report")
    from mulkinet.identify.index import Index

    if report:
        from mulkinet.identify.pages.answers_page import write_answers_page
    files = _files(queries)
    index = Index.open(paths, model_file)
    answers = index.identify(files, n_aligned=_PICTURES if report else 0, **options)
    warnings = list(_warnings(answers))
    for line in warnings[:_WARNINGS_SHOWN]:
        echo(in_one_line(line), err=True)
    if len(warnings) > _WARNINGS_SHOWN:
        click.echo(f"{len(warnings) - _WARNINGS_SHOWN} more warnings: see --json", err=True)
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
        rule = next((answer.rule for answer in answers if answer.rule), None)
        echo("\n\n".join(texts + ([rule_text(rule)] if rule else [])))
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
    check_any_is_there(files)
    return files


def _warnings(answers):
    """Every warning once: a line for the first query it is about, and how many others there are."""
    queries = {}
    for answer in answers:
        for text in answer.warnings:
            queries.setdefault(text, []).append(answer.query)
    for text, (first, *others) in queries.items():
        more = f" and {len(others)} more queries" if others else ""
        yield f"{first}{more}: {text}"


def _text(answer):
    heading = f"{in_one_line(answer.query)} ({clock(answer.seconds)}{_heard(answer)})"
    if answer.spans or not answer.works:
        rows = [
            (_work(span.match), f"{clock(span.start_sec)} - {clock(span.end_sec)}")
            + _numbers(span.match)
            for span in answer.spans
        ]
        if not rows:
            return f"{heading}\nno part of it is of a work of the index"
        return f"{heading}\n{_table(('work', 'from - to'), rows)}"
    # Works that have one track each would be told twice.
    are_the_same = {match.work_id for match in answer.works} == {
        match.work_id for match in answer.tracks
    } and len(answer.works) == len(answer.tracks)
    rows = [(_work(match), match.track_id) + _numbers(match) for match in answer.works]
    if answer.none is not None:
        if answer.others >= 0.005:
            rows.append(("other works of the index", "", "", chance(answer.others), "", ""))
        rows.append(
            ("none of these", "", "", chance(answer.none), "", "yes" if answer.is_none else "no")
        )
    text = f"{heading}\n{_table(('nearest works', 'by track'), rows)}"
    if are_the_same:
        return text
    rows = [(match.track_id, match.work_id, _distance(match)) for match in answer.tracks]
    return f"{text}\n\n{table([('nearest tracks', 'work', 'distance'), *rows])}"


def _heard(answer):
    if answer.heard_sec is None or answer.seconds - answer.heard_sec < 1:
        return ""
    return f", the first {clock(answer.heard_sec)} heard"


def _table(names, rows):
    return table(without_empty([(*names, "distance", "probability", "95 %", "cover"), *rows]))


def _work(match):
    return (
        match.work_id
        if match.title in ("", match.track_id)
        else (f"{match.work_id}: {match.title}")
    )


def _numbers(match):
    interval = ""
    if match.interval is not None:
        interval = " - ".join(chance(end) for end in match.interval)
    decision = {None: "", True: "yes", False: "no"}[match.is_cover]
    probability = "" if match.probability is None else chance(match.probability)
    return _distance(match), probability, interval, decision


def _distance(match):
    return f"{match.distance:.3f}"


_MATCH = ("work_id", "track_id", "title", "path", "distance", "probability", "is_cover", "reranked")


def _csv(answers):
    """One row per match: kind is work, track, span, others or none; times are those of the query or the span."""
    rows = [("query", "kind", "rank", "start_sec", "end_sec", *_MATCH)]
    for answer in answers:
        whole = (0, answer.seconds)
        kinds = {
            "work": [(*whole, match) for match in answer.works],
            "track": [(*whole, match) for match in answer.tracks],
            "span": [(span.start_sec, span.end_sec, span.match) for span in answer.spans],
        }
        for kind, found in kinds.items():
            for rank, (start, end, match) in enumerate(found, start=1):
                values = (getattr(match, name) for name in _MATCH)
                rows.append((answer.query, kind, rank, f"{start:.2f}", f"{end:.2f}", *values))
        if answer.none is not None:
            for kind, probability, is_answer in (
                ("others", answer.others, ""),
                ("none", answer.none, answer.is_none),
            ):
                told = {"probability": probability, "is_cover": is_answer}
                values = (told.get(name, "") for name in _MATCH)
                rows.append((answer.query, kind, "", "0.00", f"{answer.seconds:.2f}", *values))
    return csv_of(rows)
