"""Spectra follow from the generator, sound their chart's notes with partials, and are read, stored and trained on."""

import numpy as np
import pytest

from mulkinet import FeatureStore, MulkinetError
from mulkinet.cli.preprocess import main
from mulkinet.features import cqt
from mulkinet.sources.charts import spectrum_performer
from mulkinet.sources.charts.chart import Chart
from mulkinet.sources.charts.chart_store import ChartStore
from mulkinet.sources.charts.score_grid import grid_of
from mulkinet.sources.charts.spectrum_performer import perform_spectrum
from tests.commands import invoke
from tests.sources.charts.songs import song, write_songs

RATE = cqt.SETTINGS["frame_rate"]


@pytest.mark.parametrize("n_frames", [1, 7, 200])
def test_a_performance_follows_from_its_generator(n_frames):
    grid = grid_of(song("w", 0))
    for seed in range(10):
        one, same = (
            perform_spectrum(grid, np.random.default_rng(seed), n_frames, RATE, 100.0)
            for _ in range(2)
        )
        assert (one.shape, one.dtype) == ((84, n_frames), np.float32)
        assert np.isfinite(one).all()
        assert one.min() >= 0
        # A full-scale sine reaches about 15.
        assert 0.5 < one.max() < 30
        np.testing.assert_array_equal(one, same)
    other = perform_spectrum(grid, np.random.default_rng(99), n_frames, RATE, 100.0)
    assert (one != other).any()


def test_a_melody_of_any_range_is_sung():
    """From below the lowest bin, C1, to the highest MIDI number."""
    melody = tuple((float(beat), 1.0, pitch) for beat, pitch in enumerate([60, 60, 0, 127] * 4))
    grid = grid_of(Chart("w", ((0.0, 16.0, 0, (0, 4, 7)),), melody, 16.0))
    for seed in range(10):
        x = perform_spectrum(grid, np.random.default_rng(seed), 60, RATE, 100.0)
        assert np.isfinite(x).all()


def test_a_note_has_partials():
    roll = np.zeros((1, 128), np.float32)
    roll[0, 36] = 2
    power = spectrum_performer._sound(roll, np.random.default_rng(0), 0.0, 0.0)[0]
    # C2 is bin 12; an octave, a fifth, an octave, a third above one another. Between them nothing.
    assert power[12] > 0
    peaks = [b for b in range(1, 45) if power[b] > max(power[b - 1], power[b + 1])]
    assert peaks[:5] == [12, 24, 31, 36, 40]
    assert power[:11].max() == 0
    assert power[11] / power[12] == pytest.approx(1 / 4)  # half the amplitude, a semitone away


def test_a_song_of_one_chord_sounds_it_in_every_key():
    grid = grid_of(Chart("w", ((0.0, 64.0, 0, (0, 4, 7)),), beats=64.0))
    shares, roots = [], set()
    for seed in range(60):
        x = perform_spectrum(grid, np.random.default_rng(seed), 100, RATE, 100.0)
        mean = (x**2).reshape(7, 12, -1).mean(axis=(0, 2))
        triads = [mean[[k, (k + 4) % 12, (k + 7) % 12]].sum() / mean.sum() for k in range(12)]
        shares.append(max(triads))
        roots.add(int(np.argmax(triads)))
    # Bins beside a note hear it too, and partials, drums and noise are everywhere. Chance is a quarter.
    assert np.median(shares) > 0.4
    assert len(roots) > 9


def test_charts_are_performed_as_the_feature_asked_for(tmp_path):
    path = write_songs(tmp_path / "songs.jsonl.gz", 2)
    store = ChartStore(path, feature="cqt")
    assert store.features == ("cqt",)
    x = store.get(("w1", "2"), "cqt")
    assert x.shape == (84, round(180 * RATE))
    assert store.perform(3, 200, (0, 1, 2, 3), np.arange(8)).shape[1] == 84
    with pytest.raises(MulkinetError, match="expected cqt"):
        store.read("crema", 0)
    with pytest.raises(MulkinetError, match="expected crema, hpcp or cqt, .*found chroma"):
        ChartStore(path, feature="chroma")
    output = tmp_path / "songs.h5"
    done = invoke(main, "charts", path, "-o", output, "-p", "cqt", "--performances", 2)
    assert done.exit_code == 0, done.stderr
    np.testing.assert_array_equal(
        FeatureStore(output).get(("w0", "1"), "cqt"),
        ChartStore(path, 2, feature="cqt").get(("w0", "1"), "cqt"),
    )
