"""The application's page in a browser."""

import pytest

from tests.identify.songs import write_song


@pytest.fixture
def page(browser, served):
    browser.open(served.address)
    browser.wait("id('about').textContent.includes('12 tracks')")
    return browser


@pytest.mark.parametrize("width", [1200, 380])
def test_identify(page, served, tmp_path, width):
    song = write_song(tmp_path / "query.wav", 3, 2, seconds=20)
    page.open(served.address, width, 800)
    page.choose_file("#file", song)
    page.wait("document.querySelectorAll('.candidates > li').length === 6")
    text = page.evaluate("id('answer').innerText")
    assert "query.wav" in text
    assert "1. w3" in text
    assert "work w3" in text
    page.click("#answer .plot", 0.55, 0.45)
    page.wait(
        "[...document.querySelectorAll('.query audio, .candidates li:first-child audio')]"
        ".filter(audio => !audio.paused && audio.currentTime > 0).length === 2"
    )
    page.evaluate("stopAll()")
    page.screenshot(tmp_path / "page.png")
    page.check(served.address)


def test_drop(page, served, tmp_path):
    # The browser takes files by name from an input of its own alone.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<input type=file id=other>')")
    page.choose_file("#other", write_song(tmp_path / "dropped.wav", 3, 2, seconds=16))
    page.evaluate("window.dropped = new DataTransfer()")
    page.evaluate("dropped.items.add(id('other').files[0])")
    for kind in ("dragenter", "dragover"):
        page.evaluate(
            f"window.event_ = new DragEvent('{kind}', {{dataTransfer: dropped, bubbles: true, cancelable: true}});"
            "id('drop').dispatchEvent(event_)"
        )
        # A browser drops only where this was done.
        assert page.evaluate("event_.defaultPrevented && id('drop').classList.contains('over')")
    page.evaluate(
        "id('drop').dispatchEvent(new DragEvent('drop', {dataTransfer: dropped, bubbles: true, cancelable: true}))"
    )
    page.wait("document.querySelectorAll('.candidates > li').length === 6")
    text = page.evaluate("id('answer').innerText")
    assert "dropped.wav" in text
    assert "1. w3" in text
    assert not page.evaluate("id('drop').classList.contains('over')")
    page.check(served.address)


def test_keyboard(page, served, tmp_path):
    page.choose_file("#file", write_song(tmp_path / "query.wav", 3, 2, seconds=16))
    page.wait("document.querySelector('#answer .plot')")
    page.evaluate("document.querySelector('#answer .plot').focus()")
    page.press("ArrowRight")
    assert page.evaluate("document.querySelector('.place').textContent").startswith("query at 0:")
    page.press("Enter")
    page.wait("!document.querySelector('.query audio').paused")
    page.press("Escape")
    assert page.evaluate("document.querySelector('.query audio').paused")
    page.check(served.address)


def test_record(page, served):
    page.click("#record")
    page.wait("id('recording').textContent >= '0:02'")
    page.click("#record")
    page.wait("document.querySelector('#answer .query, #status.warning')")
    # It beeps: whatever that is, it was heard, and can be heard again.
    assert page.evaluate("id('status').textContent") == ""
    assert page.evaluate("id('answer').querySelector('h2').textContent").startswith("recording.")
    page.wait("document.querySelector('.query audio').readyState > 0")
    page.check(served.address)


def test_long_recording(page, served, tmp_path):
    page.click("#long")
    page.choose_file("#file", write_song(tmp_path / "long.wav", 3, 2, seconds=18))
    page.wait("document.querySelector('.timeline button')")
    page.click(".timeline button")
    page.wait("!document.querySelector('.query audio').paused")
    assert page.evaluate("document.querySelector('tr[aria-current]').innerText").startswith("1")
    page.check(served.address)


def test_no_sound_is_told(page, served, tmp_path):
    (tmp_path / "text.mp3").write_text("no music")
    page.choose_file("#file", tmp_path / "text.mp3")
    page.wait("id('status').classList.contains('warning')")
    assert "expected audio" in page.evaluate("id('status').textContent")
    [message] = page.messages  # the browser's own, of the status
    assert "415" in message


def test_search_and_compare(page, served, tmp_path):
    page.click("#tab-collection")
    page.wait("document.querySelectorAll('#works details').length === 6")
    page.evaluate("id('words').value = 'w4'; id('words').dispatchEvent(new Event('input'))")
    page.wait("document.querySelectorAll('#works audio').length === 2")
    page.wait("document.querySelector('#works audio').readyState > 0")
    page.click("#works details details summary")
    page.wait("document.querySelector('#works .plot')")
    page.click("#works .plot")
    page.wait("[...document.querySelectorAll('#works audio')].every(audio => !audio.paused)")
    page.click("#tab-compare")
    assert page.evaluate("[...document.querySelectorAll('audio')].every(audio => audio.paused)")
    for name, performance in (("a", 0), ("b", 2)):
        song = write_song(tmp_path / f"{name}.wav", 3, performance, seconds=16)
        page.choose_file(f"[name={name}]", song)
    page.evaluate(
        "id('pair').append(make('input', {type: 'hidden', name: 'feature', value: 'hpcp'}))"
    )
    page.click("#pair button")
    page.wait("document.querySelector('#pair-answer .plot')")
    page.check(served.address)


def test_groups(page, served):
    page.evaluate(
        "ask = (ask => address => ask(address.replace('/groups', '/groups?tau=0.3')))(ask); 0"
    )
    page.click("#tab-groups")
    page.wait("document.querySelector('#groups-found details')")
    assert "confirmed by alignment" in page.evaluate("id('groups-found').innerText")
    page.click("#groups-found summary")
    page.wait("document.querySelectorAll('#groups-found audio').length >= 2")
    page.click("#groups-found details details summary")
    page.wait("document.querySelector('#groups-found .plot')")
    page.check(served.address)
