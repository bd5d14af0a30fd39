"""Sheets as charts: MusicXML and .mxl, ABC, MIDI with a melody and chords, chord charts in text.

music21 (extra `scores`) reads all but the last, always from bytes that were looked at first: its `parse` of a path
keeps pickles in a shared folder and reads them back. Repeats are played out. Where a score has no chord symbols, its
chords are those of the notes beside the melody (`harmony.py`). XML with entities of its own is refused.
"""

import io
import warnings
import zipfile
import zlib
from pathlib import Path

from mulkinet.errors import MulkinetError, SkippedInput, import_extra
from mulkinet.sources.charts.chart import Chart
from mulkinet.sources.charts.chord_text import read_chord_text
from mulkinet.sources.charts.harmony import chords_of_notes

__all__ = ["ENDINGS", "read_sheet"]

_FORMATS = {
    **dict.fromkeys((".musicxml", ".xml", ".mxl"), "musicxml"),
    ".abc": "abc",
    **dict.fromkeys((".mid", ".midi"), "midi"),
}
ENDINGS = (*_FORMATS, ".txt")
_MOST_BYTES = 1 << 25
_MOST_TIMES = 16
_MELODY_NAMES = ("melody", "vocal", "voice", "lead")


def read_sheet(path):
    """Reads a sheet; an ABC file may hold several tunes.

    Args:
        path: A file with one of `ENDINGS`.

    Returns:
        list of (name, Chart, or str with the reason why it is none). The charts' `work` is their title.

    Raises:
        SkippedInput: The file as a whole cannot be used.
    """
    path = Path(path)
    content = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else _too_long(path)
    if path.suffix.lower() == ".txt":
        record = read_chord_text(content.decode("utf-8-sig", "replace"))
        return [(str(path), _chart({"title": path.stem, **record}))]
    scores = _scores(content, path.suffix.lower())
    return [
        (str(path) if len(scores) == 1 else f"{path}, tune {number}", _chart_of(score, path.stem))
        for number, score in enumerate(scores, start=1)
    ]


def _too_long(what):
    raise SkippedInput(f"expected a sheet of at most {_MOST_BYTES} bytes, found more in {what}")


def _chart(record):
    """The Chart of a record, or the reason why it is none."""
    try:
        return Chart.from_record({**record, "work": " ".join(record["title"].split())})
    except SkippedInput as error:
        return str(error)


def _scores(content, ending):
    """The music21 scores of a file."""
    music21 = import_extra("music21", "scores")
    if ending == ".mxl":
        content = _unzipped(content)
    kind = _FORMATS[ending]
    if kind == "musicxml":
        _refuse_entities(content)
    data = content if kind == "midi" else content.decode("utf-8-sig", "replace")
    parsed = _trying("expected a score", lambda: music21.converter.parseData(data, format=kind))
    return list(parsed.scores) if isinstance(parsed, music21.stream.Opus) else [parsed]


def _trying(expected, function):
    """What a function of music21 gives; whatever it raises of a strange file is a reason to skip it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function()
    except MulkinetError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise SkippedInput(
            f"{expected}, found something else ({type(error).__name__}: {reason})"
        ) from error


def _unzipped(content):
    """The score in an .mxl archive: the first file that its container names."""
    from defusedxml import ElementTree

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            container = archive.getinfo("META-INF/container.xml")
            root = ElementTree.fromstring(_member(archive, container), forbid_external=True)
            name = next(e.get("full-path") for e in root.iter() if e.tag.endswith("rootfile"))
            return _member(archive, archive.getinfo(name))
    except SkippedInput:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, StopIteration,
            RuntimeError, SyntaxError, NotImplementedError) as error:  # fmt: skip
        raise SkippedInput(
            f"expected an .mxl archive with a score, found something else ({error})"
        ) from error


def _member(archive, info):
    if info.file_size > _MOST_BYTES:
        _too_long(info.filename)
    with archive.open(info) as file:
        content = file.read(_MOST_BYTES + 1)
    return content if len(content) <= _MOST_BYTES else _too_long(info.filename)


def _refuse_entities(content):
    from defusedxml import DefusedXmlException, ElementTree

    try:
        ElementTree.fromstring(content)
    except DefusedXmlException as error:
        raise SkippedInput(
            f"expected MusicXML without entities of its own, found {type(error).__name__}; "
            "it may be malicious; export the score again"
        ) from error
    except (SyntaxError, ValueError, LookupError) as error:
        raise SkippedInput(f"expected MusicXML, found something else ({error})") from error


def _chart_of(score, name):
    try:
        return _trying(
            "expected a score with repeats that can be played", lambda: _read(score, name)
        )
    except SkippedInput as error:
        return str(error)


def _read(score, name):
    """A music21 score -> Chart, or the reason why it is none."""
    from music21 import bar, harmony, meter, tempo

    for repeat in score.recurse().getElementsByClass(bar.Repeat):
        if (repeat.times or 0) > _MOST_TIMES:
            raise SkippedInput(
                f"expected at most {_MOST_TIMES} times, found a repeat of {repeat.times}"
            )
    score = score.expandRepeats() if score.recurse().getElementsByClass(bar.Repeat) else score
    parts = [part for part in getattr(score, "parts", ()) if not _is_drums(part)] or [score]
    melody = _melody_part(parts)
    beats = float(score.highestTime)
    meters = [m.ratioString for m in score.recurse().getElementsByClass(meter.TimeSignature)]
    tempos = [t.getQuarterBPM() for t in score.recurse().getElementsByClass(tempo.MetronomeMark)]
    symbols = sorted(
        (
            symbol
            for part in parts
            for symbol in part.flatten().getElementsByClass(harmony.ChordSymbol)
        ),
        key=lambda symbol: symbol.offset,
    )
    record = {
        "title": (score.metadata and score.metadata.bestTitle) or name,
        "beats": beats,
        "meter": meters[0] if meters else "4/4",
        "bpm": next(filter(None, tempos), None),
        "melody": _top_notes(melody),
    }
    if symbols:
        record["chords"] = _chords_of_symbols(symbols, beats)
    else:
        others = [note for part in parts if part is not melody for note in _notes(part)]
        record["chords"] = chords_of_notes(others, beats, _stretch(record["meter"]))
    return _chart(record)


def _is_drums(part):
    from music21 import instrument

    return bool(part.recurse().getElementsByClass(instrument.UnpitchedPercussion))


def _melody_part(parts):
    """The part that says it is the melody; else the one with chord symbols, else the highest."""
    from music21 import harmony

    for part in parts:
        if any(word in (part.partName or "").lower() for word in _MELODY_NAMES):
            return part
    for part in parts:
        if part.recurse().getElementsByClass(harmony.ChordSymbol):
            return part
    return max(parts, key=lambda part: _mean_pitch(_notes(part)))


def _mean_pitch(notes):
    return sum(pitch for *_, pitch in notes) / len(notes) if notes else 0


def _notes(part):
    """(onset, duration, MIDI number) of all that sounds."""
    from music21 import harmony

    return [
        (float(note.offset), float(note.quarterLength), int(pitch.midi))
        for note in part.stripTies().flatten().notes
        if not isinstance(note, harmony.ChordSymbol) and note.quarterLength > 0
        for pitch in note.pitches
    ]


def _top_notes(part):
    """Of the notes that begin at once the highest."""
    top = {}
    for onset, duration, pitch in _notes(part):
        if onset not in top or pitch > top[onset][2]:
            top[onset] = (onset, duration, pitch)
    return [top[onset] for onset in sorted(top)]


def _chords_of_symbols(symbols, beats):
    """Each lasts to the next one, or to the end; of several at once the last counts."""
    by_onset = {float(symbol.offset): symbol for symbol in symbols}
    ends = [*list(by_onset)[1:], beats]
    chords = []
    for (onset, symbol), end in zip(by_onset.items(), ends):
        classes = sorted({pitch.pitchClass for pitch in symbol.pitches})
        if classes and end > onset:
            chords.append((onset, end - onset, symbol.root().pitchClass, tuple(classes)))
    return chords


def _stretch(ratio):
    """Half a bar where it has an even number of beats, else the whole."""
    numerator, denominator = map(int, ratio.split("/"))
    return 4 * numerator / denominator / (2 if numerator % 2 == 0 else 1)
