"""Other people's arrays of features, turned the way a store has them.

Conventions: a stored array is (n_frames, n_bins) float32, finite.
"""

import numpy as np

from mulkinet.errors import SkippedInput

__all__ = ["frames_as_rows", "has_negative", "refuse_values"]

_ROUNDING = 1e-3


def frames_as_rows(x, feature, n_bins=12, *, when_square):
    """Tells the axis of the bins by its length, and turns the array where it has to.

    Args:
        x: Two axes, of which one is the bins.
        feature: What to call it in an error.
        n_bins: Length of the axis of the bins.
        when_square: True if frames are rows in an array with `n_bins` frames too.

    Returns:
        (n_frames, n_bins) float32; a view of `x` where that is possible.

    Raises:
        SkippedInput: No axis has that length.
    """
    if n_bins not in x.shape:
        raise SkippedInput(
            f"expected {feature} with an axis of {n_bins} bins, found shape {x.shape}"
        )
    is_rows = when_square if x.shape[0] == x.shape[1] else x.shape[1] == n_bins
    # A value too large for float32 becomes infinite, which `refuse_values` finds.
    with np.errstate(over="ignore"):
        return (x if is_rows else x.T).astype(np.float32, copy=False)


def has_negative(frames):
    """Whether finite frames have values below 0, roundings apart, as magnitudes in dB have."""
    return frames.size > 0 and bool(frames.min() < -_ROUNDING * np.abs(frames).max())


def refuse_values(frames, feature):
    """Raises SkippedInput where frames of a feature have NaN, infinite or negative values."""
    if not np.isfinite(frames).all():
        raise SkippedInput(f"expected finite values, found NaN or infinity in {feature}")
    if has_negative(frames):
        raise SkippedInput(
            f"expected {feature} of 0 or more, found {frames.min():.4g}; where these are dB, bring magnitudes instead"
        )
