"""Conversions: kept, refused, forced, interrupted and continued, and nothing left half written."""

import csv
import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mulkinet import FeatureStore, MulkinetError
from mulkinet.data.checks import sizes_of_works
from mulkinet.data.lists import read_list
from mulkinet.errors import SkippedInput
from mulkinet.features.resize import TrackLength
from mulkinet.sources import conversion
from mulkinet.sources.conversion import Item, convert, file_signature
from mulkinet.sources.da_tacos import convert_subset
from mulkinet.sources.part_file import PartFile
from mulkinet.workers import CRASHED
from tests.sources.feature_files import copy_da_tacos, da_tacos_path, write_da_tacos
from tests.stores import SETTINGS

# Converts a subset as the command does, but slowly, so that it can be killed at any track.
_SLOW = """
import sys, time
from mulkinet.features.resize import TrackLength
from mulkinet.sources import da_tacos

read_track = da_tacos.read_track

def slowly(source, track_length):
    time.sleep(0.01)
    return read_track(source, track_length)

da_tacos.read_track = slowly
da_tacos.convert_subset(sys.argv[1], "benchmark", sys.argv[2], features=("crema",),
                        track_length=TrackLength(500), progress=False)
"""


def make(path, rng=None, n_tracks=5, **options):
    items = [Item(("w", str(i)), i, f"size {i}") for i in range(n_tracks)]
    options = {"name": "made", "attributes": {"source": "test"}, "progress": False, **options}
    options.setdefault("settings", {"hpcp": SETTINGS})
    return convert(items, options.pop("read", frames_of), path, **options)


def frames_of(number):
    return {"hpcp": np.full((number + 1, 12), number, np.float32)}


def odd_only(number):
    if number % 2 == 0:
        raise SkippedInput(f"{number} is even")
    return frames_of(number)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "out" / "made.h5"


def test_a_store_is_made(path):
    metadata = {"title": {("w", "0"): "Zero"}}
    made = make(path, n_tracks=100, metadata=metadata)
    assert made == (path, 1, 100, [], False)
    store = FeatureStore(path)
    assert store.attributes["source"] == "test"
    assert store.attributes["n_skipped"] == 0
    assert store.metadata["title"].tolist() == ["Zero"] + 99 * [""]
    for i in range(100):
        np.testing.assert_array_equal(store.get(str(i), "hpcp"), np.full((12, i + 1), i))
    assert [p.name for p in path.parent.iterdir()] == ["made.h5"]


def test_skipped_inputs_are_listed(path):
    made = make(path, read=odd_only)
    assert made.skipped == [("w/0", "0 is even"), ("w/2", "2 is even"), ("w/4", "4 is even")]
    assert FeatureStore(path).track_ids.tolist() == ["1", "3"]
    again = make(path, read=odd_only)
    assert again == (path, 1, 2, made.skipped, True)
    # What the source says anew comes first, and nothing twice.
    again = make(path, read=odd_only, skipped=[("x", "new"), ("w/2", "2 is even")])
    assert [what for what, _ in again.skipped] == ["x", "w/2", "w/0", "w/4"]


def test_ids_that_cannot_be_are_skipped_and_titles_made_to_fit(path):
    keys = [("w", "good"), ("w", "tab\t"), ("\ud800", "1"), ("nul\0", "1"), ("w", "")]
    items = [Item(key, i, "same") for i, key in enumerate(keys)]
    titles = {"title": {("w", "good"): "a\0b\ud800"}}
    options = {"name": "made", "attributes": {}, "progress": False, "settings": {"hpcp": SETTINGS}}
    made = convert(items, frames_of, path, metadata=titles, **options)
    assert [what for what, _ in made.skipped] == [repr("/".join(key)) for key in keys[1:]]
    store = FeatureStore(path)
    assert list(store.rows_by_key) == keys[:1]
    assert store.metadata["title"].tolist() == ["a\\0b\\ud800"]


def test_every_skipped_input_is_kept_however_many(path):
    skipped = [(f"{number:090}", "é" * 10) for number in range(15000)]
    assert make(path, skipped=skipped).skipped == skipped
    assert make(path, skipped=[]).skipped == skipped
    assert FeatureStore(path).attributes["n_skipped"] == 15000


def dies_of_some(number):
    if number in (3, 4, 39):
        os.kill(os.getpid(), signal.SIGKILL)
    return frames_of(number)


def test_a_process_that_dies_takes_one_track_along(path, monkeypatch):
    monkeypatch.setattr(conversion, "count_workers", lambda n: 2)
    made = make(path, read=dies_of_some, n_tracks=40)
    assert made.skipped == [("w/3", CRASHED), ("w/4", CRASHED), ("w/39", CRASHED)]
    assert FeatureStore(path).n_frames("hpcp").sum() == sum(range(1, 41)) - 4 - 5 - 40


def test_a_file_that_is_not_there_any_more(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SkippedInput, match="cannot read link: No such file"):
        file_signature(tmp_path, tmp_path / "link")


def test_nothing_usable_leaves_nothing(path):
    def nothing(number):
        raise SkippedInput("no")

    with pytest.raises(MulkinetError, match="found none, 5 skipped; the first, w/0: no"):
        make(path, read=nothing)
    assert list(path.parent.iterdir()) == []


def test_a_store_of_the_same_is_kept_and_another_is_not(path):
    make(path)
    content = path.read_bytes()
    assert make(path).was_there
    others = {
        "bin0 A of hpcp": {"settings": {"hpcp": {**SETTINGS, "bin0": "C"}}},
        "one without crema": {"settings": {"crema": SETTINGS}},
        "source test": {"attributes": {"source": "other"}},
        "one made of other files": {"n_tracks": 6},
        "other titles": {"metadata": {"title": {("w", "0"): "Zero"}}},
    }
    for found, options in others.items():
        with pytest.raises(MulkinetError, match=f"found another: {found}.*--force"):
            make(path, **options)
    assert path.read_bytes() == content
    assert not make(path, n_tracks=6, force=True).was_there
    assert len(FeatureStore(path)) == 6


def test_another_file_is_not_written_over(path):
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(MulkinetError, match="no HDF5 file.*--force overwrites it"):
        make(path)
    assert path.read_text() == "precious"


def test_one_run_at_a_time(path):
    def meanwhile(number):
        with pytest.raises(MulkinetError, match="another run is already making"):
            make(path)
        return frames_of(number)

    assert make(path, read=meanwhile).n_tracks == 5


def test_an_error_leaves_the_finished_for_the_next_run(path):
    def breaks_down(number):
        if number == 3:
            raise RuntimeError("broken")
        return frames_of(number)

    read = []

    def counted(number):
        read.append(number)
        return frames_of(number)

    with pytest.raises(RuntimeError, match="broken"):
        make(path, read=breaks_down)
    assert not path.exists()
    make(path, read=counted)
    assert read == [3, 4]
    assert len(FeatureStore(path)) == 5
    with pytest.raises(RuntimeError, match="broken"):
        make(path, read=breaks_down, force=True)
    # Other settings: what was finished is of no use.
    make(path, read=counted, attributes={"source": "other"}, force=True)
    assert read == [3, 4, 0, 1, 2, 3, 4]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(MulkinetError, match="cannot write.*check that the folder is writable"):
        make(tmp_path / "out" / "made.h5")


def kill_when(process, part, n_tracks):
    """Kills a conversion when so many tracks of 500 frames are finished."""
    while not part.exists() or part.stat().st_size < n_tracks * 500 * 12 * 4:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path, rng):
    keys = [(f"W_{i // 5}", f"P_{i}") for i in range(90)]
    write_da_tacos(tmp_path, "benchmark", keys, ["crema"], rng, n_frames=40)
    path, whole = tmp_path / "killed" / "benchmark.h5", tmp_path / "whole" / "benchmark.h5"
    part = path.with_name(".benchmark.partial")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _SLOW, tmp_path, path]
    for n_tracks in (20, 45):
        kill_when(subprocess.Popen(command, env=environment), part, n_tracks)
        assert not path.exists()
        assert len(PartFile(io.BytesIO(part.read_bytes()), 1).n_frames) >= n_tracks - 1
    options = {"features": ("crema",), "track_length": TrackLength(500), "progress": False}
    convert_subset(tmp_path, "benchmark", path, **options)
    convert_subset(tmp_path, "benchmark", whole, **options)
    assert path.read_bytes() == whole.read_bytes()
    assert len(FeatureStore(path)) == 90
    assert [p.name for p in path.parent.iterdir()] == ["benchmark.h5"]


def benchmark_keys(repository):
    """The benchmark subset: 1000 works of 13 and 2000 of 1, by their real ids where they are known."""
    path = repository.parent / "shared" / "data" / "da-tacos" / "da-tacos_benchmark_subset.csv"
    if path.is_file():
        with open(path, newline="") as file:
            return [(row["work_id"], row["track_id"]) for row in csv.DictReader(file)]
    works = np.concatenate([np.repeat(np.arange(1000), 13), np.arange(1000, 3000)])
    return [(f"W_{work}", f"P_{i}") for i, work in enumerate(works)]


def blank(path):
    """Fills a file with zeros and makes it look as before."""
    found = os.stat(path)
    os.truncate(path, 0)
    os.truncate(path, found.st_size)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.slow
def test_fifteen_thousand_tracks_killed_half_way(tmp_path, rng, repository):
    """As many as the benchmark subset has, 15226 frames each."""
    keys = benchmark_keys(repository)
    # Few values that repeat, so that the files are small.
    write_da_tacos(tmp_path / "originals", "benchmark", keys[:10], ["crema"], rng, n_frames=15226)
    originals = sorted((tmp_path / "originals").glob("*/*/*.h5"))
    data_dir = tmp_path / "data"
    copy_da_tacos(data_dir, "benchmark", keys, "crema", originals)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, repository / "preprocess.py", "da-tacos", "-d", data_dir, "-o"]
    subprocess.run([*command, whole, "--list-dir", tmp_path / "meta"], check=True)
    pairs = read_list(tmp_path / "meta" / "DATACOS-BENCHMARK")
    assert sorted(pairs) == sorted(keys)
    assert sizes_of_works(pairs) == {1: 2000, 13: 1000}
    part = killed / ".benchmark.partial"
    kill_when(subprocess.Popen([*command, killed]), part, 7500)
    assert not (killed / "benchmark.h5").exists()
    n_finished = len(PartFile(io.BytesIO(part.read_bytes()), 1).n_frames)
    # A track takes a little more in the file than its values do.
    assert 7300 < n_finished < 8000
    # What was finished is not read again: there is nothing to read any more.
    for key in sorted(keys)[: n_finished - 100]:
        blank(da_tacos_path(data_dir, "benchmark", key, "crema"))
    subprocess.run([*command, killed], check=True)
    assert (killed / "benchmark.h5").read_bytes() == (whole / "benchmark.h5").read_bytes()
    assert len(FeatureStore(whole / "benchmark.h5")) == 15000
