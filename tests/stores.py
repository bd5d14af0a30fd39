"""Small feature stores. Public names: `LENGTHS`, `SETTINGS`, `TRACKS`, `write_store`."""

import numpy as np

from mulkinet.data.store_writer import StoreWriter

SETTINGS = {"n_bins": 12, "bin0": "A", "sr": 44100, "hop_length": 512, "frame_rate": 86.13}
TRACKS = [("b", "1"), ("a", "10"), ("a", "9")]
LENGTHS = [3, 4, 5]


def write_store(path, rng, tracks=TRACKS, lengths=LENGTHS, **options):
    """Writes a store of random hpcp -> {track: (n_frames, 12)}."""
    frames = {track: rng.random((n, 12), np.float32) for track, n in zip(tracks, lengths)}
    with StoreWriter(path, name="sample", tracks=tracks, **options) as writer:
        writer.add_feature("hpcp", n_frames=lengths, settings=SETTINGS)
        for track in tracks:
            writer.write("hpcp", track, frames[track])
    return frames
