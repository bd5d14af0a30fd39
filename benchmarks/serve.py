"""`mulkinet serve` under load, on the loopback: nothing lost, memory flat, how long an answer takes.

    python benchmarks/serve.py --index datasets/demo.index [--clients 8] [--requests 200] [--seconds 6]

The queries are excerpts of the collection's own audio, fetched from the server. Extracting features of a query is what
takes the time, so they are short: the numbers hold for their length.
"""

import argparse
import io
import itertools
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import soundfile

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
    with httpx.Client(base_url=address, timeout=600, trust_env=False) as client:
        sounds = excerpts(client, arguments.seconds)
    turns = itertools.cycle(sounds)
    memory = []

    def ask(number_and_sound):
        _, (work, sound) = number_and_sound
        start = time.perf_counter()
        with httpx.Client(base_url=address, timeout=600, trust_env=False) as client:
            answer = client.post("/identify", files={"audio": ("query.wav", sound)})
        memory.append(resident_mb(pid))
        right = answer.status_code == 200 and answer.json()["works"][0]["work_id"] == work
        return answer.status_code, time.perf_counter() - start, right

    start = time.perf_counter()
    with ThreadPoolExecutor(arguments.clients) as pool:
        found = list(pool.map(ask, zip(range(arguments.requests), turns)))
    seconds = time.perf_counter() - start
    statuses, times, right = zip(*found)
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    print(
        f"{len(found)} requests of {arguments.seconds:g} s by {arguments.clients} clients: {counts}"
    )
    print(f"{sum(right)} name the work that the excerpt is of")
    print(
        f"{len(found) / seconds:.2f} a second; median {statistics.median(times):.2f} s, longest {max(times):.2f} s"
    )
    quarter = len(memory) // 4
    marks = [memory[min(n * quarter, len(memory) - 1)] for n in range(5)]
    print(
        f"resident memory, MB, from the first request to the last: {', '.join(f'{mark:.0f}' for mark in marks)}"
    )


def excerpts(client, seconds):
    """Up to 16 (work_id, WAV file) from the collection's audio."""
    works = client.get("/works", params={"limit": _EXCERPTS}).json()["works"]
    found = []
    for work in works:
        address = work["tracks"][0]["audio"]
        y, sr = soundfile.read(io.BytesIO(client.get(address).content), dtype="float32")
        file = io.BytesIO()
        middle = len(y) // 2
        soundfile.write(file, y[middle : middle + int(seconds * sr)], sr, format="WAV")
        found.append((work["work_id"], file.getvalue()))
    return found


def resident_mb(pid):
    """Resident memory of a process and its children in MB."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0
    for process in (pid, *children):
        try:
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
        except FileNotFoundError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return total / 1024


if __name__ == "__main__":
    main()
