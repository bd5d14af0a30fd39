"""The forms of the circular convolution: each equals an ordinary convolution over the written-out rows."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mulkinet.models.dft_convolution import BlockForm, DirectForm, TileForm, choose_form
from mulkinet.models.mulkinet import STAGES, stage_kernels
from tests.gpu_kernels import host_trips

N_FRAMES = 400


def of_the_networks():
    """(kernel shape, rows, frames, dilation) of the convolutions of MulKINet, MOVE and the Siamese encoder."""
    shapes = [
        ((12, 180, 1, 256), 12, 1800, 1),
        ((12, 180, 1, 256), 12, None, 1),
        ((12, 50, 1, 32), 12, 500, 1),
        ((1, 5, 256, 256), 1, None, 1),
        ((1, 5, 256, 256), 1, None, 20),
        ((1, 5, 256, 512), 1, None, 13),
        ((1, 10, 256, 256), 1, 356, 3),
        ((1, 10, 256, 256), 1, 163, 3),
    ]
    for n_stages in STAGES:
        first, *later = stage_kernels(n_stages, time_field=48)
        shapes.append(((*first, 1, 256), 12, N_FRAMES, 1))
        for kernel in later[:1]:
            for channels, filters in [(64, 64), (64, 256), (256, 256)]:
                n_frames = N_FRAMES - first[1] + 1
                shapes.append(((*kernel, channels, filters), 12, n_frames, 1))
    return shapes


def oracle(x, kernel, dilation):
    """An ordinary convolution in float64, all rows written out."""
    x, kernel = tf.cast(x, tf.float64), tf.cast(kernel, tf.float64)
    rows = tf.concat([x, x[:, : kernel.shape[0] - 1]], axis=1)
    return tf.nn.convolution(rows, kernel, padding="VALID", dilations=(1, dilation))


def value_and_gradients(convolve, x, kernel, upstream):
    x, kernel = tf.constant(x), tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = convolve(x, kernel)
        total = tf.reduce_sum(tf.cast(y, tf.float64) * upstream)
    return [y, *tape.gradient(total, [x, kernel])]


def assert_equal(form, n_frames, rng, dtype="float32", tolerance=2e-6, n_tracks=2):
    """Value and both gradients, as shares of the largest number in each."""
    height, width, channels, filters = form.kernel_shape
    x = rng.standard_normal((n_tracks, form.n_rows, n_frames, channels)).astype(dtype)
    kernel = (rng.standard_normal(form.kernel_shape) / np.sqrt(height * width)).astype(dtype)
    n_out = n_frames - form.lost_frames()
    upstream = rng.standard_normal((n_tracks, form.n_rows, n_out, filters))
    got = value_and_gradients(lambda x, k: form.convolve(x, form.transform(k)), x, kernel, upstream)
    expected = value_and_gradients(lambda x, k: oracle(x, k, form.dilation), x, kernel, upstream)
    for mine, true in zip(got, expected):
        assert mine.dtype == dtype
        true = tf.cast(true, tf.float64).numpy()
        error = np.abs(tf.cast(mine, tf.float64).numpy() - true).max() / np.abs(true).max()
        assert error < tolerance, (form, error)


@pytest.mark.parametrize("height", range(1, 13))
@given(
    width=st.integers(1, 9),
    channels=st.integers(1, 4),
    filters=st.integers(1, 5),
    dilation=st.sampled_from([1, 2, 3, 13]),
    hop=st.integers(1, 12),
    n_more=st.integers(0, 30),
    n_tracks=st.integers(1, 6),
)
@settings(max_examples=6, deadline=None)
def test_forms_equal_the_ordinary_convolution(
    height, width, channels, filters, dilation, hop, n_more, n_tracks
):
    rng = np.random.default_rng(height)
    shape = ((height, width, channels, filters), 12, dilation)
    forms = [DirectForm(*shape), TileForm(*shape, size=width + hop - 1)]
    if height == 1:
        forms.append(TileForm(shape[0], 1, dilation, size=width + hop - 1))
    if dilation == 1:
        forms.append(BlockForm(*shape))
    for form in forms:
        assert_equal(form, form.lost_frames() + 1 + n_more, rng, n_tracks=n_tracks)


@pytest.mark.parametrize(
    ("kernel_shape", "n_rows", "n_frames", "dilation"), of_the_networks(), ids=str
)
def test_forms_that_the_networks_get(rng, kernel_shape, n_rows, n_frames, dilation):
    form = choose_form(kernel_shape, n_rows, n_frames, dilation)
    height, width, channels, filters = kernel_shape
    # The arithmetic is the same for fewer channels.
    few = (height, width, min(channels, 5), min(filters, 6))
    form = dataclasses.replace(form, kernel_shape=few)
    assert_equal(form, form.lost_frames() + 50, rng)


def test_choice_by_shape():
    def chosen(*shape):
        return type(choose_form(*shape))

    assert chosen((12, 180, 1, 256), 12) is BlockForm
    assert chosen((4, 13, 64, 256), 12, 389) is TileForm
    assert chosen((4, 13, 256, 256), 12, 389) is TileForm
    assert chosen((1, 5, 256, 256), 1, None, 20) is TileForm
    assert chosen((3, 12, 1, 256), 12, 400) is DirectForm
    assert chosen((1, 5, 32, 64), 1, 450, 20) is DirectForm
    # Tiles fit the length when it is known: shorter ones would need one more for the 339 frames of output.
    hop = choose_form((4, 13, 64, 256), 12, 351).size - 12
    assert -(-339 // hop) < -(-339 // (hop - 1))


FORMS = [
    DirectForm((4, 5, 3, 4), 12, 2),
    TileForm((4, 5, 3, 4), 12, 2, size=11),
    TileForm((4, 5, 3, 4), 12, 1, size=12),
    BlockForm((4, 5, 3, 4), 12, 1),
]


@pytest.mark.parametrize("form", [*FORMS, BlockForm((12, 30, 1, 5), 12, 1)], ids=str)
def test_extremes_are_the_greatest_and_the_least_over_rows(rng, form):
    channels = form.kernel_shape[2]
    x = rng.standard_normal((3, 12, 45, channels)).astype(np.float32)
    kernel = rng.standard_normal(form.kernel_shape).astype(np.float32)
    expected = oracle(x, kernel, form.dilation)
    got = form.extremes(x, form.transform_for_extremes(kernel)).numpy()
    np.testing.assert_allclose(got[:, 0], np.max(expected, axis=1), atol=1e-4)
    np.testing.assert_allclose(got[:, 1], np.min(expected, axis=1), atol=1e-4)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_greatest_is_the_maximum_over_rows(rng, form):
    x = rng.standard_normal((5, 12, 40, 3)).astype(np.float32)
    kernel = rng.standard_normal(form.kernel_shape).astype(np.float32)
    upstream = rng.standard_normal((5, 1, 40 - form.lost_frames(), 4))
    got = value_and_gradients(lambda x, k: form.greatest(x, form.transform(k)), x, kernel, upstream)
    expected = value_and_gradients(
        lambda x, k: tf.reduce_max(oracle(x, k, form.dilation), axis=1, keepdims=True),
        x,
        kernel,
        upstream,
    )
    for mine, true in zip(got, expected):
        np.testing.assert_allclose(mine, true, rtol=1e-5, atol=1e-5 * np.abs(true).max())


def traced(form, method="convolve"):
    """value_and_gradients of a form, for any batch and number of frames."""

    def step(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            total = tf.reduce_sum(getattr(form, method)(x, form.transform(kernel)) ** 2)
        return total, *tape.gradient(total, [x, kernel])

    return step


@pytest.mark.parametrize("method", ["convolve", "greatest"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_everything_has_a_gpu_kernel(form, method):
    x = tf.TensorSpec((None, form.n_rows, None, form.kernel_shape[2]))
    kernel = tf.TensorSpec(form.kernel_shape)
    assert host_trips(tf.function(traced(form, method)).get_concrete_function(x, kernel)) == []


@pytest.mark.parametrize("method", ["convolve", "greatest"])
@pytest.mark.parametrize("form", FORMS[1:], ids=str)
def test_xla(rng, form, method):
    x = rng.standard_normal((2, 12, 40, 3)).astype(np.float32)
    kernel = rng.standard_normal(form.kernel_shape).astype(np.float32)
    plain = traced(form, method)(tf.constant(x), tf.constant(kernel))
    compiled = tf.function(traced(form, method), jit_compile=True)(x, kernel)
    for a, b in zip(plain, compiled):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-4 * np.abs(a).max())


def test_one_trace_serves_every_length(rng):
    form = TileForm((4, 5, 3, 4), 12, 1, size=12)
    kernel = rng.standard_normal(form.kernel_shape).astype(np.float32)
    function = tf.function(
        form.convolve,
        input_signature=[tf.TensorSpec((None, 12, None, 3)), tf.TensorSpec((None, 3, 4))],
    )
    for n_frames in (5, 12, 13, 40):
        x = rng.standard_normal((1, 12, n_frames, 3)).astype(np.float32)
        expected = oracle(x, kernel, 1)
        np.testing.assert_allclose(function(x, form.transform(kernel)), expected, atol=1e-4)
    assert function.experimental_get_tracing_count() == 1
