"""Stands in for `az` and `azd` on the PATH: knows just what the scripts may call, keeps its state in a file.

The first argument is the file, the second the command's name. What is not known fails, as an unknown command,
option or query would. Every call is recorded, with whether it writes.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

TENANT = "11111111-1111-4111-8111-111111111111"
ME = "22222222-2222-4222-8222-222222222222"
VALUED = {
    "--id", "--display-name", "--query", "--output", "--filter", "--sign-in-audience", "--app-roles", "--set",
    "--requested-access-token-version", "--parameters", "--api", "--api-permissions", "--years", "--method",
    "--uri", "--body",
}  # fmt: skip
FLAGS = {"--append"}
SEVERAL = {"--web-redirect-uris"}
EMPTY: dict[str, Any] = {
    "applications": {},
    "principals": {},
    "assignments": {},
    "environment": {},
    "calls": [],
}


class Refused(Exception):
    """As `az` ends: with a message and not 0."""


def options_of(words: list[str]) -> tuple[str, dict[str, Any]]:
    """The command and its options."""
    command: list[str] = []
    options: dict[str, Any] = {}
    position = 0
    while position < len(words) and not words[position].startswith("--"):
        command.append(words[position])
        position += 1
    while position < len(words):
        name = words[position]
        position += 1
        if name in FLAGS:
            options[name] = True
        elif name in SEVERAL:
            options[name] = []
            while position < len(words) and not words[position].startswith("--"):
                options[name].append(words[position])
                position += 1
        elif name in VALUED and position < len(words):
            options[name] = words[position]
            position += 1
        else:
            raise Refused(f"unrecognized arguments: {name}")
    return " ".join(command), options


QUERIES: list[tuple[str, Callable[[Any, re.Match[str]], Any]]] = [
    (r"\[\?displayName=='(.+)'\]\.appId", lambda d, m: [a["appId"] for a in d if a["displayName"] == m[1]]),
    (r"\[\?displayName=='(.+)'\]\.keyId", lambda d, m: [a["keyId"] for a in d if a["displayName"] == m[1]]),
    (r"\[\]\.id", lambda d, m: [each["id"] for each in d]),
    (r"appRoles\[\?value=='(.+)'\]\.id", lambda d, m: [r["id"] for r in d["appRoles"] if r["value"] == m[1]]),
    (r"web\.redirectUris\[\]", lambda d, m: d["redirectUris"]),
    (r"\[\?subject=='(.+)'\]\.name", lambda d, m: [c["name"] for c in d if c["subject"] == m[1]]),
    (
        r"\[\?resourceAppId=='(.+)'\]\.resourceAccess\[\]\.id",
        lambda d, m: [p["id"] for p in d if p["api"] == m[1]],
    ),
    (
        r"value\[\?resourceId=='(.+)' && appRoleId=='(.+)'\]\.id",
        lambda d, m: [a["id"] for a in d["value"] if (a["resourceId"], a["appRoleId"]) == (m[1], m[2])],
    ),
    (r"endpoints\.(\w+)", lambda d, m: d[m[1]]),
    (r"(\w+)", lambda d, m: d[m[1]]),
]


def show(answer: Any, options: dict[str, Any]) -> str:
    """The answer as --query and --output want it."""
    if query := options.get("--query"):
        for pattern, choose in QUERIES:
            if match := re.fullmatch(pattern, query):
                answer = choose(answer, match)
                break
        else:
            raise Refused(f"invalid jmespath_type value: {query}")
    kind = options.get("--output", "json")
    if kind == "none":
        return ""
    if kind == "json":
        return json.dumps(answer)
    if kind != "tsv":
        raise Refused(f"invalid choice: {kind}")
    lines = answer if isinstance(answer, list) else [answer]
    return "\n".join(str(line).lower() if isinstance(line, bool) else str(line) for line in lines)


def of(records: dict[str, Any], identity: str) -> Any:
    if identity not in records:
        raise Refused(f"Resource '{identity}' does not exist")
    return records[identity]


def answer(state: dict[str, Any], command: str, given: dict[str, Any]) -> tuple[Any, bool]:
    """What a command answers, and whether it writes."""
    applications, principals = state["applications"], state["principals"]
    match command:
        case "account show":
            return {"tenantId": TENANT}, False
        case "cloud show":
            return {
                "activeDirectory": "https://login.microsoftonline.com",
                "microsoftGraphResourceId": "https://graph.microsoft.com/",
            }, False
        case "ad signed-in-user show":
            return {"id": ME}, False
        case "ad user show":
            return {"id": str(uuid.uuid5(uuid.NAMESPACE_DNS, given["--id"]))}, False
        case "ad app list":
            begins = given["--display-name"]
            return [each for each in applications.values() if each["displayName"].startswith(begins)], False
        case "ad app create":
            client = str(uuid.uuid4())
            applications[client] = {
                "appId": client,
                "displayName": given["--display-name"],
                "appRoles": json.loads(given.get("--app-roles", "[]")),
                "audience": given["--sign-in-audience"],
                "redirectUris": [],
                "federated": [],
                "permissions": [],
                "consented": [],
                "credentials": [],
            }
            return applications[client], True
        case "ad app show":
            return of(applications, given["--id"]), False
        case "ad app update":
            application = of(applications, given["--id"])
            if "--app-roles" in given:
                application["appRoles"] = json.loads(given["--app-roles"])
            if "--web-redirect-uris" in given:
                application["redirectUris"] = given["--web-redirect-uris"]
            return "", True
        case "ad sp list":
            wanted = re.fullmatch(r"appId eq '(.+)'", given["--filter"])
            return [each for each in principals.values() if wanted and each["appId"] == wanted[1]], False
        case "ad sp create":
            client = of(applications, given["--id"])["appId"]
            if any(each["appId"] == client for each in principals.values()):
                raise Refused("The service principal name is already in use")
            principals[client] = {
                "id": str(uuid.uuid4()),
                "appId": client,
                "appRoleAssignmentRequired": False,
            }
            return principals[client], True
        case "ad sp show":
            return of(principals, given["--id"]), False
        case "ad sp update":
            name, _, value = given["--set"].partition("=")
            of(principals, given["--id"])[name] = value == "true"
            return "", True
        case "ad app federated-credential list":
            return of(applications, given["--id"])["federated"], False
        case "ad app federated-credential create":
            credential = json.loads(given["--parameters"])
            if set(credential) != {"name", "issuer", "subject", "audiences"}:
                raise Refused("invalid parameters")
            of(applications, given["--id"])["federated"].append(credential)
            return credential, True
        case "ad app permission list":
            return of(applications, given["--id"])["permissions"], False
        case "ad app permission add":
            identity, _, kind = given["--api-permissions"].partition("=")
            permission = {"id": identity, "kind": kind, "api": given["--api"]}
            of(applications, given["--id"])["permissions"].append(permission)
            return "", True
        case "ad app permission admin-consent":
            application = of(applications, given["--id"])
            application["consented"] = [each["id"] for each in application["permissions"]]
            return "", True
        case "ad app credential list":
            return of(applications, given["--id"])["credentials"], False
        case "ad app credential reset":
            credential = {"keyId": str(uuid.uuid4()), "displayName": given["--display-name"]}
            credentials = of(applications, given["--id"])["credentials"]
            if not given.get("--append"):
                credentials.clear()
            credentials.append(credential)
            return {"password": f"secret {len(credentials)}"}, True
        case "rest":
            user = re.fullmatch(
                r"https://graph\.microsoft\.com/v1\.0/users/([\w-]+)/appRoleAssignments", given["--uri"]
            )
            if user is None:
                raise Refused("Not Found")
            assigned = state["assignments"].setdefault(user[1], [])
            if given["--method"] == "GET":
                return {"value": assigned}, False
            body = json.loads(given["--body"])
            if body["principalId"] != user[1] or body["resourceId"] not in {
                p["id"] for p in principals.values()
            }:
                raise Refused("Bad Request")
            assigned.append(body | {"id": str(uuid.uuid4())})
            return assigned[-1], True
    raise Refused(f"'{command}' is misspelled or not recognized by the system.")


def main() -> int:
    path, program, *words = sys.argv[1:]
    state: dict[str, Any] = json.loads(Path(path).read_text()) if Path(path).exists() else EMPTY
    try:
        if program == "azd":
            if words[:2] != ["env", "set"] or len(words) != 4:
                raise Refused("unknown command")
            state["environment"][words[2]] = words[3]
            shown, writes = "", True
        else:
            command, options = options_of(words)
            found, writes = answer(state, command, options)
            shown = show(found, options)
    except Refused as error:
        sys.stderr.write(f"ERROR: {error}\n")
        state["calls"].append({"words": [program, *words], "writes": False, "refused": True})
        Path(path).write_text(json.dumps(state))
        return 2
    state["calls"].append({"words": [program, *words], "writes": writes, "refused": False})
    Path(path).write_text(json.dumps(state))
    sys.stdout.write(shown + "\n" if shown else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
