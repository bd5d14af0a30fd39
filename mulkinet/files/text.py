"""Text that others wrote, such as tags and file names, made fit for a terminal and a table."""

import unicodedata

__all__ = ["in_one_line"]


def in_one_line(text, keep=""):
    """Shows what cannot be printed as an escape: line ends, control characters, marks that turn the writing.

    Args:
        text: str; bytes of a file name that are no UTF-8 are surrogates in it.
        keep: Characters to leave as they are.

    Returns:
        str in which a terminal finds nothing to obey.
    """
    return "".join(
        c if c.isprintable() or c in keep or unicodedata.category(c) == "Zs" else repr(c)[1:-1]
        for c in str(text)
    )
