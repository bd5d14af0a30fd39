"""Convolutions over bins against TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf

from mulkinet.models import bin_convolution
from mulkinet.models.bin_convolution import BinForm, PlainForm, choose_bin_form


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(
    ("height", "n_bins"), [(3, 3), (3, 9), (3, 14), (13, 13), (13, 30), (5, 21)]
)
def test_equal_to_an_ordinary_convolution(rng, height, n_bins, dilation):
    kernel_shape = (height, 3, 4, 5)
    x = tf.constant(rng.standard_normal((2, n_bins, 17, 4)))
    kernel = tf.constant(rng.standard_normal(kernel_shape))
    form = BinForm(kernel_shape, n_bins, dilation)
    ours = form.convolve(x, form.transform(kernel))
    expected = tf.nn.conv2d(x, kernel, 1, "VALID", dilations=(1, dilation))
    # The Fourier matrices are kept in float32.
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-10 if height == 3 else 1e-4)


@pytest.mark.parametrize("height", [3, 13])
def test_gradients_and_parts(rng, monkeypatch, height):
    """Three tracks, two and one at a time, in a graph as in training."""
    kernel_shape = (height, 3, 4, 5)
    x = tf.constant(rng.standard_normal((3, 15, 9, 4)))
    kernel = tf.constant(rng.standard_normal(kernel_shape))
    upstream = tf.constant(rng.standard_normal((3, 16 - height, 5, 5)))
    form = BinForm(kernel_shape, 15, 2)
    monkeypatch.setattr(bin_convolution, "VALUES_AT_ONCE", 2 * len(form._bins) * 9 * 12)

    def ours(x, kernel):
        return form.convolve(x, form.transform(kernel))

    def plain(x, kernel):
        return tf.nn.convolution(x, kernel, dilations=(1, 2))

    @tf.function
    def with_gradients(convolve):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = convolve(x, kernel)
        return [y, *tape.gradient(y, [x, kernel], upstream)]

    for expected, found in zip(with_gradients(plain), with_gradients(ours)):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 if height == 3 else 1e-4)


def test_the_form_with_fewer_multiplications_is_chosen():
    """CQTNet's second and fourth convolution; and one from a single channel, whose transforms do not repay."""
    second = choose_bin_form((13, 3, 32, 64), 85, 2)
    assert isinstance(second, BinForm)
    plain = PlainForm((13, 3, 32, 64), 85, 2)
    assert plain.multiplications(398) == (73 * 394 * 13 * 3 * 32 * 64, 0, 0)
    # 128 products a frame, each of three frames' channels with all filters, and the transforms.
    assert second.multiplications(398) == (
        128 * 394 * 3 * 32 * 64,
        128 * (398 * 32 * 85 + 394 * 64 * 73),
        128 * 13 * 3 * 32 * 64,
    )
    assert isinstance(choose_bin_form((3, 3, 64, 64), 61, 2), BinForm)
    assert isinstance(choose_bin_form((12, 3, 1, 32), 96), PlainForm)
