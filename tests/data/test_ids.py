"""Ids that look alike, ids that are none, and what nearly matches."""

import unicodedata

import numpy as np
import pytest

import mulkinet
from mulkinet.data.ids import as_ids, nearest, refuse_lookalikes
from mulkinet.data.lists import read_list
from mulkinet.errors import MulkinetError

NFD = unicodedata.normalize("NFD", "café")


@pytest.mark.parametrize(
    "pair", [("w1", "w1 "), ("w1", "w1\u00a0"), ("a b", "a  b"), ("café", NFD), ("w1", "\u3000w1")]
)
def test_ids_that_look_alike_are_refused(pair):
    with pytest.raises(MulkinetError, match="do not look alike in W.txt, found '"):
        refuse_lookalikes(["x", *pair], "W.txt")
    with pytest.raises(MulkinetError, match="do not look alike in work_ids"):
        mulkinet.evaluate(np.eye(4), [pair[0], pair[1], "x", "x"])


def test_ids_that_differ_are_let_be():
    refuse_lookalikes(["w1", "W1", "w 1", "w1", "café", "cafe"], "W.txt")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1.0, 1.0, np.nan, np.nan], "found 2 of 4 missing .None or NaN., the first in row 2"),
        (["a", "a", None, "b"], "found 1 of 4 missing .None or NaN., the first in row 2"),
        (["a", "a", np.nan, "b"], "found 1 of 4 missing"),
        (np.array(["a", "a", None, "b"], object), "found 1 of 4 missing"),
        (["a", "a", 1, 1], "as strings, or all as numbers, found int among them"),
    ],
)
def test_missing_and_mixed_ids_are_refused_with_their_count(ids, message):
    with pytest.raises(MulkinetError, match=message):
        mulkinet.evaluate(np.eye(4), ids)


@pytest.mark.parametrize(
    "ids",
    [
        ["a", "b"],
        np.array(["a", "b"]),
        np.array(["a", "b"], object),
        [1, 2],
        np.array([1, 2], object),
        [1.5, 2.5],
    ],
)
def test_ids_of_every_kind(ids):
    assert as_ids(ids, "work_ids").tolist() == list(ids)
    assert as_ids(ids, "work_ids").dtype.kind != "O"


def test_what_nearly_matches():
    there = [("café", "live"), ("help", "studio")]
    assert nearest((NFD + " ", "live"), there) == ("café", "live")
    assert nearest(("Help", "Studio"), there) == ("help", "studio")
    assert nearest(("hepl", "studio"), there) == ("help", "studio")
    assert nearest(("quite", "another"), there) is None


def test_a_list_with_a_blank_behind_a_work_is_refused(tmp_path):
    (tmp_path / "L").write_text("w1\ta\nw1 \tb\n")
    with pytest.raises(MulkinetError, match="'w1' and 'w1 '"):
        read_list(tmp_path / "L")
