"""Two rendered recordings whose key, tempo and order of parts are known."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest

import mulkinet
from mulkinet.cli.match import main
from mulkinet.errors import MulkinetError
from mulkinet.identify.match import PairMatch, match
from mulkinet.sources.demo.performer import perform
from tests.commands import invoke

SEED = 20
SR = 44100
CUT = 30.0

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("essentia")


def rendered(performance):
    from mulkinet.sources.demo.renderer import render

    return render(performance)


def original(work):
    return perform(SEED, work, 0, length_sec=(75, 75))


def cover(performance, semitones, speed, work, cut=0.0):
    """The same notes in other sounds, key and tempo; what comes after second `cut` is played first."""
    others = itertools.cycle(perform(SEED, work, 1).parts)
    length = performance.duration_sec

    def moved(onset):
        return np.where(onset >= cut, onset - cut, onset + length - cut) / speed

    parts = tuple(
        dataclasses.replace(
            part,
            timbre=next(others).timbre,
            onset_sec=moved(part.onset_sec),
            duration_sec=part.duration_sec / speed,
            pitch=part.pitch + semitones,
        )
        for part in performance.parts
    )
    return dataclasses.replace(
        performance,
        parts=parts,
        drums=(),
        duration_sec=length / speed,
        reverb_sec=0.9,
        reverb_gain=0.3,
        noise_key=(SEED, 1, work, 99, 0),
    )


def check_pair(work, semitones, speed, cut):
    a = original(work)
    y, z = rendered(a), rendered(cover(a, semitones, speed, work, cut))
    found = match(y, z, feature="hpcp")
    assert found.is_cover
    assert not found.same_recording
    assert found.transposition == (semitones + 5) % 12 - 5
    assert found.tempo_ratio == pytest.approx(speed, rel=0.03)
    parts = [(cut, 75.0, 0.0), (0.0, cut, 75.0 - cut)] if cut else [(0.0, 75.0, 0.0)]
    return [span_error(found.spans, *part, speed) for part in parts]


def span_error(spans, start_a, end_a, start_b, speed):
    """Seconds by which the best span for a part is off: its start and end in A, and B at both."""
    truth = np.array(
        [start_a, end_a, start_b / speed, (start_b + end_a - start_a) / speed], dtype=float
    )
    return min((np.abs(np.array(span) - truth).max() for span in spans), default=np.inf)


@pytest.mark.parametrize(
    ("work", "semitones", "speed", "cut"), [(0, 3, 0.87, 0.0), (1, -4, 1.25, CUT)]
)
def test_key_tempo_and_spans(work, semitones, speed, cut):
    assert min(check_pair(work, semitones, speed, cut)) < 2


@pytest.mark.slow
def test_every_key_and_tempo():
    errors = []
    for number in range(12):
        speed = np.geomspace(0.7, 1.4, 12)[(5 * number) % 12]
        errors += check_pair(number % 4, number - 5, speed, CUT if number % 2 else 0.0)
    assert np.mean(np.array(errors) < 2) > 0.5, errors


@pytest.fixture(scope="module")
def sounds():
    """A recording, and one of another work."""
    return rendered(original(0)), rendered(original(3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, sounds):
    """`a.flac`; `copy.mp3`, coded and cut; `b 1.flac`, a cover; `other.flac`."""
    folder = tmp_path_factory.mktemp("match")
    y, other = sounds
    soundfile.write(folder / "a.flac", y, SR)
    soundfile.write(folder / "other.flac", other[: 40 * SR], SR)
    soundfile.write(folder / "b 1.flac", rendered(cover(original(0), 2, 1.1, 0)), SR)
    soundfile.write(folder / "copy.mp3", 0.5 * y[round(1.3 * SR) :], SR, format="MP3")
    return folder


def test_a_copy_is_told_from_a_performance(folder):
    found = match(folder / "a.flac", folder / "copy.mp3", feature="hpcp")
    assert found.same_recording
    assert found.is_cover
    start_a, _, start_b, _ = found.spans[0]
    assert start_a - start_b == pytest.approx(1.3, abs=0.5)
    assert not match(folder / "a.flac", folder / "b 1.flac", feature="hpcp").same_recording


def test_command(folder):
    result = invoke(main, folder / "a.flac", folder / "b 1.flac", "--feature", "hpcp")
    assert result.exit_code == 0, result.stderr
    assert "A and B are performances of the same work (score " in result.stdout
    assert "B is 2 semitones above A." in result.stdout
    speed = float(re.search(r"B plays at (.*) of A's speed", result.stdout)[1])
    assert speed == pytest.approx(1.1, rel=0.03)
    assert "00:0" in result.stdout.splitlines()[-1]


def test_no_cover_ends_with_1(folder):
    pair = folder / "copy.mp3", folder / "other.flac", "--feature", "hpcp"
    result = invoke(main, *pair)
    assert result.exit_code == 1
    assert "A and B are not the same work" in result.stdout
    result = invoke(main, *pair, "--exit-zero", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert not found["is_cover"]
    assert found["seconds_b"] == pytest.approx(40, abs=0.1)


def test_page_and_plot(folder, tmp_path):
    pytest.importorskip("matplotlib")
    page, plot = tmp_path / "report" / "page.html", tmp_path / "plot.png"
    arguments = ["--feature", "hpcp", "--report", page, "--plot", plot]
    result = invoke(main, folder / "a.flac", folder / "b 1.flac", *arguments)
    assert result.exit_code == 0, result.stderr
    assert plot.read_bytes().startswith(b"\x89PNG")
    html = page.read_text(encoding="utf-8")
    assert "b%201.flac" in html
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    result = invoke(main, folder / "a.flac", folder / "b 1.flac", *arguments, "--embed-audio")
    assert '"data:audio/' in page.read_text(encoding="utf-8")


def test_page_in_a_browser(browser, folder, tmp_path):
    from mulkinet.identify.pages.match_page import write_match_page

    found = match(folder / "a.flac", folder / "b 1.flac", feature="hpcp")
    write_match_page(tmp_path / "page.html", found, embed_audio=True)
    browser.open((tmp_path / "page.html").as_uri(), 1200, 900)
    browser.click(".plot", 0.5, 0.5)
    place = browser.evaluate("document.querySelector('.place').textContent")
    assert place.startswith("A at 0:")
    browser.wait("[...document.querySelectorAll('audio')].every(audio => !audio.paused)")
    times = browser.evaluate(
        "[...document.querySelectorAll('audio')].map(audio => audio.currentTime)"
    )
    # The same place of the song: B is 1.1 times as fast.
    assert times[0] == pytest.approx(1.1 * times[1], abs=2)
    assert 20 < times[0] < 55
    browser.check()


def test_features_of_two_rates(rng):
    chords = np.repeat(rng.random((12, 60)) ** 4, 8, axis=1) + 0.1 * rng.random((12, 480))
    found = mulkinet.match(chords, np.roll(chords[:, ::2], 5, axis=0), frame_rate=(4.0, 2.0))
    assert isinstance(found, PairMatch)
    assert (found.transposition, found.feature, found.same_recording) == (5, None, None)
    assert found.tempo_ratio == pytest.approx(1, rel=0.03)
    assert found.is_cover
    assert found.seconds_a == found.seconds_b == 120


def test_wrong_input(folder, tmp_path, rng):
    x = rng.random((12, 100))
    with pytest.raises(MulkinetError, match="A: expected frame_rate in frames per second"):
        match(x, x)
    with pytest.raises(MulkinetError, match="B: expected at least 6.0 s to compare, found 4.0 s"):
        match(x, x[:, :8], frame_rate=2.0)
    with pytest.raises(MulkinetError, match="A: expected music, found silence"):
        match(np.zeros((12, 50)), x, frame_rate=2.0)
    with pytest.raises(MulkinetError, match="B: expected features of 12 rows, found 84"):
        match(x, np.ones((84, 50)), frame_rate=2.0)
    with pytest.raises(MulkinetError, match="found 'cqt'"):
        match(x, x, feature="cqt", frame_rate=2.0)
    with pytest.raises(MulkinetError, match="B: expected finite values"):
        match(x, np.full(9, np.nan), frame_rate=2.0)
    (tmp_path / "text.mp3").write_text("no music")
    result = invoke(main, folder / "a.flac", tmp_path / "text.mp3", "--feature", "hpcp")
    assert result.exit_code == 1
    assert "text.mp3: " in result.stderr
    assert invoke(main, "a", "b", "--embed-audio").exit_code == 2


def test_silent_recording(sounds):
    with pytest.raises(MulkinetError, match="B: expected sound, found silence"):
        match(sounds[0], np.zeros(SR * 20, np.float32), feature="hpcp")
