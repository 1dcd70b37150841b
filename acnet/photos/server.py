"""A page on this machine alone: photos are dropped on it, and leave the memory with it.

Whoever can make a browser of this machine ask something, as any page on the web can, gets nothing:
requests must name this server as their host and come from its own page. Each answer ends its
connection, bodies have a limit, and names of files are looked up, never opened.
"""

import dataclasses
import http.server
import json
import logging
import re
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import numpy as np

from acnet.errors import UserError, printable
from acnet.files import cut_name
from acnet.photos.decode import in_srgb
from acnet.photos.draw import encode_picture, lesion_crops, limited, thumbnail
from acnet.photos.folder import photo_result
from acnet.photos.page import gallery_page
from acnet.photos.photo_records import FOLDER_OF, Part
from acnet.photos.read import MAX_MEGAPIXELS, read_photo_file
from acnet.photos.results import (
    RESULT_TABLES,
    FailedPhoto,
    PhotoResult,
    arrays_of,
    images_info,
    table_texts,
)
from acnet.photos.sources import Source
from acnet.photos.worker import Detector, Job, find_lesions

logger = logging.getLogger(__name__)

MOST_PHOTOS = 200
MOST_BYTES = 1 << 30  # of all pictures together
NAME_BYTES = 200
ADDRESS = "127.0.0.1"
MOST_UPLOAD_BYTES = 64 << 20  # of one photo's file
MOST_REQUESTS = 16  # at once
SECONDS = 30.0  # that a client may be silent
OWN_HEADER = "X-ACNet"  # which a page of another site cannot send without asking us first
NAME_HEADER = "X-Name"
TYPES = {".jpg": "image/jpeg", ".csv": "text/csv; charset=utf-8", ".json": "application/json"}
SAFETY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Site(Protocol):
    """What a `PhotoServer` serves."""

    def page(self) -> str:
        """Return the page."""

    def file(self, name: str) -> bytes | None:
        """Return a file by its name on the page; None where there is none."""

    def most_bytes(self, path: str) -> int | None:
        """Return how much may be sent to a path; None where nothing is taken."""

    def post(self, path: str, name: str, content: bytes) -> dict:
        """Take what is sent to such a path under a name; return the answer to it."""


class Session:
    """The photos that a page was given, with what was found in them, until they are forgotten.

    The detector is asked about one photo at a time; larger ones than `max_megapixels` are refused.
    """

    def __init__(self, detector: Detector, *, max_megapixels: float = MAX_MEGAPIXELS):
        self._detector = detector
        self._max_megapixels = max_megapixels
        self._engine, self._lock = threading.Lock(), threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Drop all photos and what was found in them."""
        with self._lock:
            self._parts: list[Part] = []
            self._results: list[PhotoResult] = []
            self._failed: list[FailedPhoto] = []
            self._pictures: dict[str, bytes] = {}
            self._round = object()  # photos under way are of an earlier one

    def add(self, name: str, content: bytes) -> str | None:
        """Find the lesions of a photo from its file's content; return why not, None where it is."""
        name = cut_name(printable(name).replace("\n", " "), NAME_BYTES) or "photo"
        this_round, reason = self._round, self._full()
        if reason is None:
            try:
                with self._engine:
                    return self._find(name, content, this_round)
            except Exception as error:
                reason = f"{error}" or "it does not fit the memory"
                reason = re.sub(r" <_io\.BytesIO[^>]*>", "", reason)  # Pillow's name of it
                if not isinstance(error, UserError | OSError):
                    logger.debug("%s", name, exc_info=error)
                    reason = f"{type(error).__name__}: {reason}"
        with self._lock:
            if self._round is this_round:  # a name is forgotten as its photo is
                self._failed = [*self._failed, FailedPhoto(name=name, reason=reason)][-MOST_PHOTOS:]
        return reason

    def _full(self) -> str | None:
        size = sum(map(len, self._pictures.values()))
        if len(self._results) < MOST_PHOTOS and size < MOST_BYTES:
            return None
        return (
            f"A page holds up to {MOST_PHOTOS} photos and {MOST_BYTES >> 20} MB of pictures in "
            "memory, and this one is full. Let it forget them first, or use `acnet predict`."
        )

    def _find(self, name: str, content: bytes, this_round: object) -> None:
        start = time.perf_counter()
        photo = read_photo_file(name, content, max_megapixels=self._max_megapixels)
        part = find_lesions(self._detector, photo, start)
        pictures = self._draw(in_srgb(photo.image_bgr, photo.profile), part)
        with self._lock:
            if self._round is not this_round:
                return
            number = len(self._results) + 1
            files = {kind: f"{FOLDER_OF[kind]}/{number}.jpg" for kind in pictures}
            part = dataclasses.replace(part, files=files)
            job = Job(image_id=number, source=Source(Path(name), name, f"{number}"), key="")
            self._pictures.update({files[kind]: one for kind, one in pictures.items()})
            self._parts.append(part)
            self._results.append(photo_result(job, part, self._detector.rule))

    def _draw(self, photo_bgr: np.ndarray, part: Part) -> dict[str, bytes]:
        """Return the files of a photo's pictures by kind, small enough for a page."""
        rule = self._detector.rule
        counted = [row for row in part.rows if row["score"] >= rule.threshold]
        boxes_xyxy, _, _ = arrays_of(sorted(counted, key=lambda row: -row["score"]))
        photo_rgb, _ = limited(photo_bgr)
        pictures = {"photo": photo_rgb, "thumbnail": thumbnail(photo_rgb)}
        crops = lesion_crops(photo_bgr, boxes_xyxy) if rule.may_count(part.traits) else None
        if crops is not None:
            pictures["crops"] = np.ascontiguousarray(crops[:, :, ::-1])
        return {kind: encode_picture(picture) for kind, picture in pictures.items()}

    def file(self, name: str) -> bytes | None:
        """Return a picture or a table by its name on the page; None where there is none."""
        with self._lock:
            if name in self._pictures:
                return self._pictures[name]
            results, failed, parts = list(self._results), list(self._failed), list(self._parts)
        if name not in RESULT_TABLES:
            return None
        rule = self._detector.rule
        if name == "predictions.json":
            rows = [
                {"image_id": number, **row}
                for number, part in enumerate(parts, start=1)
                for row in rule.with_probabilities(part.rows)
            ]
            return json.dumps(rows, allow_nan=False).encode()
        detector = self._detector
        info = images_info(detector.merge_name, detector.sizing, threshold=rule.threshold)
        names = detector.class_names
        return table_texts(results, failed, class_names=names, info=info)[name].encode()

    def most_bytes(self, path: str) -> int | None:
        """Return how much may be sent to a path; None where nothing is taken."""
        return {"/forget": 0, "/photos": MOST_UPLOAD_BYTES}.get(path)

    def post(self, path: str, name: str, content: bytes) -> dict:
        """Take a photo, or forget all of them."""
        reason = self.forget() if path == "/forget" else self.add(name, content)
        if reason is not None:
            raise UserError(reason)
        return {}

    def page(self) -> str:
        """Return the page with all photos, the last one first."""
        with self._lock:
            results, failed = self._results[::-1], list(self._failed)
        return gallery_page(
            results,
            failed,
            rule=self._detector.rule,
            files=RESULT_TABLES if results else (),
            trained_px=self._detector.sizing.size_px,
            template="serve.html.j2",
            more_script="serve.js",
        )


class PhotoServer(http.server.ThreadingHTTPServer):
    """Serves a site's page on a port, 0 for any free one; a UserError tells of one in use."""

    daemon_threads = True

    def __init__(self, site: Site, port: int):
        self.site = site
        self._places = threading.BoundedSemaphore(MOST_REQUESTS)
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            raise UserError(
                f"The page needs a port of its own. Received --port {port}, which cannot be used "
                f"({error.strerror}); choose another, or 0 for any free one."
            ) from error
        self.hosts = {f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")}

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_port}/"

    def process_request(self, request: object, client_address: object) -> None:
        """Answer in a thread of its own, if not too many are at work."""
        if self._places.acquire(timeout=SECONDS):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Answer, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Leave clients that went away out of the terminal."""
        logger.debug("request of %s", client_address, exc_info=True)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: PhotoServer
    server_version, sys_version = "acnet", ""
    timeout = SECONDS

    def do_GET(self) -> None:
        """Send the page or a file of it."""
        if not self._is_own():
            return
        name = unquote(urlsplit(self.path).path).removeprefix("/")
        if not name:
            self._send(HTTPStatus.OK, self.server.site.page().encode(), "text/html")
            return
        try:
            content = self.server.site.file(name)
        except (UserError, OSError) as error:  # of a photo that cannot be read
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}")
            return
        if content is None:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such file.")
            return
        headers = {"Content-Disposition": "attachment"} if name in RESULT_TABLES else {}
        self._send(HTTPStatus.OK, content, TYPES[name[name.rindex(".") :]], headers)

    def do_POST(self) -> None:
        """Take what the page sends."""
        if not self._is_own():
            return
        most_bytes = self.server.site.most_bytes(self.path)
        if self.headers.get(OWN_HEADER) is None:
            self._refuse(HTTPStatus.FORBIDDEN, "Only the page itself may send something.")
        elif most_bytes is None:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such place.")
        else:
            self._take(most_bytes)

    def _take(self, most_bytes: int) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "The length of what is sent is missing.")
            return
        if len(length) > 18 or int(length) > most_bytes:
            most = f"What is sent has at most {most_bytes >> 20} MB. Make it smaller."
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, most)
            return
        content = self.rfile.read(int(length))
        if len(content) < int(length):
            self._refuse(HTTPStatus.BAD_REQUEST, "What was sent did not arrive whole.")
            return
        name = unquote(self.headers.get(NAME_HEADER, "photo"))
        try:
            answer = self.server.site.post(self.path, name, content)
        except (UserError, OSError) as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}")
        else:
            self._answer(HTTPStatus.OK, answer)

    def _is_own(self) -> bool:
        """Tell whether the request is for this server and from its page, or of no page at all."""
        hosts, origins = self.headers.get_all("Host", []), self.headers.get_all("Origin", [])
        is_host = len(hosts) == 1 and hosts[0].lower() in self.server.hosts
        is_origin = not origins or (is_host and origins == [f"http://{hosts[0]}"])
        is_site = self.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")
        if not (is_host and is_origin and is_site):
            text = f"This page is for this machine alone. Open {self.server.url} itself."
            self._refuse(HTTPStatus.FORBIDDEN, text)
            return False
        return True

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._answer(status, {"error": reason})

    def _answer(self, status: HTTPStatus, content: dict) -> None:
        self._send(status, json.dumps(content).encode(), TYPES[".json"])

    def _send(
        self, status: HTTPStatus, content: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**SAFETY, **(headers or {}), "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", f"{len(content)}")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *values: object) -> None:
        """Say what was asked to who looks for it, and not to the terminal."""
        logger.debug(format, *values)
