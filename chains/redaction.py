"""What may be said aloud of a URL and of a library's error: providers put their keys into URLs."""

from __future__ import annotations

import os
from urllib.parse import urlsplit


def redacted(url: str) -> str:
    """Scheme, host and port of a URL; never its user, its path or its query."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # urllib's error would quote the URL
        return "a URL that cannot be read"
    if not parts.scheme or not host:
        return "a URL without a host"
    where = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{where}" + (f":{port}" if port else "")


def plainly(error: BaseException) -> str:
    """What a library's error was, in one line without its text, which may hold a whole URL."""
    name = type(error).__name__
    response = getattr(error, "response", error)
    status = getattr(response, "status_code", getattr(response, "status", None))
    if isinstance(status, int):
        return f"{name}, HTTP {status}"
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return f"{name}, {os.strerror(error.errno)}"
    return name
