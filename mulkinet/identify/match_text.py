"""What was found about two recordings, in words."""

__all__ = ["clock", "describe"]


def describe(found):
    """What was found (PairMatch), in sentences (list of str)."""
    chance = f"score {found.score:.1f}, probability of a cover {found.probability:.2f}"
    if found.same_recording:
        return [f"A and B are the same recording ({chance})."]
    if not found.is_cover:
        return [f"A and B are not the same work ({chance})."]
    semitones = found.transposition
    key = "B is in A's key."
    if semitones:
        plural = "" if abs(semitones) == 1 else "s"
        side = "above" if semitones > 0 else "below"
        key = f"B is {abs(semitones)} semitone{plural} {side} A."
    return [
        f"A and B are performances of the same work ({chance}).",
        key,
        f"B plays at {found.tempo_ratio:.2f} of A's speed.",
    ]


def clock(seconds):
    """Minutes and seconds, mm:ss; hours where there are any."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"
