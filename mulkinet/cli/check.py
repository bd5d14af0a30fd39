"""`mulkinet check`: what is in a store or folder, and what is wrong with it."""

import itertools

import click

from mulkinet.cli.errors import Command
from mulkinet.cli.printing import echo
from mulkinet.cli.table import table

__all__ = ["main"]

_SHOWN = 5
# Headings: of the lengths of tracks, and of the tracks that something is wrong with.
_LENGTHS, _FAULTS = ("least", "median", "most"), ("NaN", "negative", "silent", "same")


@click.command("check", cls=Command)
@click.argument("store_or_folder", type=click.Path())
@click.option(
    "--list",
    "lists",
    type=click.Path(),
    multiple=True,
    help="List of tracks to check; may be given several times.",
)
@click.pass_context
def main(ctx, store_or_folder, lists):
    """Describe and check STORE_OR_FOLDER, a feature store or a folder of .npy files.

    Exit code 1 when something is wrong: tracks that cannot be read, are missing, silent, the same
    as others, hold NaN or negative values, or works that two of the lists share.
    """
    from mulkinet.data.lists import read_list
    from mulkinet.data.npy_folder import open_data

    store = open_data(store_or_folder)
    pairs = {path: read_list(path) for path in lists}
    wrong = [(str(path), reason) for path, reason in getattr(store, "foreign", ())]
    echo(_describe(store))
    echo("")
    wrong += _check_features(store)
    if pairs:
        echo("")
        wrong += _check_lists(store, pairs)
    if wrong:
        echo("")
        for what, found in wrong:
            echo(f"{what}: {found}", err=True)
        ctx.exit(1)
    echo("\nno problems found")


def _describe(store):
    from mulkinet.data.checks import sizes_of_works
    from mulkinet.data.lists import describe_left_out

    keys = list(store.rows_by_key)
    works = len(set(store.work_ids))
    rows = [("work size", "works")]
    rows += [(str(size), str(n)) for size, n in _binned(sizes_of_works(keys))]
    heading = f"{store.name}: {len(store)} tracks of {works} works ({store.path})"
    left_out = describe_left_out(store)
    return "\n".join([heading, *filter(None, [left_out]), "", table(rows)])


def _binned(sizes):
    """(size or range of sizes, works): at most a dozen rows."""
    if len(sizes) <= 12:
        return list(sizes.items())
    borders = [1, 2, 3, 4, 6, 10, 18, 34, 66, 130, 258]
    binned = []
    for low, high in itertools.zip_longest(borders, borders[1:]):
        n = sum(works for size, works in sizes.items() if low <= size and (not high or size < high))
        last = max(sizes) if high is None else high - 1
        if n:
            binned.append((str(low) if last == low else f"{low} - {last}", n))
    return binned


def _check_features(store):
    """Prints the table of features -> [(what, found)] of what is wrong."""
    from mulkinet.data.checks import check_feature

    rows = [("feature", "bins", "bin 0", "frames/s", *_LENGTHS, *_FAULTS)]
    wrong = []
    for feature in store.features:
        report = check_feature(store, feature, progress=True)
        lengths = sorted(report.lengths.tolist())
        same = [key for group in report.duplicates for key in group[1:]]
        found = report.non_finite, report.negative, report.silent, same
        counts = map(len, found)
        spread = lengths[0], lengths[len(lengths) // 2], lengths[-1]
        bin0 = store.settings(feature)["bin0"]
        cells = (report.n_bins, bin0, f"{report.frame_rate:.3f}", *spread, *counts)
        rows.append((feature, *map(str, cells)))
        wrong += [(f"{feature} of {_names([key])}", why) for key, why in report.unreadable]
        if report.non_finite:
            wrong.append((f"{feature}, NaN or infinite", _names(report.non_finite)))
        if report.negative:
            wrong.append((f"{feature}, negative (dB?)", _names(report.negative)))
        if report.silent:
            wrong.append((f"{feature}, silent", _names(report.silent)))
        wrong += [
            (f"{feature}, identical values", _names(group)) for group in report.duplicates[:_SHOWN]
        ]
        if len(report.duplicates) > _SHOWN:
            wrong.append((f"{feature}, identical values", f"{len(report.duplicates)} groups"))
    echo(table(rows))
    return wrong


def _check_lists(store, lists):
    """Prints the table of lists -> [(what, found)] of what is wrong."""
    from mulkinet.data.checks import check_list, shared_works

    rows, wrong = [("list", "tracks", "works", "of one", "largest", "missing")], []
    for path, pairs in lists.items():
        report = check_list(store, pairs)
        n_works, of_one = sum(report.sizes.values()), report.sizes.get(1, 0)
        counts = report.n_tracks, n_works, of_one, max(report.sizes), len(report.missing)
        rows.append((str(path), *map(str, counts)))
        if report.missing:
            wrong.append((f"{path}, missing from {store.path}", _names(report.missing)))
    echo(table(rows))
    for first, second in itertools.combinations(lists, 2):
        shared = shared_works(lists[first], lists[second])
        if shared:
            wrong.append((f"{first} and {second} share works (leakage)", _shown(shared)))
    return wrong


def _names(keys):
    return _shown(["/".join(key) for key in keys])


def _shown(names):
    more = f", ... ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
