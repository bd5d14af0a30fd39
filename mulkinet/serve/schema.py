"""What the answers hold; FastAPI checks them by it, and describes them in /openapi.json."""

from typing import Optional

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Answer", "Error", "Groups", "Health", "Pair", "Picture", "Works"]


class Error(BaseModel):
    """Why there is no answer."""

    detail: str = Field(description="What was expected, what was found, what to try.")


class Track(BaseModel):
    """A track of the collection."""

    # What `mulkinet identify --json` says of it besides is told as it is.
    model_config = ConfigDict(extra="allow")
    id: str = Field(description="Its name in /audio/ID.")
    work_id: str
    track_id: str
    title: str = Field(description="What a person calls it; empty if unknown.")
    audio: Optional[str] = Field(description="Where to hear it; null without a file.")


class Box(BaseModel):
    """A part of a plot, in seconds."""

    x: float
    y: float
    width: float
    height: float


class Picture(BaseModel):
    """Where two recordings match: B runs across, A downwards."""

    plot: str = Field(
        description="Address of a PNG, data:image/png;base64: dark where both are alike."
    )
    extent: Box = Field(description="Where the PNG lies.")
    path: list[tuple[float, float]] = Field(
        description="Seconds in A and in B along which they match."
    )
    spans: list[tuple[float, float, float, float]] = Field(
        description="(start_a, end_a, start_b, end_b) in seconds, longest first."
    )
    transposition: int = Field(description="Semitones that B is above A, from -5 to 6.")
    tempo_ratio: float = Field(description="Speed of B divided by that of A.")
    seconds_a: float
    seconds_b: float


class Match(Track):
    """A track of the collection that is near to the query."""

    distance: float = Field(description="Distance of its embedding from the query's.")
    probability: Optional[float] = Field(
        description="That it is a cover; null where not calibrated."
    )
    alignment: Optional[Picture] = Field(None, description="Where it matches, where asked for.")


class Span(BaseModel):
    """A part of a long recording."""

    model_config = ConfigDict(extra="allow")
    start_sec: float
    end_sec: float
    match: Match


class Answer(BaseModel):
    """What a recording is a cover of."""

    model_config = ConfigDict(extra="allow")
    query: str = Field(description="Name of the uploaded file.")
    seconds: Optional[float] = Field(description="Its length.")
    works: list[Match] = Field(description="The nearest works, each by its nearest track.")
    tracks: list[Match] = Field(description="The nearest tracks.")
    spans: list[Span] = Field(description="What is played when, where windows were asked for.")
    warnings: list[str]


class Pair(BaseModel):
    """Two recordings, and whether they are of the same work."""

    model_config = ConfigDict(extra="allow")
    a: str
    b: str
    seconds_a: float
    seconds_b: float
    score: float = Field(description="Of the alignment; 0 or more.")
    probability: float = Field(
        description="Of the same work, where half of the pairs asked about are."
    )
    is_cover: bool = Field(description="Whether the probability is 0.5 or more.")
    same_recording: Optional[bool]
    transposition: int = Field(description="Semitones that B is above A, from -5 to 6.")
    tempo_ratio: float = Field(description="Speed of B divided by that of A.")
    spans: list[tuple[float, float, float, float]] = Field(
        description="(start_a, end_a, start_b, end_b) in seconds, longest first."
    )
    summary: list[str] = Field(description="The same in sentences.")
    alignment: Picture


class Work(BaseModel):
    """A work of the collection."""

    work_id: str
    tracks: list[Track]


class Works(BaseModel):
    """Works whose names hold all words that were asked for."""

    total: int = Field(description="Their number; `works` is a page of them.")
    works: list[Work]


class GroupTrack(Track):
    """A track of a group."""

    is_misfiled: bool = Field(description="Whether it is in the wrong work.")


class GroupPair(BaseModel):
    """Two tracks of a group that are covers of each other."""

    a: int = Field(description="Place of one among the group's tracks, from 0.")
    b: int
    words: str = Field(description="The same recording or two performances, and how sure that is.")


class Group(BaseModel):
    """Tracks that are versions of each other."""

    finding: str = Field(description="works told apart, track in the wrong work, or as filed")
    title: str
    tracks: list[GroupTrack]
    pairs: list[GroupPair]


class Groups(BaseModel):
    """The groups of the collection, those with something to mend first."""

    tracks: int = Field(description="Tracks of the collection.")
    aligned: bool = Field(description="Whether pairs were confirmed by alignment.")
    groups: list[Group]


class Health(BaseModel):
    """The state of the server."""

    status: str
    version: str
    tracks: int
    works: int
    network: str
    feature: str
    pending: int = Field(description="Requests that wait or are worked on.")
    limit: int = Field(description="More of them are answered with 503.")
    max_mb: float
    max_sec: float
