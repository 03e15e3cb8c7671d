"""Parameters as the cases of requests write them."""

from __future__ import annotations

from treadle.sources.operation import DEFAULT_STYLES, ParameterSpec, undeclared
from treadle.sources.request import Argument


def argument(written):
    location = written["in"]
    if location == "querystring":
        content = written.get("content", undeclared("q", location).media_type)
        return Argument(
            ParameterSpec(written["name"], location, written.get("required", False), media_type=content),
            written["value"],
        )
    style = written.get("style", DEFAULT_STYLES[location])
    spec = ParameterSpec(
        written["name"],
        location,
        written.get("required", location == "path"),
        style,
        written.get("explode", style in ("form", "cookie")),
        written.get("allowReserved", False),
        written.get("content"),
        tuple(written.get("types", ())),
        tuple(written.get("items", ())),
    )
    return Argument(spec, written["value"])
