"""List files: reading, writing, finding their tracks, holding works out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulkinet import FeatureStore, MulkinetError
from mulkinet.data.checks import shared_works, sizes_of_works
from mulkinet.data.lists import (
    describe_left_out,
    drop_missing,
    hold_out,
    read_list,
    select,
    tracks_of_list,
    write_list,
)
from tests.stores import write_store

IDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1)


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(IDS, IDS), min_size=1, unique=True))
def test_round_trip(tmp_path_factory, pairs):
    path = tmp_path_factory.getbasetemp() / "LIST"
    write_list(path, pairs)
    assert read_list(path) == pairs


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1\t0\n2 0\n", "line 2 of .*'2 0'"),
        (b"1\t0\t9\n", "line 1"),
        (b"1\t\n", "line 1"),
        (b"1\t0\n\n1\t0\n", "lines 1 and 3"),
        (b"\n", "empty list"),
        (b"\xff\xfe\x00", "list file at"),
    ],
)
def test_malformed_lists(tmp_path, content, message):
    path = tmp_path / "LIST"
    path.write_bytes(content)
    with pytest.raises(MulkinetError, match=message):
        read_list(path)


def test_windows_line_ends(tmp_path):
    path = tmp_path / "LIST"
    path.write_bytes(b"1\t0\r\n1\t1\r\n")
    assert read_list(path) == [("1", "0"), ("1", "1")]


def test_a_byte_order_mark(tmp_path):
    path = tmp_path / "LIST"
    path.write_bytes("\ufeffw\t0\nw\t1\n".encode())
    assert read_list(path) == [("w", "0"), ("w", "1")]


def test_absent_list(tmp_path):
    with pytest.raises(MulkinetError, match="No such file"):
        read_list(tmp_path / "none")


@pytest.mark.parametrize("pair", [("a\tb", "c"), ("a", "b\nc")])
def test_ids_that_no_list_can_hold(tmp_path, pair):
    with pytest.raises(MulkinetError, match="tabs and line ends"):
        write_list(tmp_path / "LIST", [pair])
    assert list(tmp_path.iterdir()) == []


def test_select(tmp_path, rng):
    write_store(tmp_path / "s.h5", rng)
    store = FeatureStore(tmp_path / "s.h5")
    assert select(store, [("b", "1"), ("a", "9")]).tolist() == [2, 0]
    absent = [("z", str(i)) for i in range(5)]
    with pytest.raises(MulkinetError, match=r"5 of 6 missing \(z/0, z/1, z/2, \.\.\.\)"):
        select(store, [("a", "9"), *absent])


def test_hold_out_keeps_works_whole():
    pairs = [(str(work), str(track)) for work in range(40) for track in range(1 + work % 3)]
    kept, held = hold_out(pairs, 0.1, seed=3)
    assert sorted(kept + held) == sorted(pairs)
    works = {work for work, _ in held}
    assert works.isdisjoint(work for work, _ in kept)
    assert len(works) == round(0.1 * 26)
    assert all(int(work) % 3 for work in works)
    assert (kept, held) == hold_out(pairs, 0.1, seed=3) != hold_out(pairs, 0.1, seed=4)


def test_hold_out_needs_covers():
    with pytest.raises(MulkinetError, match="at least 4 works"):
        hold_out([("a", "1"), ("a", "2"), ("b", "1")], 0.1, seed=0)


def test_what_a_store_lacks_can_be_left_out(tmp_path, rng):
    write_store(tmp_path / "s.h5", rng)
    store = FeatureStore(tmp_path / "s.h5")
    pairs = [("a", "9"), ("b", "1"), ("b", "2"), ("a", "10"), ("c", "1")]
    write_list(tmp_path / "LIST", pairs)
    with pytest.raises(MulkinetError, match=r"found 2 of 5 missing \(b/2, c/1\).*--skip-missing"):
        tracks_of_list(store, tmp_path / "LIST")
    left = tracks_of_list(store, tmp_path / "LIST", skip_missing=True)
    assert left == ([("a", "9"), ("a", "10")], 2, 1)
    assert left.describe("LIST") == (
        "2 tracks of LIST are missing, 1 more are the only ones left of their works; 2 remain"
    )
    # A work of which the list has a single track stays.
    assert drop_missing(store, [("b", "1"), ("c", "1")]) == ([("b", "1")], 1, 0)
    assert drop_missing(store, pairs[:2]).describe("LIST") == ""
    with pytest.raises(MulkinetError, match="found none of its 2"):
        drop_missing(store, [("x", "1"), ("y", "1")])


def test_works_are_counted_over_what_a_list_is_compared_with(tmp_path, rng):
    write_store(tmp_path / "s.h5", rng)
    store = FeatureStore(tmp_path / "s.h5")
    pairs, others = [("a", "9"), ("a", "1"), ("b", "1")], [("a", "10"), ("b", "1"), ("b", "2")]
    assert drop_missing(store, pairs) == ([("b", "1")], 1, 1)
    # a has another track among the others; b has none left, though none is missing in this list.
    assert drop_missing(store, pairs, others) == ([("a", "9")], 1, 1)
    left = drop_missing(store, pairs[2:] + [("a", "9")], others)
    assert left.describe("LIST").startswith("0 tracks of LIST are missing, 1 more")


@pytest.mark.parametrize("function", [select, drop_missing])
def test_the_rows_of_a_store_are_asked_for_once(function):
    class Store:
        n_asked = 0

        @property
        def rows_by_key(self):
            self.n_asked += 1
            return {("w", str(track)): track for track in range(50)}

    store = Store()
    function(store, [("w", str(track)) for track in range(50)])
    assert store.n_asked == 1


def test_what_a_store_lacks_since_it_was_made(tmp_path, rng):
    write_store(tmp_path / "s.h5", rng)
    store = FeatureStore(tmp_path / "s.h5")
    assert describe_left_out(store) == ""
    store.attributes.update(n_missing=7, n_dropped=0, n_skipped=2)
    assert describe_left_out(store) == (
        f"when {store.path} was made, 7 tracks of its lists were missing, 2 inputs could not be used"
    )


def test_the_lists_of_shs100k(shared):
    names = ("TRAIN", "VAL", "TEST")
    lists = {name: read_list(shared / "data" / "shs100k" / f"SHS100K-{name}") for name in names}
    assert [len(pairs) for pairs in lists.values()] == [87091, 10884, 10547]
    sizes = [sizes_of_works(pairs) for pairs in lists.values()]
    assert [sum(works.values()) for works in sizes] == [5324, 1842, 1692]
    assert [(min(works), max(works)) for works in sizes] == [(2, 359), (2, 17), (2, 162)]
    assert shared_works(lists["TRAIN"], lists["VAL"]) == ["5982"]
    assert shared_works(lists["VAL"], lists["TEST"]) == ["8110"]
    assert shared_works(lists["TRAIN"], lists["TEST"]) == []
