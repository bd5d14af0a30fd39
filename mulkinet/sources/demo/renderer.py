"""Renders performances of the demo set to sound: wavetables, a room and some noise.

A pitch of an instrument is synthesised once per performance, as long as its longest note, and cut to each note
that has it, which is what makes a minute of music take a fraction of a second. Harmonics at or above `_HIGHEST_HZ`
are left out, so nothing aliases.

Conventions: sound is mono float32 in [-1, 1] at `SR` Hz.
"""

import numpy as np
from scipy.signal import lfilter, oaconvolve

__all__ = ["SR", "render"]

SR = 44100

_TABLE_SIZE = 4096
_HIGHEST_HZ = 16000.0
_VIBRATO_HZ = 5.5
_FADE_SEC = 2.0
_PEAK = 0.8


def render(performance):
    """Renders a performance.

    Args:
        performance: A `demo_performer.Performance`.

    Returns:
        (n_samples,) float32, its peak at 0.8; the same for the same performance.
    """
    rng = np.random.default_rng(performance.noise_key)
    y = np.zeros(int(round(performance.duration_sec * SR)), np.float32)
    for part in performance.parts:
        _add_part(y, part, performance.detune_cents)
    _add_drums(y, performance.drums, rng)
    y = _reverberate(y, performance.reverb_sec, performance.reverb_gain, rng)
    _add_noise(y, performance.snr_db, rng)
    fade = min(int(_FADE_SEC * SR), len(y))
    y[len(y) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return y * np.float32(_PEAK / np.abs(y).max())


def _add_part(y, part, detune_cents):
    release = int(part.timbre.release_sec * SR)
    fade = np.linspace(1, 0, release, dtype=np.float32)
    first = (part.onset_sec * SR).astype(int)
    held = (part.duration_sec * SR).astype(int)
    for pitch in np.unique(part.pitch):
        notes = np.flatnonzero((part.pitch == pitch) & (first < len(y)))
        if not len(notes):
            continue
        hertz = 440 * 2 ** ((pitch - 69 + detune_cents / 100) / 12)
        tone = _tone(part.timbre, hertz, int(held[notes].max()) + release)
        for note in notes:
            sound = tone[: held[note] + release] * np.float32(part.gain[note])
            sound[held[note] :] *= fade
            room = y[first[note] : first[note] + len(sound)]
            room += sound[: len(room)]


def _tone(timbre, hertz, n_samples):
    """One long note: a bright spectrum that gives way to a dull one, under the instrument's envelope."""
    t = np.arange(n_samples) / SR
    cycles = hertz * t
    if timbre.vibrato_cents:
        # The phase of a frequency that swings by `vibrato_cents` either way.
        swing = hertz * (2 ** (timbre.vibrato_cents / 1200) - 1) / (2 * np.pi * _VIBRATO_HZ)
        cycles += swing * np.sin(2 * np.pi * _VIBRATO_HZ * t)
    place = (cycles * _TABLE_SIZE).astype(np.int64) & (_TABLE_SIZE - 1)
    order = np.arange(1, len(timbre.harmonics) + 1)
    bright = np.where(order * hertz < _HIGHEST_HZ, timbre.harmonics, 0)
    dull = bright / order
    t = t.astype(np.float32)
    dulling = np.exp(t * np.float32(-3 / timbre.decay_sec))
    y = _wavetable(dull)[place] + _wavetable(bright - dull)[place] * dulling
    y *= np.exp(t * np.float32(-1 / timbre.decay_sec))
    attack = min(int(timbre.attack_sec * SR), n_samples)
    y[:attack] *= np.linspace(0, 1, attack, dtype=np.float32)
    return y


def _wavetable(harmonics):
    """One period of a sum of sines: (_TABLE_SIZE,) float32."""
    spectrum = np.zeros(_TABLE_SIZE // 2 + 1, complex)
    spectrum[1 : len(harmonics) + 1] = -0.5j * _TABLE_SIZE * harmonics
    return np.fft.irfft(spectrum).astype(np.float32)


def _add_drums(y, drums, rng):
    t = np.arange(int(0.25 * SR)) / SR
    hiss = rng.standard_normal(len(t))
    sounds = {
        # A kick falls from 160 to 50 Hz; a snare is noise with a body; a hat is the noise's upper end.
        "kick": np.sin(2 * np.pi * (50 * t + 110 * 0.03 * (1 - np.exp(-t / 0.03))))
        * np.exp(-t / 0.08),
        "snare": (0.4 * hiss + 0.3 * np.sin(2 * np.pi * 190 * t)) * np.exp(-t / 0.06),
        "hat": 0.15 * np.diff(hiss, prepend=0.0) * np.exp(-t / 0.03),
    }
    gain = rng.uniform(0.1, 0.6)
    sounds = {drum: (gain * sound).astype(np.float32) for drum, sound in sounds.items()}
    for onset_sec, drum in drums:
        first = int(onset_sec * SR)
        room = y[first : first + len(t)]
        room += sounds[drum][: len(room)]


def _reverberate(y, reverb_sec, reverb_gain, rng):
    """Adds the room: noise that falls by 60 dB in `reverb_sec`, of energy `reverb_gain` squared."""
    n_samples = int(reverb_sec * SR)
    tail = rng.standard_normal(n_samples, dtype=np.float32)
    tail *= 10 ** np.linspace(0, -3, n_samples, dtype=np.float32)
    tail *= np.float32(reverb_gain / np.sqrt((tail**2).sum()))
    return y + oaconvolve(y, tail)[: len(y)]


def _add_noise(y, snr_db, rng):
    """Adds noise that is louder in the bass, as that of rooms and tapes is."""
    noise = lfilter([1.0], [1.0, -0.95], rng.standard_normal(len(y), dtype=np.float32)).astype(
        np.float32
    )
    noise *= np.float32(np.sqrt((y**2).mean() / (noise**2).mean()) * 10 ** (-snr_db / 20))
    y += noise
