"""Learning rates by epoch, against the recipes."""

import doctest
import math

import pytest

from mulkinet.errors import MulkinetError
from mulkinet.training import schedules
from mulkinet.training.schedules import SCHEDULES, schedule_rate


def rates(schedule, learning_rate, epochs, wanted):
    return [
        schedule_rate(schedule, learning_rate=learning_rate, epoch=epoch, epochs=epochs)
        for epoch in wanted
    ]


def test_docstring_examples():
    failed, tried = doctest.testmod(schedules)
    assert (failed, tried > 0) == (0, True)


def test_constant():
    assert rates("constant", 0.02, 9, [0, 4, 8]) == [0.02] * 3


def test_cosine_is_mulkinets():
    expected = [1e-3, 1e-3 * (1 + math.cos(math.pi / 4)) / 2, 5e-4, 0]
    assert rates("cosine", 1e-3, 100, [0, 25, 50, 100]) == pytest.approx(expected)


def test_steps_are_moves():
    expected = [0.1, 0.1, 0.02, 0.02, 0.004, 0.004]
    assert rates("steps", 0.1, 120, [0, 79, 80, 99, 100, 119]) == pytest.approx(expected)


def test_steps_keep_their_shares_of_other_lengths():
    """After two thirds and five sixths: epochs 4 and 5 of 6, 40 and 50 of 60, 1 and 1 of 1.2 and so of none."""
    expected = [0.1, 0.1, 0.02, 0.004]
    assert rates("steps", 0.1, 6, [0, 3, 4, 5]) == pytest.approx(expected)
    assert rates("steps", 0.1, 60, [39, 40, 49, 50]) == pytest.approx([0.1, 0.02, 0.02, 0.004])
    assert rates("steps", 0.1, 300, [199, 200, 249, 250]) == pytest.approx([0.1, 0.02, 0.02, 0.004])
    assert rates("steps", 0.1, 1, [0]) == [0.1]


def test_warmup_decay_is_the_siamese_releases():
    warmup = [5e-5, 6e-5, 7e-5, 8e-5, 9e-5, 1e-4]
    assert rates("warmup-decay", 1e-4, 100, range(6)) == pytest.approx(warmup)
    decay = [1e-6 + 0.000099 * 0.95 ** (epoch - 5) for epoch in (6, 30, 99)]
    assert rates("warmup-decay", 1e-4, 100, (6, 30, 99)) == pytest.approx(decay)


def test_exponential_is_discogs_vinets():
    assert rates("exponential", 1e-3, 50, [0, 1, 49]) == pytest.approx(
        [1e-3, 9.5e-4, 1e-3 * 0.95**49]
    )


def test_warmup_cosine_is_discogs_vinets_at_mirex():
    found = rates("warmup-cosine", 1e-2, 40, [0, 1, 5, 40])
    assert found == pytest.approx([1e-4, 1e-4 + 9.9e-3 / 5, 1e-2, 1e-4])
    assert rates("warmup-cosine", 1e-2, 45, [25])[0] == pytest.approx((1e-2 + 1e-4) / 2)


def test_plateau_is_cqtnets():
    def rate(losses):
        return schedule_rate(
            "plateau", learning_rate=1e-3, epoch=len(losses), epochs=100, losses=losses
        )

    assert [rate(losses) for losses in ([], [3], [3, 2, 2, 2], [3, 2, 4, 5, 1])] == [1e-3] * 4
    assert rate([3, 2, 2, 2.5, 3]) == pytest.approx(8e-4)
    assert rate([3, 2, 2, 2.5, 3, 3, 3]) == pytest.approx(8e-4)
    assert rate([3, 2, 2, 2.5, 3, 3, 3, 2]) == pytest.approx(6.4e-4)
    assert rate([1.0] * 99) == pytest.approx(5e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_never_negative(schedule):
    assert min(rates(schedule, 1.0, 7, range(8))) >= 0


def test_errors_name_what_was_found():
    with pytest.raises(MulkinetError, match="expected a schedule among constant.*'linear'"):
        schedule_rate("linear", learning_rate=0.1, epoch=0, epochs=1)
    for rate, epoch, epochs in [(0, 0, 1), (0.1, 3, 2), (0.1, -1, 2), (0.1, 0, 0)]:
        with pytest.raises(MulkinetError, match=f"found rate {rate}, epoch {epoch} of {epochs}"):
            schedule_rate("cosine", learning_rate=rate, epoch=epoch, epochs=epochs)
