"""Windows of long recordings, and what spans their answers make."""

import pytest

from mulkinet import MulkinetError
from mulkinet.identify.segments import Window, agreements, windows


def test_windows_cover_the_recording_and_the_last_ends_with_it():
    assert windows(10, 4, 3) == [(0, 4), (3, 7), (6, 10)]
    assert windows(11, 4, 3) == [(0, 4), (3, 7), (6, 10), (7, 11)]


def test_the_hop_is_a_quarter_of_a_window():
    assert windows(9, 8) == [(0, 8), (1, 9)]
    assert [window.start_sec for window in windows(16, 8)] == [0, 2, 4, 6, 8]


def test_a_recording_shorter_than_a_window_is_one():
    assert windows(2.5, 10, 5) == [(0, 2.5)]


@pytest.mark.parametrize(("segment", "hop"), [(0, None), (-1, None), (5, 0), (5, 6)])
def test_impossible_lengths_are_refused(segment, hop):
    with pytest.raises(MulkinetError, match="expected segments longer than 0"):
        windows(10, segment, hop)


def test_borders_lie_midway_between_the_centres_of_windows_that_disagree():
    parts = windows(20, 8, 2)
    works = ["a", "a", "a", "b", "b", "b", "b"]
    # Centres of the third and fourth windows: 8 s and 10 s.
    assert agreements(parts, works) == [
        (Window(0, 9), "a", [0, 1, 2]),
        (Window(9, 20), "b", [3, 4, 5, 6]),
    ]


def test_one_that_disagrees_with_two_neighbours_who_agree_is_outvoted():
    parts = windows(14, 4, 2)
    assert agreements(parts, ["a", "a", "x", "a", "a", "a"]) == [
        (Window(0, 14), "a", [0, 1, 2, 3, 4, 5])
    ]


def test_alternating_works_are_the_first_ones():
    parts = windows(12, 4, 2)
    assert agreements(parts, ["a", "b", "a", "b", "a"]) == [(Window(0, 12), "a", [0, 1, 2, 3, 4])]


def test_a_window_of_no_work_does_not_outvote_one_of_a_work():
    parts = windows(12, 4, 4)
    assert agreements(parts, [None, "a", None]) == [(Window(4, 8), "a", [1])]
    assert agreements(parts, ["a", None, "a"]) == [(Window(0, 12), "a", [0, 1, 2])]


def test_what_belongs_to_no_work_is_left_out():
    parts = windows(14, 4, 2)
    spans = agreements(parts, ["a", "a", None, None, "b", "b"])
    assert spans == [(Window(0, 5), "a", [0, 1]), (Window(9, 14), "b", [4, 5])]
    assert agreements(parts[:2], [None, None]) == []


def test_one_and_two_windows():
    assert agreements([Window(0, 3)], ["a"]) == [(Window(0, 3), "a", [0])]
    two = [Window(0, 4), Window(2, 6)]
    assert [span[0] for span in agreements(two, ["a", "b"])] == [(0, 3), (3, 6)]
