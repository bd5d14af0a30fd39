"""Two recordings, without index or training: are they the same work, and where do they match?

>>> from mulkinet import match
>>> found = match("a.mp3", "b.mp3")                                         # doctest: +SKIP
>>> found.probability, found.transposition, found.tempo_ratio, found.spans   # doctest: +SKIP
"""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import numpy as np

from mulkinet.alignment.align import Alignment, align
from mulkinet.alignment.chroma import MIN_FRAMES, coarsen
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.identify.fingerprint import bit_error

__all__ = ["FEATURES", "PairMatch", "match"]

_SR = 44100
_BINS = 12
# A copy runs at the speed of the original, and shares most bits with it; 0.5 is chance.
_SAME_TEMPO, _SAME_BITS = 0.02, 0.4
# Logistic curve over log(score), fitted to rendered pairs of the demo's first composer, half of them covers
# (benchmarks/match.py). Of 81 real recordings it accepted 0.69 of the covers and 0.10 of the others.
_SLOPE, _OFFSET = 6.58, 10.24
# Features of 12 pitch classes, as extracted from audio.
FEATURES = ("crema", "hpcp", "chroma_cens")


@dataclass(frozen=True)
class PairMatch:
    """What two recordings, A and B, have in common.

    Attributes:
        a, b: Path of each; "A" and "B" where samples or features were given.
        seconds_a, seconds_b: Their lengths.
        feature: Feature that was compared; None where features were given.
        score: float >= 0, of `mulkinet.alignment.align`.
        probability: Probability of the same work, where every other pair asked about is.
        is_cover: Whether it is 0.5 or more.
        same_recording: Whether it is not another performance but the same recording; None where features were given,
            which do not tell.
        transposition: int from -5 to 6, semitones that B is above A.
        tempo_ratio: Speed of B divided by that of A.
        spans: list of (start_a, end_a, start_b, end_b) in seconds, longest first.
        alignment: Alignment, with the plot and the path.

    Examples:
        >>> song = np.random.default_rng(0).random((12, 80))
        >>> sorted(match(song, song, frame_rate=2).to_dict())[:4]
        ['a', 'b', 'feature', 'is_cover']
    """

    a: str
    b: str
    seconds_a: float
    seconds_b: float
    feature: Optional[str]
    score: float
    probability: float
    is_cover: bool
    same_recording: Optional[bool]
    transposition: int
    tempo_ratio: float
    spans: list
    alignment: Alignment = field(repr=False)

    def to_dict(self):
        """All but the plot, for JSON."""
        values = dict(vars(self))
        values.pop("alignment")
        return {**values, "similarity": self.alignment.similarity}


def match(a, b, *, feature="crema", frame_rate=None):
    """Compares two recordings.

    Args:
        a: A path; samples, (n_samples,) float32 mono at 44.1 kHz; or features, (12, n_frames).
        b: Likewise.
        feature: What is extracted: crema, hpcp or chroma_cens.
        frame_rate: Frames per second of features; one number, or (of a, of b) where they differ. The finer side is
            brought to the coarser one's.

    Returns:
        PairMatch.

    Raises:
        MulkinetError: A recording cannot be read, is silent or too short; features without frame_rate, or of another
            shape.

    Examples:
        Features of 40 seconds, and the same three semitones up:

        >>> song = np.random.default_rng(0).random((12, 80))
        >>> found = match(song, np.roll(song, 3, axis=0), frame_rate=2)
        >>> found.is_cover, found.transposition, round(found.tempo_ratio, 2)
        (True, 3, 1.0)
    """
    if feature not in FEATURES:
        raise MulkinetError(f"expected a feature among {', '.join(FEATURES)}, found {feature!r}")
    rates = frame_rate if isinstance(frame_rate, (tuple, list)) else (frame_rate, frame_rate)
    sides = [_read(given, name, feature, rate) for given, name, rate in zip((a, b), "AB", rates)]
    names, chromas, rates, seconds, sounds = zip(*sides)
    rate = min(rates)
    chromas = [_at_rate(chroma, own, rate) for chroma, own in zip(chromas, rates)]
    for name, chroma in zip(names, chromas):
        if chroma.shape[1] < MIN_FRAMES:
            raise MulkinetError(
                f"{name}: expected at least {MIN_FRAMES / rate:.1f} s to compare, found "
                f"{chroma.shape[1] / rate:.1f} s; use a longer recording"
            )
    found = align(*chromas, frame_rate=rate)
    probability = cover_probability(found.score)
    return PairMatch(
        *names,
        *seconds,
        feature=None if all(sound is None for sound in sounds) else feature,
        score=found.score,
        probability=probability,
        is_cover=probability >= 0.5,
        same_recording=_is_same_recording(found, sounds),
        transposition=found.transposition,
        tempo_ratio=found.tempo_ratio,
        spans=found.spans,
        alignment=found,
    )


def cover_probability(score):
    """Probability in (0, 1) that two recordings are of one work, by their score of `mulkinet.alignment.align`."""
    return 1 / (1 + math.exp(-(_SLOPE * math.log(max(score, 1e-3)) - _OFFSET)))


def _is_same_recording(found, sounds):
    if any(samples is None for samples in sounds):
        return None
    if not found.spans or found.transposition or abs(found.tempo_ratio - 1) > _SAME_TEMPO:
        return False
    start_a, end_a, start_b, end_b = found.spans[0]
    seconds = min(end_a - start_a, end_b - start_b)
    return bit_error(*sounds, start_a, start_b, seconds) < _SAME_BITS


def _read(given, name, feature, rate):
    """(name, (12, n) chroma of frames of about half a second, its frames per second, seconds, samples or None)."""
    if isinstance(given, (str, os.PathLike)):
        from mulkinet.features.audio import decode

        name = str(given)
        try:
            samples = decode(Path(given)).y
        except SkippedInput as error:
            raise MulkinetError(f"{name}: {error}") from error
    else:
        samples = np.asarray(given)
    if samples.dtype.kind not in "fiu" or samples.ndim not in (1, 2) or samples.size == 0:
        raise MulkinetError(
            f"{name}: expected a path, samples (n_samples,) or features ({_BINS}, n_frames), found an "
            f"array of shape {samples.shape} of {samples.dtype}"
        )
    if not np.isfinite(samples).all():
        raise MulkinetError(f"{name}: expected finite values, found NaN or infinity")
    if samples.ndim == 1:
        chroma, rate = _extract(samples, name, feature)
    else:
        chroma = samples
        if chroma.shape[0] != _BINS:
            raise MulkinetError(
                f"{name}: expected features of {_BINS} rows, found {chroma.shape[0]}; they are "
                f"({_BINS}, n_frames)"
            )
        if rate is None or not rate > 0:
            raise MulkinetError(
                f"{name}: expected frame_rate in frames per second with features, found {rate}"
            )
    if not chroma.any():
        raise MulkinetError(f"{name}: expected music, found silence")
    seconds = len(samples) / _SR if samples.ndim == 1 else chroma.shape[1] / rate
    return name, *coarsen(chroma, rate), float(seconds), samples if samples.ndim == 1 else None


def _extract(samples, name, feature):
    from mulkinet.features import extractor
    from mulkinet.features.audio import check_samples

    try:
        check_samples(samples, _SR)
    except SkippedInput as error:
        raise MulkinetError(f"{name}: {error}") from error
    extract = extractor(feature)
    return extract(samples.astype(np.float32)), extract.settings["frame_rate"]


def _at_rate(chroma, own, rate):
    if own == rate:
        return chroma
    times = np.arange(int(chroma.shape[1] * rate / own)) * (own / rate)
    places = np.arange(chroma.shape[1])
    return np.stack([np.interp(times, places, row) for row in chroma])
