"""Tuning: what is estimated, and features of a recording that is off by part of a semitone."""

import numpy as np
import pytest

from mulkinet.features import TUNABLE, extractor
from mulkinet.features.provenance import SR
from mulkinet.features.tuning import estimate_tuning
from tests.features.test_blocks import song

CENTS = (-40, 0, 20, 45)


def detuned(cents, seconds=12):
    """Chords whose every partial is `cents` above 440 Hz's."""
    return song(seconds, cents=cents)


@pytest.mark.parametrize("cents", CENTS)
def test_tuning_is_estimated_to_3_cents(cents):
    assert estimate_tuning(detuned(cents)) == pytest.approx(cents / 100, abs=0.03)


def test_where_there_is_no_pitch_tuning_is_0():
    assert estimate_tuning(np.zeros(SR, np.float32)) == 0
    assert estimate_tuning(np.zeros(100, np.float32)) == 0


def cosine(a, b):
    n = min(a.shape[1], b.shape[1])
    a, b = a[:, :n].ravel(), b[:, :n].ravel()
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


@pytest.mark.parametrize("feature", ["hpcp", "chroma_cens", "cqt"])
def test_a_recording_45_cents_off_has_its_own_features_once_tuned(feature):
    as_recorded, tuned = (extractor(feature, is_tuned) for is_tuned in (False, True))
    in_tune, off = detuned(0), detuned(45)
    assert cosine(tuned(in_tune), tuned(off)) > 0.98
    assert cosine(tuned(in_tune), tuned(off)) > cosine(as_recorded(in_tune), as_recorded(off))


def test_published_settings_say_nothing_of_tuning_and_front_ends_of_systems_are_never_tuned():
    for feature in TUNABLE:
        assert "tuning" not in extractor(feature).settings
        assert extractor(feature, True).settings["tuning"] == "estimated"
    assert extractor("cqt_vinet", True) is extractor("cqt_vinet")
