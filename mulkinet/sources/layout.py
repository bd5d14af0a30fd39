"""Finds the tracks of an audio folder: `<dir>/<work>/<track>.<ext>`.

Conventions: a work folder's name is the work_id, a file's name without its ending the track_id;
works and tracks come in natural order. Hidden files and files that are no audio are passed over.

Libraries for an index may be laid out otherwise: flat, as a tree of any depth, or as a table of files.
"""

import collections
import csv
import os
from pathlib import Path
from typing import NamedTuple

from mulkinet.data.ids import refuse_lookalikes
from mulkinet.data.store import natural_key, why_no_id
from mulkinet.errors import MulkinetError
from mulkinet.features.audio import is_audio

__all__ = [
    "LAYOUTS",
    "Track",
    "find_library",
    "find_tracks",
    "find_flat_tracks",
    "find_audio",
    "describe_passed_over",
]

LAYOUTS = ("work", "flat", "tree", "csv")

_SHOWN = 3
# File systems take 255 bytes; the rest is for the endings of temporary feature files.
_LONGEST_NAME_BYTES = 220


class Track(NamedTuple):
    """One performance.

    Attributes:
        work_id: Name of its folder.
        track_id: Name of its file without the ending.
        path: pathlib.Path of the file.
        title: What a table calls it; empty where there is none.
    """

    work_id: str
    track_id: str
    path: Path
    title: str = ""


def find_library(path, layout=None):
    """Lists the audio of a library.

    Args:
        path: A folder, or a CSV file.
        layout: "work": `<dir>/<work>/<track>`; "flat": every file of the folder is a work of its own; "tree": every
            file in it and below is, such as `Artist/Album/Track`, named by where it lies; "csv": a table with the
            columns path (from the table's folder on), work and, where there are any, title. By default "csv" for a
            file, "flat" for a folder whose audio is all directly in it, and "work" for others.

    Returns:
        (tracks, skipped) as `find_tracks`.

    Raises:
        MulkinetError: It cannot be read, holds no audio, or is laid out otherwise.
    """
    path = Path(path)
    if layout not in (None, *LAYOUTS):
        raise MulkinetError(f"expected a layout of {', '.join(LAYOUTS)}, found {layout!r}")
    if layout == "csv" or (layout is None and not path.is_dir()):
        return _find_listed(path)
    if layout == "tree":
        return _find_tree(path)
    if layout in (None, "flat"):
        found = find_flat_tracks(path)
        if found[0] is not None:
            return found
    if layout == "flat":
        _entries(path)
        raise MulkinetError(
            f"expected audio directly in {path} and none below, found otherwise; use --layout tree"
        )
    return find_tracks(path)


def _find_tree(folder):
    _entries(folder)
    tracks, skipped = [], []
    names = (
        (path.relative_to(folder).with_suffix("").as_posix(), path) for path in find_audio(folder)
    )
    _add((Track(name, path.stem, path) for name, path in names), why_no_id, tracks, skipped)
    if not tracks and not skipped:
        raise MulkinetError(f"expected audio in {folder} or below, found none")
    return tracks, skipped


def _find_listed(table):
    try:
        with open(table, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise MulkinetError(
            f"expected a table of audio files at {table}, found: {reason}"
        ) from error
    missing = [name for name in ("path", "work") if not rows or name not in rows[0]]
    if missing:
        raise MulkinetError(
            f"expected a first line that names the columns path, work and title in {table}, found none of "
            f"{', '.join(missing)}"
        )
    tracks, skipped, named, taken = [], [], set(), set()
    for row in rows:
        path, work = Path(table).parent / (row["path"] or ""), (row["work"] or "").strip()
        # A second track of a name is called by its path.
        track = path.stem if (work, path.stem) not in named else row["path"]
        if not work or not row["path"]:
            reason = "expected a path and a work, found none"
        elif path in taken:
            reason = "expected every file once, found it twice"
        else:
            reason = why_no_id(work) or why_no_id(track)
        if reason:
            skipped.append((path, reason))
            continue
        taken.add(path)
        named.add((work, track))
        tracks.append(Track(work, track, path, (row.get("title") or "").strip()))
    return tracks, skipped


def find_tracks(audio_dir, *, leave_out=()):
    """Lists the audio files of a folder of works.

    Args:
        audio_dir: The folder of work folders.
        leave_out: Folders in it that are no works, such as the output's.

    Returns:
        (tracks, skipped): list of Track, and list of (path, reason) of work folders without audio,
        second tracks of one name and names that cannot be ids.

    Raises:
        MulkinetError: The folder cannot be read, or audio files lie higher or deeper than expected.
    """
    audio_dir = Path(audio_dir)
    top = _entries(audio_dir)
    left_out = {Path(folder).resolve() for folder in leave_out}
    folders = [
        p for p in top if p.is_dir() and p.resolve() not in left_out and not _is_above(p, audio_dir)
    ]
    refuse_lookalikes((folder.name for folder in folders), audio_dir)
    _refuse_nesting(audio_dir, [p for p in top if is_audio(p)], "directly in it", _ADVICE_HIGH)
    tracks, skipped, deeper = [], [], []
    for folder in folders:
        try:
            entries = _entries(folder)
        except MulkinetError as error:
            skipped.append((folder, str(error)))
            continue
        below = [sub for sub in entries if sub.is_dir() and not _is_above(sub, audio_dir)]
        deeper += [p for sub in below for p in _audio_below(sub)]
        files = [p for p in entries if is_audio(p)]
        if not files:
            skipped.append((folder, "expected audio files in the work folder, found none"))
        _add(_tracks_of(folder, files), _why_no_file, tracks, skipped)
    _refuse_nesting(audio_dir, deeper, "deeper down", _ADVICE_DEEP)
    if not folders:
        raise MulkinetError(
            f"expected audio in {audio_dir}, found neither audio nor a folder with audio; "
            "arrange it as <dir>/<work>/<track>.<ext>"
        )
    return tracks, skipped


def find_flat_tracks(audio_dir):
    """Lists the audio files of a folder of which every file is a work of its own.

    Returns:
        (tracks, skipped) as `find_tracks`: the work_id is the track_id. (None, None) when no audio
        file lies directly in the folder, or other audio deeper.

    Raises:
        MulkinetError: The folder cannot be read.
    """
    top = _entries(Path(audio_dir))
    files = [path for path in top if is_audio(path)]
    if not files or any(_audio_below(path) for path in top if path.is_dir()):
        return None, None
    tracks, skipped = [], []
    _add(_tracks_of(Path(audio_dir), files), _why_no_file, tracks, skipped)
    return [track._replace(work_id=track.track_id) for track in tracks], skipped


def find_audio(folder):
    """Lists (pathlib.Path, in natural order) the audio of a folder and of all below it that are not hidden."""
    return sorted(_audio_below(Path(folder)), key=lambda path: natural_key(str(path)))


def describe_passed_over(folder):
    """Counts the files in and below a folder, hidden ones apart, whose endings are not those of audio.

    Such as "6 files passed over: 4 .pdf, 2 .txt"; "" where there are none.
    """
    others = [path for path in _files_below(Path(folder)) if not is_audio(path)]
    endings = collections.Counter(path.suffix.lower() or "without ending" for path in others)
    counts = ", ".join(f"{n} {ending}" for ending, n in endings.most_common())
    return f"{len(others)} file{'s' * (len(others) > 1)} passed over: {counts}" if others else ""


_ADVICE_HIGH = (
    "put each work's performances into a folder of its own, or name the folder above if this one is "
    "a single work"
)
_ADVICE_DEEP = "move them up into their work's folder"


def _entries(folder):
    try:
        entries = [Path(entry) for entry in os.scandir(folder)]
    except OSError as error:
        raise MulkinetError(
            f"expected a readable folder of audio at {folder}, found: {error.strerror}; "
            "check the name and its permissions"
        ) from error
    visible = [path for path in entries if not path.name.startswith(".")]
    return sorted(visible, key=lambda path: natural_key(path.name))


def _is_above(path, folder):
    """Whether a path is a link that leads back to a folder or to one above it."""
    return path.is_symlink() and folder.resolve().is_relative_to(path.resolve())


def _audio_below(folder):
    return [path for path in _files_below(folder) if is_audio(path)]


def _files_below(folder):
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(root) / name for name in names if not name.startswith(".")]
    return found


def _refuse_nesting(audio_dir, files, where, advice):
    if files:
        shown = ", ".join(str(path.relative_to(audio_dir)) for path in files[:_SHOWN])
        more = ", ..." if len(files) > _SHOWN else ""
        raise MulkinetError(
            f"expected {audio_dir}/<work>/<track>.<ext>, found {len(files)} audio "
            f"file{'s' * (len(files) > 1)} {where} ({shown}{more}); {advice}"
        )


def _tracks_of(folder, files):
    return (Track(folder.name, path.stem, path) for path in files)


def _add(candidates, why_not, tracks, skipped):
    """Appends Tracks to `tracks`; those whose ids `why_not` finds a reason against, or are taken, to `skipped`."""
    first_of = {}
    for track in candidates:
        reason = why_not(track.work_id) or why_not(track.track_id)
        first = first_of.setdefault(track[:2], track)
        if not reason and first is not track:
            reason = f"expected one track of a name, found {first.path.name} before; rename it"
        if reason:
            skipped.append((track.path, reason))
        else:
            tracks.append(track)


def _why_no_file(name):
    """The reason why a name cannot be an id and that of a feature file; None if it can."""
    n_bytes = len(os.fsencode(name))
    if n_bytes > _LONGEST_NAME_BYTES:
        return f"expected a name of at most {_LONGEST_NAME_BYTES} bytes, found {n_bytes}; rename it"
    return why_no_id(name)
