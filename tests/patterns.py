"""A small store whose works are patterns that a tiny network can learn within seconds."""

import numpy as np

from mulkinet.data.store_writer import StoreWriter

SETTINGS = {"n_bins": 12, "bin0": "A", "sr": 44100, "hop_length": 512, "frame_rate": 10.0}


def write_pattern_store(path, *, n_works=8, n_tracks=4, n_frames=110, seed=0, dtype="float32"):
    """Each work is a sequence of chords; its tracks are transposed and noisy."""
    rng = np.random.default_rng(seed)
    tracks = [(f"w{work}", f"t{track}") for work in range(n_works) for track in range(n_tracks)]
    with StoreWriter(path, name="patterns", tracks=tracks) as writer:
        lengths = [n_frames] * len(tracks)
        writer.add_feature("hpcp", n_frames=lengths, settings=SETTINGS, dtype=dtype)
        for work in range(n_works):
            chords = rng.random((5, 12)) ** 6
            for track in range(n_tracks):
                frames = np.tile(chords, (n_frames // 5 + 1, 1))[:n_frames]
                frames = np.roll(frames, rng.integers(12), axis=1)
                frames = frames + 0.05 * rng.random(frames.shape)
                writer.write("hpcp", (f"w{work}", f"t{track}"), frames)
    return path


TINY = {
    "block": "simple",
    "ki_block_num": 1,
    "ki_out_channel": 8,
    "time_field": 5,
    "embedding_len": 8,
    "n_frames": 100,
}
TINY_OPTIONS = [
    *("--block", "simple", "--ki-block-num", "1", "--ki-out-channel", "8"),
    *("--time-field", "5", "--embedding-len", "8", "--n-frames", "100"),
]
