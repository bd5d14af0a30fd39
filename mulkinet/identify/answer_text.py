"""Probabilities and the rule of a yes, in words."""

__all__ = ["chance", "rule_text"]


def chance(value):
    """A probability in [0, 1] as str of two digits; "<0.01" and ">0.99" at the ends."""
    # Two digits are more than calibrations know; 0 and 1 would be certainty.
    return "<0.01" if value < 0.005 else ">0.99" if value > 0.995 else f"{value:.2f}"


def rule_text(rule):
    """When an answer is a yes by a posterior.Rule, and what that costs, in one line."""
    threshold = f"yes: a probability of {chance(rule.threshold)} or more"
    if rule.false_alarms is None:
        return f"{threshold}; at most {rule.at_most:.3g} of 100 queries get a wrong one"
    n_known = round(100 * rule.known)
    wrong, missed = (
        _number(value, interval)
        for value, interval in (
            (rule.false_alarms, rule.false_alarms_interval),
            (rule.misses, rule.misses_interval),
        )
    )
    return (
        f"{threshold}; of 100 queries, {n_known} of them of works of the index, {wrong} get a wrong one, "
        f"{missed} of the {n_known} none"
    )


def _number(value, interval):
    # One digit below 10, none above.
    ends = "" if interval is None else f" ({interval[0]:.2g} - {interval[1]:.2g})"
    return f"{value:.1f}{ends}" if value < 9.95 else f"{value:.0f}{ends}"
