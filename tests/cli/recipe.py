"""The recipes of docs/dataiku/recipes as the places that they are for would start them: a command and its environment."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import fast_yaml

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "docs" / "dataiku" / "recipes"
SECRETS = {"DKU_API_KEY": "DKU_API_KEY", "dku-api-key": "DKU_API_KEY"}


class Started(NamedTuple):
    """What is started: arguments, and the environment that the recipe and its place make of `given`."""

    command: list[str]
    env: dict[str, str]


class Given(NamedTuple):
    """What a user has told the place, and how often the job is run."""

    url: str
    key: str
    folder: Path
    wait_for: str = ""
    attempt: int = 1
    when_busy: str = "fail"
    change: Callable[[str], str] = str

    def script(self, text: str) -> str:
        """Put a script into a file, as these places do, and give its path."""
        path = self.folder / "script.sh"
        path.write_text(self.change(text), "utf-8")
        return str(path)


def github(given: Given) -> Started:
    whole = read("github-actions.yml")
    (job,) = whole["jobs"].values()
    (step,) = [step for step in job["steps"] if "treadle dataiku" in step.get("run", "")]
    known = {
        "vars.DKU_DSS_URL": given.url,
        "secrets.DKU_API_KEY": given.key,
        "inputs.wait_for": given.wait_for or whole["on"]["workflow_dispatch"]["inputs"]["wait_for"]["default"],
    }
    own = {"GITHUB_RUN_ATTEMPT": str(given.attempt), "GITHUB_ACTIONS": "true", "CI": "true"}
    own["GITHUB_STEP_SUMMARY"] = str(given.folder / "summary.md")
    env = {**job["env"], **filled(step["env"], r"\$\{\{ ([\w.]+) \}\}", known), **own}
    return Started(["bash", "-e", given.script(step["run"])], env)


def gitlab(given: Given) -> Started:
    whole = read("gitlab-ci.yml")
    variables = {
        name: value["value"] if isinstance(value, dict) else value for name, value in whole["variables"].items()
    }
    env = {**variables, "DKU_DSS_URL": given.url, "DKU_API_KEY": given.key, "WHEN_BUSY": given.when_busy, "CI": "true"}
    if given.wait_for:
        env["WAIT_FOR"] = given.wait_for
    text = "\n".join(["set -eo pipefail", *whole["dss-nightly"]["script"]])
    return Started(["bash", given.script(text)], env)


def jenkins(given: Given) -> Started:
    text = (RECIPES / "Jenkinsfile").read_text("utf-8")
    (script,) = re.findall(r"stage\('Scenarios'\).*?sh '''\n(.*?)'''", text, re.DOTALL)
    (block,) = re.findall(r"environment \{(.*?)\n    \}", text, re.DOTALL)
    env = dict(re.findall(r"(\w+) = '([^']*)'", block))
    env |= {
        name: given.key for name, secret in re.findall(r"(\w+) = credentials\('([^']*)'\)", block) if SECRETS[secret]
    }
    env |= {"DKU_DSS_URL": given.url, "WAIT_FOR": given.wait_for, "WHEN_BUSY": given.when_busy}
    assert {"WAIT_FOR", "WHEN_BUSY"} == set(re.findall(r"(?:string|choice)\(name: '(\w+)'", text))
    return Started(["sh", "-xe", given.script(script)], env)


def azure(given: Given) -> Started:
    whole = read("azure-pipelines.yml")
    (job,) = whole["jobs"]
    (step,) = [step for step in job["steps"] if "treadle dataiku" in step.get("script", "")]
    (parameter,) = whole["parameters"]
    env = filled(step["env"], r"\$\(([\w.]+)\)", {"DKU_DSS_URL": given.url, "DKU_API_KEY": given.key})
    env = filled(env, r"\$\{\{ ([\w.]+) \}\}", {"parameters.waitFor": given.wait_for or parameter["default"]})
    env |= {"SYSTEM_JOBATTEMPT": str(given.attempt), "TF_BUILD": "True"}
    return Started(["bash", "--noprofile", "--norc", given.script(step["script"])], env)


def systemd(given: Given) -> Started:
    unit = (RECIPES / "dss-nightly.service").read_text("utf-8").replace("%S/dss-nightly", str(given.folder))
    (command,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    env = dict(line.split("=", 1) for line in re.findall(r"^Environment=(.*)$", unit, re.MULTILINE))
    return Started(shlex.split(given.change(command)), {**env, "DKU_DSS_URL": given.url, "DKU_API_KEY": given.key})


def cron(given: Given) -> Started:
    table = (RECIPES / "dss-nightly.crontab").read_text("utf-8")
    (line,) = [line for line in table.splitlines() if line[:1].isdigit()]
    command = line.split(maxsplit=6)[6].replace("/run/lock/", f"{given.folder}/")
    script = given.folder / "dss-nightly.sh"
    script.write_text(given.change((RECIPES / script.name).read_text("utf-8")), "utf-8")
    script.chmod(0o755)
    settings = given.folder / "dss-nightly.env"
    settings.write_text(f"DKU_DSS_URL={given.url}\nDKU_API_KEY={given.key}\n", "utf-8")
    found = command.replace("dss-nightly.sh", f"./{script.name}")
    return Started(["sh", "-c", found], {"DSS_NIGHTLY_ENV": str(settings)})


def airflow_bash(given: Given) -> Started:
    tree = ast.parse((RECIPES / "airflow_bash.py").read_text("utf-8"))
    call = next(
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "BashOperator"
    )
    options: Mapping[str, Any] = {
        keyword.arg: ast.literal_eval(keyword.value)
        for keyword in call.keywords
        if keyword.arg in ("bash_command", "env", "append_env", "retries")
    }
    assert options["append_env"] is True
    assert options["retries"] == 0
    env = filled(options["env"], r"\{\{ ([\w.]+) \}\}", {"conn.dss.host": given.url, "conn.dss.password": given.key})
    return Started(["bash", "-c", given.change(options["bash_command"])], env)


def python(given: Given) -> Started:
    script = given.folder / "run_scenario.py"
    text = (RECIPES / script.name).read_text("utf-8").replace("timeout=3600", "timeout=3600, poll_interval=0.02")
    script.write_text(given.change(text), "utf-8")
    env = {"DKU_DSS_URL": given.url.removesuffix("/public/api"), "DKU_API_KEY": given.key}
    return Started([sys.executable, str(script), "SALES", "NIGHTLY"], env)


def read(name: str) -> Any:
    return fast_yaml.safe_load((RECIPES / name).read_text("utf-8"))


def filled(env: Mapping[str, str], pattern: str, known: Mapping[str, str]) -> dict[str, str]:
    """Fill in what the place fills in; a name that it does not know is an error."""
    return {name: re.sub(pattern, lambda found: known[found[1]], text) for name, text in env.items()}


PLACES = {
    "github": github, "gitlab": gitlab, "jenkins": jenkins, "azure": azure, "systemd": systemd, "cron": cron,
    "airflow_bash": airflow_bash, "python": python,
}  # fmt: skip
