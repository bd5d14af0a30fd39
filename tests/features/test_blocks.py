"""Features of long recordings, block by block, against those of the whole."""

import numpy as np
import pytest

from mulkinet.features import blocks, extractor
from mulkinet.features.blocks import features_in_blocks, whole_features
from mulkinet.features.provenance import SR


def song(seconds, seed=0, cents=0):
    """(n_samples,) chords that change every two seconds, of harmonic tones, with noise and a melody."""
    rng = np.random.default_rng(seed)
    t = np.arange(2 * SR) / SR
    decay = np.exp(-1.5 * t)
    parts = []
    for _ in range(seconds // 2):
        y = 0.002 * rng.standard_normal(len(t))
        for midi in rng.choice(np.arange(40, 76), 4, replace=False):
            hz = 440 * 2 ** ((midi - 69 + cents / 100) / 12)
            y += sum(decay * np.sin(2 * np.pi * hz * k * t) / k**1.5 for k in range(1, 6))
        parts.append(y * rng.uniform(0.03, 0.1))
    return np.concatenate(parts).astype(np.float32)


@pytest.fixture(scope="module")
def music():
    return song(120)


@pytest.fixture
def short_blocks(monkeypatch):
    """Blocks of 20 s, so that two minutes are five of them."""
    monkeypatch.setattr(blocks, "_LONGEST_SONG", 107 * blocks._FRAME)
    monkeypatch.setattr(blocks, "_BLOCK", 43 * blocks._FRAME)


# Mean difference, in parts of the feature's mean.
@pytest.mark.parametrize(
    ("feature", "tolerance"),
    [("hpcp", 1e-5), ("chroma_cens", 1e-3), ("cqt", 1e-5), ("cqt_cqtnet", 1e-5)],
)
def test_blocks_are_as_the_whole(music, short_blocks, feature, tolerance):
    whole = extractor(feature)(music)
    n_blocks = len(list(features_in_blocks(np.array_split(music, 17), [feature])))
    joined = whole_features(np.array_split(music, 17), [feature])[feature]
    assert n_blocks >= 4
    assert joined.shape == whole.shape
    assert np.abs(joined - whole).mean() < tolerance * whole.mean()


@pytest.mark.slow
def test_blocks_of_crema_are_as_the_whole_but_for_what_its_network_remembers():
    """Of a recording with a quiet part, everywhere and within a second of the blocks' borders."""
    y = song(480, seed=3)
    y[100 * SR : 200 * SR] *= 0.1
    whole = extractor("crema")(y)
    blocked = list(features_in_blocks(np.array_split(y, 50), ["crema"]))
    ends = np.cumsum([block["crema"].shape[1] for block in blocked])
    joined = np.concatenate([block["crema"] for block in blocked], axis=1)
    assert len(blocked) == 5
    assert joined.shape == whole.shape
    assert np.corrcoef(joined.ravel(), whole.ravel())[0, 1] > 0.98
    difference = np.abs(joined - whole)
    second = round(SR / 512)
    at_seams = np.concatenate([difference[:, end - second : end + second] for end in ends[:-1]], 1)
    assert difference.mean() < 0.12 * whole.mean()
    assert at_seams.mean() < 0.2 * whole.mean()


def test_a_song_is_one_block_to_the_last_bit(music):
    joined = whole_features(np.array_split(music[: 20 * SR], 7), ["hpcp", "cqt"])
    for feature, x in joined.items():
        np.testing.assert_array_equal(x, extractor(feature)(music[: 20 * SR]))


@pytest.mark.parametrize("seconds", [0, 1, 449, 451, 490, 1000, 3600])
def test_blocks_cover_every_sample_once(seconds):
    y = np.arange(seconds * 100, dtype=np.float32)  # stands for all: every 441st
    pieces = (np.repeat(part, 441) for part in np.array_split(y, 1 + seconds // 7))
    found, lengths = [], []
    for x, before, n_samples in blocks._blocks(pieces):
        end = None if n_samples is None else before + n_samples
        found.append(x[before:end])
        lengths.append(len(found[-1]) / SR)
    np.testing.assert_array_equal(np.concatenate(found)[::441], y)
    assert max(lengths) < 451
    assert len(lengths) == (1 if seconds < 450 else pytest.approx(seconds / 90, abs=1))
    assert len(lengths) == 1 or min(lengths) > 54
