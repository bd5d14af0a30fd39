"""Pages to look at and listen to: one style (page.css), one set of parts (page.js), one template (page.html).

    page           a page of data, and the picture of an alignment
    match_page     two recordings
    answers_page   queries and what they are answered with
    set_list_page  what is played when
    groups_page    tracks that are versions of each other

A page holds its data as JSON and asks the network for nothing. `mulkinet serve` uses the same style and parts.
"""

from pathlib import Path

__all__ = ["PARTS"]

PARTS = tuple(Path(__file__).with_name(name) for name in ("page.css", "page.js"))
