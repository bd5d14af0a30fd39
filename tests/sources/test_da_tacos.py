"""Da-TACOS: both layouts, ids, orientation, metadata, and everything that can be wrong."""

import json
import os

import cv2
import h5py
import numpy as np
import pytest

from mulkinet import FeatureStore, MulkinetError
from mulkinet.features.resize import TrackLength
from mulkinet.sources import da_tacos
from mulkinet.sources.da_tacos import FEATURES, convert_subset, find_subsets
from tests.sources.feature_files import da_tacos_path, write_da_tacos, write_da_tacos_track

KEYS = [("W_1", "P_10"), ("W_1", "P_9"), ("W_22", "P_3")]


def run(data_dir, subset="benchmark", features=("crema",), track_length=None, **options):
    path = data_dir / "stores" / f"{subset}.h5"
    track_length = track_length or TrackLength(downsample=1)
    options = {"features": features, "track_length": track_length, "progress": False, **options}
    made = convert_subset(data_dir, subset, path, **options)
    return made, FeatureStore(path)


def siamese(frames):
    """The release's own way: the first 15500 frames, wrapped, resized by OpenCV."""
    x = frames.T[:, :15500]
    x = np.pad(x, ((0, 0), (0, 15500 - x.shape[1])), "wrap")
    return cv2.resize(x, (500, 12), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("single", [True, False])
def test_both_layouts_give_the_same(tmp_path, rng, single):
    made = write_da_tacos(tmp_path, "benchmark", KEYS, FEATURES, rng, single=single)
    result, store = run(tmp_path, features=FEATURES)
    assert (result.n_works, result.n_tracks, result.skipped) == (2, 3, [])
    assert list(store.rows_by_key) == [("W_1", "P_9"), ("W_1", "P_10"), ("W_22", "P_3")]
    for key in KEYS:
        for feature in FEATURES:
            np.testing.assert_array_equal(store.get(key, feature), made[key][feature].T)
    assert {f: store.settings(f)["bin0"] for f in FEATURES} == {
        "crema": "C",
        "hpcp": "A",
        "chroma_cens": "C",
    }


@pytest.mark.parametrize("n_frames", [7, 15226, 15500, 17000])
def test_resized_as_the_siamese_system_did(tmp_path, rng, n_frames):
    made = write_da_tacos(tmp_path, "benchmark", KEYS[:1], FEATURES, rng, n_frames=n_frames)
    _, store = run(tmp_path, features=FEATURES, track_length=TrackLength(500))
    for feature, frames in made[KEYS[0]].items():
        resized = store.get(KEYS[0], feature)
        np.testing.assert_allclose(resized, siamese(frames), atol=1e-5)
    assert store.settings("crema")["spect_len"] == 500


def test_downsampled_as_move_did(tmp_path, rng):
    made = write_da_tacos(tmp_path, "coveranalysis", KEYS[:1], ["hpcp"], rng, n_frames=401)
    _, store = run(tmp_path, "coveranalysis", ("hpcp",), TrackLength(downsample=8))
    np.testing.assert_array_equal(store.get(KEYS[0], "hpcp"), made[KEYS[0]]["hpcp"][::8].T)
    assert store.settings("hpcp")["frame_rate"] == pytest.approx(44100 / 4096)


def test_settings_are_those_of_the_extractors(tmp_path, rng):
    from mulkinet.features import extractor

    write_da_tacos(tmp_path, "benchmark", KEYS[:1], FEATURES, rng)
    _, store = run(tmp_path, features=FEATURES)
    for feature in FEATURES:
        framed = TrackLength(downsample=1).settings(extractor(feature).settings)
        made = {key: store.settings(feature)[key] for key in framed}
        framed = {k: json.dumps(v) if isinstance(v, dict) else v for k, v in framed.items()}
        assert {**made, "extractor_version": None} == {**framed, "extractor_version": None}


def test_orientation_is_told_by_the_axis_of_12_and_by_feature_when_both_are(tmp_path, rng):
    x = rng.random((12, 30), np.float32)
    square = rng.random((12, 12), np.float32)
    for feature in ("crema", "hpcp"):
        for key, turned in zip(KEYS, (x, x.T, square)):
            path = da_tacos_path(tmp_path, "benchmark", key, feature)
            write_da_tacos_track(path, key, {feature: turned})
    _, store = run(tmp_path, features=("crema", "hpcp"))
    for feature in ("crema", "hpcp"):
        np.testing.assert_array_equal(store.get(KEYS[0], feature), x)
        np.testing.assert_array_equal(store.get(KEYS[1], feature), x)
    np.testing.assert_array_equal(store.get(KEYS[2], "crema"), square)
    np.testing.assert_array_equal(store.get(KEYS[2], "hpcp"), square.T)


@pytest.mark.parametrize("folder", [".", "da-tacos_metadata"])
def test_titles_come_from_the_metadata(tmp_path, rng, folder):
    write_da_tacos(tmp_path, "benchmark", KEYS[:2], ["crema"], rng)
    about = {
        "perf_title": "Yesterday",
        "perf_artist": "Marianne Faithfull",
        "work_title": "Yesterday",
        "work_artist": "The Beatles",
        "release_year": 1965,
    }
    metadata = {"W_1": {"P_9": about, "P_10": {"perf_title": None}}, "W_5": {"P_6": about}}
    (tmp_path / folder).mkdir(exist_ok=True)
    path = tmp_path / folder / "da-tacos_benchmark_subset_metadata.json"
    path.write_text(json.dumps(metadata), encoding="utf-8")
    result, store = run(tmp_path)
    assert store.metadata["title"].tolist() == ["Yesterday", ""]
    assert store.metadata["work_artist"].tolist() == ["The Beatles", ""]
    assert store.metadata["year"].tolist() == ["1965", ""]
    assert result.skipped == [("W_5/P_6", "named in the metadata, but has no file")]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"W_1": {"P_9": 3}}', '{"W_1": []}', "[" * 100_000]
)
def test_metadata_that_is_something_else(tmp_path, rng, content):
    write_da_tacos(tmp_path, "benchmark", KEYS[:1], ["crema"], rng)
    (tmp_path / "da-tacos_benchmark_subset_metadata.json").write_text(content)
    with pytest.raises(MulkinetError, match="as JSON in"):
        run(tmp_path)
    assert not (tmp_path / "stores").exists()


def test_bad_files_are_skipped_with_their_reason(tmp_path, rng):
    keys = [("W_1", f"P_{i}") for i in range(12)]
    features = ("crema", "hpcp")
    write_da_tacos(tmp_path, "benchmark", keys, features, rng)

    def path_of(number, feature="crema"):
        return da_tacos_path(tmp_path, "benchmark", keys[number], feature)

    path_of(1).unlink()
    path_of(2).write_bytes(path_of(2).read_bytes()[:-100])
    path_of(3).write_text("no HDF5")
    with h5py.File(path_of(4), "r+") as file:
        del file.attrs["label"]
    with h5py.File(path_of(5), "r+") as file:
        file.attrs["track_id"] = np.bytes_("P_77")
    write_da_tacos_track(path_of(6), keys[6], {"hpcp": np.zeros((30, 12))})
    write_da_tacos_track(path_of(7), keys[7], {"crema": np.zeros((30, 13))})
    write_da_tacos_track(path_of(8), keys[8], {"crema": np.full((12, 30), np.nan)})
    with h5py.File(path_of(9), "r+") as file:
        del file["crema"]
        file["crema"] = np.full((12, 30), file.ref, h5py.ref_dtype)
    path_of(0).with_name("notes.txt").touch()
    path_of(0).with_name(".DS_Store").touch()
    result, store = run(tmp_path, features=features)
    assert store.track_ids.tolist() == ["P_0", "P_10", "P_11"]
    expected = {
        "W_1/P_1": "has no file of its crema",
        "W_1/P_2": "expected an HDF5 file, found a truncated or damaged one (",
        "W_1/P_3": "expected an HDF5 file, found a truncated or damaged one (",
        "W_1/P_4": "expected the attribute label, found none",
        "W_1/P_5": "expected the track its path names, found W_1/P_77; the file is in the wrong place",
        "W_1/P_6": "expected crema in it, found hpcp",
        "W_1/P_7": "expected crema with an axis of 12 bins, found shape (30, 13)",
        "W_1/P_8": "expected finite values, found NaN or infinity in crema",
        "W_1/P_9": "expected crema to hold numbers, found object references",
        "notes.txt": "expected W_<work>_crema/P_<track>_crema.h5, found another name",
    }
    found = {item.rsplit("subset_crema/W_1_crema/")[-1]: why for item, why in result.skipped}
    assert found.keys() == expected.keys()
    for item, reason in expected.items():
        assert found[item].startswith(reason)


def test_links_to_nowhere_and_folders_without_tracks(tmp_path, rng, monkeypatch):
    write_da_tacos(tmp_path, "benchmark", KEYS, ["crema"], rng)
    folder = tmp_path / "da-tacos_benchmark_subset_crema"
    (folder / "W_1_crema" / "P_8_crema.h5").symlink_to(tmp_path / "nowhere")
    (folder / "W_2_crema").symlink_to(folder / "W_2_crema")
    (folder / "W_3_crema").mkdir()
    (folder / "W_4_crema").mkdir()
    scandir = os.scandir

    def refuse(path):
        # As root, who runs tests in containers, may read everything.
        if str(path).endswith("W_4_crema"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(da_tacos.os, "scandir", refuse)
    result, store = run(tmp_path)
    assert len(store) == 3
    reasons = {what.replace(f"{folder.name}/", ""): why for what, why in result.skipped}
    assert reasons.pop("W_1/P_8").startswith("cannot read ")
    assert reasons.pop("W_2_crema").startswith("expected W_<work>_crema/P_<track>_crema.h5")
    assert reasons == {
        "W_3_crema": "expected tracks in it, found none",
        "W_4_crema": "cannot read it: Permission denied",
    }


def test_metadata_that_comes_later_is_noticed(tmp_path, rng):
    write_da_tacos(tmp_path, "benchmark", KEYS[:1], ["crema"], rng)
    run(tmp_path)
    assert run(tmp_path)[0].was_there
    path = tmp_path / "da-tacos_benchmark_subset_metadata.json"
    path.write_text(json.dumps({"W_1": {"P_10": {"perf_title": "Yesterday"}}}))
    with pytest.raises(MulkinetError, match="found another: other titles; .*--force"):
        run(tmp_path)
    _, store = run(tmp_path, force=True)
    assert store.metadata["title"].tolist() == ["Yesterday"]


def test_shortfall():
    assert da_tacos.describe_shortfall("benchmark", 15000) == ""
    assert da_tacos.describe_shortfall("coveranalysis", 9990) == (
        "10 of the 10000 tracks of coveranalysis are missing"
    )


def test_both_layouts_at_once(tmp_path, rng):
    write_da_tacos(tmp_path, "benchmark", KEYS, ["crema"], rng, single=True)
    write_da_tacos(tmp_path, "benchmark", KEYS, ["chroma_cens"], rng)
    match = "found both da-tacos_benchmark_subset_single_files and da-tacos_benchmark_subset_cens"
    with pytest.raises(MulkinetError, match=match):
        run(tmp_path)


def test_a_feature_that_is_absent(tmp_path, rng):
    write_da_tacos(tmp_path, "benchmark", KEYS, ["crema"], rng)
    match = "expected da-tacos_benchmark_subset_cens in .*, found no such folder"
    with pytest.raises(MulkinetError, match=match):
        run(tmp_path, features=("crema", "chroma_cens"))
    write_da_tacos(tmp_path, "coveranalysis", KEYS, ["crema"], rng, single=True)
    with pytest.raises(MulkinetError, match=r"found none, 3 skipped.*expected hpcp in it, found"):
        run(tmp_path, "coveranalysis", ("hpcp",))
    assert list((tmp_path / "stores").iterdir()) == []


def test_subsets_that_are_there(tmp_path, rng):
    with pytest.raises(MulkinetError, match="such as da-tacos_benchmark_subset_crema.*--download"):
        find_subsets(tmp_path)
    write_da_tacos(tmp_path, "coveranalysis", KEYS, ["hpcp"], rng)
    (tmp_path / "da-tacos_benchmark_subset_crema.zip").touch()
    assert find_subsets(tmp_path) == ["coveranalysis"]


def test_the_real_files(shared, tmp_path):
    path = tmp_path / "coveranalysis.h5"
    options = {"features": FEATURES, "track_length": TrackLength(500), "progress": False}
    made = convert_subset(shared / "data" / "da-tacos", "coveranalysis", path, **options)
    assert made[1:] == (1, 1, [], False)
    store = FeatureStore(path)
    for feature, shape in zip(FEATURES, ((12, 15226), (15227, 12), (15227, 12))):
        name = {"chroma_cens": "cens"}.get(feature, feature)
        [file] = (shared / "data" / "da-tacos").glob(f"*_{name}/*/*.h5")
        with h5py.File(file) as published:
            x = published[feature][()].astype(np.float32)
        assert x.shape == shape
        frames = x.T if feature == "crema" else x
        np.testing.assert_allclose(
            store.get(("W_163992", "P_547131"), feature), siamese(frames), atol=1e-5
        )


def test_what_is_skipped_before_reading_counts_too(tmp_path, rng):
    write_da_tacos(tmp_path, "benchmark", KEYS, ["crema"], rng)
    write_da_tacos(tmp_path, "benchmark", [("W_9", "P_9")], ["hpcp"], rng)
    with pytest.raises(MulkinetError, match="found none, 4 skipped; the first, W_1/P_10: has no"):
        run(tmp_path, features=("crema", "hpcp"))
    da_tacos_path(tmp_path, "benchmark", KEYS[0], "crema").with_name("other.h5").touch()
    made, store = run(tmp_path)
    assert (len(made.skipped), store.attributes["n_skipped"]) == (1, 1)
    again, _ = run(tmp_path)
    assert again.was_there
    assert again.skipped == made.skipped
