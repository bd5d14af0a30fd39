"""Requests that nobody means well with: each has its status, and the next good one its answer."""

import asyncio
import io
import itertools
import pickle
import socket
import threading
import time
import wave
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

from mulkinet.errors import SkippedInput
from mulkinet.features.provenance import SR
from mulkinet.serve.decoding import Decoder
from mulkinet.serve.limits import BodyLimits
from tests.identify.songs import play, write_song


def sound(y, sr=SR, subtype="PCM_16"):
    file = io.BytesIO()
    soundfile.write(file, y, sr, format="WAV", subtype=subtype)
    return file.getvalue()


def header_alone(seconds):
    """A WAV file that promises more than it holds."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, SR, int(seconds * SR), "NONE", ""))
        writer.writeframesraw(b"\1\0" * 1000)
        content = bytearray(file.getvalue())
    content[40:44] = int(2 * seconds * SR).to_bytes(4, "little")
    return bytes(content)


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("song.wav", bytes(10_000_000))
    return file.getvalue()


SONG = sound(play(2, 0, 4.0))
NOISE = np.random.default_rng(5).normal(0, 0.1, SR)

NO_SOUNDS = {
    "text": b"no sound " * 100,
    "empty": b"",
    "silence": sound(np.zeros(SR)),
    "too short": sound(NOISE[:1000]),
    "too long": sound(np.tile(NOISE[:8000], 30), 8000),
    "NaN": sound(np.full(SR, np.nan), subtype="FLOAT"),
    "truncated": header_alone(60),
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(500),
    "zip of zeros": zipped(),
    "pickle": pickle.dumps({"a": 1}),
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "concat script": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "HTML": b"<!DOCTYPE html><script>alert(1)</script>",
    "random bytes": np.random.default_rng(6).bytes(5000),
}


@pytest.mark.parametrize("name", NO_SOUNDS)
def test_no_sound(client, served, name):
    found = client.post("/identify", files={"audio": (f"{name}.wav", NO_SOUNDS[name])})
    assert found.status_code == 415, found.text
    assert found.json()["detail"]
    assert "\n" not in found.json()["detail"]
    assert str(served.uploads) not in found.text
    assert served.left() == []


FORM = {"content-type": "multipart/form-data; boundary=x"}
_PART = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'


def form(*fields):
    parts = (
        b'--x\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + value + b"\r\n"
        for name, value in fields
    )
    return b"".join(parts) + b"--x--\r\n"


WRONG = {
    "malformed JSON": ("POST", "/identify", {"content": b'{"audio": '}, 415),
    "JSON": ("POST", "/identify", {"json": {"audio": "/etc/passwd"}}, 415),
    "no body": ("POST", "/match", {}, 415),
    "no boundary": (
        "POST",
        "/identify",
        {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
        400,
    ),
    "no form in it": ("POST", "/identify", {"content": b"nothing", "headers": FORM}, 400),
    "form cut off": ("POST", "/identify", {"content": _PART + SONG, "headers": FORM}, 422),
    "text for a file": (
        "POST",
        "/identify",
        {"content": form((b"audio", b"/etc/passwd")), "headers": FORM},
        422,
    ),
    "thousands of fields": (
        "POST",
        "/identify",
        {"content": form(*[(b"f%d" % n, b"1") for n in range(3000)]), "headers": FORM},
        400,
    ),
    "a field of 2 MB": (
        "POST",
        "/identify",
        {"content": form((b"top", b"1" * 2_000_000)), "headers": FORM},
        400,
    ),
    "one of two files": ("POST", "/match", {"files": {"a": ("a.wav", SONG)}}, 422),
    "top of 0": ("POST", "/identify", {"files": {"audio": SONG}, "data": {"top": "0"}}, 422),
    "top of a word": ("POST", "/identify", {"files": {"audio": SONG}, "data": {"top": "x"}}, 422),
    "top of 1e9": ("POST", "/identify", {"files": {"audio": SONG}, "data": {"top": "1" * 9}}, 422),
    "windows of NaN": (
        "POST",
        "/identify",
        {"files": {"audio": SONG}, "data": {"segments": "nan"}},
        422,
    ),
    "windows of infinity": (
        "POST",
        "/identify",
        {"files": {"audio": SONG}, "data": {"segments": "inf"}},
        422,
    ),
    "8.1 MB": ("POST", "/identify", {"files": {"audio": bytes(8_100_000)}}, 413),
    "another site's page": (
        "POST",
        "/identify",
        {"files": {"audio": SONG}, "headers": {"sec-fetch-site": "cross-site"}},
        403,
    ),
    "wrong method": ("GET", "/identify", {}, 405),
    "another": ("DELETE", "/works", {}, 405),
    "unknown path": ("GET", "/admin", {}, 404),
    "unknown track": ("GET", "/audio/ffffffffffffffffffffffff", {}, 404),
    "path for an id": ("GET", "/audio/%2e%2e%2f%2e%2e%2fetc%2fpasswd", {}, 404),
    "absolute path": ("GET", "/audio//etc/passwd", {}, 404),
    "NUL": ("GET", "/audio/%00", {}, 404),
    "negative offset": ("GET", "/works?offset=-1", {}, 422),
    "page of nothing": ("GET", "/works?limit=0", {}, 422),
    "long words": ("GET", "/works?q=" + "x" * 5000, {}, 422),
    "another's name": ("GET", "/works", {"headers": {"host": "evil.example"}}, 400),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong(client, served, name):
    method, path, options, status = WRONG[name]
    found = client.request(method, path, **options)
    assert found.status_code == status, found.text
    assert "root:" not in found.text
    assert served.left() == []


def status_of(served, parts, seconds=30):
    """Status of what is sent as it is, part by part; None where there is no answer."""
    with socket.create_connection(("127.0.0.1", served.port), seconds) as connection:
        try:
            for part in parts:
                connection.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer came before the end
        try:
            line = connection.makefile("rb").readline()
        except ConnectionResetError:
            return None
    return int(line.split()[1]) if line else None


def head(*lines, path="/identify", method="POST"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


_TYPE = "Content-Type: multipart/form-data; boundary=x"
RAW = {
    "2 GB declared": ([head(_TYPE, "Content-Length: 2147483648")], 413),
    "length below 0": ([head(_TYPE, "Content-Length: -1")], 400),
    "length of a word": ([head(_TYPE, "Content-Length: many")], 400),
    "two lengths": ([head(_TYPE, "Content-Length: 1", "Content-Length: 2")], 400),
    "no HTTP": ([b"\x16\x03\x01 hello\r\n\r\n"], 400),
    "endless header": ([b"GET / HTTP/1.1\r\nX: ", b"x" * 200_000], 400),
    "traversal": ([head(path="/audio/../../../../etc/passwd", method="GET")], 404),
    "broken chunk": ([head(_TYPE, "Transfer-Encoding: chunked"), b"zz\r\n"], 400),
}


@pytest.mark.parametrize("name", RAW)
def test_raw(served, name):
    parts, status = RAW[name]
    assert status_of(served, parts) == status


def test_endless_stream(served, client):
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    start = head(_TYPE, "Transfer-Encoding: chunked")
    opening = b"%x\r\n" % len(_PART) + _PART + b"\r\n"
    stream = itertools.chain([start, opening], itertools.repeat(chunk, 10_000))
    assert status_of(served, stream) in (
        413,
        None,
    )  # None: what it said was lost with the connection
    assert client.get("/health").json()["pending"] == 0
    assert served.left() == []


def test_slow_clients(served, client, tmp_path):
    def drip(first, then, seconds=20):
        yield first
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            yield then
            time.sleep(0.5)

    slow = [
        [head(_TYPE, "Content-Length: 1000000"), _PART],
        drip(head(_TYPE, "Content-Length: 1000000") + _PART, b"xx"),
        drip(b"GET /works HTTP/1.1\r\n", b"X: y\r\n"),
        [b""],
    ]
    with ThreadPoolExecutor(len(slow)) as pool:
        found = [pool.submit(status_of, served, parts) for parts in slow]
        song = write_song(tmp_path / "query.wav", 4, 0)
        answer = client.post("/identify", files={"audio": song.read_bytes()})
        assert answer.status_code == 200  # meanwhile
        # None: the answer was lost where the client went on sending.
        assert found[0].result() == found[3].result() == 408
        assert {found[1].result(), found[2].result()} <= {408, None}
    assert client.get("/health").json()["pending"] == 0
    assert served.left() == []


def test_client_that_hangs_up(served, client):
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(head(_TYPE, "Content-Length: 1000000") + _PART + SONG[:100_000])
    for _ in range(100):
        if client.get("/health").json()["pending"] == 0:
            break
        time.sleep(0.05)
    assert client.get("/health").json()["pending"] == 0
    assert served.left() == []


@pytest.mark.parametrize("name", ["../../../tmp/x.wav", "/etc/passwd", "a\0b.wav", "x" * 3000])
def test_strange_names(client, served, name):
    # The whole song: of the first 4 s another work's are as near.
    found = client.post("/identify", files={"audio": (name, sound(play(2, 0, 16.0)))})
    assert found.status_code == 200, found.text
    assert found.json()["works"][0]["work_id"] == "w2"
    assert served.left() == []


def test_busy(served, client):
    """12 at once where 4 may wait: each is answered, some with 503, and all are when they come again."""

    def ask(_):
        with served.client() as client:
            return client.post("/identify", files={"audio": SONG})

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(ask, range(12)))
    assert {answer.status_code for answer in found} == {200, 503}
    busy = next(answer for answer in found if answer.status_code == 503)
    assert int(busy.headers["retry-after"]) > 0
    assert sum(answer.status_code == 200 for answer in found) >= 4
    assert ask(0).status_code == 200
    assert client.get("/health").json()["pending"] == 0


def test_time_limit(tmp_path):
    song = write_song(tmp_path / "song.wav", 0, 0)
    decoder = Decoder(max_sec=60, limit_sec=0)
    with pytest.raises(SkippedInput, match="decoded in 0 s, found one that takes longer"):
        decoder.decode(song)
    # The next one gets a new process.
    decoder._limit_sec = 60
    assert len(decoder.decode(song)) == 4 * SR
    killed = threading.Timer(0.2, decoder._process.kill)
    killed.start()
    killed.join()
    decoder._process.join()
    assert len(decoder.decode(song)) == 4 * SR
    decoder.close()


def test_who_sends_all_before_reading_is_answered(served):
    """Closed with most of it unread, the connection would be reset and the answer lost."""
    body = bytes(30_000_000)
    head = b"POST /identify HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n" % len(body)
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as connection:
            connection.sendall(head + body)
            assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_no_more_bodies_than_may_be_open():
    """Of three at once, where two may be, one is refused before it is read."""
    sent = []

    async def receive():
        assert sent[0] == 503
        return {"type": "http.request", "body": b"12345"}

    async def app(scope, receive, send):
        await scope["let go"].wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message.get("status"))

    async def ask():
        limited = BodyLimits(app, max_bytes=10, max_open=2)
        let_go = asyncio.Event()
        scope = {"type": "http", "headers": [(b"content-length", b"5")], "let go": let_go}
        open_ones = [asyncio.create_task(limited(scope, receive, send)) for _ in range(2)]
        await asyncio.sleep(0)
        await limited(scope, receive, send)
        assert sent[0] == 503
        let_go.set()
        await asyncio.gather(*open_ones)
        assert sent.count(200) == 2

    asyncio.run(ask())
