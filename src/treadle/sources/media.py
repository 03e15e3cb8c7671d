"""Media types: their names without parameters, and which of them are JSON, XML or text (RFC 6838, 6839, 7303)."""

_TEXT = frozenset(
    "application/" + name
    for name in (
        "ecmascript", "graphql", "javascript", "jsonl", "ndjson", "rtf", "sql", "toml", "typescript", "x-javascript",
        "x-jsonlines", "x-ndjson", "x-sh", "x-www-form-urlencoded", "x-yaml", "yaml",
    )
)  # fmt: skip
_BINARY_KINDS = ("image/", "audio/", "video/", "font/", "model/")
_BINARY = frozenset(
    "application/" + name
    for name in (
        "cbor", "gzip", "java-archive", "msgpack", "msword", "octet-stream", "pdf", "pkcs12", "protobuf", "vnd.apache.arrow.file",
        "vnd.apache.arrow.stream", "vnd.apache.parquet", "vnd.google.protobuf", "vnd.ms-excel", "wasm", "x-7z-compressed",
        "x-bzip2", "x-gzip", "x-protobuf", "x-tar", "zip", "zstd",
    )
)  # fmt: skip


def media_type(content_type: str) -> str:
    """Give the type without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def charset_of(content_type: str) -> str | None:
    """Give the charset that a content type names (RFC 9110 section 8.3.2), or None."""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"') or None
    return None


def is_json(content_type: str) -> bool:
    """Say whether a content type is a JSON one: `application/json` or a `+json` suffix (RFC 6839 section 3.1)."""
    return media_type(content_type).endswith(("/json", "+json"))


def is_xml(content_type: str) -> bool:
    """Say whether a content type is an XML one: `application/xml`, `text/xml` or a `+xml` suffix (RFC 7303)."""
    return media_type(content_type).endswith(("/xml", "+xml"))


def is_text(content_type: str) -> bool:
    """Say whether a content type is certainly one of texts."""
    kind = media_type(content_type)
    text = kind.startswith("text/") or kind in _TEXT or kind.endswith(("+yaml", "json-seq"))
    return text or is_json(kind) or is_xml(kind)


def is_binary(content_type: str) -> bool:
    """Say whether a content type is certainly none of texts; of many types only their content tells."""
    kind = media_type(content_type)
    office = kind.startswith(("application/vnd.openxmlformats", "application/vnd.oasis.opendocument"))
    return not is_text(kind) and (kind.startswith(_BINARY_KINDS) or kind in _BINARY or office or kind.endswith("+zip"))


def is_range(content_type: str) -> bool:
    """Say whether it is a range of media types, such as `image/*` (RFC 9110 section 12.5.1)."""
    return "*" in media_type(content_type)
