"""Sets the performer's crema beside crema of the same charts rendered to sound, and beside crema of recordings.

    python benchmarks/rendered_charts.py charts-open.jsonl.gz covers80-dev.h5 [--charts 200]

First table: as `performer.py` prints it, of 45 s of as many charts each way. Second: songs of one chord, performed and
rendered; of each kind of chord how often the triad that a frame resembles most is the written one, the right root with
the other third, or another; and how strongly root, third, fifth, seventh and the rest are heard. The demo set's band
plays: an accompaniment, a bass, a melody, drums, a room and noise.
"""

import functools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
from performer import facts_of

from mulkinet import FeatureStore
from mulkinet.data.averaged import AveragedStore
from mulkinet.features import extractor
from mulkinet.features.resize import TrackLength
from mulkinet.sources.charts.chart import Chart, read_charts
from mulkinet.sources.charts.performer import perform
from mulkinet.sources.charts.score_grid import grid_of
from mulkinet.sources.demo import performer as band
from mulkinet.sources.demo.renderer import render

_SECONDS = 45
_RATE = 250 / 180
_DRAWS = 24
_TRIADS = ((0, 4, 7), (0, 3, 7))
_KINDS = {
    "major": (0, 4, 7),
    "minor": (0, 3, 7),
    "dominant seventh": (0, 4, 7, 10),
    "minor seventh": (0, 3, 7, 10),
    "major seventh": (0, 4, 7, 11),
    "diminished": (0, 3, 6),
}


@click.command()
@click.argument("charts")
@click.argument("real")
@click.option("--charts", "n_charts", default=200, show_default=True)
def main(charts, real, n_charts):
    """Print both tables."""
    songs = [chart for chart in read_charts(charts)[0] if chart.melody]
    songs = songs[:: max(1, len(songs) // n_charts)][:n_charts]
    crema = extractor("crema")
    columns = {
        "performed": [performed(song, seed) for seed, song in enumerate(songs)],
        "rendered": [rendered(song, seed, crema) for seed, song in enumerate(songs)],
        "recorded": _recorded(real),
    }
    facts = {name: facts_of(tracks, _RATE) for name, tracks in columns.items()}
    click.echo(f"{'':<24}" + "".join(f"{name:>10}" for name in facts))
    for name in facts["performed"]:
        click.echo(f"{name:<24}" + "".join(f"{column[name]:>10.3f}" for column in facts.values()))
    click.echo(f"\n{'':<30}written  other third  other   root  third  fifth  seventh  rest")
    for kind, tones in _KINDS.items():
        chart = Chart("w", ((0.0, 64.0, 0, tones),), beats=64.0)
        for how, play in (
            ("performed", performed),
            ("rendered", functools.partial(rendered, crema=crema)),
        ):
            tracks = [play(chart, seed) for seed in range(_DRAWS)]
            heard, shares = _heard([_to_c(x, tones) for x in tracks], tones)
            click.echo(
                f"{kind + ', ' + how:<30}"
                + "{:7.2f}{:13.2f}{:7.2f}".format(*shares)
                + "{:7.2f}{:7.2f}{:7.2f}{:9.2f}{:6.2f}".format(*heard)
            )


def performed(chart, seed):
    """(n_frames, 12) as training sees it."""
    rng = np.random.default_rng([seed, 1])
    return perform(grid_of(chart), rng, round(_SECONDS * _RATE), _RATE, chart.bpm or 110.0).T


def rendered(chart, seed, crema):
    """(n_frames, 12), crema of the sound."""
    x = crema(render(_played(chart, np.random.default_rng([seed, 2]), seed)))
    return TrackLength(frame_rate=_RATE).apply(x, crema.settings["frame_rate"]).T


def _recorded(path):
    store = AveragedStore(FeatureStore(path), _RATE)
    return [store.read("crema", row)[: round(_SECONDS * _RATE)] for row in range(len(store))]


def _played(chart, rng, seed):
    """The demo set's Performance of a chart, over and over until it is long enough."""
    bpm, key = chart.bpm or 110.0, int(rng.integers(-5, 7))
    to_seconds = band._time_map(rng, bpm, _SECONDS)
    chords, melody, beat = [], [], 0.0
    while to_seconds(beat) < _SECONDS:
        chords += [
            (beat + on, beat + on + length, (root, classes), 0)
            for on, length, root, classes in chart.chords
        ]
        melody += [(beat + on, length, pitch + key) for on, length, pitch in chart.melody]
        beat += chart.beats
    parts = [_accompaniment(rng, chords, key, to_seconds), _bass(rng, chords, key, to_seconds)]
    if melody:
        timbre = band._timbre(rng, sustained=rng.random() < 0.6)
        parts.append(band._part(rng, melody, timbre, rng.uniform(0.5, 1.2), to_seconds))
    return band.Performance(
        key=key,
        tempo_factor=1.0,
        detune_cents=float(rng.uniform(-30, 30)),
        structure="",
        parts=tuple(parts),
        drums=band._drums(rng, beat, to_seconds),
        duration_sec=float(_SECONDS),
        reverb_sec=float(rng.uniform(0.2, 1.2)),
        reverb_gain=float(rng.uniform(0.1, 0.5)),
        snr_db=float(rng.uniform(20, 45)),
        noise_key=(seed, 3),
    )


def _accompaniment(rng, chords, key, to_seconds):
    pattern = band._CHORD_PATTERNS[rng.integers(len(band._CHORD_PATTERNS))]
    lowest = int(rng.integers(50, 60))
    timbre = band._timbre(rng, sustained=rng.random() < 0.5)

    def voices(chord, _):
        return np.sort((np.array(chord[1]) + key - lowest) % 12) + lowest

    notes = band._accompany(chords, pattern, voices)
    return band._part(rng, notes, timbre, rng.uniform(0.3, 0.6), to_seconds)


def _bass(rng, chords, key, to_seconds):
    pattern = band._BASS_PATTERNS[rng.integers(len(band._BASS_PATTERNS))]
    lowest = int(rng.integers(34, 42))
    timbre = band._timbre(rng, sustained=rng.random() < 0.3)

    def voices(chord, _):
        root, classes = chord
        above = np.sort((np.array(classes) - root) % 12)[:3]
        return (root + key - lowest) % 12 + lowest + above

    notes = band._accompany(chords, pattern, voices)
    return band._part(rng, notes, timbre, rng.uniform(0.3, 0.8), to_seconds)


def _to_c(x, tones):
    """A song of one chord, brought to the key in which the chord's tones are heard most."""
    mean = x.mean(axis=0)
    key = max(range(12), key=lambda key: np.roll(mean, -key)[list(tones)].sum())
    return np.roll(x, -key, axis=1)


def _heard(tracks, tones):
    """(mean of root, third, fifth, seventh and the rest), (shares of frames: as written, other third, other)."""
    frames = np.concatenate(tracks)
    triads = np.array(
        [[(c - root) % 12 in third for c in range(12)] for root in range(12) for third in _TRIADS],
        float,
    )
    centred = frames - frames.mean(axis=1, keepdims=True)
    nearest = (centred @ triads.T).argmax(axis=1)
    is_minor = tones[1] == 3
    shares = [np.mean(nearest == which) for which in (int(is_minor), int(not is_minor))]
    mean = frames.mean(axis=0)
    rest = np.delete(mean, tones).mean()
    seventh = mean[tones[3]] if len(tones) > 3 else np.nan
    return (*mean[list(tones[:3])], seventh, rest), (*shares, 1 - sum(shares))


if __name__ == "__main__":
    main()
