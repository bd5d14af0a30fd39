"""Scores are essentia's, to the last cell."""

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulkinet.alignment import cross_recurrence, dmax, kernels, optimal_transposition, qmax
from mulkinet.alignment.chroma import coarsen, prepare
from mulkinet.alignment.pairs import score_pairs
from mulkinet.alignment.scores import score_distance
from mulkinet.errors import MulkinetError

SIZES = [(12, 12), (12, 300), (13, 64), (100, 31), (257, 256), (500, 480)]


@pytest.fixture(scope="module")
def essentia():
    """Functions of (12, n) chroma: the plot, and with it each score and the asymmetric distance."""
    package = pytest.importorskip("essentia")
    package.log.infoActive = False
    standard = pytest.importorskip("essentia.standard")

    class Oracle:
        @staticmethod
        def plot(x, y):
            recurrence = standard.ChromaCrossSimilarity(oti=True)
            return recurrence(*(np.ascontiguousarray(part.T, np.float32) for part in (x, y)))

        @staticmethod
        def score(plot, kind="serra09", distance="symmetric"):
            return standard.CoverSongSimilarity(alignmentType=kind, distanceType=distance)(plot)

    return Oracle


@pytest.fixture(scope="module")
def recordings(shared):
    """(n, 12, 500) chroma of real recordings: crema, then HPCP."""
    path = shared / "data" / "real" / "covers80-dev.h5"
    if not path.is_file():
        pytest.skip("the development recordings are not here")
    with h5py.File(path) as file:
        parts = [file[f"{name}/frames"][: 12 * 500] for name in ("crema", "hpcp")]
    return np.concatenate(parts).reshape(-1, 500, 12).transpose(0, 2, 1)


def check_against(essentia, x, y):
    plot = essentia.plot(x, y)
    np.testing.assert_array_equal(cross_recurrence(x, y), plot.astype(bool))
    assert qmax(x, y) == essentia.score(plot)[1]
    assert dmax(x, y) == essentia.score(plot, "chen17")[1]
    if qmax(x, y) > 0:
        expected = essentia.score(plot, distance="asymmetric")[1]
        assert score_distance(qmax(x, y), y.shape[1]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("sizes", SIZES)
def test_random_pairs(essentia, rng, sizes):
    x, y = (rng.random((12, size)) for size in sizes)
    check_against(essentia, x, y)


@settings(max_examples=20, deadline=None)
@given(st.integers(12, 90), st.integers(12, 90), st.integers(0, 2**32 - 1), st.booleans())
def test_random_pairs_of_any_length(essentia, n_x, n_y, seed, sparse):
    rng = np.random.default_rng(seed)
    x, y = (rng.random((12, size)) ** (8 if sparse else 1) for size in (n_x, n_y))
    check_against(essentia, x, y)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (2, 3), (0, 5), (12, 13), (14, 20), (16, 9)])
def test_real_pairs(essentia, recordings, first, second):
    check_against(essentia, recordings[first], recordings[second])


@pytest.mark.slow
def test_long_and_many_real_pairs(essentia, recordings):
    for first in range(0, 24, 2):
        for second in range(first + 1, 24, 5):
            check_against(essentia, recordings[first], recordings[second])
    x, y = np.concatenate(recordings[:6], axis=1), np.concatenate(recordings[1:6], axis=1)
    check_against(essentia, x, y)


def test_equal_frames_and_silence(essentia, rng, recordings):
    check_against(essentia, recordings[0], recordings[0])
    x = rng.random((12, 80))
    check_against(essentia, np.repeat(x[:, :10], 9, axis=1), x)
    plot = essentia.score(essentia.plot(x, np.zeros((12, 50))))
    assert qmax(x, np.zeros((12, 50))) == plot[1]


def test_scores_of_each_cell(essentia, rng):
    plot = (rng.random((60, 70)) < 0.2).astype(np.float32)
    cells = plot.astype(np.uint8)
    np.testing.assert_array_equal(kernels.qmax_scores(cells) / 2, essentia.score(plot)[0])
    np.testing.assert_array_equal(kernels.dmax_scores(cells) / 2, essentia.score(plot, "chen17")[0])


def naive_recurrence(x, y):
    # In float64, with numpy's own quantile.
    y = np.roll(y, optimal_transposition(x, y), axis=0)
    stacks = [
        np.stack([part[:, i : i + 9].ravel() for i in range(part.shape[1] - 9)]) for part in (x, y)
    ]
    distances = np.linalg.norm(stacks[0][:, None] - stacks[1][None], axis=2)
    rows = np.quantile(distances, 0.095, axis=1, keepdims=True)
    columns = np.quantile(distances, 0.095, axis=0, keepdims=True)
    return (distances <= rows + 1e-6) & (distances <= columns + 1e-6)


@pytest.mark.parametrize("sizes", [(210, 60), (60, 210), (40, 50)])
def test_naive_recurrence_also_where_essentias_quantile_is_zero(rng, sizes):
    # 201 stacks: the rank 200 x 0.095 is a whole number.
    x, y = (rng.random((12, size)) for size in sizes)
    np.testing.assert_array_equal(cross_recurrence(x, y), naive_recurrence(x, y))
    assert qmax(x, y) > 0


def test_naive_qmax(rng):
    cells = rng.random((30, 40)) < 0.3
    scores = np.zeros(cells.shape)
    for i in range(2, 30):
        for j in range(2, 40):
            best = max(scores[i - 1, j - 1], scores[i - 2, j - 1], scores[i - 1, j - 2])
            scores[i, j] = best + 1 if cells[i, j] else max(0, best - 0.5)
    cells = cells.astype(np.uint8)
    np.testing.assert_array_equal(kernels.qmax_scores(cells) / 2, scores)
    assert kernels.best_qmax(cells) / 2 == scores.max()
    assert kernels.best_dmax(cells) == kernels.dmax_scores(cells).max()


def test_a_diagonal_by_hand():
    # Cells (2, 2) ... (6, 6) recur but (4, 4): 1, 2, 1.5, 2.5, 3.5.
    cells = np.eye(7, dtype=np.uint8)
    cells[4, 4] = 0
    assert np.diag(kernels.qmax_scores(cells) / 2).tolist() == [0, 0, 1, 2, 1.5, 2.5, 3.5]


@pytest.mark.parametrize("semitones", range(12))
def test_transposition_of_every_key(rng, semitones):
    x = rng.random((12, 40)) * (1 + np.arange(12))[:, None]
    assert optimal_transposition(x, np.roll(x, -semitones, axis=0)) == semitones


def test_many_pairs_are_the_single_ones_in_order(rng):
    tracks = [prepare(rng.random((12, size))) for size in rng.integers(12, 60, size=9)]
    pairs = [(x, y) for x in tracks for y in tracks]
    alone = [qmax(x, y) for x, y in pairs]
    for n_workers in (1, 3):
        np.testing.assert_array_equal(
            np.concatenate(list(score_pairs(pairs, "qmax", n_workers))), alone
        )
    assert list(score_pairs([])) == []


def test_wrong_chroma(rng):
    x = rng.random((12, 40))
    with pytest.raises(MulkinetError, match=r"y: expected at least 12 frames to align, found 11"):
        qmax(x, x[:, :11])
    with pytest.raises(MulkinetError, match=r"x: expected chroma of shape \(12, n_frames\), found"):
        cross_recurrence(x.T, x)
    x[3, 4] = np.nan
    with pytest.raises(MulkinetError, match="y: expected finite chroma, found NaN"):
        dmax(np.ones((12, 40)), x)


def test_coarser_frames_are_medians():
    chroma = np.zeros((12, 11))
    chroma[0, :10] = [1, 2, 9, 4, 5, 0, 0, 1, 1, 1]
    coarse, rate = coarsen(chroma, 10.0)
    assert coarse[0].tolist() == [4, 1]
    assert rate == 2
    assert coarsen(chroma, 2.0)[0].shape == (12, 11)
