"""Sets the performer's features beside those of real recordings: is what networks are trained on like what they hear?

    python benchmarks/performer.py charts-open.jsonl.gz covers80-dev.h5 [--feature hpcp]

Rows: quantiles of all values; share of pitch classes above .5 in a frame; correlation of a frame with the one so many
seconds later (of values about the track's mean); distance (one minus cosine) between the histograms of two tracks,
which says how alike in their scales songs are, each brought to the key in which it is least.
"""

import itertools

import click
import numpy as np

from mulkinet import FeatureStore
from mulkinet.data.averaged import AveragedStore
from mulkinet.sources.charts.chart_store import ChartStore

_TRACKS = 80
_LAGS_SEC = (1, 2, 4, 8)


@click.command()
@click.argument("charts")
@click.argument("real")
@click.option("--feature", type=click.Choice(["crema", "hpcp"]), default="crema", show_default=True)
def main(charts, real, feature):
    """Print both columns."""
    performed = ChartStore(charts, performances=1, feature=feature)
    rate = performed.settings(feature)["frame_rate"]
    recorded = AveragedStore(FeatureStore(real), rate)
    columns = [facts_of(_tracks(store, feature), rate) for store in (performed, recorded)]
    click.echo(f"{'':<24}{'performed':>10}{'recorded':>10}")
    for name in columns[0]:
        click.echo(f"{name:<24}" + "".join(f"{column[name]:>10.3f}" for column in columns))


def _tracks(store, feature):
    step = max(1, len(store) // _TRACKS)
    return [store.read(feature, row) for row in range(0, len(store), step)][:_TRACKS]


def facts_of(tracks, rate):
    """{name: number} of (n_frames, 12) features at `rate` frames per second."""
    values = np.concatenate([x.ravel() for x in tracks])
    facts = {f"quantile {q:g}": np.quantile(values, q) for q in (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)}
    facts["share above .5"] = np.mean(values > 0.5)
    for seconds in _LAGS_SEC:
        facts[f"correlation at {seconds} s"] = np.mean(
            [_correlation(x, round(seconds * rate)) for x in tracks]
        )
    histograms = [x.mean(axis=0) / np.linalg.norm(x.mean(axis=0)) for x in tracks]
    distances = [
        1 - max(first @ np.roll(second, key) for key in range(12))
        for first, second in itertools.combinations(histograms, 2)
    ]
    facts["histograms' distance"] = np.mean(distances)
    return facts


def _correlation(x, lag):
    x = x - x.mean(axis=0)
    return (x[:-lag] * x[lag:]).sum() / np.sqrt((x[:-lag] ** 2).sum() * (x[lag:] ** 2).sum())


if __name__ == "__main__":
    main()
