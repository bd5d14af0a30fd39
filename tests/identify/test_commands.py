"""The commands index, identify and calibrate: what they print and how they end."""

import csv
import io
import json

import numpy as np
import pytest
import soundfile

from mulkinet.cli.main import main
from tests.commands import invoke
from tests.identify.songs import make_library, play, write_song


def test_the_tour(tmp_path, model_file):
    library = make_library(tmp_path / "library", range(4))
    path = tmp_path / "library.index"
    done = invoke(main, "index", "build", library, "--model-file", model_file, "-o", path, "-n", 1)
    assert done.exit_code == 0, done.stderr
    assert f"8 tracks of 4 works: {path} (8 added, 8 embedded)" in done.stdout
    done = invoke(main, "calibrate", "--index", path)
    assert done.exit_code == 0, done.stderr
    assert "8 tracks of 4 works: 56 pairs, 8 of them covers" in done.stdout
    assert "probabilities take 50% of queries to be of one of its 4 works" in done.stdout
    write_song(tmp_path / "unknown.wav", 2, 9)
    done = invoke(main, "identify", tmp_path / "unknown.wav", "--index", path)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{tmp_path / 'unknown.wav'} (0:04)"
    assert lines[1].split() == "nearest works by track distance probability cover".split()
    assert lines[3].split()[0] == "w2"
    assert lines[3].split()[-1] == "yes"
    assert "trained on 30 s" in done.stderr
    done = invoke(main, "index", "info", path)
    assert "works             4" in done.stdout
    assert "calibrated on" in done.stdout
    done = invoke(main, "index", "remove", "w2", "--index", path)
    assert "6 tracks of 3 works" in done.stdout
    done = invoke(main, "index", "add", library, "--index", path, "-n", 1)
    assert "8 tracks of 4 works" in done.stdout
    assert "(2 added, 6 unchanged, 2 embedded)" in done.stdout


def test_json_holds_the_whole_answer(built, library):
    done = invoke(main, "identify", library / "w1", "--index", built, "--json", "--top", 2, "-n", 1)
    assert done.exit_code == 0
    first, second = json.loads(done.stdout)
    assert first["query"].endswith("w1/p0.wav")
    assert second["works"][0]["work_id"] == "w1"
    assert len(first["works"]) == len(first["tracks"]) == 2
    assert first["works"][0]["probability"] is None
    assert "no probability" in done.stderr


def test_csv_has_a_row_for_each_match(built, library):
    query = library / "w1" / "p1.wav"
    done = invoke(main, "identify", query, "--index", built, "--csv", "--top", 3, "--tau", 9)
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["kind"] for row in rows] == ["work"] * 3 + ["track"] * 3
    assert rows[0]["work_id"] == "w1"
    assert rows[0]["is_cover"] == "True"


@pytest.mark.parametrize("form", [(), ("--csv",), ("--json",)])
def test_segments_are_spans_of_time(built, tmp_path, form):
    medley = np.concatenate([play(work, 9, 12) for work in (5, 0)])
    soundfile.write(tmp_path / "medley.wav", medley, 44100, subtype="FLOAT")
    arguments = [tmp_path / "medley.wav", "--index", built, "--segments", 8, "--hop", 2, *form]
    done = invoke(main, "identify", *arguments)
    assert done.exit_code == 0, done.stderr
    if not form:
        first, *_, last = done.stdout.splitlines()[3:]
        assert first.split()[:3] == ["w5", "0:00", "-"]
        assert last.split()[0] == "w0"
        assert last.split()[3] == "0:24"
    assert done.stdout.index("w5") < done.stdout.index("w0")


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
