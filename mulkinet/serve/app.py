"""What is asked over HTTP, and what is answered."""

import contextlib
import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Optional

from fastapi import (
    APIRouter,
    Depends,
    FastAPI,
    File,
    Form,
    HTTPException,
    Query,
    Request,
    UploadFile,
)
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware

import mulkinet
from mulkinet.errors import MulkinetError
from mulkinet.features.audio import is_audio
from mulkinet.features.provenance import SR
from mulkinet.identify.aligned import align_tracks
from mulkinet.identify.groups import find_groups
from mulkinet.identify.index import Index
from mulkinet.identify.match import FEATURES, match
from mulkinet.identify.match_text import describe
from mulkinet.identify.pages import PARTS
from mulkinet.identify.pages.answers_page import answer_data
from mulkinet.identify.pages.groups_page import group_data
from mulkinet.identify.pages.page import picture
from mulkinet.serve.catalogue import Catalogue
from mulkinet.serve.limits import BodyLimits
from mulkinet.serve.schema import Answer, Error, Groups, Health, Pair, Picture, Works
from mulkinet.serve.work import Work

__all__ = ["Limits", "make_app"]

_HERE = Path(__file__).parent
_STATIC = {path.name: path for path in (*PARTS, _HERE / "app.js", _HERE / "app.css")}
# Whatever a title or a file's name holds, nothing but this server's scripts runs.
_PAGE_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' blob:; frame-ancestors 'none'",
}
_ERRORS = {
    400: "not understood",
    403: "another site's page",
    408: "the body came too slowly",
    413: "the body is too large",
    415: "no sound that can be used",
    422: "a value is missing or wrong",
    503: "too many requests wait",
}
_NOT_FOUND = {404: {"model": Error, "description": "no such track, or no audio of it"}}


@dataclass(frozen=True)
class Limits:
    """What a request may take.

    Attributes:
        max_mb: Size of its body in MB.
        max_sec: Length of a sound.
        decode_sec: Time to decode one.
        queue: Requests that may wait or be worked on.
    """

    max_mb: float = 100.0
    max_sec: float = 900.0
    decode_sec: float = 30.0
    queue: int = 16


@dataclass
class _Service:
    """What requests are answered from."""

    index: Index
    catalogue: Catalogue
    work: Work
    limits: Limits
    uploads: Path

    @functools.cached_property
    def _groups(self):
        return find_groups(self.index, progress=False)

    def groups(self, tau):
        """Groups of the collection; those of its own tau are found once."""
        return self._groups if tau is None else find_groups(self.index, tau=tau, progress=False)

    async def samples(self, upload):
        """Samples of an uploaded file, which is gone afterwards."""
        path = await run_in_threadpool(_save, upload, self.uploads)
        try:
            return await self.work.decode(path)
        finally:
            path.unlink()


def _service_of(request: Request):
    return request.app.state.service


def _from_its_own_page(request: Request):
    """Other sites' pages, in a browser that can reach this server, are to make no work for it."""
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise HTTPException(403, "expected a request of this server's page or of a program")


_UPLOAD = {
    "responses": {code: {"model": Error, "description": why} for code, why in _ERRORS.items()},
    "dependencies": [Depends(_from_its_own_page)],
}
_Recording = Annotated[UploadFile, File(description="A recording of any format that FFmpeg reads.")]
_Serving = Annotated[_Service, Depends(_service_of)]
_routes = APIRouter()


def make_app(index, *, limits=None, show_paths=False, hosts=("*",)):
    """The application of an index.

    Args:
        index: Index, opened.
        limits: Limits, or None for the defaults.
        show_paths: Whether paths of the collection are told.
        hosts: Names by which the server may be called; others' pages cannot read from it by a name of their own.

    Returns:
        fastapi.FastAPI.
    """
    limits = limits or Limits()

    @contextlib.asynccontextmanager
    async def lifespan(app):
        work = Work(limits.queue, limits.max_sec, limits.decode_sec)
        with tempfile.TemporaryDirectory(prefix="mulkinet-serve-") as folder:
            catalogue = Catalogue(index.data.ids, show_paths)
            app.state.service = _Service(index, catalogue, work, limits, Path(folder))
            yield
            work.close()

    app = FastAPI(
        title="mulkinet",
        version=mulkinet.__version__,
        description="Which song is this? Answers from an index of a collection.",
        lifespan=lifespan,
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(_routes)
    app.add_middleware(BodyLimits, max_bytes=int(limits.max_mb * 1e6))
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_exception_handler(RequestValidationError, _tell_invalid)
    app.add_exception_handler(MulkinetError, _tell_error)
    return app


@_routes.get("/", include_in_schema=False)
async def _page():
    return FileResponse(_HERE / "app.html", headers=_PAGE_HEADERS)


@_routes.get("/static/{name}", include_in_schema=False)
async def _static(name: str):
    if name not in _STATIC:
        raise HTTPException(404, "expected a part of the page")
    return FileResponse(_STATIC[name], headers={"cache-control": "no-cache"})


@_routes.get("/health", response_model=Health)
async def health(service: _Serving):
    """Says that the server is there, and how busy it is."""
    config, limits = service.index.data.config, service.limits
    return {
        "status": "ok",
        "version": mulkinet.__version__,
        "tracks": len(service.index),
        "works": service.index.n_works,
        "network": config["network"],
        "feature": config["feature"],
        "pending": service.work.n_pending,
        "limit": limits.queue,
        "max_mb": limits.max_mb,
        "max_sec": limits.max_sec,
    }


@_routes.get("/works", response_model=Works)
async def works(
    service: _Serving,
    q: str = Query("", max_length=200, description="Words of titles or names; empty for all."),
    offset: int = Query(0, ge=0),
    limit: int = Query(50, ge=1, le=500),
):
    """Searches the collection by text."""
    total, found = await run_in_threadpool(service.catalogue.works, q, offset, limit)
    return {"total": total, "works": found}


@_routes.head("/audio/{track}", include_in_schema=False)
@_routes.get("/audio/{track}", response_class=FileResponse, responses=_NOT_FOUND)
async def audio(track: str, service: _Serving):
    """A track of the collection, whole or by ranges."""
    found = service.catalogue.audio(track)
    if found is None:
        raise HTTPException(404, f"expected the id of a track with audio, found {track!r}")
    path, kind = found
    return FileResponse(path, media_type=kind)


@_routes.get("/groups", response_model=Groups, responses=_UPLOAD["responses"])
async def groups(
    service: _Serving,
    tau: Optional[float] = Query(
        None, allow_inf_nan=False, description="Look at pairs within this distance."
    ),
):
    """Tracks of the collection that are versions of each other; found when first asked for."""
    async with service.work as work:
        found = await work.run(service.groups, tau)
    told = [group_data(group, service.catalogue.told) for group in found.groups]
    return {"tracks": found.tracks, "aligned": found.aligned, "groups": told}


@_routes.get("/pairs/{a}/{b}", response_model=Picture, responses=_NOT_FOUND)
async def tracks_pair(a: str, b: str, service: _Serving):
    """Where two tracks of the collection match."""
    rows = [service.catalogue.row(track) for track in (a, b)]
    if None in rows:
        raise HTTPException(404, f"expected the ids of two tracks, found {a!r} and {b!r}")
    async with service.work as work:
        found = await work.run(align_tracks, service.index, *rows)
    if found is None:
        raise HTTPException(404, "expected two tracks with chroma to align, found one without")
    return await run_in_threadpool(picture, *found)


@_routes.post("/identify", response_model=Answer, **_UPLOAD)
async def identify(
    service: _Serving,
    audio: _Recording,
    top: int = Form(10, ge=1, le=100, description="Works and tracks to name."),
    segments: Optional[float] = Form(
        None, ge=1, le=3600, description="Report spans of time, from windows of this many seconds."
    ),
    alignments: int = Form(
        0, ge=0, le=20, description="Works of which it is told where they match the recording."
    ),
):
    """Finds what a recording is a cover of."""
    async with service.work as work:
        y = await service.samples(audio)
        options = {"top": top, "segment_sec": segments, "n_aligned": alignments}
        answer = await work.run(lambda: service.index.identify(y, **options))
    found = await run_in_threadpool(answer_data, answer, service.catalogue.told)
    return {**found, "query": audio.filename or "", "seconds": len(y) / SR}


@_routes.post("/match", response_model=Pair, **_UPLOAD)
async def pair(
    service: _Serving,
    a: _Recording,
    b: _Recording,
    feature: str = Form("crema", description=f"What is compared: {', '.join(FEATURES)}."),
):
    """Tells whether two recordings are of the same work, and where they match."""
    async with service.work as work:
        sounds = [await service.samples(a), await service.samples(b)]
        found = await work.run(lambda: match(*sounds, feature=feature))
    told = {**found.to_dict(), "a": a.filename or "", "b": b.filename or ""}
    plot = await run_in_threadpool(picture, found.alignment, found.seconds_a, found.seconds_b)
    return {**told, "summary": describe(found), "alignment": plot}


def _save(upload, folder):
    """Gives an upload a name, so that another process can read it."""
    name = Path(upload.filename or "")
    # Some formats are known by nothing else.
    suffix = name.suffix.lower() if is_audio(Path(f"x{name.suffix}")) else ""
    with tempfile.NamedTemporaryFile(dir=folder, suffix=suffix, delete=False) as file:
        shutil.copyfileobj(upload.file, file)
    return Path(file.name)


async def _tell_invalid(request: Request, error: RequestValidationError):
    kind = request.headers.get("content-type", "")
    if request.method == "POST" and not kind.startswith("multipart/form-data"):
        found = kind or "no content type"
        return JSONResponse({"detail": f"expected multipart/form-data, found {found}"}, 415)
    wrong = [f"{each['loc'][-1]}: {each['msg']}" for each in error.errors()]
    return JSONResponse({"detail": "; ".join(wrong)}, 422)


async def _tell_error(_request: Request, error: MulkinetError):
    return JSONResponse({"detail": str(error)}, 422)
