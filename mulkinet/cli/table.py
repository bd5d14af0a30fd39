"""Tables in the terminal."""

from mulkinet.files.text import in_one_line

__all__ = ["table", "without_empty"]


def table(rows):
    """Lays out cells in columns: the first column to the left, the others to the right.

    Rows are of str, all of one length, and the first holds the headings; the text has no line end.
    """
    rows = [[in_one_line(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))])
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in [lines[0], "-" * len(lines[0]), *lines[1:]])


def without_empty(rows):
    """The same rows (list of tuple of str) without the columns that are empty below the heading."""
    kept = [column for column in zip(*rows) if any(column[1:])]
    return list(zip(*kept))
