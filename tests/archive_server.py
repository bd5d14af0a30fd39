"""A server of one archive that may cut the connection, refuse, or send something else.

Public names: `CONTENT`, `ArchiveServer`, `archive_of`, `serving`.
"""

import contextlib
import http.server
import io
import re
import threading
import zipfile

import numpy as np

CONTENT = {"set/W_1/P_1.h5": bytes(np.random.default_rng(0).integers(0, 256, 50_000, np.uint8))}


def archive_of(content, **entry):
    """Bytes of a zip of {name: bytes}."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = entry.get("mode", 0) << 16
            archive.writestr(info, data)
    return file.getvalue()


class ArchiveServer(http.server.ThreadingHTTPServer):
    """Serves `content`; after `cut` bytes of an answer it closes the connection."""

    def __init__(self, content):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.cut = None
        self.has_ranges = True
        self.status = None
        self.refusals = []
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/set.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, content = self.server, self.server.content
        wanted = self.headers.get("Range")
        server.requests.append(wanted)
        if server.refusals:
            status, wait = server.refusals.pop(0)
            self.send_response(status)
            self.send_header("Retry-After", wait)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if server.status:
            self.send_error(server.status)
            return
        start = 0
        if wanted and server.has_ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: server.cut])

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(server):
    """Answers requests to an http.server in a thread during the block."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
