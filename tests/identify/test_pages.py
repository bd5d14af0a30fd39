"""Pages of answers, as a browser shows them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from mulkinet import Index
from mulkinet.cli.groups import main as groups
from mulkinet.cli.identify import main
from mulkinet.identify.aligned import align_tracks
from mulkinet.identify.answers import Answer, Match, Span
from mulkinet.identify.chroma import KeptChroma, chroma_of, coarse_rate
from mulkinet.identify.embedder import Recording
from mulkinet.identify.groups import Group, Pair, TrackName
from mulkinet.identify.pages.answers_page import write_answers_page
from mulkinet.identify.pages.groups_page import write_groups_page
from mulkinet.identify.pages.page import write_page
from mulkinet.identify.pages.set_list_page import write_set_list_page
from mulkinet.identify.setlist import Played, SetList
from tests.commands import invoke
from tests.identify.songs import write_song


def match(work, path="", **values):
    values = {"distance": 0.1, "probability": 0.9, "is_cover": True, **values}
    return Match(work, "t 1", f"Song of {work}", str(path), **values)


@pytest.fixture
def long_page(tmp_path):
    """Of a recording of two songs, and of a file that is none."""
    song = write_song(tmp_path / "a long & <b>recording.wav", 0, 0, seconds=60)
    reference = write_song(tmp_path / "w1.wav", 1, 0)
    spans = [Span(5, 25, 3, match("w1", reference)), Span(30, 55, 4, match("w2", probability=0.6))]
    answers = [
        Answer(str(song), 60.0, spans=spans, warnings=["it is a test"]),
        Answer("no sound.wav", skipped="expected audio, found text"),
    ]
    page = tmp_path / "pages" / "page.html"
    page.parent.mkdir()
    write_answers_page(page, answers)
    return page


@pytest.mark.parametrize("width", [1200, 380])
def test_timeline(browser, long_page, tmp_path, width):
    browser.open(long_page.as_uri(), width, 800)
    text = browser.evaluate("document.body.innerText")
    assert "it was skipped: expected audio, found text" in text
    assert "a long & <b>recording.wav" in text
    assert browser.evaluate("document.querySelectorAll('b').length") == 0
    browser.click(".timeline button:nth-child(2)")
    browser.wait("document.querySelector('.query audio').currentTime >= 30")
    browser.wait("!document.querySelector('.query audio').paused")
    assert "Song of w2" in browser.evaluate("document.querySelector('[aria-live] h3').textContent")
    # The same with a key, from the table.
    browser.evaluate("document.querySelector('.answer tbody tr').focus()")
    browser.press("Enter")
    browser.wait("document.querySelector('.query audio').currentTime < 30")
    browser.wait("document.querySelector('[aria-live] audio').readyState > 0")
    browser.evaluate("stopAll()")
    browser.screenshot(tmp_path / "page.png")
    browser.check()


@pytest.mark.parametrize("width", [1200, 380])
def test_set_list_page(browser, tmp_path, width):
    concert = write_song(tmp_path / "concert.wav", 0, 0, seconds=60)
    reference = write_song(tmp_path / "w1.wav", 1, 0, seconds=40)
    spans = [
        Played(5, 25, "w1", "t1", "Song of w1", str(reference), 12.0, 31.0, 0.93),
        Played(30, 55, "w2", "t2", "", "", 0.0, 25.0, 0.61),
    ]
    page = tmp_path / "page.html"
    write_set_list_page(page, [SetList(str(concert), 60.0, spans, ["it is a test"])])
    browser.open(page.as_uri(), width, 800)
    assert "it is a test" in browser.evaluate("document.body.innerText")
    rows = browser.evaluate("[...document.querySelectorAll('tbody tr')].map(row => row.innerText)")
    assert [row.split("\t")[1:] for row in rows] == [
        ["0:05 - 0:25", "Song of w1 (work w1, 0:12 - 0:31 of track t1)", "93 %"],
        ["0:30 - 0:55", "w2 (work w2, 0:00 - 0:25 of track t2)", "61 %"],
    ]
    browser.click(".timeline button:nth-child(1)")
    browser.wait("document.querySelector('.query audio').currentTime >= 5")
    browser.wait("!document.querySelector('.query audio').paused")
    # The index's track waits at the part that is played.
    browser.wait("document.querySelector('[aria-live] audio').currentTime >= 12")
    told = browser.evaluate("document.querySelector('[aria-live]').innerText")
    assert "0:12 - 0:31 of track t1: probability 93 %" in told
    browser.evaluate("stopAll()")
    browser.screenshot(tmp_path / "page.png")
    browser.check()


def test_a_name_ends_no_script(tmp_path):
    data = {"title": "</script><script>alert(1)</script>", "answers": []}
    write_page(tmp_path / "page.html", data["title"], "answersPage", data)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("</script>") == 2
    assert "<title>&lt;/script&gt;" in page


def test_identify_report(browser, index_path, tmp_path):
    query = write_song(tmp_path / "query.wav", 3, 2, seconds=12)
    page = tmp_path / "page.html"
    result = invoke(main, query, "--index", index_path, "--report", page, "--top", 3)
    assert result.exit_code == 0, result.stderr
    assert f"report: {page}" in result.stderr
    browser.open(page.as_uri())
    assert browser.evaluate("document.querySelectorAll('.candidates > li').length") == 3
    browser.wait("[...document.querySelectorAll('audio')].every(audio => audio.readyState > 0)")
    browser.check()
    result = invoke(main, query, "--index", index_path, "--report", page, "--embed-audio")
    assert '"data:audio/' in page.read_text("utf-8")
    assert invoke(main, query, "--index", index_path, "--embed-audio").exit_code == 2


def test_alignments(index_path, tmp_path):
    index = Index.open(index_path)
    rate = index.embedder.frame_rate
    x = np.random.default_rng(3).random((12, 400), np.float32)
    frames = chroma_of(Recording(x, rate, True, 400 / rate), index.embedder)
    assert len(frames) == pytest.approx(400 / rate * coarse_rate(index.embedder), abs=1)
    # Its songs of 4 s are too short to be aligned.
    assert align_tracks(index, 0, 1) is None
    query = write_song(tmp_path / "query.wav", 3, 2, seconds=12)
    answer = index.identify(query, top=3, n_aligned=2, progress=False)
    assert answer.alignments == [None, None]
    assert "alignments" not in json.loads(json.dumps(answer.to_dict()))


@pytest.mark.parametrize("width", [1200, 380])
def test_groups_page(browser, tmp_path, rng, width):
    songs = [write_song(tmp_path / f"{name}.wav", 0, 0, seconds=30) for name in "abc"]
    names = [("Help", "a"), ("Help", "b"), ("Help (live)", "c")]
    tracks = [TrackName(row, *names[row], "", str(songs[row])) for row in range(3)]
    pairs = [
        Pair(tracks[0], tracks[1], 0.1, 0.97, 9.0, True, 0, 1.0, []),
        Pair(tracks[1], tracks[2], 0.2, 0.8, 5.0, False, 2, 1.1, []),
    ]
    group = Group("works told apart", tracks, pairs, [tracks[2]])
    frames = rng.integers(0, 255, (60, 12), np.uint8)
    data = SimpleNamespace(chroma=KeptChroma.of_tracks([frames, frames, frames[:20]]))
    index = SimpleNamespace(data=data, embedder=SimpleNamespace(frame_rate=2.0))
    page = tmp_path / "groups.html"
    write_groups_page(page, [group], index)
    browser.open(page.as_uri(), width, 800)
    text = browser.evaluate("document.body.innerText")
    assert "works told apart: Help, Help (live)" in text
    assert "It is in the wrong work." in text
    assert "1 and 2: the same recording, distance 0.100, probability 0.97" in text
    assert "2 and 3: two performances" in text
    browser.click(".group > details summary")
    browser.wait("document.querySelector('.plot')")
    browser.click(".plot", 0.5, 0.5)
    playing = "[...document.querySelectorAll('audio')].map(audio => !audio.paused)"
    browser.wait(f"{playing}.join() === 'true,true,false'")
    browser.evaluate("stopAll()")
    browser.screenshot(tmp_path / "page.png")
    browser.check()


def test_groups_report(index_path, tmp_path):
    page = tmp_path / "groups.html"
    arguments = ["--index", index_path, "--tau", 0.3, "--report", page]
    result = invoke(groups, *arguments, "--all")
    assert result.exit_code == 0, result.stderr
    assert "groups of versions" in page.read_text("utf-8")
    assert '"is_misfiled": false' in page.read_text("utf-8")
    assert invoke(groups, *arguments[:-2], "--embed-audio").exit_code == 2
