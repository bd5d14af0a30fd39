"""`mulkinet serve` under load, on the loopback: nothing lost, memory flat, how long an answer takes.

    python benchmarks/serve.py --index datasets/demo.index [--clients 8] [--requests 200] [--seconds 6]

The queries are excerpts of the collection's own audio, fetched from the server. Extracting features of a query is what
takes the time, so they are short: the numbers hold for their length.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import soundfile
from machine import processor

_EXCERPTS = 16


def main():
    """Starts the server, and ends it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", required=True)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=6.0)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "mulkinet", "serve", "--index", arguments.index, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    address = server.stdout.readline().split(" at ")[1].split()[0]
    try:
        load(server.pid, address, arguments)
    finally:
        server.terminate()
        print(f"the server ended with {server.wait()}")


def load(pid, address, arguments):
    """Sends the requests and prints what came of them."""

    def ask(sound):
        start = time.perf_counter()
        with httpx.Client(base_url=address, timeout=600, trust_env=False) as client:
            answer = client.post("/identify", files={"audio": ("query.wav", sound)})
        memory.append(resident_mb(pid))
        works = [work["work_id"] for work in answer.json().get("works", ())]
        return answer.status_code, time.perf_counter() - start, works

    memory = []
    with httpx.Client(base_url=address, timeout=600, trust_env=False) as client:
        sounds = excerpts(client, arguments.seconds)
    alone = [ask(sound)[2] for sound in sounds]
    memory.clear()
    busy, start = processor_sec(pid), time.perf_counter()
    turns = [turn % len(sounds) for turn in range(arguments.requests)]
    with ThreadPoolExecutor(arguments.clients) as pool:
        found = list(pool.map(ask, [sounds[turn] for turn in turns]))
    seconds, busy = time.perf_counter() - start, processor_sec(pid) - busy
    statuses, times, works = zip(*found)
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    same = sum(works[i] == alone[turn] for i, turn in enumerate(turns))
    print(f"{processor()}, {os.cpu_count()} cores")
    load_average = Path("/proc/loadavg").read_text().split()[0]
    print(
        f"{len(found)} requests of {arguments.seconds:g} s by {arguments.clients} clients: {counts}"
    )
    print(f"{same} answered as when asked alone")
    print(
        f"{len(found) / seconds:.2f} a second; median {statistics.median(times):.2f} s, longest {max(times):.2f} s"
    )
    print(f"processor time of a request {busy / len(found):.2f} s; load average {load_average}")
    marks = [memory[(len(memory) - 1) * quarter // 4] for quarter in range(5)]
    print(
        f"resident memory, MB, from the first request to the last: {', '.join(f'{mark:.0f}' for mark in marks)}"
    )


def excerpts(client, seconds):
    """Up to 16 WAV files, of the middle of the collection's audio."""
    works = client.get("/works", params={"limit": _EXCERPTS}).json()["works"]
    found = []
    for work in works:
        address = work["tracks"][0]["audio"]
        y, sr = soundfile.read(io.BytesIO(client.get(address).content), dtype="float32")
        file = io.BytesIO()
        middle = len(y) // 2
        soundfile.write(file, y[middle : middle + int(seconds * sr)], sr, format="WAV")
        found.append(file.getvalue())
    return found


def processes(pid):
    """A process and its children."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(int(child) for task in children for child in task.read_text().split())]


def resident_mb(pid):
    """Resident memory of a process and its children in MB."""
    pages = [int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in processes(pid)]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_sec(pid):
    """Seconds of processor time that a process and its children have taken."""
    fields = [
        Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split() for each in processes(pid)
    ]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
