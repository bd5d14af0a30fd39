"""Versions of each other in a collection: made groups, whose every link is known."""

import csv
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest

from mulkinet.cli import groups as command
from mulkinet.errors import MulkinetError
from mulkinet.identify.chroma import KeptChroma
from mulkinet.identify.groups import AS_FILED, SPLIT, WRONG, find_groups, pair_tau
from mulkinet.identify.index_file import IDS, IndexData
from mulkinet.identify.posterior import log_ratio
from mulkinet.identify.search import Search
from tests.commands import invoke

# At distance 0 e^12 times likelier between covers; 1 at 0.6.
CALIBRATION = {"intercept": 12.0, "slope": -20.0, "floor": 0.05, "known": 0.5}


class Collection(SimpleNamespace):
    """What of an Index the search for groups asks."""

    def __len__(self):
        return len(self.data)


def index_of(tracks, chroma=None, calibration=CALIBRATION):
    """An index of (work, track, song, deviation): tracks of one song point the same way but for the deviation."""
    songs = np.eye(16, dtype=np.float32)
    points = np.stack(
        [songs[song] + off * songs[15 - place % 8] for place, (*_, song, off) in enumerate(tracks)]
    )
    works, names = (np.array([track[i] for track in tracks], object) for i in (0, 1))
    ids = {name: np.full(len(tracks), "", object) for name in IDS}
    ids.update(work_id=works, track_id=names)
    data = IndexData(
        {"distance": "cosine"}, ids, points.astype(np.float32), calibration, chroma=chroma
    )
    search = Search(data.embeddings, "cosine")
    return Collection(
        data=data, path="x.index", search=search, embedder=SimpleNamespace(frame_rate=2.0)
    )


TRACKS = [
    # One song in two folders.
    ("Help", "a", 0, 0.0), ("Help", "b", 0, 0.1), ("Help (live)", "c", 0, 0.1),
    # A track among another song's.
    ("Yesterday", "a", 1, 0.0), ("Yesterday", "b", 1, 0.1), ("Michelle", "x", 1, 0.1),
    ("Michelle", "a", 2, 0.0), ("Michelle", "b", 2, 0.1),
    # As it should be, and alone.
    ("Girl", "a", 3, 0.0), ("Girl", "b", 3, 0.1), ("Solo", "a", 4, 0.0),
]  # fmt: skip


def test_works_told_apart_and_tracks_in_the_wrong_work():
    found = find_groups(index_of(TRACKS), progress=False)
    by_finding = {}
    for group in found.groups:
        names = {f"{track.work_id}/{track.track_id}" for track in group.tracks}
        by_finding.setdefault(group.finding, []).append(names)
    assert by_finding[SPLIT] == [{"Help/a", "Help/b", "Help (live)/c"}]
    assert by_finding[WRONG] == [{"Yesterday/a", "Yesterday/b", "Michelle/x"}]
    assert sorted(map(sorted, by_finding[AS_FILED])) == [
        ["Girl/a", "Girl/b"],
        ["Michelle/a", "Michelle/b"],
    ]
    [wrong] = [group for group in found.groups if group.finding == WRONG]
    assert [track.track_id for track in wrong.misfiled] == ["x"]
    assert wrong is found.groups[0]
    assert not found.aligned
    assert all(pair.same_recording is None for group in found.groups for pair in group.pairs)


def test_pairs_are_those_of_a_plain_loop():
    index = index_of(TRACKS)
    found = find_groups(index, progress=False)
    x = index.data.embeddings
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    distances = 1 - units @ units.T
    expected = {
        (i, j) for i in range(len(x)) for j in range(i + 1, len(x)) if distances[i, j] <= found.tau
    }
    pairs = {(pair.a.row, pair.b.row): pair for group in found.groups for pair in group.pairs}
    assert set(pairs) == expected
    for (i, j), pair in pairs.items():
        assert pair.distance == pytest.approx(distances[i, j], abs=1e-6)
        assert pair.probability >= 0.5
    assert found.candidates == len(expected)


def test_tau_is_where_a_pair_is_as_likely_as_not():
    for n_tracks in (10, 1000):
        tau = pair_tau(CALIBRATION, n_tracks)
        prior = 0.5 / (n_tracks - 1)
        odds = np.exp(log_ratio(CALIBRATION, tau)) * prior / (1 - prior)
        assert odds == pytest.approx(1)
    assert pair_tau(CALIBRATION, 10) > pair_tau(CALIBRATION, 1000)


def test_another_tau_is_taken():
    assert find_groups(index_of(TRACKS), tau=-1.0, progress=False).groups == []
    everything = find_groups(index_of(TRACKS), tau=2.0, progress=False)
    assert len(everything.groups) == 1
    assert everything.candidates == len(TRACKS) * (len(TRACKS) - 1) // 2


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(MulkinetError, match="calibrated index or a tau"):
        find_groups(index_of(TRACKS, calibration=None), progress=False)
    with pytest.raises(MulkinetError, match="expected chroma"):
        find_groups(index_of(TRACKS), rerank=True, progress=False)


def song(seed, n_frames=240):
    rng = np.random.default_rng(seed)
    chords = rng.random((n_frames // 4, 12)) ** 4
    return np.repeat(chords, 4, axis=0)


def as_kept(frames):
    return np.rint(255 * np.clip(frames, 0, 1)).astype(np.uint8)


@pytest.fixture
def aligned():
    """A song, its copy, another performance of it a tone higher, and another song that lies as near."""
    rng = np.random.default_rng(9)
    original = song(1)
    performance = np.roll(np.clip(original + 0.15 * rng.random(original.shape), 0, 1), 2, axis=1)
    chroma = KeptChroma.of_tracks(
        [as_kept(x) for x in (original, original + 0.004, performance, song(2))]
    )
    tracks = [("A", "a", 0, 0.0), ("A", "copy", 0, 0.05), ("B", "b", 0, 0.1), ("C", "c", 0, 0.1)]
    return index_of(tracks, chroma)


def test_alignment_confirms_and_tells_copies(aligned):
    found = find_groups(aligned, progress=False)
    assert found.aligned
    [group] = found.groups
    # C is as near, but nothing recurs.
    assert {track.work_id for track in group.tracks} == {"A", "B"}
    pairs = {(pair.a.track_id, pair.b.track_id): pair for pair in group.pairs}
    assert [(pair.a.track_id, pair.b.track_id) for pair in group.copies] == [("a", "copy")]
    other = pairs["a", "b"]
    assert other.transposition == 2
    assert other.tempo_ratio == pytest.approx(1, abs=0.02)
    assert other.same_recording is False
    unaligned = find_groups(aligned, rerank=False, progress=False)
    assert {track.work_id for group in unaligned.groups for track in group.tracks} == {
        "A",
        "B",
        "C",
    }


def test_what_is_printed(aligned):
    found = find_groups(aligned, progress=False)
    text = command._text(1, found.groups[0])
    assert text.startswith("1. works told apart: A, B\n")
    assert "same recording" in text
    rows = list(csv.DictReader(io.StringIO(command._csv(found.groups))))
    assert len(rows) == 3
    assert {row["same_recording"] for row in rows} == {"True", "False"}
    told = json.loads(json.dumps(found.to_dict()))
    assert told["groups"][0]["pairs"][0]["a"]["work_id"] == "A"


def test_the_command(built):
    """Songs of 4 s are too short to be aligned: pairs are those of the embeddings."""
    asked = ("--index", built, "--tau", 0.2)
    done = invoke(command.main, *asked, "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    filed = [group for group in told["groups"] if group["finding"] == AS_FILED]
    assert (told["tracks"], told["tau"], len(filed)) == (12, 0.2, 6)
    rows = list(csv.DictReader(io.StringIO(invoke(command.main, *asked, "--csv").stdout)))
    assert [(row["work_a"], row["work_b"]) for row in rows] == [
        (pair["a"]["work_id"], pair["b"]["work_id"])
        for group in told["groups"]
        for pair in group["pairs"]
    ]
    last = invoke(command.main, *asked).stdout.splitlines()[-1]
    assert last.endswith("6 groups, 6 of them as they are filed (--all shows them)")


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (("--json", "--csv"), 2, "expected --json or --csv, found both"),
        (("--embed-audio",), 2, "--embed-audio goes with --report"),
        ((), 1, "expected a calibrated index or a tau"),
    ],
)
def test_what_the_command_refuses(built, options, code, text):
    done = invoke(command.main, "--index", built, *options)
    assert done.exit_code == code
    assert text in done.stderr
