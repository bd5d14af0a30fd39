"""Resizing against OpenCV, a naive loop and values derived by hand."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mulkinet.errors import MulkinetError
from mulkinet.features.resize import (
    CROP_SEC,
    TrackLength,
    area_resize,
    downsample,
    first_seconds,
    wrap,
)

FRAME_RATE = 44100 / 512


def opencv(x, n_frames):
    return cv2.resize(x, (n_frames, x.shape[0]), interpolation=cv2.INTER_AREA)


def naive_average(x, n_frames):
    """Integrates each output frame's stretch of the input, frame by frame."""
    scale = x.shape[1] / n_frames
    out = np.zeros((x.shape[0], n_frames))
    for j in range(n_frames):
        for i in range(x.shape[1]):
            overlap = min(i + 1, (j + 1) * scale) - max(i, j * scale)
            out[:, j] += max(overlap, 0) * x[:, i] / scale
    return out


@given(
    n_in=st.integers(1, 3000),
    n_out=st.integers(1, 3000),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=150, deadline=None)
def test_area_resize_equals_opencv(n_in, n_out, seed):
    x = np.random.default_rng(seed).random((3, n_in), dtype=np.float32)
    resized = area_resize(x, n_out)
    assert resized.shape == (3, n_out)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, opencv(x, n_out), atol=1e-5)


@pytest.mark.parametrize("n_in", range(1, 25))
def test_area_resize_equals_opencv_for_all_small_sizes(n_in, rng):
    x = rng.random((12, n_in), dtype=np.float32)
    for n_out in range(1, 41):
        np.testing.assert_allclose(area_resize(x, n_out), opencv(x, n_out), atol=1e-5)


@pytest.mark.parametrize(
    ("n_in", "n_out"), [(15500, 500), (15500, 499), (15500, 15499), (388, 500), (7750, 500)]
)
def test_area_resize_equals_opencv_at_the_sizes_in_use(n_in, n_out, rng):
    x = rng.random((12, n_in), dtype=np.float32)
    np.testing.assert_allclose(area_resize(x, n_out), opencv(x, n_out), atol=1e-5)


@pytest.mark.parametrize(("n_in", "n_out"), [(12, 4), (10, 4), (7, 3), (9, 8), (5, 5), (6, 1)])
def test_area_resize_equals_a_naive_loop(n_in, n_out, rng):
    x = rng.random((2, n_in))
    np.testing.assert_allclose(area_resize(x, n_out), naive_average(x, n_out), atol=1e-6)


def test_area_resize_by_an_integer_factor_is_the_mean_of_groups(rng):
    x = rng.random((12, 15500), dtype=np.float32)
    means = x.astype(np.float64).reshape(12, 500, 31).mean(axis=2)
    np.testing.assert_allclose(area_resize(x, 500), means, atol=1e-6)


def test_area_resize_of_few_frames_by_hand():
    # 2 to 3: output frame 1 begins in input frame 0, which ends at its middle.
    x = np.array([[0.0, 6.0]])
    np.testing.assert_allclose(area_resize(x, 3), [[0, 3, 6]])
    np.testing.assert_allclose(area_resize(x[:, :1] + 4, 3), [[4, 4, 4]])


def test_wrap_repeats_from_the_beginning_and_cuts():
    x = np.array([[1, 2, 3], [4, 5, 6]])
    assert wrap(x, 7).tolist() == [[1, 2, 3, 1, 2, 3, 1], [4, 5, 6, 4, 5, 6, 4]]
    assert wrap(x, 2).tolist() == [[1, 2], [4, 5]]


def test_first_seconds_and_downsample():
    x = np.arange(20).reshape(1, 20)
    assert first_seconds(x, 3, 2.0).tolist() == [[0, 1, 2, 3, 4, 5]]
    assert first_seconds(x, 100, 2.0).shape == (1, 20)
    assert downsample(x, 8).tolist() == [[0, 8, 16]]


def test_the_crop_is_15500_frames_of_hop_512(rng):
    assert round(CROP_SEC * FRAME_RATE) == 15500
    x = rng.random((12, 20000), dtype=np.float32)
    resized = TrackLength(500).apply(x, FRAME_RATE)
    np.testing.assert_allclose(resized, opencv(x[:, :15500], 500), atol=1e-5)


def test_a_short_track_is_wrapped_before_it_is_resized(rng):
    x = rng.random((12, 6000), dtype=np.float32)
    wrapped = np.concatenate([x, x, x[:, :3500]], axis=1)
    np.testing.assert_allclose(
        TrackLength(500).apply(x, FRAME_RATE), opencv(wrapped, 500), atol=1e-5
    )


@pytest.mark.parametrize("n_frames", [1, 30, 31, 5000, 15226, 15499, 15500, 16000])
@pytest.mark.parametrize("spect_len", [1, 499, 500, 15500, 20000])
@pytest.mark.parametrize("order", "CF")
def test_framing_is_cropping_wrapping_and_resizing(n_frames, spect_len, order, rng):
    x = np.asarray(rng.random((12, n_frames), dtype=np.float32), order=order)
    framed = TrackLength(spect_len).apply(x, FRAME_RATE)
    expected = area_resize(wrap(x[:, :15500], 15500), spect_len)
    assert framed.dtype == np.float32
    np.testing.assert_allclose(framed, expected, atol=1e-6)
    assert np.shares_memory(framed, x) is False


@pytest.mark.parametrize(
    "track_length", [TrackLength(), TrackLength(downsample=8), TrackLength(500), TrackLength(7)]
)
@pytest.mark.parametrize("n_frames", [1, 8, 9, 400])
def test_framing_foretells_the_length(track_length, n_frames, rng):
    x = rng.random((12, n_frames), dtype=np.float32)
    framed = track_length.apply(x, FRAME_RATE)
    assert framed.shape == (12, track_length.n_frames(n_frames))
    assert framed.dtype == np.float32


def test_framing_settings_give_the_stored_frame_rate():
    settings = {"frame_rate": 80.0, "sr": 44100}
    assert TrackLength(downsample=8).settings(settings) == {
        "frame_rate": 10.0,
        "sr": 44100,
        "downsample": 8,
    }
    resized = TrackLength(500).settings(settings)
    assert resized["spect_len"] == 500
    assert resized["frame_rate"] == pytest.approx(500 / 179.955, rel=1e-4)


@pytest.mark.parametrize("numbers", [(0, 1), (500, 2), (None, 0)])
def test_framing_refuses(numbers):
    with pytest.raises(MulkinetError, match="expected .* found"):
        TrackLength(*numbers)
