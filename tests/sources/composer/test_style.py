"""What is counted in lead sheets, by hand."""

import gzip
from pathlib import Path

import pytest

from mulkinet.sources.charts.chart import Chart, read_charts
from mulkinet.sources.composer.style import KINDS, fit_style, read_style, write_style

_OPEN = Path(__file__).parents[4] / "shared/data/charts/charts-open.jsonl.gz"
_C, _F, _G, _AM = ((root * 8 + kind) for root, kind in ((0, 0), (5, 0), (7, 0), (9, 1)))


def _song(key=0):
    """Two phrases of C | F G | Am | C, in which every bar is sung in quarters on E E G G, but the last, which rests."""
    chords = [(0, 4, _C), (4, 2, _F), (6, 2, _G), (8, 4, _AM), (12, 4, _C)]
    chords += [(onset + 16, duration, chord) for onset, duration, chord in chords]
    sounding = [
        (float(onset), float(duration), (chord // 8 + key) % 12, _classes(chord, key))
        for onset, duration, chord in chords
    ]
    notes = [64, 64, 67, 67] * 7
    melody = [(float(beat), 1.0, pitch + key) for beat, pitch in enumerate(notes)]
    return Chart(work=f"in {key}", chords=tuple(sounding), melody=tuple(melody), beats=32.0)


def _classes(chord, key):
    return tuple(sorted((chord // 8 + key + interval) % 12 for interval in KINDS[chord % 8]))


def test_counts_of_a_song():
    [idiom] = fit_style([_song()] * 4)
    assert (idiom.songs, idiom.is_minor) == (4, False)
    # Chords change on slots 0, 2, 3, 4 and 6 of eight; the second phrase begins with the chord that the first ended on.
    assert idiom.changes == {str(0b01011101): 8}
    assert idiom.first_chords == {str(_C): 8}
    assert idiom.chords[str(_C)] == {str(_F): 8}
    assert idiom.chords[str(_AM)] == {str(_C): 8}
    assert idiom.chord_pairs[f"{_F},{_G}"] == {str(_AM): 8}
    assert idiom.phrases == [4, 0, 0]
    quarters = str(1 + (1 << 4) + (1 << 8) + (1 << 12))
    assert idiom.rhythms == {quarters: {"0": 4, quarters: 24}}
    # Of seven bars with notes the first has none before it; the others are as the bar before.
    assert idiom.copies == [24, 24, 0, 0, 0, 0, 0]
    assert idiom.lengths[3][3] == 4 * 27
    up, down, same = 12 + 3, 12 - 3, 12
    assert idiom.intervals[same][up] == idiom.intervals[same][down] + 4 == 4 * 7
    assert idiom.scale == [0, 0, 0, 0, 56, 0, 0, 56, 0, 0, 0, 0]
    assert idiom.spread == 1.5


def test_the_key_does_not_count():
    assert fit_style([_song(key) for key in range(12)]) == fit_style([_song()] * 12)


def test_songs_without_melody_or_of_one_phrase_are_passed_over():
    song = _song()
    short = Chart("short", song.chords[:5], song.melody[:16], 16.0)
    assert fit_style([Chart("unsung", song.chords, (), 32.0), short]) == []


def test_what_is_written_is_read_again(tmp_path):
    write_style(tmp_path / "style.json.gz", read_style())
    packed = (tmp_path / "style.json.gz").read_bytes()
    ours = Path(__file__).parents[3] / "mulkinet/sources/composer/style.json.gz"
    assert gzip.decompress(packed) == gzip.decompress(ours.read_bytes())


@pytest.mark.slow
@pytest.mark.skipif(not _OPEN.is_file(), reason="needs the open charts")
def test_the_package_has_the_style_of_the_open_charts():
    assert fit_style(read_charts(_OPEN)[0]) == read_style()
