import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.sources.charts.chart import Chart, read_charts, write_charts

GOOD = {
    "work": "w1",
    "source": "us",
    "licence": "MIT",
    "title": "A song",
    "beats": 16.0,
    "meter": "3/4",
    "bpm": 96.0,
    "melody": [[0.0, 1.0, 60], [1.0, 2.5, 64]],
    "chords": [[0.0, 4.0, 0, [0, 4, 7]], [4.0, 12.0, 9, [9, 0, 4]]],
}


def write_lines(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_line_becomes_a_chart_and_a_chart_the_line(tmp_path):
    charts, skipped = read_charts(write_lines(tmp_path / "a.jsonl", json.dumps(GOOD)))
    assert not skipped
    assert charts[0].chords[1] == (4.0, 12.0, 9, (9, 0, 4))
    assert json.loads(json.dumps(charts[0].record())) == GOOD


def test_what_a_line_may_leave_out():
    chart = Chart.from_record({"work": "w", "chords": [[0, 4, 0, [0]], [4, 2, 5, [5]]]})
    assert (chart.beats, chart.meter, chart.bpm, chart.melody) == (6.0, "4/4", None, ())


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_what_is_written_is_read_and_always_the_same(tmp_path, name):
    charts = [Chart.from_record(GOOD), Chart.from_record({**GOOD, "work": "w2", "melody": []})]
    write_charts(tmp_path / name, charts)
    first = (tmp_path / name).read_bytes()
    write_charts(tmp_path / name, charts)
    assert (tmp_path / name).read_bytes() == first
    assert read_charts(tmp_path / name) == (charts, [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"chords": []}, "expected chords, found none"),
        ({"chords": "C G"}, "expected a list of chords"),
        ({"chords": [[0, 4, 0]]}, "a chord of 4 values"),
        ({"chords": [[-1, 4, 0, [0]]]}, "found onset -1"),
        ({"chords": [[0, 0, 0, [0]]]}, "duration 0"),
        ({"chords": [[0, float("nan"), 0, [0]]]}, "expected a number as duration"),
        ({"chords": [[0, 10**400, 0, [0]]]}, "expected a number as duration"),
        ({"chords": [[0, True, 0, [0]]]}, "expected a number as duration"),
        ({"chords": [[0, 4, 12, [0]]]}, "a root of 0 - 11"),
        ({"chords": [[0, 4, 0, []]]}, "pitch classes"),
        ({"chords": [[0, 4, 0, [12]]]}, "a pitch class of 0 - 11"),
        ({"chords": [[0, 4, 0, [0]], [3, 4, 0, [0]]]}, "do not overlap"),
        ({"chords": [[4, 4, 0, [0]], [0, 4, 0, [0]]]}, "chords by onset"),
        ({"chords": [[0, 4, 0, [0]], [20, 4, 0, [0]]]}, "within its 16 beats"),
        ({"melody": [[0, 1, 128]]}, "MIDI note of 0 - 127"),
        ({"melody": [[-0.5, 1, 60]]}, "onset -0.5"),
        ({"melody": [[2, 1, 60], [1, 1, 60]]}, "notes by onset"),
        ({"beats": 3}, "more than a bar, 3 beats"),
        ({"beats": 1e8}, "at most 20000"),
        ({"meter": "3/5"}, "a meter such as 3/4"),
        ({"meter": 4}, "a meter such as 3/4"),
        ({"bpm": 0}, "a bpm in"),
        ({"work": ""}, "work: "),
        ({"work": "a\tb"}, "work: "),
        ({"title": 7}, "text as title"),
    ],
)
def test_what_is_no_chart_says_why(change, reason):
    with pytest.raises(SkippedInput, match="expected") as error:
        Chart.from_record({**GOOD, **change})
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_lines_are_listed_by_their_number_and_the_others_read(tmp_path):
    one_bar = {**GOOD, "beats": 2}
    path = write_lines(
        tmp_path / "a.jsonl", json.dumps(GOOD), "{", json.dumps(one_bar), "[1]", "[" * 100_000
    )
    charts, skipped = read_charts(path)
    assert len(charts) == 1
    assert [item for item, _ in skipped] == [f"{path}, line {n}" for n in (2, 3, 4, 5)]


def test_a_note_ends_where_the_next_begins_and_of_two_at_once_the_last_stays():
    melody = [[0, 2, 60], [1, 1, 62], [2, 1, 64], [2, 1, 65]]
    chart = Chart.from_record({**GOOD, "melody": melody})
    assert chart.melody == ((0.0, 1.0, 60), (1.0, 1.0, 62), (2.0, 1.0, 65))


def test_a_damaged_or_absent_file_is_named(tmp_path):
    whole = gzip.compress(json.dumps(GOOD).encode() * 100)
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MulkinetError, match=r"a whole gzip file, found .*a\.jsonl\.gz"):
        read_charts(tmp_path / "a.jsonl.gz")
    with pytest.raises(MulkinetError, match="found no file"):
        read_charts(tmp_path / "b.jsonl")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(st.sampled_from(sorted(GOOD)), json_values)
def test_whatever_a_field_holds_it_is_a_chart_or_a_reason(field, value):
    try:
        chart = Chart.from_record({**GOOD, field: value})
    except SkippedInput as error:
        message = str(error)
    else:
        message = "a chart"
        assert Chart.from_record(chart.record()) == chart
    assert len(message.splitlines()) == 1
