"""The JSON interface, as a program uses it."""

import hashlib

from mulkinet.cli.serve import main
from tests.commands import invoke
from tests.identify.songs import write_song


def upload(path, name=None):
    return name or path.name, path.read_bytes(), "audio/wav"


def test_identify(client, served, served_library, tmp_path):
    song = write_song(tmp_path / "query.wav", 3, 2, seconds=8)
    found = client.post("/identify", files={"audio": upload(song)}, data={"top": "3"})
    assert found.status_code == 200, found.text
    answer = found.json()
    assert (answer["query"], answer["seconds"]) == ("query.wav", 8.0)
    assert [work["work_id"] for work in answer["works"]][0] == "w3"
    assert len(answer["works"]) == len(answer["tracks"]) == 3
    assert "path" not in answer["works"][0]
    assert str(served_library) not in found.text
    assert served.left() == []
    sound = client.get(answer["works"][0]["audio"])
    track = answer["works"][0]["track_id"]
    assert sound.content == (served_library / "w3" / f"{track}.wav").read_bytes()
    assert sound.headers["content-type"].startswith("audio/")


def test_spans(client, tmp_path):
    song = write_song(tmp_path / "query.wav", 3, 2, seconds=8)
    files = {"audio": upload(song)}
    answer = client.post("/identify", files=files, data={"segments": "4"}).json()
    assert {span["match"]["work_id"] for span in answer["spans"]} == {"w3"}
    assert answer["spans"][0]["match"]["audio"].startswith("/audio/")


def test_match(client, tmp_path):
    a = write_song(tmp_path / "a.wav", 3, 0, seconds=16)
    b = write_song(tmp_path / "b.wav", 3, 2, seconds=16)
    files = {"a": upload(a), "b": upload(b)}
    found = client.post("/match", files=files, data={"feature": "hpcp"})
    assert found.status_code == 200, found.text
    found = found.json()
    assert (found["a"], found["b"], found["transposition"]) == ("a.wav", "b.wav", 0)
    assert found["spans"]
    wrong = client.post("/match", files=files, data={"feature": "loudness"})
    assert wrong.status_code == 422
    assert "expected a feature among crema, hpcp, chroma_cens, found 'loudness'" in wrong.text


def test_pairs(client):
    tracks = [track["id"] for track in client.get("/works?q=w3").json()["works"][0]["tracks"]]
    found = client.get(f"/pairs/{tracks[0]}/{tracks[1]}")
    assert found.status_code == 200, found.text
    found = found.json()
    assert found["plot"].startswith("data:image/png;base64,")
    assert found["transposition"] == 0
    assert len(found["path"]) > 5
    assert client.get(f"/pairs/{tracks[0]}/ffff").status_code == 404


def test_groups(client, served_library):
    told = client.get("/groups")
    assert told.status_code == 422
    assert "expected a calibrated index or a tau" in told.json()["detail"]
    found = client.get("/groups", params={"tau": 0.3})
    assert found.status_code == 200, found.text
    assert str(served_library) not in found.text
    found = found.json()
    assert (found["tracks"], found["aligned"]) == (12, True)
    for group in found["groups"]:
        assert group["finding"] == "as filed"
        assert len({track["work_id"] for track in group["tracks"]}) == 1
        assert client.get(group["tracks"][0]["audio"]).status_code == 200
    assert found["groups"]


def test_works(client, served_library):
    found = client.get("/works").json()
    assert found["total"] == 6
    assert [work["work_id"] for work in found["works"]] == [f"w{work}" for work in range(6)]
    found = client.get("/works", params={"q": "W3 P1"}).json()
    assert found["total"] == 1
    [track] = found["works"][0]["tracks"]
    content = (served_library / "w3" / "p1.wav").read_bytes()
    assert track["id"] == hashlib.sha256(content).hexdigest()[:24]
    assert "path" not in track
    page = client.get("/works", params={"offset": 4, "limit": 5}).json()
    assert (page["total"], [work["work_id"] for work in page["works"]]) == (6, ["w4", "w5"])


def test_ranges(client, served_library):
    content = (served_library / "w0" / "p0.wav").read_bytes()
    [track] = client.get("/works", params={"q": "w0 p0"}).json()["works"][0]["tracks"]
    part = client.get(track["audio"], headers={"range": "bytes=10-19"})
    assert part.status_code == 206
    assert part.content == content[10:20]
    assert part.headers["content-range"] == f"bytes 10-19/{len(content)}"
    head = client.head(track["audio"])
    assert head.headers["content-length"] == str(len(content))
    assert head.headers["accept-ranges"] == "bytes"
    beyond = client.get(track["audio"], headers={"range": f"bytes={len(content)}-"})
    assert beyond.status_code == 416


def test_health_and_description(client):
    health = client.get("/health").json()
    assert health["status"] == "ok"
    assert (health["tracks"], health["works"], health["limit"]) == (12, 6, 4)
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/identify", "/match", "/works", "/health", "/audio/{track}"} <= set(paths)
    assert "503" in paths["/identify"]["post"]["responses"]


def test_an_address_in_use_is_one_line(served, served_index):
    result = invoke(main, "--index", served_index, "--port", served.port)
    assert result.exit_code == 1
    assert f"found 127.0.0.1, port {served.port}: " in result.stderr
    assert "try another --port" in result.stderr
