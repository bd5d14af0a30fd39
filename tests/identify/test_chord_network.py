"""The margins that this folder's tests stand on: works and performances differ by far more than roundings."""

import numpy as np
import pytest

from mulkinet import load_model
from mulkinet.identify.embedder import Embedder
from tests.identify.songs import CHORDS, play

WORKS = range(0, len(CHORDS), 3)


@pytest.fixture(scope="module")
def embed(model_file):
    embedder = Embedder(load_model(model_file))

    def embed(performance, start_sec=0, end_sec=4):
        songs = [embedder.from_samples(play(work, performance, end_sec)) for work in WORKS]
        return embedder.embed([song.cut(start_sec, end_sec) for song in songs])

    return embed


@pytest.mark.parametrize(
    ("query", "reference"),
    [((8, 3.1, 11.1), (0,)), ((8, 2, 10), (0,)), ((9,), (1,)), ((9,), (0,)), ((8,), (1,))],
)
def test_a_work_is_near_itself_wherever_it_begins_and_far_from_any_other(embed, query, reference):
    distances = 1 - embed(*query) @ embed(*reference).T
    own = np.diagonal(distances)
    others = distances[~np.eye(len(WORKS), dtype=bool)]
    assert own.max() < 0.15
    assert others.min() > 0.4
    if query[0] % 2 != reference[0] % 2:
        assert own.min() > 0.002
