"""`preprocess.py charts`, as it is typed."""

import numpy as np
import pytest

from mulkinet import FeatureStore
from mulkinet.cli.preprocess import main
from mulkinet.sources.charts.chart import read_charts
from tests.commands import invoke
from tests.sources.charts import sheets
from tests.sources.charts.songs import write_songs


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip("music21", reason="the extra scores is not installed")
    folder = tmp_path / "sheets"
    folder.mkdir()
    (folder / "a.txt").write_text(sheets.TEXT)
    (folder / "b.txt").write_text(sheets.TEXT)
    (folder / "c.xml").write_text(sheets.musicxml())
    (folder / "bomb.xml").write_text(sheets.BOMB)
    return folder


def test_sheets_become_a_file_of_charts_and_bad_ones_are_listed(folder, tmp_path):
    output = tmp_path / "charts.jsonl.gz"
    done = invoke(main, "charts", folder, "-o", output, "-n", 1)
    assert done.exit_code == 3
    assert done.stdout == f"3 charts of 2 works: {output}\n"
    assert f"{folder}/bomb.xml: expected MusicXML without entities" in done.stderr
    charts, skipped = read_charts(output)
    assert [chart.work for chart in charts] == ["autumn-song", "autumn-song", "a-score"]
    assert not skipped
    again = invoke(main, "charts", folder, "-o", output, "-n", 1)
    assert again.exit_code == 1
    assert "overwrite it with --force" in again.stderr


def test_charts_become_a_store_of_performances(tmp_path):
    path, output = write_songs(tmp_path / "songs.jsonl", 3), tmp_path / "songs.h5"
    done = invoke(main, "charts", path, "-o", output, "--performances", 2)
    assert (done.exit_code, done.stdout) == (0, f"3 charts of 3 works: {output}\n")
    store = FeatureStore(output)
    assert list(store.rows_by_key) == [(f"w{w}", f"{t}") for w in range(3) for t in (1, 2)]
    assert store.settings("crema")["averaged"]
    one, other = (store.get(("w0", track), "crema") for track in "12")
    assert one.shape == (12, 250)
    assert np.abs(one - other).max() > 0.1


def test_songs_are_composed_beside_sheets_or_alone(tmp_path):
    path, output = write_songs(tmp_path / "songs.jsonl", 1), tmp_path / "more.jsonl"
    done = invoke(main, "charts", path, "--compose", 2, "--seed", 7, "-o", output)
    assert (done.exit_code, done.stdout) == (0, f"3 charts of 3 works: {output}\n")
    charts, _ = read_charts(output)
    assert [chart.work for chart in charts] == ["w0", "composed-7-00000", "composed-7-00001"]
    invoke(main, "charts", "--compose", 3, "--seed", 7, "-o", tmp_path / "alone.jsonl")
    assert read_charts(tmp_path / "alone.jsonl")[0][:2] == charts[1:]
    invoke(main, "charts", output, "--compose", 3, "--seed", 7, "-o", tmp_path / "again.jsonl")
    assert len(read_charts(tmp_path / "again.jsonl")[0]) == 4  # none twice
    done = invoke(main, "charts", "-o", tmp_path / "none.jsonl")
    assert (done.exit_code, "--compose N, found neither" in done.stderr) == (2, True)


def test_what_cannot_be_collected(tmp_path):
    done = invoke(main, "charts", tmp_path, "-o", tmp_path / "a.csv")
    assert done.exit_code == 2
    done = invoke(main, "charts", tmp_path, "-o", tmp_path / "a.jsonl")
    assert (done.exit_code, "found none; name their folder" in done.stderr) == (1, True)
    (tmp_path / "a.txt").write_text("words")
    done = invoke(main, "charts", tmp_path, "-o", tmp_path / "a.jsonl", "-n", 1)
    assert "expected charts, found none in 1 sheets, the first" in done.stderr
    assert not (tmp_path / "a.jsonl").exists()
