"""`mulkinet groups`: which recordings of a collection are versions of each other."""

import json

import click

from mulkinet.cli.errors import Command
from mulkinet.cli.options import cluster_options
from mulkinet.cli.printing import csv_of, echo
from mulkinet.cli.table import table, without_empty
from mulkinet.identify.answer_text import chance

__all__ = ["main"]

_FILE = click.Path(dir_okay=False)


@click.command(cls=Command)
@click.option("--index", "path", required=True, type=_FILE, help="The index.")
@click.option(
    "--tau",
    type=float,
    help="Look at pairs within this distance.  [where a pair is as likely covers as not]",
)
@click.option(
    "--rerank/--no-rerank",
    default=None,
    help="Confirm pairs by alignment.  [where the index keeps chroma]",
)
@click.option(
    "--all", "show_all", is_flag=True, help="Show groups that are filed as one work, too."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--report", type=_FILE, help="Write a page to look at and listen to here.")
@click.option("--embed-audio", is_flag=True, help="Make the recordings part of the page.")
@click.option("--model-file", type=_FILE, help="The index's model, if it has moved.")
@cluster_options()
def main(path, tau, rerank, show_all, as_json, as_csv, report, embed_audio, model_file):
    """Find the recordings of a collection that are versions of each other.

    It shows works that are told apart by their folders but are covers of each other, tracks in the wrong work, and the
    same recording twice. Pairs are found by nearest neighbours and confirmed by alignment.
    """
    if as_json and as_csv:
        raise click.UsageError("expected --json or --csv, found both")
    if embed_audio and not report:
        raise click.UsageError("--embed-audio goes with --report")
    from mulkinet.identify.groups import AS_FILED, find_groups
    from mulkinet.identify.index import Index

    if report:
        from mulkinet.identify.pages.groups_page import write_groups_page
    index = Index.open(path, model_file)
    found = find_groups(index, tau=tau, rerank=rerank)
    shown = [
        group for group in found.groups if show_all or group.finding != AS_FILED or group.copies
    ]
    if report:
        write_groups_page(report, shown, index, embed_audio=embed_audio)
        echo(f"report: {report}", err=True)
    if as_json:
        echo(json.dumps(found.to_dict(), indent=2))
    elif as_csv:
        echo(_csv(found.groups), nl=False)
    else:
        for number, group in enumerate(shown, start=1):
            echo(_text(number, group) + "\n")
        hidden = len(found.groups) - len(shown)
        more = f", {hidden} of them as they are filed (--all shows them)" if hidden else ""
        confirmed = sum(len(group.pairs) for group in found.groups)
        how = f"{confirmed} of them confirmed" if found.aligned else "not confirmed"
        echo(
            f"{found.tracks} tracks: {found.candidates} pairs within a distance of {found.tau:.3f}, "
            f"{how} by alignment; {len(found.groups)} groups{more}"
        )


def _text(number, group):
    misfiled = {track.row for track in group.misfiled}
    rows = [("track", "is like", "distance", "probability", "key", "tempo", "")]
    for pair in group.pairs:
        rows.append(
            (
                _name(pair.a),
                _name(pair.b),
                f"{pair.distance:.3f}",
                "" if pair.probability is None else chance(pair.probability),
                "" if pair.transposition is None else f"{pair.transposition:+d}",
                "" if pair.tempo_ratio is None else f"{pair.tempo_ratio:.2f}",
                "same recording" if pair.same_recording else "",
            )
        )
    works = ", ".join(dict.fromkeys(track.work_id for track in group.tracks))
    heading = f"{number}. {group.finding}: {works}"
    if misfiled:
        heading += f" ({', '.join(_name(track) for track in group.misfiled)})"
    return f"{heading}\n{table(without_empty(rows))}"


def _name(track):
    return track.work_id if track.work_id == track.track_id else f"{track.work_id}/{track.track_id}"


_PAIR = ("distance", "probability", "score", "same_recording", "transposition", "tempo_ratio")


def _csv(groups):
    """One row per pair."""
    rows = [("group", "finding", "work_a", "track_a", "work_b", "track_b", *_PAIR)]
    for number, group in enumerate(groups, start=1):
        for pair in group.pairs:
            ids = pair.a.work_id, pair.a.track_id, pair.b.work_id, pair.b.track_id
            values = [getattr(pair, name) for name in _PAIR]
            rows.append((number, group.finding, *ids, *values))
    return csv_of(rows)
