"""Small audio folders for the tests of sources and commands."""

import numpy as np
import soundfile

from mulkinet.features.provenance import SR

__all__ = ["write_chord", "make_works"]


def write_chord(path, seconds=1.0, seed=0, sr=SR, channels=1):
    """Writes a chord of three random notes; its folder is made."""
    rng = np.random.default_rng(seed)
    time_sec = np.arange(int(sr * seconds)) / sr
    hz = 440 * 2 ** (rng.integers(-12, 12, 3) / 12)
    y = 0.2 * np.sin(2 * np.pi * hz[:, None] * time_sec).sum(axis=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.repeat(y[:, None], channels, axis=1), sr)


def make_works(folder, n_works=2, n_tracks=2, seconds=1.0):
    """Writes `<folder>/work<i>/track<j>.wav` and returns the folder."""
    for work in range(n_works):
        for track in range(n_tracks):
            path = folder / f"work{work}" / f"track{track}.wav"
            write_chord(path, seconds, seed=n_tracks * work + track)
    return folder
