"""How fast features are extracted: seconds of audio per second, by feature and number of workers.

Synthetic stereo WAV files go through the same road as anybody's: decoding, extraction and the
file that is kept. Models are loaded before the clock starts.

    python benchmarks/extraction.py [--tracks 8] [--seconds 120] [-p FEATURE]... [--workers 1 ...]
"""

import importlib.metadata
import os
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import soundfile
from machine import processor

from mulkinet.cli.errors import Command
from mulkinet.features import FEATURES, extractor
from mulkinet.features.cache import extract_all
from mulkinet.features.provenance import SR

_WARM_UP_SEC = 5


def make_tracks(folder, n_tracks, seconds, seed=1):
    """Writes tracks of chords that change every half second, with noise.

    Args:
        folder: pathlib.Path to write to.
        n_tracks: Number of tracks.
        seconds: Length of each.
        seed: Of the generator.

    Returns:
        list of pathlib.Path.
    """
    rng = np.random.default_rng(seed)
    time_sec = np.arange(SR // 2) / SR
    tracks = []
    for i in range(n_tracks):
        pitches = rng.integers(40, 80, (2 * seconds, 4))
        phases = 2 * np.pi * 440 * 2 ** ((pitches[..., None] - 69) / 12) * time_sec
        y = 0.1 * np.sin(phases).sum(axis=1).ravel() + 0.01 * rng.standard_normal(SR * seconds)
        path = folder / f"{seconds}s-{i}.wav"
        soundfile.write(path, np.stack([y, y], axis=1), SR)
        tracks.append(path)
    return tracks


def audio_per_second(tracks, warm_up, seconds, feature, n_workers):
    """Seconds of audio per second of wall-clock time.

    Args:
        tracks: list of pathlib.Path to measure with.
        warm_up: list of `n_workers` files, by which each worker loads its model.
        seconds: Length of each of `tracks`.
        feature: One of `FEATURES`.
        n_workers: Processes; 1 is this one.

    Returns:
        float.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MULKINET_CACHE"] = folder
        _run(warm_up[:n_workers], feature, n_workers)
        start = time.perf_counter()
        _run(tracks, feature, n_workers)
        return len(tracks) * seconds / (time.perf_counter() - start)


def _run(tracks, feature, n_workers):
    results = extract_all(tracks, [feature], n_workers)
    failed = [result for _, result in results if isinstance(result, str)]
    if failed:
        raise click.ClickException(failed[0])


@click.command(cls=Command)
@click.option("--tracks", "n_tracks", default=8, type=click.IntRange(1), help="Number of tracks.")
@click.option("--seconds", default=120, type=click.IntRange(1), help="Length of each.")
@click.option("-p", "--feature", "features", type=click.Choice(FEATURES), multiple=True)
@click.option("--workers", type=click.IntRange(1), multiple=True, default=[1, 2])
def main(n_tracks, seconds, features, workers):
    """Measure the speed of extraction."""
    click.echo(f"{processor()}, {os.cpu_count()} cores, {n_tracks} tracks of {seconds} s")
    header = "".join(f"{n} worker{'s' * (n > 1)}".rjust(12) for n in workers)
    click.echo(f"{'feature':<13}{header}  seconds of audio per second")
    with tempfile.TemporaryDirectory() as folder:
        tracks = make_tracks(Path(folder), n_tracks, seconds)
        warm_up = make_tracks(Path(folder), max(workers), _WARM_UP_SEC, seed=2)
        for feature in features or FEATURES:
            speeds = [audio_per_second(tracks, warm_up, seconds, feature, n) for n in workers]
            made = extractor(feature).settings
            figures = "".join(f"{speed:12.1f}" for speed in speeds)
            click.echo(f"{feature:<13}{figures}  {made['extractor']} {made['extractor_version']}")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "soundfile")]
    click.echo(", ".join(versions))


if __name__ == "__main__":
    main()
