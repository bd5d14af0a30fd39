"""What a query is answered with. Public names: `Match`, `Span`, `Answer`."""

from dataclasses import asdict, dataclass, field, replace
from typing import Optional

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
        probability: Probability that it is a cover of the query; None without calibration.
        is_cover: Whether the distance that decides is within tau; None without tau.
        reranked: Distance after alignment, which decides where there is one; None without.
    """

    work_id: str
    track_id: str
    title: str
    path: str
    distance: float
    probability: Optional[float]
    is_cover: Optional[bool]
    reranked: Optional[float] = None


@dataclass(frozen=True)
class Span:
    """A part of a long recording.

    Attributes:
        start_sec: Where it begins, in seconds.
        end_sec: Where it ends.
        windows: Number of windows that agree on it.
        match: Match of the window that is nearest to the work; its distance is that window's.
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
        works: list of Match, the nearest works, each by its nearest track.
        tracks: list of Match, the nearest tracks.
        spans: list of Span, where windows were asked for; `works` and `tracks` are empty then.
        warnings: list of str.
        alignments: list of Aligned, of the first works where asked for; None of one that has no chroma.
        skipped: The reason why there is no answer; None if there is one.
    """

    query: str
    seconds: Optional[float] = None
    works: list = field(default_factory=list)
    tracks: list = field(default_factory=list)
    spans: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    alignments: list = field(default_factory=list, repr=False)
    skipped: Optional[str] = None

    def to_dict(self):
        """All but the alignments as plain dicts and lists, for JSON."""
        values = asdict(replace(self, alignments=[]))
        values.pop("alignments")
        return values
