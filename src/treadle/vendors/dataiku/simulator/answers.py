"""Answers as DSS gives them, in JSON with its headers, and as the web server before it does, in HTML."""

from __future__ import annotations

import json
from html import escape
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from treadle.vendors.dataiku.simulator.description import Simulation

JAVA_CLASSES: Final = {
    400: "java.lang.IllegalArgumentException",
    401: "com.dataiku.dip.exceptions.NotAuthenticatedException",
    # The class of a 403 is not known from any source; this one is a guess.
    403: "com.dataiku.dip.exceptions.UnauthorizedException",
    404: "com.dataiku.dip.server.controllers.NotFoundException",
    500: "java.lang.RuntimeException",
}


class ErrorBody(msgspec.Struct, rename="camel"):
    """An error as DSS words it."""

    error_type: str
    message: str
    detailed_message: str


def answer(body: object) -> web.Response:
    """Give a text as it is, and anything else as JSON."""
    if isinstance(body, str):
        return web.Response(text=body, content_type="text/plain")
    return json_answer(body)


def json_answer(body: object, status: int = 200) -> web.Response:
    """Give JSON."""
    return web.Response(body=_encoded(body), status=status, content_type="application/json", charset="utf-8")


def _encoded(body: object) -> bytes:
    try:
        return msgspec.json.encode(body)
    except OverflowError:
        # Somebody saved a whole number of more than 64 bits; the slower encoder knows those too.
        return json.dumps(msgspec.to_builtins(body)).encode()


def error_answer(status: int, message: str) -> web.Response:
    """Give an error in the words of DSS."""
    return json_answer(ErrorBody(JAVA_CLASSES[status], message, message), status)


def html_answer(status: int, headers: dict[str, str] | None = None) -> web.Response:
    """Give a page as the web server in front of DSS shows it."""
    title = escape(f"{status} {HTTPStatus(status).phrase}")
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return web.Response(text=page, status=status, headers=headers, content_type="text/html")


def dss_headers(simulation: Simulation) -> dict[str, str]:
    """Give what DSS puts on each answer of its API."""
    return {"DSS-Version": simulation.dss_version, "DSS-API-Version": simulation.dss_api_version}
