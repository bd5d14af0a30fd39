"""A network whose weights are set by hand, so that no training decides what it ranks first.

Channel c hears how well a frame fits chord c of `songs.CHORDS`, in the key in which it fits best, as far as
that is above `_THRESHOLD`; an embedding is the mean over time. A work is at less than 0.15 from itself wherever an
excerpt begins, and at more than 0.4 from any other: roundings, of 1e-6, decide nothing (test_chord_network.py).
"""

import numpy as np

from mulkinet import build_model, save_model
from mulkinet.features.resize import TrackLength
from mulkinet.identify.embedder import stored_settings
from tests.identify.songs import CHORDS

__all__ = ["N_FRAMES", "write_model"]

N_FRAMES = 160  # 30 s
# The fit of a chord to itself is about 1.6, to the chord most like it about 1.2.
_THRESHOLD = 1.12


def write_model(path, channels=None):
    """Writes the model file.

    Args:
        path: The file.
        channels: The order of the embedding's components: another order is another model.

    Returns:
        `path`.
    """
    n = len(CHORDS)
    model = build_model(
        "mulkinet",
        block="simple",
        ki_block_num=1,
        time_field=1,
        chnlatt=False,
        tempatt=False,
        ki_out_channel=n,
        embedding_len=n,
        n_frames=N_FRAMES,
    )
    settings = stored_settings("hpcp", TrackLength(downsample=16))
    model.metadata.update(feature="hpcp", feature_settings=settings, n_frames=N_FRAMES, pad="zero")
    chords = np.zeros((n, 12), np.float32)
    for row, pitches in zip(chords, CHORDS):
        row[list(pitches)] = 1
    chords -= chords.mean(axis=1, keepdims=True)
    chords /= np.linalg.norm(chords, axis=1, keepdims=True)
    model.get_layer("KI_0_Conv").set_weights([chords.T.reshape(12, 1, 1, n)])
    gamma, beta, _, variance = model.get_layer("KI_0_BN").get_weights()
    mean = np.full(n, _THRESHOLD, np.float32)
    model.get_layer("KI_0_BN").set_weights([gamma, beta, mean, variance])
    width = 10
    for name in ("Temporal_0_Conv", "Temporal_1_Conv"):
        model.get_layer(name).set_weights([np.tile(np.eye(n), (1, width, 1, 1)) / width])
    model.get_layer("Embedding").set_weights([np.eye(n)[:, channels or range(n)]])
    save_model(model, path)
    return path
