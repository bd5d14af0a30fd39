"""The Siamese release's pandas stores, read without pandas."""

import h5py
import numpy as np
import pytest

from mulkinet import FeatureStore, MulkinetError
from mulkinet.sources.siamese_testset import convert_testset
from tests.sources.feature_files import write_testset

KEYS = [("W10", "W10-P1"), ("W9", "W9-P0"), ("W9", "W9-P1")]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "testset.h5"


def run(path):
    output = path.with_name("store.h5")
    return convert_testset(path, output, progress=False), output


def test_every_feature_and_track(path, rng):
    written = write_testset(path, KEYS, rng, features=("crema", "hpcp"))
    made, output = run(path)
    assert made[1:] == (2, 3, [], False)
    store = FeatureStore(output)
    assert list(store.rows_by_key) == [KEYS[1], KEYS[2], KEYS[0]]
    for feature, tracks in written.items():
        for key, x in tracks.items():
            np.testing.assert_array_equal(store.get(key, feature), x)
    assert store.settings("crema")["spect_len"] == 500
    assert store.settings("crema")["bin0"] == "C"


def test_tracks_that_cannot_be_used(path, rng):
    write_testset(path, KEYS, rng, features=("crema", "hpcp"))
    with h5py.File(path, "r+") as file:
        rows = file["crema/table"][:]
        rows["values_block_0"][3, 7] = np.inf
        file["crema/table"][:] = rows
        shorter = file["hpcp/table"][:24]
        del file["hpcp/table"]
        file["hpcp/table"] = shorter
    made, output = run(path)
    assert made.skipped == [
        ("W9/W9-P1", "not every feature of the file has it"),
        ("W10/W10-P1", "expected finite values, found NaN or infinity in crema"),
    ]
    assert FeatureStore(output).track_ids.tolist() == ["W9-P0"]


def table_of(rows, **kinds):
    """The type of the rows with other kinds of columns."""
    return [(name, kinds.get(name, rows.dtype[name])) for name in rows.dtype.names]


def with_references(rows):
    referring = np.zeros(12, table_of(rows, work_id=h5py.ref_dtype))
    referring["work_id"] = h5py.Reference()
    return referring


def spoil(change):
    def spoiled(rows):
        rows = rows.copy()
        change(rows)
        return rows

    return spoiled


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda rows: rows[:-1], "12 rows for each track in crema/table, found 35 rows"),
        (
            spoil(lambda rows: rows["chroma_bins"].__setitem__(14, 3)),
            "found something else at row 12, work W9, track W9-P0",
        ),
        (
            spoil(lambda rows: rows["track_id"].__setitem__(slice(24, None), b"W9-P0")),
            "found something else at row 24, work W9, track W9-P0",
        ),
        (lambda rows: rows[["index", "chroma_bins"]], "values_block_0, track_id, work_id"),
        (lambda rows: np.zeros(24, "f4"), "expected crema/table to be rows with values_block_0"),
        (lambda rows: rows[0], r"expected crema/table to be rows .* of shape \(\)"),
        (
            spoil(lambda rows: rows["work_id"].__setitem__(slice(12, 24), b"W\xff")),
            r"expected ids in UTF-8, found b'W\\xff'",
        ),
        (
            lambda rows: np.zeros(12, table_of(rows, work_id="S70000")),
            "expected rows of at most 65536 bytes",
        ),
        (with_references, "expected numbers and bytes in crema/table"),
    ],
)
def test_tables_that_are_something_else(path, rng, change, match):
    write_testset(path, KEYS, rng)
    with h5py.File(path, "r+") as file:
        rows = change(file["crema/table"][:])
        del file["crema/table"]
        file["crema/table"] = rows
    with pytest.raises(MulkinetError, match=match):
        run(path)
    assert not path.with_name("store.h5").exists()


@pytest.mark.parametrize("name", ["crema", "crema/table"])
@pytest.mark.parametrize(
    "link", [h5py.SoftLink("/elsewhere/table"), h5py.ExternalLink("other.h5", "crema/table")]
)
def test_links_are_not_followed(path, rng, name, link):
    write_testset(path, KEYS, rng)
    with h5py.File(path, "r+") as file:
        file.copy("crema", "elsewhere")
        del file[name]
        file[name] = link
    write_testset(path.with_name("other.h5"), KEYS, rng)
    with pytest.raises(MulkinetError, match="expected crema/table "):
        run(path)
    assert not path.with_name("store.h5").exists()


def test_other_files(path):
    with pytest.raises(MulkinetError, match="testset.h5: expected an HDF5 file, found none"):
        run(path)
    with h5py.File(path, "w") as file:
        file["x"] = 3
    with pytest.raises(MulkinetError, match=r"group of a feature \(crema, hpcp, chroma_cens\)"):
        run(path)


def test_the_sample(shared, tmp_path):
    sample = shared / "data" / "siamese-testset" / "testset.h5"
    made = convert_testset(sample, tmp_path / "store.h5", progress=False)
    assert made[1:] == (3, 9, [], False)
    with h5py.File(sample) as file:
        rows = file["crema/table"][12:24]
    key = rows["work_id"][0].decode(), rows["track_id"][0].decode()
    store = FeatureStore(tmp_path / "store.h5")
    np.testing.assert_array_equal(store.get(key, "crema"), rows["values_block_0"])
