"""Performances follow from the generator, sound like their chart, and a store of them reads like any other."""

import numpy as np
import pytest

from mulkinet import MulkinetError
from mulkinet.sources.charts.arrangement import draw_tempo
from mulkinet.sources.charts.chart import Chart, write_charts
from mulkinet.sources.charts.chart_store import ChartStore
from mulkinet.sources.charts.performer import perform
from mulkinet.sources.charts.score_grid import grid_of, medley
from tests.sources.charts.songs import song, write_songs


def test_a_grid_by_hand():
    chords = (
        (1.0, 0.5, 9, (9, 0, 4)),  # A minor
        (1.5, 0.5, 7, (7, 11, 2, 5)),  # a dominant seventh
        (2.0, 1.0, 4, (4, 0, 7, 9)),  # E in the bass of C with its sixth: the root is found
    )
    grid = grid_of(Chart("w", chords, ((0.5, 1.0, 61), (2.25, 0.5, 72)), beats=3.0))
    assert grid.chord.tolist() == [0, 0, 1, 1, 2, 2, 2, 2]
    assert grid.root.tolist() == [9, 7, 0]
    assert (grid.third.tolist(), grid.fifth.tolist(), grid.seventh.tolist()) == (
        [3, 4, 4],
        [7, 7, 7],
        [-1, 10, 9],
    )
    # The note that began before the first chord sounds on for its last half beat.
    assert grid.melody.tolist() == [1, 1, -1, -1, -1, 0, 0, -1]
    assert grid.histogram.sum() == pytest.approx(1)


@pytest.mark.parametrize("n_frames", [1, 7, 250])
def test_a_performance_follows_from_its_generator(n_frames):
    grid = grid_of(song("w", 0))
    for seed in range(20):
        one, same = (
            perform(grid, np.random.default_rng(seed), n_frames, 1.4, 100.0) for _ in range(2)
        )
        assert one.shape == (12, n_frames)
        assert one.dtype == np.float32
        assert ((one >= 0) & (one <= 1)).all()
        np.testing.assert_array_equal(one, same)
    assert (one != perform(grid, np.random.default_rng(99), n_frames, 1.4, 100.0)).any()


def test_a_song_of_one_chord_sounds_it_in_some_key():
    grid = grid_of(Chart("w", ((0.0, 64.0, 0, (0, 4, 7)),), beats=64.0))
    found = []
    for seed in range(40):
        mean = perform(grid, np.random.default_rng(seed), 200, 1.4, 100.0).mean(axis=1)
        found.append(
            max(mean[[k % 12, (k + 4) % 12, (k + 7) % 12]].sum() / mean.sum() for k in range(12))
        )
    # Chords may be replaced and coloured; three of twelve pitch classes would have a quarter by chance.
    assert np.median(found) > 0.6


def test_every_key_and_tempo_is_played():
    rng = np.random.default_rng(0)
    tempos = [draw_tempo(rng) for _ in range(1000)]
    assert 62 <= min(tempos) < 66
    assert 150 < max(tempos) <= 160
    near = np.array([draw_tempo(rng, 100.0) for _ in range(1000)])
    assert 90 < np.median(near) < 110
    assert 45 <= near.min() < near.max() <= 220
    grid = grid_of(Chart("w", ((0.0, 64.0, 0, (0, 4, 7)),), beats=64.0))
    roots = {
        int(perform(grid, np.random.default_rng(s), 50, 1.4, 90.0).mean(axis=1).argmax())
        for s in range(100)
    }
    assert len(roots) == 12


def test_a_medley_has_a_section_of_each_in_one_key():
    first, second = grid_of(song("a", 1, 32)), grid_of(song("b", 1, 32))
    both = medley(first, second, np.random.default_rng(0))
    # The two are the same song: brought to one key they stay as they are.
    np.testing.assert_array_equal(both.root[: len(first.root)], both.root[len(first.root) :])
    half = both.n_cells // 2
    assert both.chord[:half].max() < len(first.root) <= both.chord[half:].min()


@pytest.fixture
def store(tmp_path):
    return ChartStore(write_songs(tmp_path / "songs.jsonl.gz"))


def test_it_reads_as_a_store(store, tmp_path):
    assert len(store) == 32
    assert list(store.rows_by_key)[:5] == [
        ("w0", "1"),
        ("w0", "2"),
        ("w0", "3"),
        ("w0", "4"),
        ("w1", "1"),
    ]
    x = store.get(("w1", "2"), "crema")
    assert x.shape == (12, 250)
    np.testing.assert_array_equal(
        x, ChartStore(tmp_path / "songs.jsonl.gz").get(("w1", "2"), "crema")
    )
    np.testing.assert_array_equal(store.read("crema", 5, 10, 20), x.T[10:30])
    assert store.n_frames("crema").tolist() == [250] * 32
    assert store.settings("crema")["frame_rate"] == pytest.approx(250 / 180)
    with pytest.raises(MulkinetError, match="expected crema"):
        store.read("hpcp", 0)


def test_training_hears_a_performance_once_and_the_same_for_the_same_seed(store):
    rows = np.arange(32)
    one = store.perform(3, 100, (0, 1, 2, 3), rows)
    np.testing.assert_array_equal(one, store.perform(3, 100, (0, 1, 2, 3), rows))
    for other in [(0, 1, 2, 4), (0, 1, 3, 3), (1, 1, 2, 3)]:
        x = store.perform(3, 100, other, rows)
        assert x.shape != one.shape or (x != one).any()
    lengths = {len(store.perform(3, 120, (0, 0, 0, place), rows)) for place in range(100)}
    assert lengths == {120, 40, 20}


def test_charts_without_a_melody_are_left_out_where_others_have_one(tmp_path):
    path = tmp_path / "a.jsonl"
    write_charts(path, [song("a", 0), song("b", 1, melody=False), song("a", 2)])
    with open(path, "a") as file:
        file.write("{}\n")
    store = ChartStore(path, performances=2)
    assert list(store.rows_by_key) == [("a", "1"), ("a", "2"), ("a", "3"), ("a", "4")]
    assert store.notes[1] == "1 of the charts have no melody and are left out"
    assert "1 lines are no charts, the first" in store.notes[0]
    write_charts(path, [song("b", 1, melody=False)])
    assert len(ChartStore(path)) == 4


def test_a_file_without_charts(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n")
    with pytest.raises(MulkinetError, match="expected charts in .*a.jsonl, found none"):
        ChartStore(tmp_path / "a.jsonl")
