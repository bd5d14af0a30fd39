"""Trained networks by name: the package's own, and those that others published, fetched at first use.

What is fetched is checked by its git blob hash, the one checksum that its publisher gives, and converted to a model
file, which is kept in `$MULKINET_CACHE/weights` (by default `~/.cache/mulkinet/weights`) and needs no network again.
"""

import difflib
import hashlib
import logging
import os
from pathlib import Path
from typing import NamedTuple

from mulkinet.errors import MulkinetError, import_extra
from mulkinet.files.cache import cache_folder
from mulkinet.files.locks import locked

__all__ = [
    "PUBLISHED",
    "Published",
    "fetch",
    "fetched",
    "find_model",
    "how_to_bring",
    "is_named",
    "shipped_names",
]

_SHIPPED = Path(__file__).parent.parent / "pretrained"
_GITHUB = "https://raw.githubusercontent.com"
_MOVE = "furkanyesiler/move/f86d27160407d6f47c3db2bbc77e518de8564054/saved_models"
_VINET = "raraz15/Discogs-VINet/7975d06eafec59347560893ae9ffb296be608c41/logs/checkpoints"
_TIMEOUT_SEC = 30
_BLOCK_BYTES = 1 << 20

_report = logging.getLogger("mulkinet").warning


class Published(NamedTuple):
    """Somebody's weights.

    Attributes:
        system: What they are of.
        trained_on: Data set.
        feature: What the network is shown.
        licence: Of the weights.
        url: Where they are; None where no lasting address is known.
        blob: Git blob hash, in hexadecimal.
        megabytes: Of the file, reckoned from its numbers and what lies with them; nobody publishes sizes. None where
            that is not known.
        warning: What to know before using them.
    """

    system: str
    trained_on: str
    feature: str
    licence: str
    url: str = None
    blob: str = None
    megabytes: int = None
    warning: str = ""


PUBLISHED = {
    "move": Published(
        "MOVE, embedding of 16000",
        "Da-TACOS training part",
        "crema",
        "AGPL-3.0",
        f"{_GITHUB}/{_MOVE}/model_move.pt",
        "da8e6ebdfb4e44192efcd4f7564fbd95b0e4cc2f",
        26,
    ),
    "move-4000": Published(
        "MOVE, embedding of 4000",
        "Da-TACOS training part",
        "crema",
        "AGPL-3.0",
        f"{_GITHUB}/{_MOVE}/model_move_emb_4000.pt",
        "5c4734af9b23a93053bccc1ed292ba438ac0721b",
        13,
    ),
    "re-move": Published(
        "re-MOVE, embedding of 256",
        "Da-TACOS training part",
        "crema",
        "AGPL-3.0",
        f"{_GITHUB}/furkanyesiler/re-move/5ddd5dfa136252c443e00c4c45c08a93cc315583"
        "/saved_models/lsr_models/model_re-move_lsr.pt",
        "564c5782353ea99ed91922d50f388b546890c592",
        9,
    ),
    "cqtnet": Published(
        "CQTNet",
        "SHS100K training part",
        "cqt_cqtnet",
        "MIT",
        f"{_GITHUB}/silvadirceu/CQTNet/1efc70529a939cbdabec060bbecfcc9d4c048b37/check_points/CQTNet.pth",
        "9ecb4813bc4847083ca19e55c3064729998dc34d",
        32,
    ),
    "discogs-vinet": Published(
        "Discogs-VINet",
        "Discogs-VI-YT training part",
        "cqt_vinet",
        "MIT",
        f"{_GITHUB}/{_VINET}/Discogs-VINet/model_checkpoint.pth",
        "21dcb52b539ce211ce8d4a6c929fa3a4a0080d22",
        62,
    ),
    "discogs-vinet-mirex": Published(
        "Discogs-VINet, MIREX 2024",
        "Discogs-VI-YT, all of it",
        "cqt_vinet",
        "MIT",
        f"{_GITHUB}/{_VINET}/Discogs-VINet-MIREX-full_set/model_checkpoint.pth",
        "38d3439777fd5a532c17e654c3898608db8b027e",
        96,
        "it was trained on the test works of Da-TACOS and SHS100K too, so its scores there mean nothing",
    ),
    "siamese": Published(
        "Siamese network, the release", "Da-TACOS benchmark part", "crema", "see its repository"
    ),
}


def shipped_names():
    """Sorted list of str, the models of the package."""
    return sorted(path.stem for path in _SHIPPED.glob("*.h5"))


def is_named(model_file):
    """Whether this names a known model; a file of that name in the current folder goes before."""
    known = {*shipped_names(), *PUBLISHED}
    return os.fspath(model_file) in known and not Path(model_file).is_file()


def find_model(model_file):
    """The file (pathlib.Path) of a model that is given by its path or a known name, fetched if need be.

    Raises:
        MulkinetError: It is a bare name of which there is neither a file nor a model, or it cannot be fetched.
    """
    path = Path(model_file)
    if is_named(model_file):
        return fetch(os.fspath(model_file))
    if len(path.parts) == 1 and not path.suffix and not path.exists():
        names = (*shipped_names(), *PUBLISHED)
        near = difflib.get_close_matches(str(model_file), names, n=1)
        advice = f"did you mean {near[0]}?" if near else "train.py makes a file of one"
        raise MulkinetError(
            f"expected a model file, or the name of one ({', '.join(names)}), found no {str(model_file)!r}; {advice}"
        )
    return path


def fetched(name, folder=None):
    """Where the model file of published weights, a key of `PUBLISHED`, is or will be: pathlib.Path.

    By default in the cache, `$MULKINET_CACHE/weights`.
    """
    blob = PUBLISHED[name].blob or "given"
    return Path(folder or cache_folder("weights")) / f"{name}-{blob[:8]}.h5"


def how_to_bring(name, folder=None):
    """The command that makes the model file of weights that cannot be fetched."""
    return f"mulkinet import FILE -o {fetched(name, folder)}"


def fetch(name, folder=None, *, report=_report):
    """The model file of a name; what is not there is fetched, checked and converted.

    Args:
        name: One of `shipped_names()` or of `PUBLISHED`.
        folder: The cache; `$MULKINET_CACHE/weights` by default.
        report: Takes a line on what is fetched, from where and under which licence, before it is.

    Returns:
        pathlib.Path.

    Raises:
        MulkinetError: No such name, no network, or another file than the published one came.
    """
    if name in shipped_names():
        return _SHIPPED / f"{name}.h5"
    if name not in PUBLISHED:
        names = ", ".join((*shipped_names(), *PUBLISHED))
        raise MulkinetError(f"expected the name of weights ({names}), found {name!r}")
    weights, path = PUBLISHED[name], fetched(name, folder)
    if path.is_file():
        return path
    if weights.url is None:
        raise MulkinetError(
            f"expected {path}, found no such file, and no lasting address of {weights.system} is known; "
            f"convert the release's file: {how_to_bring(name, folder)}"
        )
    lock = path.with_name(f".{path.stem}.lock")
    with locked(lock, lambda: report(f"another process fetches {name}: waiting for it")):
        if not path.is_file():
            _convert(_download(name, weights, path.parent, report), path, name, weights)
    return path


def _download(name, weights, folder, report):
    """The published file in the cache, checked."""
    published = folder / f"{name}-{weights.blob[:8]}{Path(weights.url).suffix}"
    if published.is_file():
        # Put there by hand, or left by a conversion that was interrupted.
        _check(published, weights, published)
        return published
    report(f"fetching {weights.system} ({weights.licence}) from {weights.url}")
    if weights.warning:
        report(f"{name}: {weights.warning}")
    pooch = import_extra("pooch", "download")
    import requests

    pooch.get_logger().setLevel("WARNING")
    get = pooch.HTTPDownloader(
        timeout=_TIMEOUT_SEC, progressbar=False, headers={"Accept-Encoding": "identity"}
    )

    def get_and_check(url, output, pooch):
        get(url, output, pooch)
        _check(output, weights, url)

    try:
        pooch.retrieve(weights.url, None, published.name, folder, downloader=get_and_check)
    except requests.exceptions.RequestException as error:
        broken = isinstance(error, requests.exceptions.ChunkedEncodingError)
        status = getattr(error.response, "status_code", None)
        reason = status or ("a broken connection" if broken else "no connection")
        raise MulkinetError(
            f"expected {weights.url} to answer, found {reason}; download it elsewhere, put it at {published} "
            "and run this command again"
        ) from error
    except OSError as error:
        raise MulkinetError(
            f"cannot write {folder}: {error.strerror or error}; name another folder in MULKINET_CACHE"
        ) from error
    return published


def _check(path, weights, named):
    """Raises MulkinetError unless the file has the published git blob hash."""
    size = os.path.getsize(path)
    digest = hashlib.sha1(f"blob {size}\0".encode())
    with open(path, "rb") as file:
        start = file.read(_BLOCK_BYTES)
        digest.update(start)
        for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
            digest.update(block)
    if digest.hexdigest() != weights.blob:
        what = "a web page" if start.lstrip()[:1] == b"<" else f"{digest.hexdigest()[:12]}"
        raise MulkinetError(
            f"expected git blob {weights.blob[:12]} at {named}, found {what} of {size} bytes; "
            "it was cut off or changed on the way: delete it if you put it there, and try again"
        )


def _convert(published, path, name, weights):
    from mulkinet.models.model_file import save_model
    from mulkinet.models.published import import_weights

    model = import_weights(published)
    source = {"name": name, "system": weights.system, "licence": weights.licence}
    model.metadata["published"] = {**source, "url": weights.url, "blob": weights.blob}
    save_model(model, path)
    published.unlink()
