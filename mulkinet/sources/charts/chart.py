"""Charts: a song's chords and melody in beats, one JSON object a line.

    {"work": "cm-blue-moon", "source": "chord-melody-dataset", "licence": "MIT", "title": "Blue Moon",
     "beats": 128.0, "meter": "4/4", "bpm": 120.0, "melody": [[0.0, 1.5, 67], ...],
     "chords": [[0.0, 4.0, 0, [0, 4, 7]], ...]}

`work` and `chords` must be there. Times are quarter beats from 0. A chord is [onset, duration, root, pitch classes],
its root 0 (C) - 11, or the bass where the root is not known; a note is [onset, duration, MIDI number]. Chords do not
overlap; a note of the melody that outlasts the next one's onset ends there. Lines of one `work` are versions of it.
The file may be gzipped.
"""

import dataclasses
import gzip
import json
import math
import re
import zlib
from pathlib import Path
from typing import Optional

from mulkinet.data.store import why_no_id
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.files.atomic import atomic_path

__all__ = ["Chart", "read_charts", "write_charts"]

_MOST_BEATS = 20_000
_LONGEST_LINE = 1 << 24
_OVERLAP = 0.05  # beats; what rounding leaves
_METER = re.compile(r"([1-9]|[12]\d|3[0-2])/(1|2|4|8|16|32)")


@dataclasses.dataclass(frozen=True)
class Chart:
    """A song as a lead sheet has it.

    Attributes:
        work: work_id.
        chords: tuple of (onset, duration, root, pitch classes), by onset; at least one.
        melody: tuple of (onset, duration, MIDI number), by onset; may be empty.
        beats: Length in quarter beats.
        meter: Such as "4/4".
        bpm: Quarter beats per minute, or None.
        title: May be empty, as `source` and `licence`.
        source: Where it is from.
        licence: Under which licence it is.
    """

    work: str
    chords: tuple
    melody: tuple = ()
    beats: float = 0.0
    meter: str = "4/4"
    bpm: Optional[float] = None
    title: str = ""
    source: str = ""
    licence: str = ""

    @classmethod
    def from_record(cls, record):
        """Checks what a line of a file holds.

        Args:
            record: What JSON makes of the line.

        Returns:
            Chart.

        Raises:
            SkippedInput: It is no chart; the message says why.
        """
        if not isinstance(record, dict):
            raise SkippedInput(f"expected a JSON object, found {type(record).__name__}")
        texts = {name: record.get(name, "") for name in ("work", "title", "source", "licence")}
        for name, text in texts.items():
            if not isinstance(text, str):
                raise SkippedInput(f"expected text as {name}, found {text!r}")
        if reason := why_no_id(texts["work"]):
            raise SkippedInput(f"work: {reason}")
        chords = tuple(_chord(item) for item in _list(record, "chords"))
        if not chords:
            raise SkippedInput("expected chords, found none")
        melody = tuple(_note(item) for item in _list(record, "melody"))
        _check_order("chord", chords)
        _check_order("note", melody)
        _check_overlap(chords)
        end = max(onset + duration for onset, duration, *_ in chords + melody)
        meter, beats, bpm = record.get("meter", "4/4"), record.get("beats", end), record.get("bpm")
        if not isinstance(meter, str) or not _METER.fullmatch(meter):
            raise SkippedInput(f"expected a meter such as 3/4, found {meter!r}")
        numerator, denominator = map(int, meter.split("/"))
        bar = 4 * numerator / denominator
        if not bar < _number(beats, "beats") <= _MOST_BEATS:
            raise SkippedInput(
                f"expected more than a bar, {bar:g} beats, and at most {_MOST_BEATS}, found {beats:g}"
            )
        if chords[-1][0] >= beats:
            raise SkippedInput(
                f"expected chords within its {beats:g} beats, found one at {chords[-1][0]:g}"
            )
        if bpm is not None and not 0 < _number(bpm, "bpm") <= 1000:
            raise SkippedInput(f"expected a bpm in (0, 1000], found {bpm!r}")
        return cls(
            chords=chords,
            melody=_one_voice(melody),
            beats=float(beats),
            meter=meter,
            bpm=bpm,
            **texts,
        )

    def record(self):
        """The dict that `from_record` takes."""
        names = ("work", "source", "licence", "title", "beats", "meter", "bpm", "melody", "chords")
        return {name: getattr(self, name) for name in names}


def read_charts(path):
    """Reads a file of charts.

    Args:
        path: JSON lines, gzipped or not; empty lines are passed over.

    Returns:
        (list of Chart, list of ("path, line 7", reason) of the lines that are none).

    Raises:
        MulkinetError: The file is absent or damaged.
    """
    charts, skipped = [], []
    for number, line in enumerate(_lines(Path(path)), start=1):
        try:
            charts.append(Chart.from_record(_parse(line)))
        except SkippedInput as error:
            skipped.append((f"{path}, line {number}", str(error)))
    return charts, skipped


def write_charts(path, charts):
    """Writes a file of charts; gzipped where its name ends in .gz.

    Args:
        path: The file to make.
        charts: Iterable of Chart.

    Raises:
        MulkinetError: The file cannot be written.
    """
    text = "".join(json.dumps(chart.record(), ensure_ascii=False) + "\n" for chart in charts)
    content = text.encode("utf-8", "backslashreplace")
    with atomic_path(path) as temporary:
        # Without a time in it: the same charts make the same file.
        temporary.write_bytes(
            gzip.compress(content, mtime=0) if Path(path).suffix == ".gz" else content
        )


def _lines(path):
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no file"
        raise MulkinetError(
            f"expected a file of charts at {path}, found {found}; make one with preprocess.py charts"
        )
    with open(path, "rb") as file:
        is_zipped = file.read(2) == b"\x1f\x8b"
    try:
        with (gzip.open if is_zipped else open)(path, "rb") as file:
            while line := file.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE:
                    raise MulkinetError(
                        f"expected lines of less than {_LONGEST_LINE} bytes, found a longer one in {path}; "
                        "is it a file of charts?"
                    )
                if line.strip():
                    yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise MulkinetError(
            f"expected a whole gzip file, found {path} damaged: {error}; copy it again"
        ) from error


def _parse(line):
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SkippedInput(
            f"expected JSON, found something else ({str(error).splitlines()[0]})"
        ) from error


def _list(record, name):
    items = record.get(name, [])
    if not isinstance(items, (list, tuple)):
        raise SkippedInput(f"expected a list of {name}, found {type(items).__name__}")
    return items


def _chord(item):
    onset, duration, root, pitch_classes = _fields(item, 4, "chord")
    if not isinstance(pitch_classes, (list, tuple)) or not pitch_classes:
        raise SkippedInput(f"expected pitch classes in a chord, found {pitch_classes!r}")
    classes = tuple(_integer(p, 11, "pitch class") for p in pitch_classes)
    return (*_times(onset, duration, "chord"), _integer(root, 11, "root"), classes)


def _note(item):
    onset, duration, pitch = _fields(item, 3, "note")
    return (*_times(onset, duration, "note"), _integer(pitch, 127, "MIDI note"))


def _fields(item, n, kind):
    if not isinstance(item, (list, tuple)) or len(item) != n:
        raise SkippedInput(f"expected a {kind} of {n} values, found {str(item)[:60]}")
    return item


def _times(onset, duration, kind):
    if _number(onset, "onset") < 0 or _number(duration, "duration") <= 0:
        raise SkippedInput(
            f"expected a {kind} from 0 on and longer than 0, found onset {onset:g}, duration {duration:g}"
        )
    return float(onset), float(duration)


def _number(value, name):
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not abs(value) <= 1e9:  # so written, NaN is none
        raise SkippedInput(f"expected a number as {name}, found {value!r:.60}")
    return value


def _integer(value, most, name):
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise SkippedInput(f"expected a {name} of 0 - {most}, found {value!r:.60}")
    return value


def _check_order(kind, items):
    for before, item in zip(items, items[1:]):
        if item[0] < before[0]:
            raise SkippedInput(f"expected {kind}s by onset, found {item[0]:g} after {before[0]:g}")


def _check_overlap(chords):
    for before, chord in zip(chords, chords[1:]):
        end = before[0] + before[1]
        if chord[0] < end - _OVERLAP:
            raise SkippedInput(
                f"expected chords that do not overlap, found one at {chord[0]:g}, before {end:g}, the last one's end"
            )


def _one_voice(melody):
    """The melody with no note sounding into the next; of several at one onset the last stays."""
    ends = [note[0] for note in melody[1:]] + [math.inf]
    return tuple(
        (onset, min(duration, end - onset), pitch)
        for (onset, duration, pitch), end in zip(melody, ends)
        if end > onset
    )
