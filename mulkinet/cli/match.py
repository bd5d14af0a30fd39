"""`mulkinet match`: are two recordings of the same work, and where do they match?"""

import json

import click

from mulkinet.cli.errors import Command
from mulkinet.cli.printing import echo
from mulkinet.cli.table import table

__all__ = ["main"]

_FILE = click.Path(dir_okay=False)


@click.command(cls=Command)
@click.argument("a", type=_FILE)
@click.argument("b", type=_FILE)
@click.option(
    "--feature",
    default="crema",
    type=click.Choice(["crema", "hpcp", "chroma_cens"]),
    help="What is compared.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--report", type=_FILE, help="Write a page with the plot and two players here.")
@click.option("--embed-audio", is_flag=True, help="Make the recordings part of the page.")
@click.option("--plot", type=_FILE, help="Write the plot as PNG here.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 for different works too.")
@click.pass_context
def main(ctx, a, b, feature, as_json, report, embed_audio, plot, exit_zero):
    """Tell whether recordings A and B are of the same work, and where they match.

    Needs no index and no training. The probability assumes that half of the pairs you ask about are covers.

    Exit codes: 0 for the same work, 1 for another one or an error.
    """
    if embed_audio and not report:
        raise click.UsageError("--embed-audio goes with --report")
    from mulkinet.identify.match import match
    from mulkinet.identify.match_text import clock, describe

    if report or plot:
        from mulkinet.identify.pages import match_page
    found = match(a, b, feature=feature)
    if as_json:
        echo(json.dumps(found.to_dict(), indent=2))
    else:
        echo(f"A: {found.a} ({clock(found.seconds_a)})\nB: {found.b} ({clock(found.seconds_b)})")
        echo("\n".join(describe(found)))
        if found.spans:
            rows = [
                (f"{clock(start_a)} - {clock(end_a)}", f"{clock(start_b)} - {clock(end_b)}")
                for start_a, end_a, start_b, end_b in found.spans
            ]
            echo("\n" + table([("A", "B"), *rows]))
    if report:
        match_page.write_match_page(report, found, embed_audio=embed_audio)
        echo(f"report: {report}", err=True)
    if plot:
        match_page.write_match_figure(plot, found)
    ctx.exit(0 if found.is_cover or exit_zero else 1)
