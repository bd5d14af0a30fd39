"""Label files and cue sheets, written by hand from their formats' descriptions."""

import pytest

from mulkinet.errors import MulkinetError
from mulkinet.identify.labels import audacity_labels, cue_sheet
from mulkinet.identify.setlist import Played, SetList


def played(start, end, work, title="a"):
    return Played(start, end, work, "a", title, "", 0.0, 1.0, 0.9)


SPANS = [played(0, 61.5, "w1"), played(3725.2, 3800.0, 'w"2"', "Tab\tand\nline")]


def test_audacity_labels():
    text = audacity_labels(SetList("concert.mp3", 4000.0, SPANS))
    assert text == '0.000\t61.500\tw1\n3725.200\t3800.000\tw"2": Tab and line\n'
    assert audacity_labels(SetList("concert.mp3", 4000.0)) == ""


def test_cue_sheet():
    # 3725.2 s are 62 minutes, 5 seconds and .2 x 75 = 15 frames.
    assert cue_sheet(SetList("live/concert.mp3", 4000.0, SPANS)) == (
        'TITLE "concert"\n'
        'FILE "concert.mp3" MP3\n'
        "  TRACK 01 AUDIO\n"
        '    TITLE "w1"\n'
        "    INDEX 01 00:00:00\n"
        "  TRACK 02 AUDIO\n"
        "    TITLE \"w'2': Tab and line\"\n"
        "    INDEX 01 62:05:15\n"
    )


def test_frames_of_a_cue_sheet_carry():
    # 59.999 s are nearer to 60 s than to 59 s and 74 frames.
    text = cue_sheet(SetList("a.flac", 100.0, [played(59.999, 70, "w")]))
    assert "INDEX 01 01:00:00" in text
    assert 'FILE "a.flac" WAVE' in text


def test_a_cue_sheet_has_99_tracks():
    spans = [played(i, i + 1, "w") for i in range(100)]
    assert "TRACK 99" in cue_sheet(SetList("a.wav", 100.0, spans[:99]))
    with pytest.raises(MulkinetError, match="up to 99 works.*found 100; use --labels"):
        cue_sheet(SetList("a.wav", 100.0, spans))
