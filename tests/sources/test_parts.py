"""Finished tracks of an unfinished conversion: what is whole is found again, and nothing else."""

import os

import numpy as np
import pytest

from mulkinet.sources.parts import PartReader, PartWriter, read_journals

KEYS = [("w", "1"), ("w", "2"), ("é\t", "3")]


@pytest.fixture
def tracks(tmp_path, rng):
    """Three tracks of two features, in two parts."""
    tracks = {key: (rng.random((4 + i, 12)), rng.random((2, 84))) for i, key in enumerate(KEYS)}
    for part in (KEYS[:2], KEYS[2:]):
        with PartWriter(tmp_path) as writer:
            for key in part:
                writer.append(key, f"signature {key}", tracks[key])
    return tracks


def journals(tmp_path):
    return sorted(tmp_path.glob("*.journal"))


def test_round_trip(tmp_path, tracks):
    finished = read_journals(journals(tmp_path), verify=True)
    assert list(finished) == KEYS
    with PartReader() as reader:
        for key, (hpcp, cqt) in tracks.items():
            assert finished[key].n_frames == (len(hpcp), 2)
            assert finished[key].signature == f"signature {key}"
            found = [np.empty(x.shape, "<f4") for x in (hpcp, cqt)]
            reader.read(finished[key], found)
            np.testing.assert_array_equal(found[0], hpcp.astype(np.float32))
            np.testing.assert_array_equal(found[1], cqt.astype(np.float32))


def test_values_that_are_gone_when_they_are_read(tmp_path, tracks):
    finished = read_journals(journals(tmp_path), verify=True)[KEYS[2]]
    os.truncate(finished.path, finished.n_bytes - 4)
    arrays = [np.empty(x.shape, "<f4") for x in tracks[KEYS[2]]]
    with PartReader() as reader, pytest.raises(OSError, match=r"read \d+ of \d+ bytes"):
        reader.read(finished, arrays)


def test_a_journal_without_its_values_is_of_a_folder_half_removed(tmp_path, tracks):
    journals(tmp_path)[0].with_suffix(".frames").unlink()
    assert list(read_journals(journals(tmp_path), verify=True)) == [KEYS[2]]


def test_a_later_part_prevails(tmp_path, tracks):
    with PartWriter(tmp_path) as writer:
        writer.append(KEYS[0], "again", (np.ones((1, 12)),))
    assert read_journals(journals(tmp_path), verify=True)[KEYS[0]].signature == "again"


@pytest.mark.parametrize("n_bytes", [1, 30, 50])
def test_a_line_that_was_being_written(tmp_path, tracks, n_bytes):
    first = journals(tmp_path)[0]
    first.write_bytes(first.read_bytes()[:-n_bytes])
    found = read_journals(journals(tmp_path), verify=True)
    # The line end alone is no loss.
    assert list(found) == (KEYS if n_bytes == 1 else [KEYS[0], KEYS[2]])


def test_values_that_were_lost_in_a_power_cut(tmp_path, tracks):
    frames = journals(tmp_path)[0].with_suffix(".frames")
    content = bytearray(frames.read_bytes())
    content[-1] ^= 1
    frames.write_bytes(content)
    assert list(read_journals(journals(tmp_path), verify=True)) == [KEYS[0], KEYS[2]]
    frames.write_bytes(content[:100])
    assert list(read_journals(journals(tmp_path), verify=True)) == [KEYS[2]]
