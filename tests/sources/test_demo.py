"""The demo set: the same everywhere, of any size, disjoint lists, and as hard as it says."""

import json

import numpy as np
import pytest

from mulkinet import FeatureStore, MulkinetError
from mulkinet.data.lists import read_list
from mulkinet.sources.composer.song import compose
from mulkinet.sources.demo.demo_set import DemoSize, ensure_demo, make_demo
from mulkinet.sources.demo.performer import perform
from mulkinet.sources.demo.renderer import SR, render

SIZE = DemoSize(train_works=2, val_works=2, test_works=2, performances=2, noise_works=1)
SMALL = {"size": SIZE, "length_sec": (1.5, 2.0), "n_workers": 1, "progress": False}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, make_demo(folder, list_dir=folder / "meta", **SMALL)


def audio(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("demo_audio/*/*.flac"))}


def test_it_has_what_was_asked_for(demo):
    folder, made = demo
    lists = {name: read_list(path) for name, path in made.lists.items()}
    assert {name: len(pairs) for name, pairs in lists.items()} == {"TRAIN": 4, "VAL": 4, "TEST": 5}
    works = {name: {work for work, _ in pairs} for name, pairs in lists.items()}
    assert works["TRAIN"].isdisjoint(works["VAL"] | works["TEST"])
    assert works["VAL"].isdisjoint(works["TEST"])
    assert len(works["TEST"]) == 3
    store = FeatureStore(made.store_path)
    assert sorted(store.rows_by_key) == sorted(sum(lists.values(), []))
    assert store.get(lists["TEST"][0], "hpcp").shape == (12, 500)
    assert made.skipped == []


def test_a_store_of_full_lengths(demo, tmp_path):
    """Tracks of 1.5 to 2 s at 86.13 frames/s, every 2nd frame of which is kept."""
    folder, made = demo
    full = make_demo(folder, list_dir=folder / "meta", spect_len=None, downsample=2, **SMALL)
    n_frames = FeatureStore(full.store_path).n_frames("hpcp")
    assert len(n_frames) == 13
    assert len(set(n_frames)) > 1
    assert 1.5 * 43 < min(n_frames) <= max(n_frames) < 2 * 44
    make_demo(folder, list_dir=folder / "meta", **SMALL)
    assert set(FeatureStore(made.store_path).n_frames("hpcp")) == {500}


def test_the_same_seed_makes_the_same_files_in_any_number_of_processes(demo, tmp_path):
    folder, _ = demo
    make_demo(tmp_path, list_dir=tmp_path / "meta", **{**SMALL, "n_workers": 2})
    assert audio(tmp_path) == audio(folder)


def test_an_interrupted_set_is_finished(demo, tmp_path):
    folder, _ = demo
    make_demo(tmp_path, list_dir=tmp_path / "meta", **SMALL)
    kept, *lost = sorted(tmp_path.glob("demo_audio/*/*.flac"))
    before = kept.stat().st_mtime_ns
    for path in lost:
        path.unlink()
    (tmp_path / "demo.h5").unlink()
    ensure_demo(tmp_path, tmp_path / "meta", progress=False)
    assert kept.stat().st_mtime_ns == before
    assert audio(tmp_path) == audio(folder)


def test_a_store_that_is_there_stays_as_it_is(demo, tmp_path):
    folder, made = demo
    before = made.store_path.stat().st_mtime_ns
    found = ensure_demo(folder, tmp_path / "lists", progress=False)
    assert made.store_path.stat().st_mtime_ns == before
    assert found.store_path == made.store_path
    for name, path in found.lists.items():
        assert path.parent == tmp_path / "lists"
        assert read_list(path) == read_list(made.lists[name])


def test_another_set_is_not_mixed_in(demo):
    folder, _ = demo
    with pytest.raises(MulkinetError, match="to have seed 1, found 0"):
        make_demo(folder, list_dir=folder / "meta", seed=1, **SMALL)
    assert json.loads((folder / "demo_audio" / "generator.json").read_text())["seed"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": SIZE._replace(train_works=1)}, "train_works of 2 or more, found 1"),
        ({"size": SIZE._replace(noise_works=-1)}, "noise_works of 0 or more, found -1"),
        ({"seed": -1}, "seed of 0 or more"),
        ({"length_sec": (3, 2)}, "shortest"),
    ],
)
def test_impossible_settings(tmp_path, change, message):
    with pytest.raises(MulkinetError, match=message):
        make_demo(tmp_path, list_dir=tmp_path / "meta", **{**SMALL, **change})
    assert list(tmp_path.iterdir()) == []


def test_performances_differ_as_covers_do():
    played = [perform(0, work, number) for work in range(30) for number in range(3)]
    assert {p.key for p in played} == set(range(-5, 7))
    tempi = [p.tempo_factor for p in played]
    assert 0.7 <= min(tempi) < 0.8
    assert 1.25 < max(tempi) <= 1.4
    assert 20 < max(abs(p.detune_cents) for p in played) <= 30
    assert len({p.structure for p in played}) > 15
    assert {len(p.drums) == 0 for p in played} == {True, False}


def test_the_bass_plays_the_roots_in_the_performance_s_key():
    """The first chord of 40 performances; players exchange one in fifty."""
    first = []
    for work in range(40):
        played = perform(0, work, 0)
        root = compose(0, work).sections[played.structure[0]].chords[0][2]
        first.append((played.parts[1].pitch[0] - played.key) % 12 == root)
    assert sum(first) >= 36


def test_sound():
    performance = perform(0, 1, 1, length_sec=(2.0, 2.0))
    y = render(performance)
    assert y.dtype == np.float32
    assert len(y) == 2 * SR
    assert np.abs(y).max() == pytest.approx(0.8)
    np.testing.assert_array_equal(y, render(performance))
