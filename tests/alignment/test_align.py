"""Key, tempo and spans of tracks whose truth is known."""

import numpy as np
import pytest

from mulkinet.alignment import align
from mulkinet.alignment.path import best_path, matching_paths
from mulkinet.errors import MulkinetError

RATE = 2.0


def song(rng, n_frames):
    """Chords of two seconds, with a melody over them."""
    chords = np.repeat(rng.random((12, n_frames // 4 + 1)) ** 6, 4, axis=1)[:, :n_frames]
    return chords + 0.3 * rng.random((12, n_frames)) ** 4 * (1 + np.arange(12))[:, None] / 12


def played(x, semitones, speed):
    """x, higher by so many semitones, at that speed."""
    times = np.arange(int(x.shape[1] / speed)) * speed
    slow = np.stack([np.interp(times, np.arange(x.shape[1]), row) for row in x])
    return np.roll(slow, semitones, axis=0)


@pytest.mark.parametrize("speed", [0.7, 0.87, 1.0, 1.17, 1.4])
@pytest.mark.parametrize("semitones", [-5, 0, 3, 6])
def test_key_and_tempo(rng, semitones, speed):
    x = song(rng, 240)
    y = played(x, semitones, speed) + 0.05 * rng.random((12, int(240 / speed)))
    found = align(x, y, frame_rate=RATE)
    assert found.transposition == semitones
    assert found.tempo_ratio == pytest.approx(speed, rel=0.03)
    [(start_a, end_a, start_b, end_b), *_] = found.spans
    assert start_a < 4
    assert end_a > 116
    assert start_b == pytest.approx(start_a / speed, abs=2)
    assert end_b == pytest.approx(end_a / speed, abs=2)


def test_sections_in_another_order(rng):
    first, second = song(rng, 100), song(rng, 160)
    x, y = np.hstack([first, second]), np.hstack([second, first])
    found = align(x, y, frame_rate=RATE)
    # Longest first.
    np.testing.assert_allclose(found.spans, [(50, 130, 0, 80), (0, 50, 80, 130)], atol=4)


def test_same_track(rng):
    x = song(rng, 150)
    found = align(x, x, frame_rate=RATE)
    assert (found.transposition, found.tempo_ratio) == (0, 1)
    assert found.similarity == pytest.approx(1)
    assert found.score > 5 * align(x, song(rng, 150), frame_rate=RATE).score


def test_a_path_by_hand():
    cells = np.zeros((9, 9), dtype=np.uint8)
    for cell in [(2, 3), (3, 4), (5, 5), (6, 7), (7, 8)]:
        cells[cell] = 1
    path, score = best_path(cells)
    assert path.tolist() == [[2, 3], [3, 4], [5, 5], [6, 7], [7, 8]]
    assert score == 5
    assert matching_paths(cells, least=6) == []


def test_a_path_is_cut_where_nothing_matches():
    cells = np.eye(80, dtype=np.uint8)
    cells[35:46] = 0
    first, second = matching_paths(cells, least=20)
    assert [first[0, 0], first[-1, 0], second[0, 0], second[-1, 0]] == [2, 34, 46, 79]


def test_nothing_recurs():
    path, score = best_path(np.zeros((5, 6), dtype=np.uint8))
    assert path.shape == (0, 2)
    assert score == 0


def test_short_and_silent_tracks(rng):
    x = song(rng, 60)
    assert align(x[:, :12], x, frame_rate=RATE).spans == []
    with pytest.raises(MulkinetError, match="y: expected music, found silence"):
        align(x, np.zeros((12, 60)), frame_rate=RATE)
