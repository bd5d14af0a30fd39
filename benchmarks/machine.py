"""The machine that a benchmark ran on: ratios differ from one kind of processor to another.

Public names: `processor`.
"""

import platform
from pathlib import Path


def processor():
    """str: the processor's name, and the widest vector instructions that it has."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine()
    facts = dict(
        (part.strip() for part in line.split(":", 1))
        for line in info.read_text(encoding="utf-8").splitlines()
        if ":" in line
    )
    flags = facts.get("flags", "").split()
    widest = next((name for name in ("avx512f", "avx2", "avx", "sse4_1") if name in flags), "")
    return f"{facts.get('model name', platform.machine())} {widest}".strip()
