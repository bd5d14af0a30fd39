"""Set lists of streams whose truth is known: songs made of random chords, the package's own model."""

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from scipy.signal import butter, sosfilt

import mulkinet
from mulkinet import Index
from mulkinet.alignment.chroma import prepare
from mulkinet.alignment.locate import _traces, locate
from mulkinet.cli.main import main
from mulkinet.data.store_writer import StoreWriter
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.features.provenance import SR
from mulkinet.identify.setlist import CHANGE_COST, LEAST
from mulkinet.sources.demo.performer import perform
from mulkinet.sources.demo.renderer import render
from tests.commands import invoke

RATE = 250 / 180
N_WORKS = 12
RENDERED = range(6)
PARTS = [(3, 20, 150, 5), (None, 0, 60, 0), (11, 60, 120, 0), (7, 0, 110, -4)]


def song(seed, n_frames=240):
    """Chroma of a progression in a major key that does not repeat, each triad 2 to 4 frames: (12, n_frames) float32."""
    rng = np.random.default_rng(seed)
    scale = (rng.integers(12) + np.array([0, 2, 4, 5, 7, 9, 11])) % 12
    x = np.full((12, n_frames), 0.02, np.float32)
    start = 0
    while start < n_frames:
        degree, length = rng.choice(7, p=[0.3, 0.1, 0.1, 0.2, 0.2, 0.08, 0.02]), rng.integers(2, 5)
        x[scale[(degree + np.array([0, 2, 4])) % 7], start : start + length] = 0.9
        start += length
    return x


def unlike_any(seed, n_frames=240):
    """Chroma of chords that are not like one another: (12, n_frames) float32."""
    rng = np.random.default_rng(seed)
    return np.repeat(rng.random((12, n_frames // 3)) ** 4, 3, axis=1).astype(np.float32)


def stream():
    """Parts of works in other keys, with a passage of no work of the index; and its truth, in seconds."""
    parts, truth, at = [], [], 0
    for work, start, length, key in PARTS:
        whole = song(1000 if work is None else work)
        parts.append(np.roll(whole[:, start : start + length], key, axis=0))
        if work is not None:
            truth.append((f"w{work:02d}", at / RATE, (at + length) / RATE, start / RATE))
        at += length
    return np.concatenate(parts, axis=1), truth


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("setlist")
    settings = mulkinet.load_model("covers").metadata["feature_settings"]
    tracks = [(f"w{work:02d}", "a") for work in range(N_WORKS)]
    with StoreWriter(folder / "store.h5", name="chords", tracks=tracks) as writer:
        writer.add_feature("crema", n_frames=[240] * N_WORKS, settings=settings)
        for work, track in enumerate(tracks):
            writer.write("crema", track, song(work).T)
    return Index.build(folder / "chords.index", folder / "store.h5", "covers", progress=False)


def test_what_is_played_when(index):
    x, truth = stream()
    found = index.set_list(x, least=0, progress=False)
    assert found.seconds == pytest.approx(x.shape[1] / RATE)
    assert [span.work_id for span in found.spans] == [work for work, *_ in truth]
    for span, (_, start, end, part) in zip(found.spans, truth):
        assert span.start_sec == pytest.approx(start, abs=8)
        assert span.end_sec == pytest.approx(end, abs=8)
        assert span.track_start_sec == pytest.approx(part + span.start_sec - start, abs=4)
        assert span.track_end_sec == pytest.approx(part + span.end_sec - start, abs=4)
        assert 0 < span.probability <= 1
    again = index.set_list([x], least=0, progress=False)
    assert again[0].spans == found.spans


def test_unknown_music_and_silence_are_nothing(index):
    unknown = np.concatenate([song(seed, 120) for seed in (2000, 2001)], axis=1)
    assert index.set_list(unknown, least=0.5, progress=False).spans == []
    nearly_silent = np.full((12, 200), 0.01, np.float32)
    assert index.set_list(nearly_silent, least=0.5, progress=False).spans == []
    with pytest.raises(SkippedInput, match="nothing but zeros"):
        index.set_list(np.zeros((12, 200), np.float32), progress=False)


def test_short_recordings(index):
    found = index.set_list(song(5)[:, :50], progress=False)
    assert "36 s long, shorter than a window of 43 s" in found.warnings[0]
    with pytest.raises(SkippedInput, match="at least 17 s to find works in, found 7.2 s"):
        index.set_list(song(5)[:, :10], progress=False)
    skipped = index.set_list([song(5)[:, :10]], progress=False)[0]
    assert "at least 17 s" in skipped.skipped


def test_a_change_that_costs_too_much(index):
    x, _ = stream()
    assert len(index.set_list(x, change_cost=1e6, progress=False).spans) <= 1
    with pytest.raises(MulkinetError, match="change_cost of 0 or more, found -1"):
        index.set_list(x, change_cost=-1, progress=False)
    with pytest.raises(MulkinetError, match="least as a probability, found 2"):
        index.set_list(x, least=2, progress=False)


def test_an_index_without_chroma_says_how_to_add_it(index, monkeypatch):
    monkeypatch.setattr(index, "data", replace(index.data, chroma=None))
    with pytest.raises(MulkinetError, match="add it with mulkinet index add .* --alignment"):
        index.set_list(song(0), progress=False)


def test_an_empty_index(index, monkeypatch):
    chroma = index.data.chroma.keep(np.zeros(len(index), bool))
    monkeypatch.setattr(index, "data", replace(index.data, chroma=chroma))
    with pytest.raises(MulkinetError, match="found none in it; add some"):
        index.set_list(song(0), progress=False)


def test_a_stretch_is_located_in_its_track():
    y = unlike_any(1)
    x = np.concatenate([unlike_any(1000)[:, :40], np.roll(y[:, 50:150], 3, axis=0)], axis=1)
    place = locate(prepare(x), prepare(y))
    assert (place.start_x, place.start_y) == (pytest.approx(40, abs=4), pytest.approx(50, abs=4))
    assert (place.end_x, place.end_y) == (pytest.approx(140, abs=4), pytest.approx(150, abs=4))
    assert place.score > 60


def test_traces_are_the_best_diagonals(rng):
    plot = (rng.random((50, 70)) < 0.2).astype(np.uint8)
    near = [[plot[i, max(0, j - 1) : j + 2].any() for j in range(70)] for i in range(50)]
    for i, share in enumerate(_traces(plot)):
        rows = range(max(0, i - 16), min(50, i + 16))
        diagonals = [
            [near[row][row + shift] for row in rows if 0 <= row + shift < 70]
            for shift in range(-49, 70)
        ]
        assert share == pytest.approx(max(map(sum, diagonals)) / len(rows))


def test_a_part_goes_on_where_the_recording_has_it_in_another_order():
    # What is played last comes first in the track: one path holds half of it.
    y, other = unlike_any(1, 480), np.random.default_rng(0).random((12, 120)) ** 4
    x = np.concatenate([other[:, :60], y[:, 300:360], y[:, 100:160], other[:, 60:]], axis=1)
    place = locate(prepare(x), prepare(y))
    assert place.score < 90
    assert (place.start_x, place.end_x) == (pytest.approx(60, abs=8), pytest.approx(180, abs=8))


def applause(seconds, rng):
    """Some sixty claps a second, each noise of 20 ms about 2 kHz: (n_samples,) at SR."""
    y, length = np.zeros(seconds * SR), SR // 50
    for start in rng.integers(0, len(y) - length, 60 * seconds):
        clap = rng.normal(size=length) * np.exp(-np.arange(length) / (0.004 * SR))
        y[start : start + length] += rng.uniform(0.3, 1) * clap
    y = sosfilt(butter(2, (800, 4000), "band", fs=SR, output="sos"), y)
    return (0.7 * y / np.abs(y).max()).astype(np.float32)


@pytest.mark.slow
def test_applause_is_nothing(index):
    y = applause(120, np.random.default_rng(0))
    assert index.set_list(y, least=0, progress=False).spans == []


@pytest.mark.slow
def test_rendered_performances(tmp_path):
    """Audio with exact truth: noise, silence and an unknown work between performances that the index does not hold."""
    rng = np.random.default_rng(0)
    silence, noise = np.zeros(8 * SR, np.float32), 0.02 * rng.standard_normal(12 * SR)
    for work in RENDERED:
        for number in (0, 2, 3):
            path = tmp_path / "library" / f"w{work}" / f"p{number}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, render(perform(0, work, number)), SR)
    index = Index.build(
        tmp_path / "i", tmp_path / "library", baseline="mean-chroma", feature="hpcp", progress=False
    )
    unknown = render(perform(0, 50, 0))[: 15 * SR]
    parts, truth, at = [], [], 0
    for between, work in zip((silence, noise, unknown), (3, 0, 5)):
        song = render(perform(0, work, 1))
        truth.append((f"w{work}", (at + len(between)) / SR, (at + len(between) + len(song)) / SR))
        parts += [between, song]
        at += len(between) + len(song)
    spans = index.set_list(np.concatenate([*parts, silence]), least=0, progress=False).spans
    named = sum(
        max(0, min(span.end_sec, end) - max(span.start_sec, start))
        for work, start, end in truth
        for span in spans
        if span.work_id == work
    )
    assert named / sum(end - start for _, start, end in truth) > 0.5


def test_the_command(built, library, tmp_path):
    parts = [soundfile.read(next(library.glob(f"*{work}/*")))[0] for work in (1, 1, 1, 4, 4, 4)]
    long = tmp_path / "long.wav"
    soundfile.write(long, np.concatenate(parts * 2), 44100)
    labels, cue = tmp_path / "l.txt", tmp_path / "long.cue"
    page = tmp_path / "page.html"
    options = ("--index", built, "--labels", labels, "--cue", cue, "--report", page)
    done = invoke(main, "setlist", long, *options, "--json")
    assert done.exit_code == 0, done.stderr
    assert f"report: {page}" in done.stderr
    assert '"audio": "long.wav"' in page.read_text("utf-8")
    (found,) = json.loads(done.stdout)
    assert found["query"] == str(long)
    assert len(labels.read_text().splitlines()) == len(found["spans"])
    assert cue.read_text().startswith('TITLE "long"\nFILE "long.wav" WAVE\n')
    # The same from a pipe, as a table and as CSV.
    piped = CliRunner().invoke(
        main, ["setlist", "-", "--index", str(built), "--csv"], input=long.read_bytes()
    )
    assert piped.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(piped.output)))
    assert [row["work_id"] for row in rows] == [span["work_id"] for span in found["spans"]]
    table = invoke(main, "setlist", long, "--index", built)
    assert table.stdout.splitlines()[0] == f"{long} (0:48)"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("a", "b", "--cue", "c"), "one recording with --labels or --cue, found several"),
        (("a", "--json", "--csv"), "--json or --csv, found both"),
        (("-", "-"), "expected - once"),
        (("a", "--embed-audio"), "--embed-audio goes with --report"),
        (("a", "--change-cost", "-1"), "--change-cost"),
    ],
)
def test_wrong_usage(arguments, text):
    done = invoke(main, "setlist", *arguments, "--index", "i.index")
    assert done.exit_code == 2
    assert text in done.stderr


def test_a_recording_that_cannot_be_read(built, tmp_path):
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"no audio")
    done = invoke(main, "setlist", bad, "--index", built)
    assert done.exit_code == 1
    assert str(bad) in done.stderr


def test_defaults_in_the_help_are_those_of_the_search():
    text = invoke(main, "setlist", "--help").stdout
    defaults = [float(found) for found in re.findall(r"\[([0-9.]+)\]", text)]
    assert defaults == [CHANGE_COST, LEAST]


def test_where_no_recording_is_there_nothing_is_loaded(built, monkeypatch):
    monkeypatch.setattr(Index, "open", None)
    done = invoke(main, "setlist", "a.wav", "--index", built)
    assert done.exit_code == 1
    assert done.stderr == "Error: expected a recording at a.wav, found no file; check the path\n"
