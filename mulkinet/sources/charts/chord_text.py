"""Chord charts in plain text.

    title: Autumn song
    meter: 3/4
    bpm: 96
    |: Am7 | D7 | G^7 C | % :|
    | F#m7b5 . B7 | Em | N.C. |

The chords of a bar share it evenly; "." or "/" holds the one before, "%" is the bar before, "|: ... :|" is played
twice, ":|x3" three times. Other lines, such as words and the names of parts, are passed over.
"""

import re

from mulkinet.errors import SkippedInput
from mulkinet.sources.charts.figures import chord_of, is_no_chord

__all__ = ["read_chord_text"]

_HEADER = re.compile(r"(title|meter|bpm|source|licence)\s*:\s*(.*)", re.IGNORECASE)
_TOKEN = re.compile(r":\|(?:x(\d+))?|\|:|\|+\]?|[^\s|]+")
_MOST_TIMES, _MOST_BARS = 16, 4096


def read_chord_text(text):
    """Reads a chart.

    Args:
        text: The file's text.

    Returns:
        dict, as `Chart.from_record` takes it, without `work`.

    Raises:
        SkippedInput: It has no bars, or something in them that is no chord.
    """
    record = {"meter": "4/4"}
    tokens = []
    for line in text.splitlines():
        header = _HEADER.fullmatch(line.strip())
        if header:
            record[header[1].lower()] = header[2]
        elif "|" in line:
            tokens += _TOKEN.finditer(line)
    if "bpm" in record:
        record["bpm"] = _number(record["bpm"])
    bars = _bars(tokens)
    if not bars:
        raise SkippedInput("expected bars of chords such as | Am7 | D7 |, found none")
    numerator, _, denominator = record["meter"].partition("/")
    if not (numerator.isdecimal() and denominator.isdecimal() and int(denominator)):
        raise SkippedInput(f"expected a meter such as 3/4, found {record['meter']!r}")
    bar = 4 * int(numerator) / int(denominator)
    return {**record, "beats": bar * len(bars), "chords": _chords(bars, bar)}


def _number(text):
    try:
        return float(text)
    except ValueError as error:
        raise SkippedInput(f"expected a number as bpm, found {text!r}") from error


def _bars(tokens):
    """Lists of symbols, one a bar, with repeats played out."""
    bars, bar, begin = [], [], 0
    for token in tokens:
        text = token[0]
        if "|" not in text:
            bar.append(text)
            continue
        if bar:
            bars.append(bars[-1] if bar == ["%"] and bars else bar)
            bar = []
        if text == "|:":
            begin = len(bars)
        elif text.startswith(":|"):
            times = int(token[1] or 2)
            if not 1 <= times <= _MOST_TIMES:
                raise SkippedInput(f"expected at most {_MOST_TIMES} times, found {text}")
            bars += bars[begin:] * (times - 1)
            begin = len(bars)
        if len(bars) > _MOST_BARS:
            raise SkippedInput(f"expected at most {_MOST_BARS} bars, found more")
    return bars + [bar] if bar else bars


def _chords(bars, beats_of_bar):
    """[onset, duration, root, pitch classes] of each chord; the same symbol going on is one chord."""
    chords, last = [], None
    for number, bar in enumerate(bars):
        share = beats_of_bar / len(bar)
        for place, symbol in enumerate(bar):
            if symbol not in (".", "/") and symbol != last:
                last = symbol
                if not is_no_chord(symbol):
                    root, classes = chord_of(symbol)
                    chords.append([number * beats_of_bar + place * share, 0.0, root, classes])
            if last and not is_no_chord(last):
                chords[-1][1] += share
    return chords
