"""What a query is answered with."""

from dataclasses import asdict, dataclass, field, replace
from typing import Optional

from mulkinet.identify.posterior import Rule

__all__ = ["Match", "Span", "Answer"]


@dataclass(frozen=True)
class Match:
    """A track of the index.

    Attributes:
        work_id: Its work.
        track_id: Its id within the work.
        title: What a person calls it.
        path: Its audio file when it was indexed; empty if unknown.
        distance: Distance of its embedding from the query's.
        probability: Probability that its work is the query's; None without calibration.
        is_cover: Whether that is at least the rule's threshold, and the distance that decides within tau where one is
            given; None without both.
        reranked: Distance after alignment, which decides where there is one; None without.
        interval: (low, high), 95 % of what draws of the calibration's works make of the probability; None where it
            has none.

    Examples:
        >>> from mulkinet import Index
        >>> index = Index.build("music.index", "music", "chords.h5", progress=False)
        >>> match = index.identify("music/Girl/studio.wav").tracks[0]
        >>> match.work_id, match.track_id, match.probability
        ('Girl', 'studio', None)
    """

    work_id: str
    track_id: str
    title: str
    path: str
    distance: float
    probability: Optional[float]
    is_cover: Optional[bool]
    reranked: Optional[float] = None
    interval: Optional[tuple] = None


@dataclass(frozen=True)
class Span:
    """A part of a long recording.

    Attributes:
        start_sec: Where it begins, in seconds.
        end_sec: Where it ends.
        windows: Number of windows that agree on it.
        match: Match of the window that is nearest to the work; its distance is that window's.

    Examples:
        >>> from mulkinet import Index
        >>> index = Index.build("music.index", "music", "chords.h5", progress=False)
        >>> spans = index.identify("music/Girl/studio.wav", segment_sec=15).spans
        >>> spans[0].start_sec, spans[0].match.work_id
        (0.0, 'Girl')
    """

    start_sec: float
    end_sec: float
    windows: int
    match: Match


@dataclass(frozen=True)
class Answer:
    """The answer to one query.

    Attributes:
        query: Its path, or its number among the queries where it was an array.
        seconds: Its length; None where it could not be read.
        heard_sec: Seconds of it that were used, from its beginning; None likewise.
        works: list of Match, the nearest works, each by its nearest track.
        tracks: list of Match, the nearest tracks.
        spans: list of Span, where windows were asked for; `works` and `tracks` are empty then.
        warnings: list of str.
        alignments: list of Aligned, of the first works where asked for; None of one that has no chroma.
        skipped: The reason why there is no answer; None if there is one.
        none: Probability that the index holds no cover of it; None without calibration, and of spans. It, those of all
            works listed, and `others` sum to 1.
        others: Probability of works of the index that are not listed; None likewise.
        is_none: Whether `none` is at least 0.5: the answer is "none of these"; None likewise.
        rule: posterior.Rule, when an answer is a yes and what that costs; None likewise.

    Examples:
        >>> from mulkinet import Index
        >>> index = Index.build("music.index", "music", "chords.h5", progress=False)
        >>> answer = index.identify("music/Girl/studio.wav")
        >>> answer.query, round(answer.seconds), [match.work_id for match in answer.works]
        ('music/Girl/studio.wav', 30, ['Girl', 'Help'])
    """

    query: str
    seconds: Optional[float] = None
    works: list = field(default_factory=list)
    tracks: list = field(default_factory=list)
    spans: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    alignments: list = field(default_factory=list, repr=False)
    skipped: Optional[str] = None
    heard_sec: Optional[float] = None
    none: Optional[float] = None
    others: Optional[float] = None
    is_none: Optional[bool] = None
    rule: Optional[Rule] = None

    def to_dict(self):
        """All but the alignments as plain dicts and lists, for JSON."""
        values = asdict(replace(self, alignments=[]))
        values.pop("alignments")
        return values
