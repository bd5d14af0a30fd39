"""Augmentation of pitch-class profiles and constant-Q spectra, as a seeded part of the tf.data road.

Conventions: a batch is (batch, n_bins, n_frames) float32 with `lengths` (batch,) int32, the frames
of each track that are music; what lies behind is padding. A step takes (x, lengths, seed) and
returns (x, lengths); steps are chained by `Augmentation`. Everything drawn follows from the seed
(2,) int32, so that a resumed run draws what an uninterrupted one would have drawn. Only TensorFlow
operations are used: they run on all cores while the network trains.

The probabilities of `augmentation("move")` are those of MOVE (Yesiler, Serra, Gomez, "Accurate and
scalable version identification using musically-motivated embeddings", ICASSP 2020, section 2.3 and
its code): every track is transposed by 0 to 11 semitones; with probability 0.3 it is stretched in
time by a factor drawn as in `StretchTime`; with probability 0.3 its frames are silenced (0.3 of
the cases, each frame with probability 0.1), duplicated (0.4, each with 0.15) or removed (0.3, each
with 0.1). Those of `augmentation("siamese")` are those of the Siamese release (vignejs 2020), which
starts from MOVE's, stretches by a normal factor and rolls the track in time first. Those of
`augmentation("cqtnet")` are those of CQTNet's repository (Yu et al. 2020): every track is played at another tempo,
and loses two bands of up to 23 bins; "cqtnet-8bit" plays it as the repository does, by way of an image of 256 levels.
(There all of it comes before the division by the track's maximum, so with `cqt_cqtnet`, which is divided already,
levels are 2 / 255 of the maximum apart, and a maximum that is masked has been divided by.) Masks are those of
SpecAugment (Park et al., Interspeech 2019).
"""

import dataclasses
import math

import tensorflow as tf

from mulkinet.errors import MulkinetError

__all__ = [
    "Augmentation",
    "MaskBins",
    "MaskFrames",
    "RollTime",
    "RotatePitch",
    "ShiftPitch",
    "StretchTime",
    "Tempo",
    "WarpTime",
    "augmentation",
]

_N_PITCH_CLASSES = 12
# The factors by which a track's length is stretched at least and at most.
_SHORTEST, _LONGEST = 0.7, 1.5
_SLOWEST = 1.3


class _Step:
    """What the steps share."""

    # Share of a track's frames that are left where the step shortens it most.
    least_kept = 1.0

    def check_bins(self, n_bins):
        """Raises MulkinetError where the step is not meant for a feature of so many bins."""


class Augmentation:
    """Steps in a row, then a crop, of which parts are masked.

    Args:
        steps: Objects called with (x, lengths, seed), which return (x, lengths). Masks come last,
            wherever they stand: they are drawn over what the network sees, not over the longer
            source that it is cropped from.
    """

    def __init__(self, steps):
        self.steps = tuple(steps)

    def source_frames(self, n_frames):
        """Frames to read of a track so that `n_frames` are left where the steps shorten it most."""
        return math.ceil(n_frames / math.prod(step.least_kept for step in self.steps))

    def check_bins(self, n_bins):
        """Raises MulkinetError where a step is not meant for a feature of so many bins."""
        for step in self.steps:
            step.check_bins(n_bins)

    def __call__(self, x, lengths, starts, seed, *, n_frames, pad="zero"):
        """Augments a batch and crops it.

        Args:
            x: (batch, n_bins, source frames) float32.
            lengths: (batch,) int32 in [1, source frames]: what is music, from the beginning on.
            starts: (batch,) int32 in [0, max(0, lengths - n_frames)]: the frame that each crop begins with. Where a
                step changes a track's length, it begins at the same share of the room that there is then, so that
                starts that are uniform stay so.
            seed: (2,) int32.
            n_frames: Length of the crops.
            pad: What fills up a track that is shorter: "zero", or "wrap" for the track over again.

        Returns:
            (batch, n_bins, n_frames) float32.
        """
        masks, before = [], lengths
        for number, step in enumerate(self.steps):
            part = _part(seed, number)
            if isinstance(step, (MaskBins, MaskFrames)):
                masks.append((step, part))
            else:
                x, lengths = step(x, lengths, part)
        starts = _moved(starts, before - n_frames, lengths - n_frames)
        x, lengths = _crop(x, lengths, starts, n_frames, pad)
        for step, part in masks:
            x, lengths = step(x, lengths, part)
        return x


def augmentation(name):
    """The augmentation of a published recipe, or of steps by their names.

    Args:
        name: "none"; "move", "siamese", "cqtnet" or "cqtnet-8bit"; a step, of "roll", "rotate", "shift", "stretch",
            "tempo", "warp", "bands" and "masks"; or several of these, joined by "+", such as "move+masks".

    Returns:
        Augmentation, or None for "none".

    Raises:
        MulkinetError: There is no such name.
    """
    if name == "none":
        return None
    masks = [MaskBins(), MaskFrames()]
    bands = MaskBins(n_masks=2, widest=23, n_spared=1)
    warp = [StretchTime(probability=0.3), WarpTime(probability=0.3)]
    named = {
        "move": [RotatePitch(), *warp],
        "siamese": [
            RollTime(),
            RotatePitch(),
            StretchTime(probability=0.3, factors="normal"),
            WarpTime(probability=0.3),
        ],
        "cqtnet": [Tempo(), bands],
        "cqtnet-8bit": [Tempo(n_levels=256), bands],
        "roll": [RollTime()],
        "rotate": [RotatePitch()],
        "shift": [ShiftPitch()],
        "stretch": warp[:1],
        "tempo": [Tempo()],
        "warp": warp[1:],
        "bands": [bands],
        "masks": masks,
    }
    unknown = [part for part in name.split("+") if part not in named]
    if unknown:
        raise MulkinetError(
            f"expected --augment none or one of {', '.join(named)}, or several joined by +, "
            f"found {unknown[0]!r}"
        )
    return Augmentation([step for part in name.split("+") for step in named[part]])


@dataclasses.dataclass(frozen=True)
class RollTime(_Step):
    """Starts each track somewhere else: what is before comes at the end."""

    def __call__(self, x, lengths, seed):
        """See `Augmentation`."""
        starts = tf.cast(_uniform(lengths, seed) * tf.cast(lengths, tf.float32), tf.int32)
        frames = (tf.range(tf.shape(x)[2]) + starts[:, None]) % lengths[:, None]
        return _gather_frames(x, frames), lengths


@dataclasses.dataclass(frozen=True)
class RotatePitch(_Step):
    """Transposes each track by 0 to 11 semitones, all as likely, by rotating its pitch classes.

    Raises:
        MulkinetError: The batch does not have 12 bins: only pitch classes go round.
    """

    def check_bins(self, n_bins):
        """See `Augmentation`."""
        if n_bins != _N_PITCH_CLASSES:
            raise MulkinetError(
                f"expected a feature of {_N_PITCH_CLASSES} pitch classes to rotate, found {n_bins} "
                "bins; train with --augment none, or steps such as shift+stretch+masks"
            )

    def __call__(self, x, lengths, seed):
        """See `Augmentation`."""
        self.check_bins(x.shape[1])
        semitones = tf.random.stateless_uniform(
            tf.shape(lengths), seed, maxval=_N_PITCH_CLASSES, dtype=tf.int32
        )
        bins = (tf.range(_N_PITCH_CLASSES) - semitones[:, None]) % _N_PITCH_CLASSES
        return tf.gather(x, bins, axis=1, batch_dims=1), lengths


@dataclasses.dataclass(frozen=True)
class ShiftPitch(_Step):
    """Transposes each track by -6 to 5 semitones, all as likely, by shifting its bins: of a constant-Q spectrum.

    What is shifted in from outside is zero. For features of one bin a semitone.
    """

    def __call__(self, x, lengths, seed):
        """See `Augmentation`."""
        n_bins = x.shape[1]
        semitones = tf.random.stateless_uniform(
            tf.shape(lengths), seed, minval=-6, maxval=6, dtype=tf.int32
        )
        bins = tf.range(n_bins) - semitones[:, None]
        inside = (bins >= 0) & (bins < n_bins)
        shifted = tf.gather(x, tf.clip_by_value(bins, 0, n_bins - 1), axis=1, batch_dims=1)
        return tf.where(inside[:, :, None], shifted, 0.0), lengths


@dataclasses.dataclass(frozen=True)
class StretchTime(_Step):
    """Plays some tracks faster or slower, by the nearest frame.

    Attributes:
        probability: In [0, 1], of a track to be stretched.
        factors: How the factor of the length is drawn. "even" (MOVE): of p, uniform in [0, 1), it
            is 1 - p but at least 0.7 where p <= 0.5, else 2 p but at most 1.5. "normal" (Siamese):
            normal around 1 with deviation 1; outside of 0.7 to 1.3 the track stays as it is.
    """

    probability: float
    factors: str = "even"
    least_kept = _SHORTEST

    def __call__(self, x, lengths, seed):
        """See `Augmentation`."""
        chosen = _uniform(lengths, _part(seed, 0)) < self.probability
        if self.factors == "even":
            p = _uniform(lengths, _part(seed, 1))
            factors = tf.where(p <= 0.5, tf.maximum(1 - p, _SHORTEST), tf.minimum(2 * p, _LONGEST))
        else:
            factors = 1 + tf.random.stateless_normal(tf.shape(lengths), _part(seed, 1))
            chosen &= (factors >= _SHORTEST) & (factors <= 1.3)
        factors = tf.where(chosen, factors, 1.0)
        width = tf.shape(x)[2]
        old = tf.cast(lengths, tf.float32)
        new = tf.maximum(tf.floor(old * factors), 1.0)
        # The first and the last frame stay the first and the last.
        step = tf.math.divide_no_nan(old - 1, new - 1)
        positions = tf.cast(tf.range(width), tf.float32) * step[:, None]
        frames = tf.cast(tf.round(positions), tf.int32)
        x = _gather_frames(x, tf.minimum(frames, lengths[:, None] - 1))
        return x, tf.minimum(tf.cast(new, tf.int32), width)


@dataclasses.dataclass(frozen=True)
class Tempo(_Step):
    """Plays every track faster or slower: 0.7 to 1.3 times as many frames.

    They are interpolated as an image is resized (PIL's bilinear filter): where frames get fewer, each is a weighted
    mean of those it stands for.

    Attributes:
        n_levels: Values that a track is rounded to before and after, evenly from 0 to its maximum plus 1; None for no
            rounding.
    """

    n_levels: int = None
    least_kept = _SHORTEST

    def __call__(self, x, lengths, seed):
        """See `Augmentation`."""
        width = tf.shape(x)[2]
        drawn = _SHORTEST + _uniform(lengths, seed) * (_SLOWEST - _SHORTEST)
        old = tf.cast(lengths, tf.float32)
        new = tf.maximum(tf.floor(old * drawn), 1.0)
        step = tf.reduce_max(x, axis=[1, 2], keepdims=True) + 1
        if self.n_levels:
            step /= self.n_levels - 1
            x = tf.floor(x / step)
        x = _resized(x, old, old / new)
        if self.n_levels:
            x = tf.round(x) * step
        return x, tf.minimum(tf.cast(new, tf.int32), width)


@dataclasses.dataclass(frozen=True)
class WarpTime(_Step):
    """Silences, duplicates or removes single frames of some tracks.

    Attributes:
        probability: In [0, 1], of a track to be warped.
        shares: How often it is silenced, its frames duplicated, removed; they sum to 1.
        frame_probabilities: Of each of its frames to be silenced, duplicated, removed.
    """

    probability: float
    shares: tuple = (0.3, 0.4, 0.3)
    frame_probabilities: tuple = (0.1, 0.15, 0.1)

    @property
    def least_kept(self):
        """Of a track that frames are removed from, on the average."""
        return 1 - self.frame_probabilities[2]

    def __call__(self, x, lengths, seed):
        """See `Augmentation`."""
        warped = _uniform(lengths, _part(seed, 0)) < self.probability
        p = _uniform(lengths, _part(seed, 1))
        silenced = warped & (p < self.shares[0])
        removed = warped & (p >= 1 - self.shares[2])
        duplicated = warped & ~silenced & ~removed
        drawn = tf.random.stateless_uniform(tf.shape(x)[::2], _part(seed, 2))
        hit = [
            which[:, None] & (drawn < share)
            for which, share in zip((silenced, duplicated, removed), self.frame_probabilities)
        ]
        x = tf.where(hit[0][:, None], 0.0, x)
        return _repeat_frames(x, lengths, 1 + tf.cast(hit[1], tf.int32) - tf.cast(hit[2], tf.int32))


@dataclasses.dataclass(frozen=True)
class MaskBins(_Step):
    """Sets bands of neighbouring bins to zero (SpecAugment).

    Attributes:
        n_masks: Bands in each track.
        widest: Most bins of a band; its width is drawn from 0 to this, its place at random.
        n_spared: Bins at the top that no band reaches.
    """

    n_masks: int = 1
    widest: int = 3
    n_spared: int = 0

    def __call__(self, x, lengths, seed):
        """See `Augmentation`."""
        n_bins = tf.fill(tf.shape(lengths), x.shape[1] - self.n_spared)
        masked = _bands(n_bins, x.shape[1], self.n_masks, self.widest, seed)
        return tf.where(masked[:, :, None], 0.0, x), lengths


@dataclasses.dataclass(frozen=True)
class MaskFrames(_Step):
    """Sets stretches of frames to zero (SpecAugment).

    Attributes:
        n_masks: Stretches in each track.
        widest: Most frames of a stretch; its width is drawn from 0 to this, its place at random.
    """

    n_masks: int = 2
    widest: int = 40

    def __call__(self, x, lengths, seed):
        """See `Augmentation`."""
        masked = _bands(lengths, tf.shape(x)[2], self.n_masks, self.widest, seed)
        return tf.where(masked[:, None], 0.0, x), lengths


def _moved(starts, room, new_room):
    """Starts within [0, room] to the same share of [0, new_room]; both may be negative, which leaves no choice."""
    room, new_room = (tf.cast(tf.maximum(value, 0), tf.float32) for value in (room, new_room))
    moved = tf.math.divide_no_nan(tf.cast(starts, tf.float32) * new_room, room)
    return tf.cast(tf.round(moved), tf.int32)


def _crop(x, lengths, starts, n_frames, pad):
    """Crops that begin there -> (x, the frames of each that are music)."""
    frames = starts[:, None] + tf.range(n_frames)
    if pad == "wrap":
        return _gather_frames(x, frames % lengths[:, None]), tf.fill(tf.shape(lengths), n_frames)
    cropped = _gather_frames(x, tf.minimum(frames, lengths[:, None] - 1))
    cropped = tf.where((frames < lengths[:, None])[:, None], cropped, 0.0)
    return cropped, tf.minimum(lengths, n_frames)


def _part(seed, number):
    return tf.random.experimental.stateless_fold_in(seed, number)


def _uniform(like, seed):
    return tf.random.stateless_uniform(tf.shape(like), seed)


def _gather_frames(x, frames):
    """Of x (batch, n_bins, T) the frames (batch, n): (batch, n_bins, n)."""
    # Frames as rows make every frame one copy: several times as fast as gathering the last axis.
    rows = tf.gather(tf.transpose(x, (0, 2, 1)), frames, axis=1, batch_dims=1)
    return tf.transpose(rows, (0, 2, 1))


def _resized(x, lengths, steps):
    """Frames `steps` of the old ones apart, each the mean of those within a triangle about its middle.

    The triangle reaches a frame to either side, or a step where that is more; lengths and steps (batch,) float32.
    """
    width, reach = tf.shape(x)[2], tf.maximum(steps, 1.0)[:, None]
    middles = (tf.cast(tf.range(width), tf.float32) + 0.5) * steps[:, None]
    total, weights = tf.zeros_like(x), tf.zeros_like(middles)
    for offset in range(-2, 3):
        frames = tf.floor(middles) + offset
        weight = tf.maximum(1 - tf.abs(frames + 0.5 - middles) / reach, 0.0)
        weight = tf.where((frames >= 0) & (frames < lengths[:, None]), weight, 0.0)
        places = tf.cast(tf.clip_by_value(frames, 0.0, lengths[:, None] - 1), tf.int32)
        total += _gather_frames(x, places) * weight[:, None]
        weights += weight
    return tf.math.divide_no_nan(total, weights[:, None])


def _repeat_frames(x, lengths, counts):
    """Repeats frame t of each track counts[t] times (0 removes it); one frame always stays."""
    width = tf.shape(x)[2]
    counts = tf.where(tf.range(width) < lengths[:, None], counts, 0)
    ends = tf.cumsum(counts, axis=1)
    places = tf.tile(tf.range(width)[None], (tf.shape(x)[0], 1))
    frames = tf.searchsorted(ends, places, side="right")
    x = _gather_frames(x, tf.minimum(frames, lengths[:, None] - 1))
    return x, tf.clip_by_value(ends[:, -1], 1, width)


def _bands(lengths, width, n_masks, widest, seed):
    """(batch, width) bool: true inside of the bands, which lie within the lengths."""
    shape = (tf.shape(lengths)[0], n_masks)
    limits = tf.cast(lengths, tf.float32)[:, None]
    drawn = tf.random.stateless_uniform(shape, _part(seed, 0)) * (widest + 1)
    widths = tf.minimum(tf.floor(drawn), limits)
    starts = tf.random.stateless_uniform(shape, _part(seed, 1)) * (limits - widths + 1)
    starts = tf.floor(starts)[:, :, None]
    places = tf.cast(tf.range(width), tf.float32)
    inside = (places >= starts) & (places < starts + widths[:, :, None])
    return tf.reduce_any(inside, axis=1)
