"""Tracks to a common length or rate: the first 180 s, wrapped and averaged by area; every k-th frame; or means.

Conventions: arrays are (n_bins, n_frames), resized along the frames only, float32 out.

The first way is that of the Siamese cover identification system (Stamenovic, "Towards Cover Song
Detection with Siamese Convolutional Neural Networks", 2020), which crops and then calls OpenCV's
`resize` with INTER_AREA; the second that of MOVE (Yesiler et al., ICASSP 2020).
"""

from dataclasses import dataclass
from typing import Optional

import numpy as np

from mulkinet.errors import MulkinetError

__all__ = ["CROP_SEC", "TrackLength", "area_resize", "wrap", "trim", "first_seconds", "downsample"]

# The Siamese system counts 15500 frames of 512 samples at 44.1 kHz and calls them 180 s.
CROP_SEC = 15500 * 512 / 44100

# OpenCV leaves out a frame of which less than this part falls into the output frame.
_LEAST_PART = 1e-3


@dataclass(frozen=True)
class TrackLength:
    """How a track's frames get into a store.

    Attributes:
        spect_len: Number of frames that the first `CROP_SEC` seconds are resized to; None keeps
            the full length.
        downsample: Keeps every k-th frame of the full length; 1 keeps all.
        frame_rate: Frames per second that the full length is averaged to; None for none of this.

    Raises:
        MulkinetError: A number is below 1, or several ways are asked for at once.
    """

    spect_len: Optional[int] = None
    downsample: int = 1
    frame_rate: Optional[float] = None

    def __post_init__(self):
        if self.spect_len is not None and self.spect_len < 1:
            raise MulkinetError(f"expected spect_len of at least 1 frame, found {self.spect_len}")
        if self.downsample < 1:
            raise MulkinetError(f"expected downsample of at least 1, found {self.downsample}")
        if self.spect_len is not None and self.downsample != 1:
            raise MulkinetError(
                f"expected spect_len or downsample, found {self.spect_len} and {self.downsample}; "
                "use spect_len full to keep every k-th frame"
            )
        if self.frame_rate is not None and (self.spect_len or self.downsample != 1):
            raise MulkinetError(
                "expected a frame rate to average to, or another length, found both; choose one"
            )

    def apply(self, x, frame_rate):
        """Brings a track, (n_bins, at least one frame) of `frame_rate` per second, to its stored length, float32."""
        if self.frame_rate is not None:
            return area_resize(x, self.n_frames(x.shape[1], frame_rate))
        if self.spect_len is None:
            return np.ascontiguousarray(downsample(x, self.downsample), dtype=np.float32)
        cropped = first_seconds(x, CROP_SEC, frame_rate)
        return _wrap_and_resize(cropped, _n_frames(CROP_SEC, frame_rate), self.spect_len)

    def n_frames(self, n_frames, frame_rate=None):
        """Stored frames of a track that has `n_frames` (int, or array of them), of a rate that is needed to average."""
        if self.frame_rate is not None:
            averaged = np.rint(np.asarray(n_frames) * (self.frame_rate / frame_rate))
            return np.maximum(averaged, 1).astype(np.int64)
        if self.spect_len is None:
            return -(-n_frames // self.downsample)
        return n_frames * 0 + self.spect_len

    def settings(self, settings):
        """Settings of the stored frames, from those (dict with frame_rate) of the extraction.

        `frame_rate` is as stored, and there are `spect_len` and `crop_sec`, or `downsample`, or `averaged`.
        """
        if self.frame_rate is not None:
            return {**settings, "frame_rate": self.frame_rate, "averaged": True}
        if self.spect_len is None:
            rate = settings["frame_rate"] / self.downsample
            return {**settings, "frame_rate": rate, "downsample": self.downsample}
        rate = self.spect_len / CROP_SEC
        return {**settings, "frame_rate": rate, "spect_len": self.spect_len, "crop_sec": CROP_SEC}


def trim(x, sound_sec, frame_rate):
    """View of a track, (n_bins, n_frames), without leading and trailing silence, of at least one frame.

    `sound_sec` is (start, end) in seconds, as `mulkinet.features.audio.Audio` has it.
    """
    first, end = (round(second * frame_rate) for second in sound_sec)
    first = min(first, x.shape[1] - 1)
    return x[:, first : max(end, first + 1)]


def first_seconds(x, seconds, frame_rate):
    """View of the first seconds, above 0, of a track: (n_bins, at most round(seconds * frame_rate))."""
    return x[:, : _n_frames(seconds, frame_rate)]


def wrap(x, n_frames):
    """Repeats a track of at least 1 frame until it has `n_frames` (at least 1), or cuts it: (n_bins, n_frames)."""
    times, rest = divmod(n_frames, x.shape[1])
    return np.concatenate([x] * times + [x[:, :rest]], axis=1)


def downsample(x, factor):
    """View of every `factor`-th frame, the first included: (n_bins, ceil(n_frames / factor))."""
    return x[:, ::factor]


def area_resize(x, n_frames):
    """Resizes along the frames as OpenCV's `resize` does with INTER_AREA.

    Fewer frames are the means of the stretches they cover, where a frame cut by a border counts by
    its part. More frames are interpolated linearly, but only where an input frame ends inside an
    output frame: that is what OpenCV does under the name of INTER_AREA.

    Args:
        x: (n_bins, at least 1 frame), finite.
        n_frames: Frames wanted, at least 1.

    Returns:
        (n_bins, n_frames) float32, within 1e-5 of OpenCV for values up to 1.
    """
    if n_frames > x.shape[1]:
        return _stretch(x, n_frames).astype(np.float32)
    return _average(x, n_frames).astype(np.float32, copy=False)


def _wrap_and_resize(x, n_wrapped, n_frames):
    """area_resize(wrap(x, n_wrapped), n_frames), but only what is wrapped is copied if it can be."""
    ratio, rest = divmod(n_wrapped, n_frames)
    # Frames of the result that begin before the track wraps around and end before it too.
    n_plain = 0 if rest else x.shape[1] // ratio
    if n_plain == 0:
        return area_resize(wrap(x, n_wrapped), n_frames)
    plain = area_resize(x[:, : n_plain * ratio], n_plain)
    if n_plain == n_frames:
        return plain
    wrapped = x[:, np.arange(n_plain * ratio, n_wrapped) % x.shape[1]]
    return np.concatenate([plain, area_resize(wrapped, n_frames - n_plain)], axis=1)


def _average(x, n_frames):
    n_bins, n_in = x.shape
    if n_in % n_frames == 0:
        # The case of whole data sets (15500 frames to 500): one pass, many times as fast.
        ratio = n_in // n_frames
        weights = np.full(ratio, 1 / ratio, np.float32)
        if x.flags.f_contiguous:
            return np.einsum("fkb,k->bf", x.T.reshape(n_frames, ratio, n_bins), weights)
        return np.einsum("bfk,k->bf", x.reshape(n_bins, n_frames, ratio), weights)
    scale = n_in / n_frames
    left = np.arange(n_frames) * scale
    right = left + scale
    # Input frames [first, last) lie wholly in the output frame.
    last = np.minimum(np.floor(right).astype(int), n_in - 1)
    first = np.minimum(np.ceil(left).astype(int), last)
    head = np.where(first - left > _LEAST_PART, first - left, 0)
    tail = np.where(right - last > _LEAST_PART, np.minimum(right - last, 1), 0)
    whole = np.empty((n_bins, n_frames))
    for row, values in zip(whole, x):  # one by one: the sums of hours take twice the memory of `x`
        sums = np.concatenate([[0], np.cumsum(values, dtype=np.float64)])
        row[:] = sums[last] - sums[first]
    parts = head * x[:, np.maximum(first - 1, 0)] + tail * x[:, last]
    return (whole + parts) / np.minimum(scale, n_in - left)


def _stretch(x, n_frames):
    n_in = x.shape[1]
    # Both factors rounded as OpenCV rounds them: at whole borders the last bit decides.
    inverse = n_frames / n_in
    scale = 1 / inverse
    out = np.arange(n_frames)
    source = np.floor(out * scale).astype(int)
    part = ((out + 1) - (source + 1) * inverse).astype(np.float32)
    part = np.where(part <= 0, 0, part - np.floor(part))
    part[source >= n_in - 1] = 0
    source = np.minimum(source, n_in - 1)
    following = np.minimum(source + 1, n_in - 1)
    return (1 - part) * x[:, source] + part * x[:, following]


def _n_frames(seconds, frame_rate):
    return max(1, round(seconds * frame_rate))
