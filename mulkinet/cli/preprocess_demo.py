"""`preprocess.py demo`. Public names: `command`."""

import click

from mulkinet.cli.errors import Command, report_skipped
from mulkinet.cli.preprocess_options import (
    downsample_option,
    feature_option,
    framing_of,
    spect_len_option,
)
from mulkinet.cli.printing import echo

__all__ = ["command"]


@click.command("demo", cls=Command)
@click.option("-o", "--output", default="datasets", type=click.Path(), help="For audio and store.")
@click.option("--list-dir", default="meta", type=click.Path(), help="For DEMO-TRAIN, -VAL, -TEST.")
@click.option("--train-works", default=80, help="Works to train on.")
@click.option("--val-works", default=15, help="Works to validate with.")
@click.option("--test-works", default=45, help="Works to test on.")
@click.option("--noise-works", default=10, help="Works of one performance among the tests.")
@click.option("--performances", default=4, help="Performances of every other work.")
@click.option("--seed", default=0, help="Of all that is composed and played.")
@feature_option()
@click.option("-n", "--n-workers", default=-1, help="Processes; -1 is one per core.")
@spect_len_option()
@downsample_option()
def command(output, list_dir, seed, features, n_workers, spect_len, downsample, **size):
    """Compose, render and extract the demo set.

    Makes <output>/demo_audio/<work>/<track>.flac, the store <output>/demo.h5 and the lists. The same
    seed makes the same music anywhere. A run that was interrupted goes on when it is started again.
    """
    from mulkinet.sources.demo.demo_set import DemoSize, make_demo

    framing_of(spect_len, downsample)  # that they exclude each other is a matter of usage
    demo = make_demo(
        output,
        list_dir=list_dir,
        size=DemoSize(**size),
        seed=seed,
        features=features,
        n_workers=n_workers,
        spect_len=spect_len,
        downsample=downsample,
    )
    lists = ", ".join(str(path) for path in demo.lists.values())
    echo(f"{demo.store_path}; lists {lists}")
    report_skipped(demo.skipped)
