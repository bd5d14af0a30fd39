"""What NumPy raises for files that are damaged, cut short or not its own.

The header of a `.npy` file is Python's own notation; a `.npz` file is a zip archive of such files.
"""

import struct
import tokenize
import zipfile
import zlib

__all__ = ["UNREADABLE"]

UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    TypeError,
    ArithmeticError,
    SyntaxError,
    tokenize.TokenError,
    RecursionError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    RuntimeError,  # an archive that is encrypted, or compressed in an unknown way
)
