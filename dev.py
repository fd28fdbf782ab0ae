#!/usr/bin/env python3
"""Everything a developer does, in one file of standard library only.

python3 dev.py run      set up, then the service on http://127.0.0.1:7071
python3 dev.py azure    set up, then the Azure emulator alone, for `run --azure`
python3 dev.py demo     set up, then a demonstration of a minute
python3 dev.py test     set up, then lint, types, layers and tests
python3 dev.py bench    set up, then the measurements
python3 dev.py package  set up, then dist/amlfs-network-guard.zip, as Azure runs it
python3 dev.py lock     set up, then renew requirements.txt and requirements-dev.txt

Set-up makes a virtual environment with the newest Python 3.13, 3.12 or 3.11 that it finds and
installs the pinned, hashed requirements into it; it does nothing when nothing changed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
SUPPORTED = ("3.13", "3.12", "3.11")
AZURE_CLI, CHECKOV = "2.91.0", "3.3.30"
NODE_TOOLS = {"azurite": "3.37.0", "@kusto/language-service-next": "12.4.1"}
"""Microsoft's storage emulator, and its parser of the queries of alerts."""

REQUIREMENTS = ROOT / "requirements-dev.txt"
END_TO_END = ["tests/guards", "tests/http", "tests/applying", "tests/end_to_end"]
"""The tests that also run with every function in processes of its own."""

LAYERS = "from importlinter.cli import lint_imports_command as lint; lint()"
VERSION_PROBE = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"


def main() -> int:
    """Read the command line and run one command; its exit code is ours."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", choices=SUPPORTED, help="use this Python and no other")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run_parser = commands.add_parser("run", help="the service, on this machine")
    run_parser.add_argument("--port", type=int, default=7071, help="HTTP (default 7071)")
    run_parser.add_argument(
        "--arm-port", type=int, default=7072, help="the Azure emulator (default 7072)"
    )
    run_parser.add_argument("--no-estate", action="store_true", help="start with an empty Azure")
    run_parser.add_argument(
        "--arm-https-port", type=int, help="the Azure emulator over https too, for az"
    )
    run_parser.add_argument("--watch", action="store_true", help="reload when a file changes")
    run_parser.add_argument("--function-key", help="ask callers for this key, as Azure does")
    run_parser.add_argument(
        "--isolated",
        action="store_true",
        help="functions in processes of their own, as Azure has it",
    )
    run_parser.add_argument(
        "--instances", type=int, help="processes of each, where isolated (default 2)"
    )
    run_parser.add_argument(
        "--azure", metavar="URL", help="use an Azure emulator that runs already"
    )

    azure_parser = commands.add_parser("azure", help="the Azure emulator alone")
    azure_parser.add_argument("--arm-port", type=int, default=7072, help="ARM (default 7072)")
    azure_parser.add_argument("--no-estate", action="store_true", help="start with an empty Azure")
    azure_parser.add_argument("--arm-https-port", type=int, help="over https too, for az")

    test_parser = commands.add_parser("test", help="lint, types, layers, tests")
    test_parser.add_argument("--deep", action="store_true", help="many more random cases")
    test_parser.add_argument(
        "--az", action="store_true", help="with the Azure CLI as a client, too"
    )
    test_parser.add_argument(
        "--isolated", action="store_true", help="end to end with isolated functions, too"
    )
    test_parser.add_argument(
        "--without-attacks", action="store_true", help="all but tests/hostile, which take minutes"
    )
    test_parser.add_argument("--gates", action="store_true", help="all but the tests")
    test_parser.add_argument(
        "pytest", nargs="*", metavar="PYTEST_ARGUMENT", help="run these tests alone, no gates"
    )

    bench_parser = commands.add_parser("bench", help="the measurements")
    bench_parser.add_argument("--quick", action="store_true", help="under 50 seconds")

    commands.add_parser("demo", help="a demonstration: rules are broken and come back")
    commands.add_parser("package", help="what is deployed, with its size and cold start")
    commands.add_parser("snapshots", help="renew infra/**/*.snapshot.json with the Bicep compiler")
    commands.add_parser("setup", help="the virtual environment alone")
    commands.add_parser("lock", help="renew the two requirements files")
    tags_parser = commands.add_parser(
        "service-tags", help="rebuild shared/nsg/data from the lists that Microsoft publishes"
    )
    tags_parser.add_argument("--published", help="their day, YYYY-MM-DD")
    tags_parser.add_argument("lists", nargs="*", metavar="ServiceTags_….json[.gz]")
    for command in commands.choices.values():
        command.add_argument("--python", choices=SUPPORTED, default=argparse.SUPPRESS)

    options = parser.parse_args()
    if options.command == "package" and options.python is None:
        options.python = SUPPORTED[0]  # it is what the app runs on
    python = set_up(options.python)
    return {
        "setup": lambda *_: 0,
        "run": run,
        "azure": azure,
        "demo": demo,
        "test": test,
        "bench": bench,
        "package": package,
        "snapshots": snapshots,
        "lock": lock,
        "service-tags": service_tags,
    }[options.command](python, options)


# -- the commands ---------------------------------------------------------------------------------


def run(python: Path, options: argparse.Namespace) -> int:
    """Start the service under the local Functions host."""
    arguments = ["-m", "local", "--port", str(options.port), "--arm-port", str(options.arm_port)]
    if options.watch:
        arguments.append("--watch")
    if options.function_key:
        arguments += ["--function-key", options.function_key]
    if options.no_estate:
        arguments.append("--no-estate")
    if options.isolated or options.instances is not None:
        arguments += ["--isolated", "--instances", str(options.instances or 2)]
    if options.azure:
        arguments += ["--azure", options.azure]
    if options.arm_https_port is not None:
        arguments += ["--arm-https-port", str(options.arm_https_port)]
    return become(python, *arguments)


def azure(python: Path, options: argparse.Namespace) -> int:
    """Start the Azure emulator alone; services come and go with `run --azure`."""
    arguments = ["-m", "local", "--azure-only", "--arm-port", str(options.arm_port)]
    if options.no_estate:
        arguments.append("--no-estate")
    if options.arm_https_port is not None:
        arguments += ["--arm-https-port", str(options.arm_https_port)]
    return become(python, *arguments)


def demo(python: Path, _: argparse.Namespace) -> int:
    """Run the demonstration in the terminal; the exit code is 0 only if every rule is back."""
    return call(python, "-m", "local.demo")


def test(python: Path, options: argparse.Namespace) -> int:
    """Run every gate, and go on after a failing one so that one run shows all."""
    if not options.gates:
        prepare_tests(python, options)
    endless = ["--timeout=0"] if options.deep else []
    if options.pytest:
        return call(python, "-m", "pytest", *options.pytest, *endless)
    gates = {
        "lint": ["-m", "ruff", "check", "."],
        "format": ["-m", "ruff", "format", "--check", "."],
        "types": ["-m", "mypy"],
        "layers": ["-c", LAYERS],
    }
    if not options.gates:
        gates["tests"] = ["-m", "pytest", "-n", "auto", "--cov", "--cov-report=term", *endless]
        gates["tests"] += ["--ignore=tests/hostile"] if options.without_attacks else []
    if options.isolated:
        gates["isolated"] = ["-m", "pytest", "-n", "auto", *END_TO_END, *endless]
    failed = []
    for name, arguments in gates.items():
        started = time.monotonic()
        os.environ["AMLFS_TEST_ISOLATED"] = "1" if name == "isolated" else "0"
        code = call(python, *arguments)
        say(f"{name}: {'passed' if code == 0 else 'FAILED'} ({time.monotonic() - started:.1f} s)")
        if code:
            failed.append(name)
    if failed:
        say(f"Failed: {', '.join(failed)}.")
    return 1 if failed else 0


def prepare_tests(python: Path, options: argparse.Namespace) -> None:
    """Install what tests need beside Python packages, and tell them how deep to go."""
    install_node_tools()
    if install_apart(python, "checkov", f"checkov=={CHECKOV}") is None:
        say("checkov cannot be installed: its tests will be skipped.")
    if options.deep:
        os.environ["HYPOTHESIS_PROFILE"] = "deep"
    if options.az:
        os.environ["AMLFS_AZ"] = str(install_az(python))


def bench(python: Path, options: argparse.Namespace) -> int:
    """Measure what the documents claim."""
    return call(python, "-m", "tests.benchmarks", *(["--quick"] if options.quick else []))


def package(python: Path, _: argparse.Namespace) -> int:
    """Build the deployment package and measure it."""
    return call(python, "-m", "infra.package")


def snapshots(python: Path, _: argparse.Namespace) -> int:
    """Evaluate every parameter file anew."""
    return call(python, "-m", "tests.infra")


def lock(python: Path, _: argparse.Namespace) -> int:
    """Resolve pyproject.toml anew, for every supported Python and platform at once."""
    common = ["-m", "uv", "pip", "compile", "pyproject.toml", "--universal", "--upgrade"]
    common += ["--python-version", SUPPORTED[-1], "--generate-hashes", "--quiet"]
    common += ["--custom-compile-command", "python3 dev.py lock"]
    for output, extra in {
        "requirements.txt": [],
        "requirements-dev.txt": ["--group", "dev"],
    }.items():
        code = call(python, *common, *extra, "--output-file", output)
        if code:
            return code
    return 0


def service_tags(python: Path, options: argparse.Namespace) -> int:
    """Pack Microsoft's published service tag lists; without one, say what ships and its age."""
    day = ["--published", options.published] if options.published else []
    return call(python, "-m", "shared.nsg.data", *day, *options.lists)


# -- set-up ---------------------------------------------------------------------------------------


def set_up(wanted: str | None) -> Path:
    """Return the interpreter of a virtual environment that holds the pinned requirements.

    `.venv` has the newest Python that was found when it was made; one asked for with `--python`
    has an environment of its own, so that several live side by side.
    """
    environment = ROOT / (f".venv-{wanted}" if wanted else ".venv")
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = environment / "installed-requirements.sha256"
    state = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == state:
        return python
    version, base = newest_python(wanted)
    say(f"Making {environment.name} with Python {version} ({base}) …")
    shutil.rmtree(environment, ignore_errors=True)
    if call(base, "-m", "venv", str(environment)):
        stop(f"Python {version} makes no virtual environment (on Debian: install python3-venv).")
    say(f"Installing {REQUIREMENTS.name}; this takes about half a minute …")
    started = time.monotonic()
    # The lock names every package: nothing is left to resolve, and older pips stumble over extras.
    install = ["-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps"]
    if call(python, *install, "--require-hashes", "--requirement", str(REQUIREMENTS)):
        stop("pip could not install the requirements; its message above says why.")
    stamp.write_text(state)
    say(f"Installed in {time.monotonic() - started:.0f} s.")
    return python


def install_node_tools() -> None:
    """Install what tests need from npm; without npm they skip by name."""
    tools = ROOT / ".tools"
    npm = shutil.which("npm")
    missing = [one for one in NODE_TOOLS if not (tools / "node_modules" / one).exists()]
    if npm is None or not missing:
        return
    say(f"Installing {' and '.join(missing)}, for the tests …")
    install = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(tools)]
    wanted = [f"{name}@{version}" for name, version in NODE_TOOLS.items()]
    if subprocess.run([*install, *wanted], check=False).returncode:
        say("npm could not install them: the tests that need them will be skipped.")


def install_az(python: Path) -> Path:
    """Install the Azure CLI, to try it on the embedded Azure."""
    return install_apart(python, "az", f"azure-cli=={AZURE_CLI}") or stop(
        "The Azure CLI cannot be installed; the message above says why."
    )


def install_apart(python: Path, program: str, package: str) -> Path | None:
    """Install a program in an environment of its own: it pins other versions than ours."""
    environment = ROOT / ".tools" / program
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    if shutil.which(program, path=str(scripts)) is None:
        say(f"Installing {package} …")
        uv = [str(python), "-m", "uv", "--quiet"]
        inside = ["pip", "install", "--python", str(environment), package]
        for command in (["venv", "--clear", "--python", str(python), str(environment)], inside):
            if subprocess.run([*uv, *command], check=False).returncode:
                return None
    found = shutil.which(program, path=str(scripts))
    return Path(found) if found else None


def newest_python(wanted: str | None) -> tuple[str, Path]:
    """Find the newest supported Python, or the one asked for: (version, interpreter)."""
    found = (
        (version, python)
        for version in ([wanted] if wanted else SUPPORTED)
        for candidate in candidates(version)
        if (python := probe(candidate, version))
    )
    return next(found, None) or stop(
        f"No Python {wanted or ', '.join(SUPPORTED)} was found: install one, then try again."
    )


def probe(candidate: list[str], version: str) -> Path | None:
    """Return the interpreter behind a command, if it is of this version.

    A pyenv shim exists for versions that are not selected, and fails: ask, never assume.
    """
    command = [*candidate, "-c", VERSION_PROBE]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    is_it = answer.returncode == 0 and answer.stdout.startswith(f"{version}\n")
    return Path(answer.stdout.splitlines()[1]) if is_it else None


def candidates(version: str) -> list[list[str]]:
    """List the commands that may start this version of Python, the likeliest first."""
    found = [[sys.executable]] if sys.executable else []
    if os.name == "nt":
        found.append(["py", f"-{version}"])
    found.append([f"python{version}"])
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [[str(path)] for path in sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)]
    return found


def call(python: Path, *arguments: str) -> int:
    """Run Python in the project's folder and return its exit code."""
    return subprocess.run([str(python), *arguments], cwd=ROOT, check=False).returncode


def become(python: Path, *arguments: str) -> int:
    """Let Python take this process's place, so that a signal to us reaches it."""
    if os.name != "nt":
        sys.stdout.flush()
        os.chdir(ROOT)
        os.execv(python, [str(python), *arguments])  # noqa: S606 - no shell is wanted
    code = 0
    with contextlib.suppress(KeyboardInterrupt):
        code = call(python, *arguments)
    return code


def say(text: str) -> None:
    """Tell what happens while it happens."""
    print(f"dev: {text}", flush=True)


def stop(text: str) -> NoReturn:
    """End with a message and exit code 2."""
    say(text)
    raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main())
