"""The matrix: what the specification asks for, claim by claim, and the cases that prove it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .reading import SuiteInvalid, read
from .suite import HERE, POLARITIES, Case, load

CLAIMS = HERE / "claims.yaml"
KINDS = ("must", "should", "semantics")
SPECIFICATION = "https://spec.openapis.org/arazzo/v1.1.0.html"
_FIELDS = {"id", "anchor", "kind", "says", "needs", "out"}
_NOTE = "<!-- Written by `make docs`; do not edit here. -->"


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that a runner must or should do.

    Attributes:
        id: its section and a name, `section.name`.
        anchor: where the published specification says it.
        kind: must, should, or semantics where the specification leaves it open and this suite settles it.
        says: the rule, in a few words.
        needs: the polarities that it needs cases of.
        out: why no cases are asked for, where that is so.
    """

    id: str
    anchor: str
    kind: str
    says: str
    needs: tuple[str, ...]
    out: str | None

    @property
    def section(self) -> str:
        """The part of the specification that it belongs to."""
        return self.id.partition(".")[0]


def load_claims(path: Path = CLAIMS) -> list[Claim]:
    """Give the claims in their order.

    Raises:
        SuiteInvalid: the file is not as it must be, or an id is there twice.
    """
    found: list[Claim] = []
    for section, entries in read(path).items():
        found += [_claim(section, entry, path) for entry in entries]
    ids = [claim.id for claim in found]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise SuiteInvalid(f"{path}: the claim '{twice[0]}' is there twice; ids are unique")
    return found


def _claim(section: str, entry: dict[str, Any], path: Path) -> Claim:
    name = f"{section}.{entry.get('id')}"
    unknown = sorted(set(entry) - _FIELDS)
    if unknown:
        raise SuiteInvalid(
            f"{path}: claim '{name}' has the field '{unknown[0]}'; there are {', '.join(sorted(_FIELDS))}"
        )
    claim = Claim(
        name, entry["anchor"], entry.get("kind", "must"), entry["says"], tuple(entry["needs"]), entry.get("out")
    )
    if claim.kind not in KINDS or not set(claim.needs) <= set(POLARITIES) or not claim.anchor.startswith("#"):
        raise SuiteInvalid(f"{path}: claim '{name}' has a wrong kind, polarity or anchor")
    return claim


def problems(claims: Iterable[Claim], cases: Iterable[Case]) -> list[str]:
    """Say what does not fit between claims and cases; see `uncovered` for what is not there yet."""
    known = {claim.id: claim for claim in claims}
    found = []
    for case in cases:
        found += [
            f"case '{case.id}' names the claim '{name}', which is not in claims.yaml"
            for name in case.claims
            if name not in known
        ]
        kinds = {known[name].kind == "semantics" for name in case.claims if name in known}
        if len(kinds) > 1:
            found.append(
                f"case '{case.id}' mixes claims of the specification with claims of kind semantics: make two cases"
            )
        if not case.claims:
            found.append(f"case '{case.id}' names no claim")
    return found


def uncovered(claims: Iterable[Claim], cases: Iterable[Case]) -> list[str]:
    """Give `claim polarity` for each polarity that a claim needs and no case has."""
    have = {(name, case.polarity) for case in cases for name in case.claims}
    return [
        f"{claim.id} {polarity}"
        for claim in claims
        if claim.out is None
        for polarity in claim.needs
        if (claim.id, polarity) not in have
    ]


def judged_by_semantics(claims: Iterable[Claim]) -> frozenset[str]:
    """Give the ids of the claims that the specification alone does not make."""
    return frozenset(claim.id for claim in claims if claim.kind == "semantics")


def page(claims: list[Claim] | None = None, cases: list[Case] | None = None) -> str:
    """Give docs/conformance.md: each claim, where it is said, and the cases that prove it."""
    claims = load_claims() if claims is None else claims
    cases = load() if cases is None else cases
    inside = [claim for claim in claims if claim.out is None]
    counts = ", ".join(f"{sum(claim.kind == kind for claim in inside)} {kind}" for kind in KINDS)
    introduction = (
        "What Arazzo 1.1.0 asks of a runner over HTTP, and the cases of [conformance/](../conformance/README.md) that\n"
        f"prove it: {len(inside)} claims ({counts}) and {len(cases)} cases. A claim of the kind *semantics* is one that\n"
        "the specification leaves open and this suite settles; `conformance/run --strict-spec` leaves its cases out.\n"
    )
    parts = ["# Conformance\n", f"{_NOTE}\n", introduction]
    for section in dict.fromkeys(claim.section for claim in inside):
        parts.append(
            f"## {section}\n\n| claim | kind | the rule | positive cases | negative cases |\n|---|---|---|---|---|"
        )
        for claim in (claim for claim in inside if claim.section == section):
            proofs = " | ".join(_proofs(claim, polarity, cases) for polarity in POLARITIES)
            link = f"[{claim.id}]({SPECIFICATION}{claim.anchor})"
            parts.append(f"| {link} | {claim.kind} | {_cell(claim.says)} | {proofs} |")
        parts.append("")
    parts.append("## Out of scope\n\n| claim | the rule | why |\n|---|---|---|")
    parts += [
        f"| [{claim.id}]({SPECIFICATION}{claim.anchor}) | {_cell(claim.says)} | {_cell(claim.out)} |"
        for claim in claims
        if claim.out is not None
    ]
    return "\n".join(parts) + "\n"


def _proofs(claim: Claim, polarity: str, cases: list[Case]) -> str:
    found = [case for case in cases if case.polarity == polarity and claim.id in case.claims]
    if not found:
        return "**none yet**" if polarity in claim.needs else ""
    return ", ".join(f"[{case.id}](../conformance/cases/{case.section}/{case.topic}.yaml)" for case in found)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
