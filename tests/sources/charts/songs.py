"""Songs of known chords, as files of charts."""

import numpy as np

from mulkinet.sources.charts.chart import Chart, write_charts


def song(work, seed, n_bars=16, melody=True):
    """Chords of one bar each, drawn; a melody of their roots, a note a beat."""
    roots = np.random.default_rng(seed).integers(12, size=n_bars).tolist()
    chords = [
        (4.0 * bar, 4.0, root, (root, (root + 4) % 12, (root + 7) % 12))
        for bar, root in enumerate(roots)
    ]
    notes = [
        (4.0 * bar + beat, 1.0, 60 + root) for bar, root in enumerate(roots) for beat in range(4)
    ]
    return Chart(work, tuple(chords), tuple(notes) if melody else (), beats=4.0 * n_bars)


def write_songs(path, n_works=8):
    """A file of so many works."""
    write_charts(path, [song(f"w{number}", number) for number in range(n_works)])
    return path
