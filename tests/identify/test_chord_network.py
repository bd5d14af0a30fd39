"""The margin that this folder's tests stand on: works are told apart by far more than roundings."""

import numpy as np

from mulkinet import load_model
from mulkinet.identify.embedder import Embedder
from tests.identify.songs import CHORDS, play


def test_a_work_is_near_itself_wherever_it_begins_and_far_from_any_other(model_file):
    embedder = Embedder(load_model(model_file))
    songs = [embedder.from_samples(play(work, 9, 16)) for work in range(len(CHORDS))]
    whole = embedder.embed([song.cut(0, 4) for song in songs])
    for start, end in ((0, 8), (2, 10), (3.1, 11.1), (1, 5), (0, 16)):
        distances = 1 - embedder.embed([song.cut(start, end) for song in songs]) @ whole.T
        own = np.diagonal(distances)
        others = distances[~np.eye(len(CHORDS), dtype=bool)]
        assert own.max() < 0.1
        assert others.min() > 0.4
