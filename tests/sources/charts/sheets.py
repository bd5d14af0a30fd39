"""Sheets of every kind that is read, the smallest that say something, and hostile ones."""

import io
import zipfile

ABC = """X:1
T:Test tune
M:4/4
L:1/4
Q:1/4=100
K:C
|: "C"CDEF | "Am7"GABc :| "F"F4 | "G7"G4 |]

X:2
T:No chords
M:3/4
L:1/4
K:C
CDE|FGA|
"""

TEXT = """title: Autumn song
meter: 3/4
bpm: 96
[A]
|: Am7 | D7 | G^7 . C | % :|
| F#m7b5/E / B7 | Em | N.C. |
"""

_NOTE = "<note><pitch><step>{}</step><octave>4</octave></pitch><duration>4</duration></note>"
_HARMONY = "<harmony><root><root-step>{}</root-step></root><kind>major</kind></harmony>"
_MEASURE = '<measure number="{}">{}' + _HARMONY + "{}</measure>"


def musicxml(head="", title="A score", times=None):
    """Four bars of C, F, G, C, a whole note each; the first two are repeated where times are given."""
    time = "<time><beats>4</beats><beat-type>4</beat-type></time>"
    attributes = f"<attributes><divisions>1</divisions>{time}</attributes>"
    begin = end = ""
    if times:
        begin = '<barline location="left"><repeat direction="forward"/></barline>'
        end = f'<barline location="right"><repeat direction="backward" times="{times}"/></barline>'
    bars = [
        _MEASURE.format(1, attributes + begin, "C", _NOTE.format("E")),
        _MEASURE.format(2, "", "F", _NOTE.format("A") + end),
        _MEASURE.format(3, "", "G", _NOTE.format("B")),
        _MEASURE.format(4, "", "C", _NOTE.format("C")),
    ]
    return (
        f'<?xml version="1.0"?>{head}<score-partwise version="3.1"><work><work-title>{title}</work-title>'
        '</work><part-list><score-part id="P1"><part-name>Music</part-name></score-part></part-list>'
        f'<part id="P1">{"".join(bars)}</part></score-partwise>'
    )


BOMB = musicxml('<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>', "&b;")
EXTERNAL = musicxml('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>', "&e;")
# What exporters write: a document type of MusicXML, by its address, which nobody fetches.
WITH_DOCTYPE = musicxml(
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 3.1 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">'
)


def mxl(xml, name="score.xml"):
    """An .mxl archive of a score."""
    content = io.BytesIO()
    container = f'<container><rootfiles><rootfile full-path="{name}"/></rootfiles></container>'
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("score.xml", xml)
    return content.getvalue()


def _midi_track(events):
    """events: (delta ticks, bytes)."""
    body = b"".join(bytes([0x80 | delta >> 7, delta & 0x7F]) + data for delta, data in events)
    body += b"\x00\xff\x2f\x00"
    return b"MTrk" + len(body).to_bytes(4, "big") + body


def midi():
    """Two bars: a melody E F, under it C E G and F A C; 480 ticks a quarter, 120 bpm."""
    melody, chords = [(0, b"\xff\x03\x06MELODY")], []
    for pitch in (76, 77):
        melody += [(0, bytes([0x90, pitch, 80])), (1920, bytes([0x80, pitch, 0]))]
    for notes in ((48, 52, 55), (41, 45, 48)):
        chords += [(0, bytes([0x91, n, 80])) for n in notes]
        chords += [(1920 if i == 0 else 0, bytes([0x81, n, 0])) for i, n in enumerate(notes)]
    return (
        b"MThd\x00\x00\x00\x06\x00\x01\x00\x02\x01\xe0" + _midi_track(melody) + _midi_track(chords)
    )
