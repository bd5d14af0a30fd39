"""Pitch-class profiles follow from the generator, have their chart's notes, and go with what essentia extracts."""

import numpy as np
import pytest

from mulkinet.features import hpcp
from mulkinet.sources.charts.chart import Chart
from mulkinet.sources.charts.chart_store import ChartStore
from mulkinet.sources.charts.profile_performer import perform_profile
from mulkinet.sources.charts.score_grid import grid_of
from tests.sources.charts.songs import song, write_songs

RATE = 250 / 180


@pytest.mark.parametrize("n_frames", [1, 7, 200])
def test_a_performance_follows_from_its_generator(n_frames):
    grid = grid_of(song("w", 0))
    for seed in range(10):
        one, same = (
            perform_profile(grid, np.random.default_rng(seed), n_frames, RATE, 100.0)
            for _ in range(2)
        )
        assert (one.shape, one.dtype) == ((12, n_frames), np.float32)
        assert one.min() >= 0
        # Every subframe's maximum is 1: so is no mean of four above it, and none below a quarter.
        assert ((one.max(axis=0) <= 1) & (one.max(axis=0) >= 0.25)).all()
        np.testing.assert_array_equal(one, same)
    other = perform_profile(grid, np.random.default_rng(99), n_frames, RATE, 100.0)
    assert (one != other).any()


def test_a_song_of_one_chord_sounds_it_in_every_key():
    grid = grid_of(Chart("w", ((0.0, 64.0, 0, (0, 4, 7)),), beats=64.0))
    shares, roots = [], set()
    for seed in range(60):
        mean = perform_profile(grid, np.random.default_rng(seed), 100, RATE, 100.0).mean(axis=1)
        triads = [mean[[k, (k + 4) % 12, (k + 7) % 12]].sum() / mean.sum() for k in range(12)]
        shares.append(max(triads))
        roots.add(int(np.argmax(triads)))
    # Partials, drums and chance are everywhere. A quarter would be three of twelve that are alike.
    assert np.median(shares) > 0.4
    assert len(roots) > 9


def test_it_goes_with_what_essentia_extracts(tmp_path):
    store = ChartStore(write_songs(tmp_path / "songs.jsonl.gz", 2), feature="hpcp")
    assert store.features == ("hpcp",)
    assert store.get(("w1", "2"), "hpcp").shape == (12, 250)
    settings = store.settings("hpcp")
    for name, value in hpcp.SETTINGS.items():
        if name != "frame_rate":
            assert settings[name] == value
    assert settings["averaged"]
