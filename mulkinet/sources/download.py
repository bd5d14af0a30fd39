"""Da-TACOS from Zenodo: downloaded with its checksum, resumed, and unpacked without trust.

Conventions: an archive `<name>.zip` stays in the data folder beside the folder `<name>` that is
unpacked from it; a folder that is there is whole, because it is renamed into place when it is. What
is downloaded of an unfinished archive stays in `.<name>.zip.part`.
"""

import re
import shutil
import stat
import time
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tqdm import tqdm

from mulkinet.errors import MulkinetError, import_extra

__all__ = ["Archive", "check_room", "da_tacos_archives", "fetch", "unpack"]

_ZENODO = "https://zenodo.org"
_RECORD, _CENS_RECORD = 3520368, 4717628
_MD5 = {
    "metadata": "b8aed83c45687a6bac76de3da1799237",
    "benchmark crema": "c702a3b97a60081311bf8e7fae7b433b",
    "benchmark hpcp": "f92cf3d00cc3195572381d6bbcc086de",
    "benchmark cens": "b32aab63ee401f0f8baec8aa35eb0975",
    "coveranalysis crema": "70252fe115e1ab4c4d74698d4ad68f4b",
    "coveranalysis hpcp": "961784fc2419214adf05504e9fc56cc2",
    "coveranalysis cens": "7eb56dd3a44fa7d90cc6643bc446e79b",
}
_BLOCK_BYTES = 1 << 18
_TIMEOUT_SEC = 30
# A broken connection is tried again as long as it gets further, and a few times when it does not.
_FRUITLESS_TRIES = 5
_PAUSE_SEC = 1
# Codes of a server that is asked too often or was too slow: it may answer the next time.
_PASSING = (408, 429)
# The longest that a server may ask to wait.
_LONGEST_PAUSE_SEC = 300
# The data set's files are compressed already; what unpacks to much more is an archive bomb.
_MOST_EXPANSION = 20
_MOST_ENTRIES = 100_000


class Archive(NamedTuple):
    """A file to download.

    Attributes:
        name: Name of the folder in it; `<name>.zip` is its own.
        url: Where it is.
        md5: Its checksum, in hexadecimal.
    """

    name: str
    url: str
    md5: str


def da_tacos_archives(subsets, features):
    """The archives (list of Archive) of Da-TACOS that hold what is asked for, and the metadata.

    `subsets` and `features` are names from `mulkinet.sources.da_tacos.SUBSETS` and `FEATURES`.
    """
    archives = [_archive("da-tacos_metadata", _RECORD, _MD5["metadata"])]
    for subset in subsets:
        for feature in features:
            short = "cens" if feature == "chroma_cens" else feature
            record = _CENS_RECORD if short == "cens" else _RECORD
            name = f"da-tacos_{subset}_subset_{short}"
            archives.append(_archive(name, record, _MD5[f"{subset} {short}"]))
    return archives


def check_room(archives, data_dir):
    """Asks how large the archives are that are not in a folder, and checks that all of them fit.

    A server that does not answer is left to `fetch`.

    Raises:
        MulkinetError: The disk has no room for them and for what is unpacked of them.
    """
    data_dir = Path(data_dir)
    absent = [archive for archive in archives if not (data_dir / archive.name).is_dir()]
    n_bytes = sum(_bytes_to_come(archive, data_dir) for archive in absent)
    there = next(folder for folder in (data_dir, *data_dir.absolute().parents) if folder.is_dir())
    _check_room(there, n_bytes, f"download and unpack {len(absent)} archives")


def fetch(archive, data_dir, *, progress=True):
    """Downloads an archive and unpacks it, or what is left of that to do.

    Args:
        archive: Archive.
        data_dir: The folder to download and unpack into.
        progress: Show progress bars.

    Returns:
        pathlib.Path of the unpacked folder.

    Raises:
        MulkinetError: The server does not answer, the disk has no room, the checksum is wrong, or
            the archive is not what it should be.
    """
    pooch = import_extra("pooch", "download")
    data_dir = Path(data_dir)
    folder = data_dir / archive.name
    if folder.is_dir():
        return folder
    data_dir.mkdir(parents=True, exist_ok=True)
    part = _part_of(archive, data_dir)
    pooch.get_logger().setLevel("WARNING")
    try:
        path = pooch.retrieve(
            archive.url,
            f"md5:{archive.md5}",
            fname=f"{archive.name}.zip",
            path=data_dir,
            downloader=lambda url, output, _: _download(url, part, output, progress),
        )
    except ValueError as error:
        # pooch says so when the checksum differs; what was downloaded is of no use.
        raise MulkinetError(
            f"expected {archive.url} with the MD5 {archive.md5}, found another: it was changed or "
            "damaged on the way, and is deleted; download it again"
        ) from error
    except OSError as error:
        raise MulkinetError(
            f"cannot write {data_dir}: {error.strerror or error}; choose another folder with -d"
        ) from error
    unpack(path, folder, progress=progress)
    return folder


def unpack(path, folder, *, progress=True):
    """Unpacks a zip archive of one folder; nothing is there unless everything is.

    Args:
        path: The archive.
        folder: The folder to make: the one of that name in the archive, or else the whole archive.
        progress: Show a progress bar.

    Raises:
        MulkinetError: It is no zip archive or damaged, an entry would leave the folder or is no
            plain file, it unpacks to too much, or the disk has no room.
    """
    path, folder = Path(path), Path(folder)
    temporary = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            _check_entries(path, entries)
            n_bytes = sum(entry.file_size for entry in entries)
            _check_room(folder.parent, n_bytes, f"unpack {path.name}")
            with _bar(f"unpack {path.name}", n_bytes, 0, progress) as bar:
                for entry in entries:
                    archive.extract(entry, temporary)
                    bar.update(entry.file_size)
        inner = temporary / folder.name
        (inner if inner.is_dir() else temporary).replace(folder)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError) as error:
        raise MulkinetError(
            f"expected a whole .zip archive at {path}, found something else ({error}); "
            "delete it and download it again"
        ) from error
    except OSError as error:
        raise MulkinetError(
            f"cannot unpack {path} to {folder}: {error.strerror or error}; "
            "check that the folder is writable and the disk has room"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _archive(name, record, md5):
    return Archive(name, f"{_ZENODO}/record/{record}/files/{name}.zip?download=1", md5)


def _download(url, part, output, progress):
    """A downloader for pooch: resumes `part` until it is whole, then moves it to `output`."""
    import requests

    fruitless = 0
    while fruitless < _FRUITLESS_TRIES:
        pause = None
        before = part.stat().st_size if part.exists() else 0
        try:
            if _continue_download(url, part, progress):
                # A part that is whole goes to pooch, so that one of a wrong checksum is not kept.
                part.replace(output)
                return
            reason = "the connection ended early"
        except requests.exceptions.RequestException as error:
            reason = " ".join(str(error).split())
            status = getattr(error.response, "status_code", 0)
            if 400 <= status < 500 and status not in _PASSING:
                break
            pause = _pause_asked_for(error.response)
        got_further = part.exists() and part.stat().st_size > before
        fruitless = 0 if got_further else fruitless + 1
        time.sleep(fruitless * _PAUSE_SEC if pause is None else pause)
    raise MulkinetError(
        f"expected {url} to answer, found {reason}; check the connection and run the command "
        "again: what is downloaded already is kept"
    )


def _pause_asked_for(response):
    """Seconds that the server asks to wait, or None."""
    asked = "" if response is None else response.headers.get("Retry-After", "")
    return min(int(asked), _LONGEST_PAUSE_SEC) if asked.isdecimal() else None


def _bytes_to_come(archive, data_dir):
    """Bytes that downloading and unpacking an archive will take; 0 where nobody says."""
    import requests

    path = data_dir / f"{archive.name}.zip"
    if path.is_file():
        return path.stat().st_size
    part = _part_of(archive, data_dir)
    there = part.stat().st_size if part.is_file() else 0
    try:
        headers = {"Accept-Encoding": "identity"}
        with requests.get(archive.url, headers=headers, stream=True, timeout=_TIMEOUT_SEC) as found:
            total = _total_bytes(found, 0) if found.ok else None
    except requests.exceptions.RequestException:
        total = None
    return 2 * total - there if total else 0


def _part_of(archive, data_dir):
    return data_dir / f".{archive.name}.zip.part"


def _continue_download(url, part, progress):
    """Asks for what is missing of `part` -> whether it is whole now."""
    import requests

    there = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={there}-"} if there else {}
    # Not compressed on the way: the lengths are those of the file.
    headers["Accept-Encoding"] = "identity"
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SEC) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            # Nothing follows: it is whole, or of another file and found out by its checksum.
            return True
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            there = 0
        total = _total_bytes(response, there)
        _check_room(part.parent, 2 * (total or 0) - there, f"download and unpack {part.name[1:-5]}")
        # A connection that ends early is no error here: what came before it did is worth keeping.
        response.raw.enforce_content_length = False
        with open(part, "ab" if there else "wb") as file:
            with _bar(part.name[1:-5], total, there, progress) as bar:
                for block in response.iter_content(_BLOCK_BYTES):
                    file.write(block)
                    bar.update(len(block))
    return total is None or part.stat().st_size >= total


def _total_bytes(response, there):
    """Bytes of the whole file; None where the server does not say."""
    found = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if found:
        return int(found[1])
    length = response.headers.get("Content-Length")
    return there + int(length) if length else None


def _check_entries(path, entries):
    for entry in entries:
        name = PurePosixPath(entry.filename.replace("\\", "/"))
        # A drive ("C:") and an absolute path lead out too, not only "..".
        leaves = name.is_absolute() or ".." in name.parts or ":" in (*name.parts, "")[0]
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if leaves or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "leads out of the folder" if leaves else "is a link or a device"
            raise MulkinetError(
                f"expected files within one folder in {path}, found the entry {entry.filename!r}, "
                f"which {what}; nothing was unpacked, do not use this archive"
            )
    n_bytes, size = sum(entry.file_size for entry in entries), path.stat().st_size
    if n_bytes > _MOST_EXPANSION * size or len(entries) > _MOST_ENTRIES:
        raise MulkinetError(
            f"expected {path} of {size} bytes to unpack to at most {_MOST_EXPANSION} times as much "
            f"in {_MOST_ENTRIES} files, found {n_bytes} bytes in {len(entries)} files; "
            "nothing was unpacked, do not use this archive"
        )


def _check_room(folder, n_bytes, purpose):
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise MulkinetError(
            f"expected {n_bytes / 1e9:.1f} GB free in {folder} to {purpose}, found "
            f"{free / 1e9:.1f} GB; choose another folder with -d"
        )


def _bar(name, total, there, progress):
    return tqdm(
        desc=name,
        total=total,
        initial=there,
        unit="B",
        unit_scale=True,
        # None leaves it to tqdm, which shows a bar in a terminal only.
        disable=None if progress else True,
    )
