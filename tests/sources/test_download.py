"""Downloads from a server that cuts the connection or sends something else, and hostile archives."""

import hashlib
import re
import shutil
import stat

import pytest

from mulkinet import MulkinetError
from mulkinet.sources import download
from mulkinet.sources.download import Archive, check_room, da_tacos_archives, fetch, unpack
from tests.archive_server import CONTENT, archive_of


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(download, "_PAUSE_SEC", 0)


def archive_at(server, md5=None):
    return Archive("set", server.url, md5 or hashlib.md5(server.content).hexdigest())


def run(server, folder, **options):
    return fetch(archive_at(server, **options), folder, progress=False)


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_the_published_archives():
    archives = da_tacos_archives(["benchmark"], ["crema", "chroma_cens"])
    assert archives == [
        (
            "da-tacos_metadata",
            "https://zenodo.org/record/3520368/files/da-tacos_metadata.zip?download=1",
            "b8aed83c45687a6bac76de3da1799237",
        ),
        (
            "da-tacos_benchmark_subset_crema",
            "https://zenodo.org/record/3520368/files/da-tacos_benchmark_subset_crema.zip?download=1",
            "c702a3b97a60081311bf8e7fae7b433b",
        ),
        (
            "da-tacos_benchmark_subset_cens",
            "https://zenodo.org/record/4717628/files/da-tacos_benchmark_subset_cens.zip?download=1",
            "b32aab63ee401f0f8baec8aa35eb0975",
        ),
    ]
    assert len(da_tacos_archives(["benchmark", "coveranalysis"], ["hpcp", "crema"])) == 5


def test_fetched_once(server, tmp_path):
    assert run(server, tmp_path / "data") == tmp_path / "data" / "set"
    assert names(tmp_path / "data") == ["set", "set.zip", "set/W_1", "set/W_1/P_1.h5"]
    [(name, data)] = CONTENT.items()
    assert (tmp_path / "data" / name).read_bytes() == data
    run(server, tmp_path / "data")
    assert server.requests == [None]


def test_a_connection_that_is_cut_goes_on_where_it_was(server, tmp_path):
    server.cut = 20_000
    run(server, tmp_path)
    assert server.requests[0] is None
    assert all(re.fullmatch(r"bytes=\d+-", wanted) for wanted in server.requests[1:])
    assert len(server.requests) == 3
    assert names(tmp_path) == ["set", "set.zip", "set/W_1", "set/W_1/P_1.h5"]


def test_a_second_run_goes_on_where_the_first_was(server, tmp_path):
    whole = server.content
    server.cut = 20_000
    finish = server.finish_request
    server.finish_request = lambda *request: (
        finish(*request) if not server.requests else request[0].close()
    )
    with pytest.raises(MulkinetError, match="run the command again: what is downloaded already"):
        run(server, tmp_path)
    assert names(tmp_path) == [".set.zip.part"]
    assert (tmp_path / ".set.zip.part").stat().st_size == 20_000
    server.finish_request, server.cut = finish, None
    run(server, tmp_path)
    assert server.requests[-1] == "bytes=20000-"
    assert (tmp_path / "set.zip").read_bytes() == whole


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    server.has_ranges = False
    (tmp_path / ".set.zip.part").write_bytes(server.content[:1000])
    run(server, tmp_path)
    assert (tmp_path / "set.zip").read_bytes() == server.content


def test_a_part_that_was_whole_already(server, tmp_path):
    (tmp_path / ".set.zip.part").write_bytes(server.content)
    run(server, tmp_path)
    assert names(tmp_path) == ["set", "set.zip", "set/W_1", "set/W_1/P_1.h5"]


def test_wrong_bytes_are_deleted(server, tmp_path):
    with pytest.raises(MulkinetError, match=r"with the MD5 0{32}, found another.*is deleted"):
        run(server, tmp_path, md5="0" * 32)
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [404, 503])
def test_a_server_that_has_nothing(server, tmp_path, status):
    server.status = status
    with pytest.raises(MulkinetError, match=rf"expected http.* to answer, found {status}"):
        run(server, tmp_path)
    assert len(server.requests) == (1 if status == 404 else 5)
    assert names(tmp_path) == []


def test_a_server_that_asks_to_wait_is_waited_for(server, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    server.refusals = [(429, "7"), (408, "soon"), (503, "99999")]
    run(server, tmp_path)
    assert pauses == [7, 0, 300]
    assert len(server.requests) == 4
    assert names(tmp_path) == ["set", "set.zip", "set/W_1", "set/W_1/P_1.h5"]


def test_no_server(tmp_path):
    archive = Archive("set", "http://127.0.0.1:9/set.zip", "0" * 32)
    with pytest.raises(MulkinetError, match="to answer, found .*refused"):
        fetch(archive, tmp_path, progress=False)


def test_no_room(server, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 60_000})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(MulkinetError, match=r"GB free in .* to download and unpack set.zip"):
        run(server, tmp_path)
    assert names(tmp_path) == []


def test_room_for_all_before_the_first(server, tmp_path, monkeypatch):
    size = len(server.content)
    archives = [Archive(name, server.url, "0" * 32) for name in ("a", "b", "c", "d")]
    # a is there, b is downloaded but not unpacked, of c a part is there; c and d are asked for.
    (tmp_path / "a").mkdir()
    (tmp_path / "b.zip").write_bytes(bytes(1000))
    (tmp_path / ".c.zip.part").write_bytes(bytes(300))
    needed = 1000 + (2 * size - 300) + 2 * size
    for free in (needed, needed - 1):
        usage = type("Usage", (), {"free": free})
        monkeypatch.setattr(download.shutil, "disk_usage", lambda folder, usage=usage: usage)
        if free == needed:
            check_room(archives, tmp_path)
            check_room(archives[1:2], tmp_path / "not" / "there")
        else:
            with pytest.raises(MulkinetError, match="to download and unpack 3 archives"):
                check_room(archives, tmp_path)
    server.status = 503
    check_room(archives, tmp_path)
    assert (tmp_path / ".c.zip.part").stat().st_size == 300


@pytest.mark.parametrize(
    "name",
    ["../outside", "set/../../outside", "/outside", "..\\outside", "C:\\outside", "set/.."],
)
def test_entries_that_leave_the_folder(server, tmp_path, name):
    server.content = archive_of({**CONTENT, name: b"hostile"})
    with pytest.raises(MulkinetError, match="leads out of the folder; nothing was unpacked"):
        run(server, tmp_path / "data")
    assert names(tmp_path) == ["data", "data/set.zip"]


def test_links(tmp_path):
    path = tmp_path / "set.zip"
    path.write_bytes(archive_of({"set/link": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777))
    with pytest.raises(MulkinetError, match="'set/link', which is a link or a device"):
        unpack(path, tmp_path / "set", progress=False)
    assert names(tmp_path) == ["set.zip"]


def test_an_archive_bomb(tmp_path):
    path = tmp_path / "set.zip"
    path.write_bytes(archive_of({"set/bomb": bytes(10_000_000)}))
    with pytest.raises(MulkinetError, match="at most 20 times as much .* found 10000000 bytes"):
        unpack(path, tmp_path / "set", progress=False)
    assert names(tmp_path) == ["set.zip"]


def test_a_bomb_that_lies_about_its_size(tmp_path):
    path = tmp_path / "set.zip"
    content = archive_of({"set/bomb": bytes(10_000_000)})
    size = (10_000_000).to_bytes(4, "little")
    path.write_bytes(content.replace(size, (1000).to_bytes(4, "little")))
    with pytest.raises(MulkinetError, match="expected a whole .zip archive"):
        unpack(path, tmp_path / "set", progress=False)
    assert names(tmp_path) == ["set.zip"]


@pytest.mark.parametrize(
    "spoil", [lambda c: c[:-30], lambda c: b"no zip", lambda c: c[:60] + b"x" + c[61:]]
)
def test_archives_that_are_damaged(tmp_path, spoil):
    path = tmp_path / "set.zip"
    path.write_bytes(spoil(archive_of(CONTENT)))
    with pytest.raises(MulkinetError, match="expected a whole .zip archive at .*download it again"):
        unpack(path, tmp_path / "set", progress=False)
    assert names(tmp_path) == ["set.zip"]


def test_an_archive_without_a_folder_gets_one(tmp_path):
    path = tmp_path / "set.zip"
    path.write_bytes(archive_of({"W_1/P_1.h5": b"1"}))
    unpack(path, tmp_path / "set", progress=False)
    assert names(tmp_path) == ["set", "set.zip", "set/W_1", "set/W_1/P_1.h5"]


def test_any_byte_of_an_archive_may_be_another(tmp_path, rng):
    path, folder = tmp_path / "set.zip", tmp_path / "set"
    whole = archive_of({"set/a": b"some content " * 20})
    n_refused = 0
    for place, change in enumerate(rng.integers(1, 256, len(whole))):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ int(change)]) + whole[place + 1 :])
        try:
            unpack(path, folder, progress=False)
        except MulkinetError:
            n_refused += 1
            assert names(tmp_path) == ["set.zip"]
        else:
            shutil.rmtree(folder)
    assert n_refused > len(whole) / 2
