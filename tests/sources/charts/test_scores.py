"""Sheets become charts; what is broken or made to do harm becomes a reason."""

import pytest

from mulkinet.errors import SkippedInput
from mulkinet.sources.charts import collect, scores
from mulkinet.sources.charts.chord_text import read_chord_text
from mulkinet.sources.charts.collect import collect_charts
from mulkinet.sources.charts.figures import chord_of
from mulkinet.sources.charts.harmony import chords_of_notes
from mulkinet.sources.charts.scores import read_sheet
from mulkinet.sources.charts.works import as_works
from tests.sources.charts import sheets

pytest.importorskip("music21", reason="the extra scores is not installed")


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return scores.read_sheet(path)


def roots(chart):
    return [(onset, root) for onset, _, root, _ in chart.chords]


@pytest.mark.parametrize(
    ("symbol", "root", "others"),
    [
        ("C", 0, {4, 7}),
        ("Bb7", 10, {2, 5, 8}),
        ("Eb^7", 3, {7, 10, 2}),
        ("C-7", 0, {3, 7, 10}),
        ("F#ø", 6, {9, 0, 4}),
        ("Bm7b5", 11, {2, 5, 9}),
        ("A♭", 8, {0, 3}),
        ("Dm/F", 2, {5, 9}),
        ("C7alt", 0, {4, 7, 10}),
    ],
)
def test_chord_symbols(symbol, root, others):
    found, classes = chord_of(symbol)
    assert (found, classes[0], set(classes[1:])) == (root, root, others)


def test_no_chord_symbol():
    with pytest.raises(SkippedInput, match="found 'Hm7'"):
        chord_of("Hm7")


def test_a_chart_in_text_is_played_out():
    record = read_chord_text(sheets.TEXT)
    # |: Am7 | D7 | G^7 . C | the same :| twice is 8 bars of 3 beats; then B7 a third of a bar, Em, nothing.
    assert (record["title"], record["beats"], record["bpm"]) == ("Autumn song", 33.0, 96.0)
    bar3 = [(6.0, 2.0, 7), (8.0, 1.0, 0), (9.0, 2.0, 7), (11.0, 1.0, 0)]
    once = [(0.0, 3.0, 9), (3.0, 3.0, 2), *bar3]
    twice = [(onset + 12, duration, root) for onset, duration, root in once]
    end = [(24.0, 2.0, 6), (26.0, 1.0, 11), (27.0, 3.0, 4)]
    assert [tuple(chord[:3]) for chord in record["chords"]] == once + twice + end


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("only words", "expected bars of chords"),
        ("| C | what |", "expected a chord such as Am7"),
        ("meter: ?\n| C | G |", "expected a meter such as 3/4"),
        ("bpm: fast\n| C | G |", "expected a number as bpm"),
        ("|: C :|x999999999", "expected at most 16 times"),
        ("|: C :|x16 " * 3000, "expected at most 4096 bars"),
    ],
)
def test_text_that_is_no_chart(text, reason):
    with pytest.raises(SkippedInput, match=reason):
        read_chord_text(text)


def test_a_tune_book_gives_a_chart_for_each_tune_with_repeats_played(tmp_path):
    (first, chart), (second, reason) = read(tmp_path / "a.abc", sheets.ABC)
    assert (first, second) == (f"{tmp_path}/a.abc, tune 1", f"{tmp_path}/a.abc, tune 2")
    assert (chart.title, chart.beats, chart.meter, chart.bpm) == ("Test tune", 24.0, "4/4", 100.0)
    assert roots(chart) == [(0, 0), (4, 9), (8, 0), (12, 9), (16, 5), (20, 7)]
    assert chart.melody[:5] == ((0, 1, 60), (1, 1, 62), (2, 1, 64), (3, 1, 65), (4, 1, 67))
    assert reason == "expected chords, found none"


@pytest.mark.parametrize("ending", [".musicxml", ".xml", ".mxl"])
def test_musicxml_with_repeats_played(tmp_path, ending):
    xml = sheets.musicxml(times=2)
    [(_, chart)] = read(tmp_path / f"a{ending}", sheets.mxl(xml) if ending == ".mxl" else xml)
    assert (chart.title, chart.beats) == ("A score", 24.0)
    assert roots(chart) == [(0, 0), (4, 5), (8, 0), (12, 5), (16, 7), (20, 0)]
    assert [note[2] for note in chart.melody] == [64, 69, 64, 69, 71, 60]


def test_a_document_type_alone_is_no_harm(tmp_path):
    [(_, chart)] = read(tmp_path / "a.xml", sheets.WITH_DOCTYPE)
    assert chart.beats == 16.0


@pytest.mark.parametrize("content", [sheets.BOMB, sheets.EXTERNAL])
@pytest.mark.parametrize("ending", [".xml", ".mxl"])
def test_xml_made_to_do_harm_is_refused(tmp_path, content, ending):
    with pytest.raises(SkippedInput, match="without entities of its own, found EntitiesForbidden"):
        read(tmp_path / f"a{ending}", sheets.mxl(content) if ending == ".mxl" else content)


def test_an_archive_that_grows_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(scores, "_MOST_BYTES", 1 << 12)
    content = sheets.mxl(sheets.musicxml() + " " * (1 << 16))
    assert len(content) < 1 << 12
    with pytest.raises(SkippedInput, match="at most 4096 bytes, found more in score.xml"):
        read(tmp_path / "a.mxl", content)


def test_a_repeat_without_end_is_refused(tmp_path):
    [(_, reason)] = read(tmp_path / "a.xml", sheets.musicxml(times=10**9))
    assert reason == "expected at most 16 times, found a repeat of 1000000000"


def test_midi_takes_the_melody_by_name_and_chords_from_the_rest(tmp_path):
    [(_, chart)] = read(tmp_path / "a.mid", sheets.midi())
    assert [note[2] for note in chart.melody] == [76, 77]
    assert [chord[2:] for chord in chart.chords] == [(0, (0, 4, 7)), (5, (5, 9, 0))]
    assert chart.chords[1][0] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.mid", b"MThd\x00\x00"),
        ("a.mid", sheets.midi()[:60]),
        ("a.mxl", b"PK\x03\x04 no archive"),
        ("a.mxl", sheets.mxl(sheets.musicxml(), name="other.xml")),
        ("a.xml", "<score-partwise>"),
        ("a.xml", b"\xff\xfe\x00"),
        ("a.xml", "<html/>"),
        ("a.abc", b"\x00" * 50),
    ],
)
def test_what_is_broken_has_a_reason_of_one_line(tmp_path, name, content):
    try:
        [(_, reason)] = read(tmp_path / name, content)
    except SkippedInput as error:
        reason = str(error)
    assert isinstance(reason, str)
    assert reason.startswith("expected")
    assert len(reason.splitlines()) == 1


def test_chords_of_notes_by_hand():
    # Two beats of C E G, nothing, then A C E over two stretches; the last is F with A in the bass.
    notes = [(0, 2, 60), (0, 2, 64), (0, 2, 67)]
    notes += [(4, 4, 57), (4, 4, 60), (4, 4, 64), (8, 2, 57), (8, 2, 60), (8, 2, 65), (9, 1, 77)]
    assert chords_of_notes(notes, 10, 2) == [
        (0, 4, 0, (0, 4, 7)),
        (4, 4, 9, (9, 0, 4)),
        (8, 2, 5, (5, 9, 0)),
    ]


def chart_of(title, chords):
    record = read_chord_text(f"title: {title}\n| {chords} |")
    return scores._chart(record)


def test_sheets_of_one_title_are_one_work_where_their_chords_align():
    song = "C | Am | F | G | C | Am | Dm | G7 | E7 | Am | D7 | G"
    in_d = "D | Bm | G | A | D | Bm | Em | A7 | F#7 | Bm | E7 | A | D"
    other = "Cm | Ab | Bbm | Eb | Fm | Db | B | Gm | Cm | Ab | F#m | Eb"
    named = as_works(
        [
            chart_of(t, c)
            for t, c in [("A Song!", song), ("a song", in_d), ("A song", other), ("B", song)]
        ]
    )
    assert [chart.work for chart in named] == ["a-song", "a-song", "a-song-2", "b"]
    assert named[0].title == "A Song!"


def test_a_folder_of_many_with_broken_ones_lists_them_and_keeps_the_rest(tmp_path):
    folder = tmp_path / "sheets" / "deeper"
    folder.mkdir(parents=True)
    for number in range(38):
        (folder / f"song {number}.txt").write_text("| C | Am | F | G7 |\n" * (number % 3 + 1))
    (folder / "bad.txt").write_text("| no chords |")
    (folder / "bad.xml").write_text(sheets.BOMB)
    (folder / "notes.pdf").write_text("not looked at")
    charts, skipped = collect_charts([tmp_path], n_workers=2, progress=False)
    assert [chart.title for chart in charts] == [f"song {number}" for number in range(38)]
    assert [item for item, _ in skipped] == [f"{folder}/bad.txt", f"{folder}/bad.xml"]


def test_an_interrupted_run_resumes_and_a_changed_sheet_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("MULKINET_CACHE", str(tmp_path / "cache"))
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text("| C | Am | F | G7 |\n" * (number + 1))
    read = []

    def reading(path):
        if len(read) == 2:
            raise KeyboardInterrupt
        read.append(path.name)
        return read_sheet(path)

    monkeypatch.setattr(collect, "read_sheet", reading)
    with pytest.raises(KeyboardInterrupt):
        collect_charts([tmp_path], n_workers=1, progress=False)
    first, read[:] = list(read), []
    charts, skipped = collect_charts([tmp_path], n_workers=1, progress=False)
    assert first == ["0.txt", "1.txt"]
    assert read == ["2.txt", "3.txt"]
    assert (len(charts), skipped) == (4, [])
    (tmp_path / "1.txt").write_text("| Dm | G |")
    damaged = sorted((tmp_path / "cache" / "sheets").iterdir())[0]
    damaged.write_text("[[")
    read.clear()
    again, _ = collect_charts([tmp_path], n_workers=1, progress=False)
    assert "1.txt" in read
    assert len(read) <= 2
    assert [len(chart.chords) for chart in again] == [4, 2, 12, 16]
