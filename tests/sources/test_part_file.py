"""Finished tracks of an unfinished conversion: what is whole is found again, and nothing else."""

import io

import numpy as np
import pytest

from mulkinet.sources.part_file import PartFile

DIGESTS = ["a1", "b2", "c3"]


@pytest.fixture
def tracks(rng):
    return {
        digest: [rng.random((4 + i, 12)), rng.random((2, 84))] for i, digest in enumerate(DIGESTS)
    }


@pytest.fixture
def content(tracks):
    """Three tracks of two features, as they lie in the file."""
    file = io.BytesIO()
    part = PartFile(file, 2)
    for digest, arrays in tracks.items():
        part.append(digest, arrays)
    return file.getvalue()


def assert_holds(part, tracks, digests):
    assert list(part.n_frames) == digests
    for digest in reversed(digests):
        assert part.n_frames[digest] == (len(tracks[digest][0]), 2)
        for found, written in zip(part.read(digest), tracks[digest]):
            np.testing.assert_array_equal(found, written)


def test_what_is_finished_is_found_again(tracks, content):
    assert_holds(PartFile(io.BytesIO(content), 2), tracks, DIGESTS)


def test_a_track_that_was_being_written_is_cut_off(tracks, content):
    """Whatever byte a kill came at, the next run has the tracks before, and goes on from there."""
    lengths = []
    for n_bytes in range(0, len(content), 41):
        file = io.BytesIO(content[:n_bytes])
        part = PartFile(file, 2)
        lengths.append(len(part.n_frames))
        for digest in DIGESTS[len(part.n_frames) :]:
            part.append(digest, tracks[digest])
        assert file.getvalue() == content
        assert_holds(part, tracks, DIGESTS)
    assert lengths == sorted(lengths)
    assert set(lengths) == {0, 1, 2}


def test_bytes_that_were_lost_in_a_power_cut(tracks, content):
    second = content.index("b2".encode("utf-32-le"))
    part = PartFile(io.BytesIO(content[:second] + bytes(len(content) - second)), 2)
    assert_holds(part, tracks, DIGESTS[:1])
