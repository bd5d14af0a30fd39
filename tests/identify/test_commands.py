"""The commands index, identify and calibrate: what they print and how they end."""

import csv
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from mulkinet.cli import identify as identify_command
from mulkinet.cli.main import main
from mulkinet.identify.answers import Answer, Match
from mulkinet.identify.index import Index
from tests.commands import invoke
from tests.identify.songs import make_library, play, write_song


def test_the_tour(tmp_path, model_file):
    library = make_library(tmp_path / "library", range(4))
    path = tmp_path / "library.index"
    done = invoke(main, "index", "build", library, "--model-file", model_file, "-o", path, "-n", 1)
    assert done.exit_code == 0, done.stderr
    assert f"8 tracks of 4 works: {path} (8 added, 8 embedded)" in done.stdout
    assert "8 of them are shorter than the 30 s that the model was trained on" in done.stderr
    done = invoke(main, "calibrate", "--index", path)
    assert done.exit_code == 0, done.stderr
    assert "8 tracks of 4 works: 56 pairs, 8 of them covers" in done.stdout
    assert (
        "yes: a probability of 0.50 or more; of 100 queries, 50 of them of works of" in done.stdout
    )
    write_song(tmp_path / "unknown.wav", 2, 9)
    done = invoke(main, "identify", tmp_path / "unknown.wav", "--index", path)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{tmp_path / 'unknown.wav'} (0:04)"
    assert lines[1].split() == "nearest works by track distance probability 95 % cover".split()
    assert lines[3].split()[0] == "w2"
    assert lines[3].split()[-1] == "yes"
    [none] = [line for line in lines if line.startswith("none of these")]
    assert none.endswith("no")
    assert lines[-1].startswith("yes: a probability of 0.50 or more")
    assert "trained on 30 s" in done.stderr
    done = invoke(main, "index", "info", path)
    assert re.search(r"^works +4$", done.stdout, re.MULTILINE)
    assert "calibrated on" in done.stdout
    done = invoke(main, "index", "remove", "w2", "--index", path)
    assert "6 tracks of 3 works" in done.stdout
    done = invoke(main, "index", "add", library, "--index", path, "-n", 1)
    assert "8 tracks of 4 works" in done.stdout
    assert "(2 added, 6 unchanged, 2 embedded)" in done.stdout


def test_works_of_one_track_each_are_one_table_without_empty_columns():
    def near(work, track, distance):
        return Match(work, track, "", "", distance, None, None)

    girl, help_live, help_ = (
        near("Girl", "a", 0.25),
        near("Help", "c", 0.5),
        near("Help", "b", 0.75),
    )
    one = identify_command._text(Answer("q.wav", 75.0, [girl, help_live], [girl, help_live]))
    heading, names, rule, *rows = one.splitlines()
    assert heading == "q.wav (1:15)"
    assert names.split() == ["nearest", "works", "by", "track", "distance"]
    assert set(rule) == {"-"}
    assert [row.split() for row in rows] == [["Girl", "a", "0.250"], ["Help", "c", "0.500"]]
    two = identify_command._text(Answer("q.wav", 75.0, [girl, help_live], [girl, help_live, help_]))
    assert two.startswith(one + "\n\nnearest tracks ")
    assert two.splitlines()[-1].split() == ["b", "Help", "0.750"]
    cut = Answer("q.wav", 660.0, [girl], [girl], heard_sec=180.0)
    assert identify_command._text(cut).startswith("q.wav (11:00, the first 3:00 heard)\n")


def test_json_holds_the_whole_answer(built, library):
    done = invoke(main, "identify", library / "w1", "--index", built, "--json", "--top", 2, "-n", 1)
    assert done.exit_code == 0
    first, second = json.loads(done.stdout)
    assert first["query"].endswith("w1/p0.wav")
    assert second["works"][0]["work_id"] == "w1"
    assert len(first["works"]) == len(first["tracks"]) == 2
    assert first["works"][0]["probability"] is None
    assert "no probabilities: the index is not calibrated" in done.stderr


def test_csv_has_a_row_for_each_match(built, library):
    query = library / "w1" / "p1.wav"
    done = invoke(main, "identify", query, "--index", built, "--csv", "--top", 3, "--tau", 9)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["kind"] for row in rows] == ["work"] * 3 + ["track"] * 3
    assert rows[0]["work_id"] == "w1"
    assert rows[0]["is_cover"] == "True"


@pytest.fixture(scope="module")
def medley(tmp_path_factory):
    """Twelve seconds of w5, then of w0."""
    path = tmp_path_factory.mktemp("medley") / "medley.wav"
    y = np.concatenate([play(work, 8, 12) for work in (5, 0)])
    soundfile.write(path, y, 44100, subtype="FLOAT")
    return path


def spans_of(built, medley, *form):
    arguments = [medley, "--index", built, "--segments", 8, "--hop", 3, *form]
    done = invoke(main, "identify", *arguments)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_segments_are_spans_of_time(built, medley):
    first, last = spans_of(built, medley).splitlines()[3:]
    assert first.split()[:4] == ["w5", "0:00", "-", "0:12"]
    assert last.split()[:4] == ["w0", "0:12", "-", "0:24"]


def test_spans_in_json_and_csv_are_the_same(built, medley):
    [answer] = json.loads(spans_of(built, medley, "--json"))
    assert answer["works"] == answer["tracks"] == []
    rows = list(csv.DictReader(io.StringIO(spans_of(built, medley, "--csv"))))
    assert {row["kind"] for row in rows} == {"span"}
    assert len(rows) == len(answer["spans"]) == 2
    for rank, (span, row) in enumerate(zip(answer["spans"], rows), start=1):
        assert int(row["rank"]) == rank
        assert float(row["start_sec"]) == pytest.approx(span["start_sec"], abs=0.006)
        assert float(row["end_sec"]) == pytest.approx(span["end_sec"], abs=0.006)
        assert float(row["distance"]) == span["match"]["distance"]
        assert row["work_id"] == span["match"]["work_id"]
    first, last = answer["spans"][0], answer["spans"][-1]
    assert (first["match"]["work_id"], last["match"]["work_id"]) == ("w5", "w0")
    assert first["start_sec"] == 0
    # The window from 6 s holds more of w5, that from 9 s of w0: midway between their centres.
    assert first["end_sec"] == last["start_sec"] == pytest.approx(11.5, abs=0.1)
    assert last["end_sec"] == pytest.approx(24, abs=0.1)
    assert 0 <= first["match"]["distance"] < 2


def test_where_all_queries_are_skipped_the_command_has_failed(built, tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    queries = (tmp_path / "absent.wav", tmp_path / "text.wav")
    done = invoke(main, "identify", *queries, "--index", built, "-n", 1)
    assert done.exit_code == 1
    assert done.stdout == ""
    head, absent, text = done.stderr.splitlines()[-3:]
    assert head == "2 skipped:"
    assert absent == f"  {queries[0]}: cannot read it: No such file or directory"
    assert text.startswith(f"  {queries[1]}: expected audio, found")


def test_where_no_query_is_there_nothing_is_loaded(built, monkeypatch):
    monkeypatch.setattr(Index, "open", None)
    done = invoke(main, "identify", "a.wav", "b.wav", "--index", built)
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: expected a recording at a.wav and 1 more, found no file; check the path\n"
    )


def test_skipped_tracks_are_named_as_the_folder_was(tmp_path, model_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_library(tmp_path / "library", [0], [0])
    for name in ("empty.wav", "text.wav"):
        (tmp_path / "library" / "w0" / name).write_text("no audio" * (name == "text.wav"))
    arguments = ("--model-file", model_file, "-o", "x.index", "-n", 1)
    done = invoke(main, "index", "build", "library", *arguments)
    assert done.exit_code == 3
    names = [line.split(":")[0] for line in done.stderr.splitlines()[-2:]]
    assert names == ["  library/w0/empty.wav", "  library/w0/text.wav"]


def test_mulkinet_is_a_module_that_runs(repository):
    command = [sys.executable, "-m", "mulkinet", "--version"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    first, *others = done.stdout.splitlines()
    assert first.startswith("mulkinet, version ")
    assert {"tensorflow", "numpy", "essentia", "crema"} <= {line.split()[0] for line in others}
    assert f"numpy {np.__version__}" in others


def test_a_broken_faiss_is_one_line(built, library, tmp_path, monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.delitem(sys.modules, "faiss")
    (tmp_path / "faiss.py").write_text("raise ImportError('numpy.core\\n failed')")
    monkeypatch.syspath_prepend(tmp_path)
    done = invoke(main, "identify", library / "w0" / "p0.wav", "--index", built, "-n", 1)
    assert done.exit_code == 1
    [*_, line] = done.stderr.splitlines()
    assert line.startswith(
        "Error: expected a faiss that can be imported, found one that fails (numpy"
    )
    assert "--force-reinstall" in line


def test_hidden_files_and_folders_of_queries_are_passed_over(built, tmp_path):
    for name in ("a.wav", ".hidden.wav", ".trash/b.wav", "deep/c.wav"):
        write_song(tmp_path / name, 1, 0)
    done = invoke(main, "identify", tmp_path, "--index", built, "--csv", "--top", 1, "-n", 1)
    rows = csv.DictReader(io.StringIO(done.stdout))
    names = [row["query"] for row in rows if row["kind"] == "work"]
    assert names == [str(tmp_path / "a.wav"), str(tmp_path / "deep" / "c.wav")]


def test_what_is_printed_of_an_index_may_hold_any_bytes(index_path):
    path = index_path.rename(index_path.with_name(os.fsdecode(b"caf\xe9.index")))
    done = invoke(main, "index", "info", path)
    assert done.exit_code == 0, done.stderr
    assert "caf\\udce9.index" in done.stdout


def test_silent_and_unreadable_queries_end_with_3_after_the_others(built, library, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(44100), 44100)
    (tmp_path / "text.wav").write_text("no audio")
    queries = [tmp_path / "silent.wav", library / "w3" / "p0.wav", tmp_path / "text.wav"]
    done = invoke(main, "identify", *queries, tmp_path / "absent.wav", "--index", built, "-n", 1)
    assert done.exit_code == 3
    assert done.stdout.splitlines()[3].split()[0] == "w3"
    assert "3 skipped:" in done.stderr
    assert "silence" in done.stderr
    assert "absent.wav: cannot read it" in done.stderr


def test_wrong_usage_and_errors_are_one_line(built, library, other_model_file, tmp_path):
    query = library / "w0" / "p0.wav"
    assert invoke(main, "identify", query).exit_code == 2
    assert invoke(main, "identify", query, "--index", built, "--hop", 2).exit_code == 2
    assert invoke(main, "identify", query, "--index", built, "--json", "--csv").exit_code == 2
    for arguments in (
        [query, "--index", tmp_path / "absent"],
        [query, "--index", built, "--model-file", other_model_file],
        [tmp_path, "--index", built],
        [query, "--index", built, "--segments", 4, "--hop", 5],
    ):
        done = invoke(main, "identify", *arguments)
        assert done.exit_code == 1
        assert done.stdout == ""
        assert done.stderr.splitlines()[-1].startswith("Error: expected")


def test_queries_come_from_a_list_or_from_standard_input(built, library, tmp_path):
    (tmp_path / "queries.txt").write_text(f"{library}/w1/p0.wav\n\n{library}/w2/p0.wav\n")
    options = ("--index", built, "--csv", "--top", 1, "-n", 1)
    listed = invoke(main, "identify", "--list", tmp_path / "queries.txt", *options)
    works = [
        row["work_id"]
        for row in csv.DictReader(io.StringIO(listed.stdout))
        if row["kind"] == "work"
    ]
    assert works == ["w1", "w2"]
    assert invoke(main, "identify", *options).exit_code == 2
