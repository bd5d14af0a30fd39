"""Set lists as files that other programs read: Audacity's labels and cue sheets.

Formats: a label track is a line a label, start and end in seconds and a text, divided by tabs (Audacity manual,
"Importing and Exporting Labels"). A cue sheet names a file and numbers tracks of it from 01 to 99, whose INDEX 01
is minutes, seconds and frames of a 75th of a second (CDRWIN's user guide, appendix A).
"""

from pathlib import PurePath

from mulkinet.errors import MulkinetError

__all__ = ["audacity_labels", "cue_sheet"]

_FRAMES_A_SECOND = 75
_MOST_TRACKS = 99
# What players know; anything else they decode is called WAVE, whatever it is.
_FILE_TYPES = {".mp3": "MP3", ".aif": "AIFF", ".aiff": "AIFF"}


def audacity_labels(set_list):
    """A label track of a SetList: a line a span."""
    return "".join(
        f"{span.start_sec:.3f}\t{span.end_sec:.3f}\t{_one_line(span.name)}\n"
        for span in set_list.spans
    )


def cue_sheet(set_list):
    """A cue sheet of a SetList: a track begins where a work does, and lasts until the next.

    Raises:
        MulkinetError: More spans than a cue sheet has tracks.
    """
    if len(set_list.spans) > _MOST_TRACKS:
        raise MulkinetError(
            f"expected up to {_MOST_TRACKS} works, which a cue sheet can number, found {len(set_list.spans)}; "
            "use --labels or --csv, or cut the recording"
        )
    name = PurePath(set_list.query).name
    kind = _FILE_TYPES.get(PurePath(name).suffix.lower(), "WAVE")
    lines = [f'TITLE "{_quoted(PurePath(name).stem)}"', f'FILE "{_quoted(name)}" {kind}']
    for number, span in enumerate(set_list.spans, start=1):
        lines += [
            f"  TRACK {number:02d} AUDIO",
            f'    TITLE "{_quoted(span.name)}"',
            f"    INDEX 01 {_cue_time(span.start_sec)}",
        ]
    return "\n".join(lines) + "\n"


def _cue_time(seconds):
    frames = round(seconds * _FRAMES_A_SECOND)
    minutes, frames = divmod(frames, 60 * _FRAMES_A_SECOND)
    return f"{minutes:02d}:{frames // _FRAMES_A_SECOND:02d}:{frames % _FRAMES_A_SECOND:02d}"


def _quoted(text):
    # A cue sheet knows no way to write a quotation mark.
    return _one_line(text).replace('"', "'")


def _one_line(text):
    return " ".join(text.split())
