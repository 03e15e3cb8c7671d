"""Where a DSS is and with which key, as people have it: options, the environment, Dataiku's own configuration file.

The names are those of the official client: `DKU_DSS_URL`, `DKU_API_KEY`, `~/.dataiku/config.json`.
"""

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from treadle.drivers.settings import is_base
from treadle.drivers.urls import shown_url
from treadle.errors import RunRefused

API = "/public/api"
_PATHS = (API, "/dip/publicapi")
URL_VARIABLE, KEY_VARIABLE = "DKU_DSS_URL", "DKU_API_KEY"
Scheme = Literal["bearer", "basic"]


class Instance(Struct, frozen=True):
    """An instance in the configuration file."""

    url: str
    api_key: str
    no_check_certificate: bool = False


class Configuration(Struct, frozen=True):
    """The configuration file of the official client, as far as it concerns connections."""

    dss_instances: dict[str, Instance] = {}
    default_instance: str | None = None


class Connection(NamedTuple):
    """A DSS and the key for it.

    Attributes:
        root: the URL that people open in a browser, without a slash at its end.
        key: the API key.
        insecure: do not verify the certificate.
    """

    root: str
    key: str
    insecure: bool = False

    @property
    def api(self) -> str:
        """The base URL of the public API."""
        return self.root + API

    def credentials(self, scheme: Scheme, environment: MutableMapping[str, str]) -> dict[str, Any]:
        """Give the credentials for a Runner; before DSS 13.1 the key is the user name of Basic, without a password.

        The key is put into the environment, and they say that it stands there: that is what a journal may keep of it.
        """
        from treadle.drivers.credentials import parsed  # noqa: PLC0415 - help does without it

        environment[KEY_VARIABLE] = self.key
        if scheme == "bearer":
            return dict(parsed([f"bearer=env:{KEY_VARIABLE}"]))
        return {"basic": {**parsed([f"basic.username=env:{KEY_VARIABLE}"])["basic"], "password": ""}}


def find_connection(server: str | None, instance: str | None, environment: Mapping[str, str], file: Path) -> Connection:
    """Find the server and the key: what was named first, then the environment, then the file's default instance.

    A key from the file goes to no other server than the file says.

    Raises:
        RunRefused: there is none, or the file cannot be used.
    """
    if instance is not None:
        named = _instance(instance, file)
        root = _root(server) if server else _root(named.url)
        if root != _root(named.url):
            message = f"--server {server} is not the server of instance '{instance}'"
            raise RunRefused(message, hint=f"leave one of them out, or give the key in {KEY_VARIABLE}")
        return Connection(root, named.api_key, named.no_check_certificate)
    server = server or environment.get(URL_VARIABLE)
    if server:
        key = environment.get(KEY_VARIABLE, "").strip()
        if not key:
            hint = f"export {KEY_VARIABLE}=…, or name an instance of {file} with --instance"
            raise RunRefused(f"there is no API key for {server}", hint=hint)
        return Connection(_root(server), key)
    if not file.exists():
        hint = f"export {URL_VARIABLE}=https://HOST and {KEY_VARIABLE}=…, or give --server"
        raise RunRefused("no DSS server is named", hint=hint)
    named = _instance(None, file)
    return Connection(_root(named.url), named.api_key, named.no_check_certificate)


def _instance(name: str | None, file: Path) -> Instance:
    """Read an instance of the file, the default one where none is named."""
    try:
        whole = msgspec.json.decode(file.read_bytes(), type=Configuration)
    except OSError as error:
        raise RunRefused(
            f"{file} cannot be read: {error.strerror}", hint="--instance names one of its instances"
        ) from error
    except msgspec.MsgspecError as error:
        raise RunRefused(f"{file} is no configuration of DSS instances: {error}") from error
    chosen = name or whole.default_instance
    known = ", ".join(whole.dss_instances) or "none"
    if chosen is None:
        raise RunRefused(f"{file} has no default_instance", hint=f"name one with --instance; there are {known}")
    if chosen not in whole.dss_instances:
        raise RunRefused(f"{file} has no instance '{chosen}'", hint=f"there are {known}")
    return whole.dss_instances[chosen]


def _root(url: str) -> str:
    """Give the root of a server from any of the forms in which people write it."""
    root = url.strip().rstrip("/")
    for path in _PATHS:
        root = root.removesuffix(path).rstrip("/")
    if not is_base(root) or ";" in root:
        raise RunRefused(f"'{shown_url(root)}' is no URL of a DSS server", hint="write it as https://HOST:PORT")
    return root
