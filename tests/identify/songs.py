"""Works that are told apart by the shape of their chord: one of each class of four pitches under transposition.

A performance repeats four seconds, a second in each of four keys, at a loudness of its own. Odd ones play the next
work's chord in the last key: performances of a work are near each other, but not equal.
"""

import itertools

import numpy as np
import soundfile

from mulkinet.features.provenance import SR

__all__ = ["CHORDS", "play", "write_song", "make_library"]

_CHORD_SEC = 1.0


def _keys_of(chord):
    return [tuple(sorted((pitch + key) % 12 for pitch in chord)) for key in range(12)]


# Of each class the first in order: 43 chords, and as many works.
CHORDS = [chord for chord in itertools.combinations(range(12), 4) if chord == min(_keys_of(chord))]


def play(work, performance, seconds):
    """Samples of a performance: (n_samples,) float32 at 44.1 kHz."""
    keys = np.random.default_rng(work).choice(12, (4, 1), replace=False)
    chords = np.tile(CHORDS[work], (4, 1))
    if performance % 2:
        chords[-1] = CHORDS[(work + 1) % len(CHORDS)]
    hz = 440 * 2 ** ((chords + keys) % 12 / 12)
    time_sec = np.arange(int(SR * _CHORD_SEC)) / SR
    loop = np.sin(2 * np.pi * hz[..., None] * time_sec).sum(axis=1).ravel()
    y = np.resize(loop, int(SR * seconds))
    return ((0.05 + 0.01 * performance) * y).astype(np.float32)


def write_song(path, work, performance, seconds=4.0):
    """Writes a performance; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # In floats: whitening makes of the rounding of pure tones to 16 bits as much as of the music.
    soundfile.write(path, play(work, performance, seconds), SR, subtype="FLOAT")
    return path


def make_library(folder, works, performances=(0, 1)):
    """Writes `<folder>/w<work>/p<performance>.wav` and returns the folder."""
    for work in works:
        for performance in performances:
            write_song(folder / f"w{work}" / f"p{performance}.wav", work, performance)
    return folder
