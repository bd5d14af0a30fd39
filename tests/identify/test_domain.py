"""What a model was trained and calibrated on, and when the user is warned."""

import pytest

from mulkinet.identify.domain import describe_domain, domain_warnings, trained_on

DEMO = {"data": "demo", "synthetic": True}


def calibration(synthetic):
    source = {"data_dir": "x.h5", "synthetic": synthetic}
    return {"tracks": 8, "works": 4, "source": source}


def test_what_models_say():
    assert trained_on({"trained_on": DEMO}) == DEMO
    old = trained_on({"training": {"settings": {"charts": "1350 charts"}}})
    assert old == {"data": "1350 charts", "synthetic": True}
    assert trained_on({}) is None


@pytest.mark.parametrize("fitted", [None, calibration(True), calibration(None)])
def test_synthetic_music_is_warned_of(fitted):
    [warning] = domain_warnings(DEMO, fitted)
    assert "the model was trained on synthetic music (demo)" in warning


def test_answers_that_hold_for_recordings_are_not_warned_of():
    assert domain_warnings(DEMO, calibration(False)) == []
    assert domain_warnings({"data": "mine", "synthetic": False}, None) == []
    assert domain_warnings(None, None) == []


def test_description():
    assert describe_domain(DEMO, calibration(False)) == (
        "trained on synthetic music (demo), calibrated on recordings (8 tracks of 4 works, x.h5)"
    )
    assert describe_domain(None, None) == (
        "trained on music that the model does not name, not calibrated"
    )
