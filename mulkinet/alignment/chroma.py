"""What is aligned: a track's chroma, checked, in both layouts that the loops read."""

import functools

import numpy as np

from mulkinet.errors import MulkinetError

__all__ = ["FRAME_SEC", "MIN_FRAMES", "STACKED", "Chroma", "coarsen", "prepare"]

# Frames of 20480 samples at 44.1 kHz, as in the papers' experiments.
FRAME_SEC = 0.464
# Frames of a stack. n frames make n - 9 of them: essentia leaves the last one out.
STACKED = 9
# Three stacks of 9 frames, of which the last is left out.
MIN_FRAMES = 12
_BINS = 12


class Chroma:
    """A track's chroma, ready to be aligned.

    Attributes:
        frames: (n_frames, 12) float32, C order.
        columns: (12, n_frames) float32, C order.
        profile: (12,) float64, the sum of all frames.
        norms: (n_frames - 9,) float32, squared lengths of its stacks.
    """

    def __init__(self, columns):
        self.columns = np.ascontiguousarray(columns)

    @classmethod
    def repeated(cls, columns):
        """Of a track of any length: (12, n_frames >= 1), whole repetitions of it where it is too short to align."""
        times = -(-MIN_FRAMES // columns.shape[1])
        return cls(np.tile(columns, times) if times > 1 else columns)

    def __len__(self):
        return self.columns.shape[1]

    @functools.cached_property
    def frames(self):
        """The same values, a frame a row."""
        return np.ascontiguousarray(self.columns.T)

    @functools.cached_property
    def profile(self):
        """Sum of all frames."""
        return self.columns.sum(axis=1, dtype=np.float64)

    @functools.cached_property
    def norms(self):
        """Squared lengths of the stacks."""
        from mulkinet.alignment.kernels import stack_norms

        return stack_norms(self.columns)

    def transposed(self, semitones):
        """The same, sounding higher by so many semitones."""
        return Chroma(np.roll(self.columns, semitones, axis=0)) if semitones % _BINS else self


def prepare(chroma, name="chroma"):
    """Checks a track's chroma.

    Args:
        chroma: (12, n_frames), at least 12 frames, finite.
        name: What a message calls it.

    Returns:
        Chroma.

    Raises:
        MulkinetError: Another shape, fewer frames, or values that are not finite.
    """
    if isinstance(chroma, Chroma):
        return chroma
    columns = np.asarray(chroma, dtype=np.float32)
    if columns.ndim != 2 or columns.shape[0] != _BINS:
        raise MulkinetError(
            f"{name}: expected chroma of shape ({_BINS}, n_frames), found {columns.shape}"
        )
    if columns.shape[1] < MIN_FRAMES:
        raise MulkinetError(
            f"{name}: expected at least {MIN_FRAMES} frames to align, found {columns.shape[1]}; "
            "use a longer recording"
        )
    if not np.isfinite(columns).all():
        raise MulkinetError(f"{name}: expected finite chroma, found NaN or infinity")
    return Chroma(columns)


def coarsen(chroma, frame_rate, frame_sec=FRAME_SEC, reduce=np.median):
    """Chroma in longer frames: medians (or means) of as many as come nearest to `frame_sec`.

    Args:
        chroma: (12, n_frames).
        frame_rate: Its frames per second.
        frame_sec: Length to come near to; frames that are longer stay as they are.
        reduce: What makes one frame of several, np.median or np.mean.

    Returns:
        ((12, n) float32, frames per second); a rest shorter than a frame is left out.
    """
    factor = min(max(1, round(frame_sec * frame_rate)), chroma.shape[1])
    whole = chroma[:, : chroma.shape[1] // factor * factor]
    coarse = reduce(whole.reshape(len(chroma), -1, factor), axis=2)
    return coarse.astype(np.float32), frame_rate / factor
