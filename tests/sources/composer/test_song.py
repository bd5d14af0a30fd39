"""Composed songs: the same from the same seed, well formed, and like those that their style was counted in."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mulkinet.sources.charts.chart import Chart
from mulkinet.sources.composer.song import chart_of, compose
from mulkinet.sources.composer.style import fit_style, read_style


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), number=st.integers(0, 10**6))
def test_a_song_is_whole(seed, number):
    song = compose(seed, number)
    assert song == compose(seed, number)
    assert set(song.form) == set(song.sections) == set("ABC")
    assert len(set(song.scale)) == 7
    for section in song.sections.values():
        ends = [onset + duration for onset, duration, *_ in section.chords]
        assert [onset for onset, *_ in section.chords] == [0.0, *ends[:-1]]
        assert ends[-1] == 32
        assert section.melody
        for (onset, duration, _), (later, *_) in zip(section.melody, section.melody[1:]):
            assert 0 <= onset < onset + duration <= later < 32


def test_songs_differ():
    songs = [compose(0, number) for number in range(20)]
    assert len({song.sections["A"].chords for song in songs}) == 20
    assert len({song.sections["A"].melody for song in songs}) == 20
    assert compose(1, 0) != songs[0]


def test_a_song_as_a_chart():
    song = compose(0, 0)
    chart = chart_of(song, "w")
    assert Chart.from_record(chart.record()) == chart
    assert chart.beats == 32 * len(song.form)
    second = song.sections[song.form[1]].chords[0]
    assert (32.0, second[1], second[2]) in [chord[:3] for chord in chart.chords]


def test_melodies_lie_on_their_chords_as_real_ones_do():
    """The share of notes on the beat that the chord has, in songs of 60 seeds and in what they were drawn from."""
    composed = fit_style(chart_of(compose(0, number), str(number)) for number in range(60))

    def share(idioms):
        tones = sum(np.array(idiom.chord_tones)[:, 1] for idiom in idioms)
        return (tones[0, [0, 4, 7]].sum() + tones[1, [0, 3, 7]].sum()) / tones[:2].sum()

    assert abs(share(composed) - share(read_style())) < 0.08
