"""Chords of a score that names none, from the notes that sound.

A stretch of beats is given the chord whose notes its pitch classes, weighted by duration, point to most closely (the
largest cosine), the lowest note being a hint of the root. Method: template matching, Fujishima, "Realtime chord
recognition of musical sound" (ICMC 1999).
"""

import numpy as np

__all__ = ["chords_of_notes"]

_KINDS = (
    *((0, 4, 7), (0, 3, 7), (0, 4, 7, 10), (0, 3, 7, 10), (0, 4, 7, 11)),
    *((0, 3, 6), (0, 3, 6, 10), (0, 5, 7), (0, 4, 8)),
)
_BASS_HINT = 0.1


def chords_of_notes(notes, beats, stretch):
    """Chords, one at most a stretch.

    Args:
        notes: list of (onset, duration, MIDI number) in beats, in any order.
        beats: Length of the score.
        stretch: Beats in which one chord is looked for, > 0.

    Returns:
        list of (onset, duration, root, pitch classes). Of a stretch without notes the chord before goes on; stretches
        of one chord are joined.
    """
    n = int(np.ceil(beats / stretch))
    weights, lowest = np.zeros((n, 12)), np.full(n, 128)
    for onset, duration, pitch in notes:
        end = min(onset + duration, beats)
        for i in range(int(onset // stretch), min(n, int(np.ceil(end / stretch)))):
            sounding = min(end, (i + 1) * stretch) - max(onset, i * stretch)
            weights[i, pitch % 12] += sounding
            lowest[i] = min(lowest[i], pitch)
    chords = []
    for i in range(n):
        length = min(stretch, beats - i * stretch)
        found = _nearest(weights[i], lowest[i] % 12) if weights[i].any() else None
        if chords and found in (None, chords[-1][2:]):
            onset, duration, *chord = chords[-1]
            chords[-1] = (onset, duration + length, *chord)
        elif found:
            chords.append((i * stretch, length, *found))
    return chords


def _nearest(weights, bass):
    scores = _TEMPLATES @ weights / np.linalg.norm(weights)
    scores[_ROOTS == bass] += _BASS_HINT
    best = int(np.argmax(scores))
    root = int(_ROOTS[best])
    return root, tuple((root + step) % 12 for step in _KINDS[best // 12])


def _templates():
    rows = np.zeros((len(_KINDS) * 12, 12))
    for i, kind in enumerate(_KINDS):
        for root in range(12):
            rows[12 * i + root, [(root + step) % 12 for step in kind]] = len(kind) ** -0.5
    return rows


_TEMPLATES = _templates()
_ROOTS = np.tile(np.arange(12), len(_KINDS))
