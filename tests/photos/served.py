"""A served page, and a real HTTP client that asks it."""

import http.client
import threading

from acnet.photos.server import PhotoServer

OWN = {"X-ACNet": "1"}


def serving(session):
    server = PhotoServer(session, 0)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def ask(server, method="GET", path="/", body=None, **headers):
    """Return status, headers and content of an answer; `Host` may be another."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host="Host" in headers)
    if body is not None and "Content-Length" not in headers:
        headers["Content-Length"] = f"{len(body)}"
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content
