"""Embeddings of a run that has not ended, so that an interrupted one goes on where it was.

A file beside the index, `<index>.journal`: one line of JSON, `{"format", "fingerprint"}`, then records
of one size, the track's content (32 bytes) and its embedding (float32, little-endian). A process
killed in the middle of a record leaves a tail, which is cut off. It is written under the index's
lock, and removed when the index is whole.

Public names: `Journal`.
"""

import json

import numpy as np

from mulkinet.errors import MulkinetError

__all__ = ["Journal"]

FORMAT = "mulkinet-index-journal 1"


class Journal:
    """The embeddings that an unfinished run has made so far.

    Attributes:
        embeddings: dict of content (64 hexadecimal digits) to (embedding_len,) float32.

    Args:
        index_path: pathlib.Path of the index.
        fingerprint: Of the model; what another model left is not used.
        embedding_len: Size of an embedding.
    """

    def __init__(self, index_path, fingerprint, embedding_len):
        self.path = index_path.with_name(index_path.name + ".journal")
        self._header = json.dumps({"format": FORMAT, "fingerprint": fingerprint}).encode() + b"\n"
        self._record = np.dtype([("content", "u1", (32,)), ("embedding", "<f4", (embedding_len,))])
        self.embeddings = self._read()

    def append(self, contents, embeddings):
        """Adds embeddings.

        Args:
            contents: Content of each track.
            embeddings: (len(contents), embedding_len).

        Raises:
            MulkinetError: The file cannot be written.
        """
        records = np.zeros(len(contents), self._record)
        records["content"] = [list(bytes.fromhex(content)) for content in contents]
        records["embedding"] = embeddings
        self._write(records.tobytes())
        self.embeddings.update(zip(contents, records["embedding"]))

    def remove(self):
        """Removes the file."""
        self.path.unlink(missing_ok=True)

    def _write(self, data):
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not self.path.is_file()
            with open(self.path, "ab") as file:
                file.write(self._header + data if is_new else data)
        except OSError as error:
            raise MulkinetError(
                f"cannot write {self.path}: {error.strerror}; "
                "check that the folder is writable and the disk has room"
            ) from error

    def _read(self):
        try:
            content = self._whole_records()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise MulkinetError(
                f"cannot read {self.path}, which an interrupted run left: {error.strerror}; "
                "check its permissions, or delete it"
            ) from error
        return {
            row["content"].tobytes().hex(): row["embedding"].astype(np.float32)
            for row in np.frombuffer(content, self._record)
        }

    def _whole_records(self):
        """The bytes of the records; a tail is cut off the file, that of another model removed."""
        content = self.path.read_bytes()
        if not content.startswith(self._header):
            self.remove()
            return b""
        start = len(self._header)
        end = len(content) - (len(content) - start) % self._record.itemsize
        if end < len(content):
            with open(self.path, "r+b") as file:
                file.truncate(end)
        return content[start:end]
