"""Chord symbols as people write them, by music21: "Bb^7", "C-7", "F#m7b5/E", "N.C."."""

import functools
import re

from mulkinet.errors import SkippedInput

__all__ = ["chord_of", "is_no_chord"]

_SYMBOL = re.compile(r"([A-G])([b♭#♯]*)(.*?)(?:/([A-G])([b♭#♯]*))?")
# What stands for the same quality elsewhere, in the words of music21; the first that fits the beginning counts.
_QUALITIES = (
    *(("maj", "maj"), ("min", "m"), ("mi", "m"), ("m", "m"), ("-", "m"), ("M", "maj")),
    *(("^7", "maj7"), ("^", "maj7"), ("Δ7", "maj7"), ("Δ", "maj7")),
    *(("ø7", "m7b5"), ("ø", "m7b5"), ("h7", "m7b5"), ("h", "m7b5")),
    *(("°", "dim"), ("o", "dim")),
)


def is_no_chord(text):
    """Whether a symbol says that nothing is played."""
    return text.upper().replace(".", "") in ("NC", "N")


@functools.lru_cache(maxsize=4096)
def chord_of(text):
    """What a chord symbol means.

    Args:
        text: The symbol. What of its end is not known is left out: "C7alt" is read as "C7".

    Returns:
        (root, pitch classes): 0 is C; the root's the first of the classes.

    Raises:
        SkippedInput: It is no chord symbol.
    """
    found = _SYMBOL.fullmatch(text)
    if not found:
        raise SkippedInput(f"expected a chord such as Am7 or Bb, found {text!r}")
    step, flats, quality, bass, bass_flats = found.groups()
    for theirs, ours in _QUALITIES:
        if quality.startswith(theirs):
            quality = ours + quality[len(theirs) :]
            break
    root = _in_music21(step, flats)
    over = "" if bass is None else f"/{_in_music21(bass, bass_flats)}"
    return next(
        chord
        for length in range(len(quality), -1, -1)
        if (chord := _parse(f"{root}{quality[:length]}{over}"))
    )


def _in_music21(step, accidentals):
    return step + accidentals.replace("b", "-").replace("♭", "-").replace("♯", "#")


def _parse(figure):
    from music21 import exceptions21, harmony

    try:
        symbol = harmony.ChordSymbol(figure)
        root = symbol.root().pitchClass
        classes = {pitch.pitchClass for pitch in symbol.pitches}
    except (ValueError, KeyError, exceptions21.Music21Exception):
        return None
    return root, (root, *sorted(classes - {root}))
