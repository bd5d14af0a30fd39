"""The collection of an index: searched by text, its audio by id."""

import mimetypes
import unicodedata
from itertools import groupby
from pathlib import Path

from mulkinet.features.audio import is_audio

__all__ = ["Catalogue"]

_ID_DIGITS = 24


class Catalogue:
    """What may be told of a collection.

    A track's id is the beginning of the SHA-256 of its content: it stays where tracks come and go.

    Args:
        ids: `IndexData.ids`.
        show_paths: Whether paths of audio files are told.
    """

    def __init__(self, ids, show_paths):
        self._show_paths = show_paths
        self._ids = ids
        self._row_of = {
            content[:_ID_DIGITS]: row for row, content in reversed(list(enumerate(ids["content"])))
        }
        self._id_of = {
            (work, track): content[:_ID_DIGITS]
            for work, track, content in zip(ids["work_id"], ids["track_id"], ids["content"])
        }
        names = zip(ids["work_id"], ids["track_id"], ids["title"])
        self._texts = [_plain(" ".join(map(str, fields))) for fields in names]

    def works(self, text, offset, limit):
        """Works of which a track is named by all words of a text, or parts of words; case and accents do not count.

        (number of works, list of dict: work_id, tracks) of at most `limit`, `offset` left out.
        """
        words = _plain(text).split()
        rows = [row for row, name in enumerate(self._texts) if all(word in name for word in words)]
        found = [
            (work, list(members))
            for work, members in groupby(sorted(rows, key=self._work), key=self._work)
        ]
        return len(found), [
            {"work_id": work, "tracks": [self._track(row) for row in members]}
            for work, members in found[offset : offset + limit]
        ]

    def row(self, track):
        """Row of the index of a track's id; None where there is none."""
        return self._row_of.get(track)

    def told(self, match):
        """What is told of a dict of `Match`."""
        track = self._id_of[match["work_id"], match["track_id"]]
        return {**self._told(match), "id": track, "audio": self._address(self._row_of[track])}

    def audio(self, track):
        """(path, media type) of a track's audio file; None where there is none to play."""
        row = self._row_of.get(track)
        path = None if row is None else Path(self._ids["path"][row])
        # An index made elsewhere may name anything.
        if path is None or not is_audio(path) or not path.is_file():
            return None
        return path, mimetypes.guess_type(path.name)[0] or "application/octet-stream"

    def _work(self, row):
        return str(self._ids["work_id"][row])

    def _track(self, row):
        names = ("work_id", "track_id", "title", "path")
        return self.told({name: str(self._ids[name][row]) for name in names})

    def _told(self, values):
        return {name: value for name, value in values.items() if name != "path" or self._show_paths}

    def _address(self, row):
        return (
            f"/audio/{self._ids['content'][row][:_ID_DIGITS]}" if self._ids["path"][row] else None
        )


def _plain(text):
    split = unicodedata.normalize("NFKD", text)
    return "".join(c for c in split if not unicodedata.combining(c)).casefold()
