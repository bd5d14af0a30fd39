"""What files of audio promise of their size in their own bytes, where FFmpeg does not say it."""

import os
import re

__all__ = ["has_ogg_end", "promised_bytes", "seconds_by_xing"]

# A header that promises this many bytes or more was written by a program that did not know.
_UNKNOWN_BYTES = 0x7FFFF000
_LARGEST_OGG_PAGE = 65307
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_HEAD_BYTES = 1 << 16
# Of a frame of MPEG audio: sampling rates in Hz of version 1, of which those of 2 and 2.5 are halves and quarters.
_MPEG1_SR = (44100, 48000, 32000)
_RESERVED_VERSION = 1
_RESERVED_RATE = 3


def seconds_by_xing(path):
    """Duration that the first frame of an MP3 states, of a joined file its first part's; None where it does not say.

    FFmpeg's own guesses from the bit rate as soon as something is behind the frames that are counted there.
    """
    with open(path, "rb") as file:
        head = file.read(10)
        size = 0
        if head[:3] == b"ID3":  # seven bits of each of four bytes
            size = 10 + sum((byte & 127) << (21 - 7 * i) for i, byte in enumerate(head[6:10]))
        file.seek(size)
        frame = file.read(4096)
    found = re.search(rb"(?s)(?:Xing|Info)(....)(....)|VBRI.{10}(....)", frame)
    start = re.search(rb"\xff[\xe0-\xff].", frame)
    if not found or not start or start.start() > found.start():
        return None
    flags, n_frames, n_frames_vbri = (int.from_bytes(x or b"", "big") for x in found.groups())
    version, rate = start[0][1] >> 3 & 3, start[0][2] >> 2 & 3
    if version == _RESERVED_VERSION or rate == _RESERVED_RATE:
        return None
    n_frames = n_frames_vbri or (n_frames if flags & 1 else 0)
    samples, halvings = (1152, 0) if version == 3 else (576, 1 if version == 2 else 2)
    return n_frames * samples * 2**halvings / _MPEG1_SR[rate] or None


def promised_bytes(path):
    """Bytes of the whole file that the header of a WAV, RF64, W64, AVI, AIFF, CAF or WMA states.

    None where it does not say, or its writer did not know.
    """
    with open(path, "rb") as file:
        head = file.read(_HEAD_BYTES)
    promised = None
    if head[:4] == b"RIFF":
        promised = int.from_bytes(head[4:8], "little") + 8
    elif head[:4] == b"FORM":
        promised = int.from_bytes(head[4:8], "big") + 8
    elif head[:4] == b"riff":  # W64, whose sizes count their own headers
        promised = int.from_bytes(head[16:24], "little")
    elif _ASF_FILE_PROPERTIES in head:
        at = head.index(_ASF_FILE_PROPERTIES) + 40
        promised = int.from_bytes(head[at : at + 8], "little")
    elif head[:4] == b"RF64" and head[12:16] == b"ds64":
        promised = int.from_bytes(head[20:28], "little") + 8
    elif head[:4] == b"caff":
        promised = _promised_by_caf(head)
    return (
        promised
        if promised and promised < _UNKNOWN_BYTES or head[:4] in (b"riff", b"RF64")
        else None
    )


def _promised_by_caf(head):
    at = 8
    while at + 12 <= len(head):
        size = int.from_bytes(head[at + 4 : at + 12], "big", signed=True)
        if head[at : at + 4] == b"data":
            return at + 12 + size if size > 0 else None
        at += 12 + size
    return None


def has_ogg_end(path):
    """Whether the last page of an Ogg is marked as the end of its stream."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - _LARGEST_OGG_PAGE))
        tail = file.read()
    at = tail.rfind(b"OggS")
    return at >= 0 and len(tail) > at + 5 and bool(tail[at + 5] & 4)
