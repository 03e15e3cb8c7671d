"""Bring uv into a folder of this project, touching nothing outside it.

Tries pip in a private environment, then pip without one, then the package index directly (a machine may have
Python without pip or venv). Standard library only: this runs before anything is installed.
"""

import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import sysconfig
import urllib.parse
import urllib.request
import venv
import zipfile
from pathlib import Path

VERSION = "0.13.9"
INDEX = next(
    (os.environ[name] for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL") if os.environ.get(name)),
    "https://pypi.org/simple",
)


def main(folder: Path) -> int:
    """Put `uv` at `folder/bin/uv`; return the exit code."""
    if sys.version_info < (3, 11):
        print(f"Treadle needs Python 3.11 or newer; {sys.executable} is {platform.python_version()}.", file=sys.stderr)
        print("Name another one: make PYTHON=/path/to/python3.12 ...", file=sys.stderr)
        return 2
    for attempt in (_with_venv, _with_target, _from_index):
        try:
            attempt(folder)
        except (OSError, subprocess.CalledProcessError, LookupError, ValueError) as error:
            print(f"bring_uv: {attempt.__name__.strip('_')}: {error}", file=sys.stderr)
            continue
        if (folder / "bin" / "uv").exists():
            return 0
    print("uv could not be installed from the package index; see the lines above.", file=sys.stderr)
    return 1


def _with_venv(folder: Path) -> None:
    venv.create(folder, with_pip=True, clear=True)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", f"uv=={VERSION}"], check=True)


def _with_target(folder: Path) -> None:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--upgrade",
        "--target",
        folder,
        f"uv=={VERSION}",
    ]
    subprocess.run(command, check=True)


def _from_index(folder: Path) -> None:
    request = urllib.request.Request(
        f"{INDEX.rstrip('/')}/uv/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    tags = _platform_tags()
    wheel = next(
        file
        for tag in tags
        for file in files
        if file["filename"].startswith(f"uv-{VERSION}-py3-none-") and tag in file["filename"]
    )
    with urllib.request.urlopen(urllib.parse.urljoin(request.full_url, wheel["url"]), timeout=300) as answer:
        content = answer.read()
    if hashlib.sha256(content).hexdigest() != wheel["hashes"]["sha256"]:
        message = f"{wheel['filename']} does not have the hash that the index names"
        raise ValueError(message)
    target = folder / "bin" / "uv"
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        member = next(name for name in archive.namelist() if name.endswith("/scripts/uv"))
        target.write_bytes(archive.read(member))
    target.chmod(0o755)


def _platform_tags() -> list[str]:
    machine = platform.machine().lower()
    if platform.system() == "Linux":
        machine = machine.replace("arm64", "aarch64")
        libc = "manylinux" if "gnu" in (sysconfig.get_config_var("HOST_GNU_TYPE") or "") else "musllinux"
        return [f"{libc}_2_17_{machine}", f"{libc}_2_28_{machine}", f"{libc}_1_1_{machine}"]
    return [f"macosx_11_0_{machine}", f"macosx_10_12_{machine}"]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
