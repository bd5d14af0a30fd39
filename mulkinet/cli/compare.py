"""`mulkinet compare`: two runs side by side."""

from pathlib import Path

import click

from mulkinet.cli.errors import Command
from mulkinet.cli.printing import echo
from mulkinet.cli.table import table

__all__ = ["main"]


@click.command(cls=Command)
@click.argument("a", type=click.Path(dir_okay=False))
@click.argument("b", type=click.Path(dir_okay=False))
@click.option("--seed", default=0, type=click.IntRange(0), help="Random seed of the bootstrap.")
def main(a, b, seed):
    """Compare two runs, A and B, that evaluate.py wrote with --json.

    Prints means over the queries that both have, the difference B - A with its 95 % confidence
    interval (paired bootstrap over works), and p: the chance that other works would turn its sign.
    Where the model files have the run.yaml of their training beside them, it also prints the
    options that differ.
    """
    from mulkinet.evaluation.compare import compare_runs
    from mulkinet.evaluation.results import read_json

    runs = [read_json(path) for path in (a, b)]
    comparison = compare_runs(*runs, seed)
    echo(f"A: {a}\nB: {b}\n{comparison.n_queries} queries in common")
    for note in comparison.notes:
        echo(f"note: {note}", err=True)
    rows = [("metric", "A", "B", "B - A", "95 % interval", "p")]
    for row in comparison.rows:
        rows.append(
            (
                row["metric"],
                f"{row['a']:.4f}",
                f"{row['b']:.4f}",
                f"{row['difference']:+.4f}",
                f"{row['low']:+.4f} to {row['high']:+.4f}",
                f"{row['p']:.3f}",
            )
        )
    echo(table(rows))
    records = [_record_of(run) for run in runs]
    if all(records):
        from mulkinet.training.run_record import option_differences

        differences = option_differences(*records)
        echo(f"\n{len(differences)} options of the training differ")
        if differences:
            echo(table([("option", "A", "B"), *(tuple(map(str, each)) for each in differences)]))


def _record_of(run):
    """The record beside the model file of a run; None where there is none."""
    from mulkinet.training.run_record import RECORD, read_record

    model_file = run["settings"].get("model_file")
    path = model_file and Path(model_file).with_name(RECORD)
    return read_record(path) if path and path.is_file() else None
