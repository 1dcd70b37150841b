"""A page on this machine alone: photos are dropped on it, and leave the memory with it.

Whoever can make a browser of this machine ask something, as any page on the web can, gets nothing:
requests must name this server as their host and come from its own page. Each answer ends its
connection, bodies have a limit, and names of files are looked up, never opened.
"""

import http.server
import json
import logging
import threading
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from acnet.errors import UserError
from acnet.photos.session import TABLES, Session

logger = logging.getLogger(__name__)

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


class PhotoServer(http.server.ThreadingHTTPServer):
    """Serves the page of a session.

    Args:
        session: What is shown, and where photos go.
        port: 0 for any free one.

    Raises:
        UserError: The port is taken.
    """

    daemon_threads = True

    def __init__(self, session: Session, port: int):
        self.session = session
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
        """Send the page, a picture or a table."""
        if not self._is_own():
            return
        name = unquote(urlsplit(self.path).path).removeprefix("/")
        if not name:
            self._send(HTTPStatus.OK, self.server.session.page().encode(), "text/html")
            return
        content = self.server.session.file(name)
        if content is None:
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such file.")
            return
        headers = {"Content-Disposition": "attachment"} if name in TABLES else {}
        self._send(HTTPStatus.OK, content, TYPES[name[name.rindex(".") :]], headers)

    def do_POST(self) -> None:
        """Take a photo, or forget all of them."""
        if not self._is_own():
            return
        if self.headers.get(OWN_HEADER) is None:
            self._refuse(HTTPStatus.FORBIDDEN, "Only the page itself may send photos.")
        elif self.path == "/forget":
            self.server.session.forget()
            self._answer(HTTPStatus.OK, {})
        elif self.path != "/photos":
            self._refuse(HTTPStatus.NOT_FOUND, "There is no such place.")
        else:
            self._take_photo()

    def _take_photo(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "The length of the photo's file is missing.")
            return
        if len(length) > 18 or int(length) > MOST_UPLOAD_BYTES:
            most = f"A photo's file has at most {MOST_UPLOAD_BYTES >> 20} MB. Save it smaller."
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, most)
            return
        content = self.rfile.read(int(length))
        if len(content) < int(length):
            self._refuse(HTTPStatus.BAD_REQUEST, "The photo did not arrive whole.")
            return
        reason = self.server.session.add(unquote(self.headers.get(NAME_HEADER, "photo")), content)
        if reason is None:
            self._answer(HTTPStatus.OK, {})
        else:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, reason)

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
