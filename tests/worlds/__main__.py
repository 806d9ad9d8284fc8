"""Run the tests in every world that this machine offers and add up: ``python -m tests.worlds --help``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from tests import worlds
from tests.vm import machine
from tests.worlds import ordinary_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TREE = Path(__file__).parents[2]
PYTHON = str(TREE / ".venv/bin/python")
COUNTS = "WORLD-COUNTS "
"Begins the line by which a session tells its counts; printed by tests/conftest.py."
NO_TESTS_COLLECTED = 5
SLOWEST = ("--durations=12", "--durations-min=5")
"Tell which tests take long: all of them together have to stay short."
FEW = 5
"So many failures of a world may come of what else the machine did; more are a mistake, and are not tried again."


@attrs.frozen(kw_only=True)
class World:
    """One way to run a pytest session."""

    name: str
    tests: tuple[str, ...]
    "Directories and files of its tests."
    short: tuple[str, ...] = ()
    "Those of them that run unless somebody asks for others or, by --long, for all; without any, all do."
    lacking: Callable[[], str | None]
    "Why this machine cannot offer it, or None."
    wrap: Callable[[list[str]], contextlib.AbstractContextManager[list[str]]] = contextlib.nullcontext
    "Makes the pytest command run there."


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of one session."""

    world: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: Sequence[str] = ()
    unsteady: Sequence[str] = ()
    "What failed beside the other worlds, and passed alone."
    seconds: float = 0.0
    note: str = ""


def _needs_root() -> str | None:
    return None if os.geteuid() == 0 else "needs root"


def _needs_account() -> str | None:
    return None if os.geteuid() != 0 else "the caller is root"


def _as_user(user: int, subids: int) -> Callable[[list[str]], contextlib.AbstractContextManager[list[str]]]:
    @contextlib.contextmanager
    def wrap(command: list[str]) -> Iterator[list[str]]:
        # Not a TemporaryDirectory: the user's files may belong to his subordinate ids, and the mode of a directory
        # in it may keep even its owner out.
        scratch = tempfile.mkdtemp(prefix="world-")
        try:
            yield [
                *("unshare", "--mount", "--propagation=slave", "--"),
                *(sys.executable, "-m", ordinary_user.__name__, scratch, str(user), str(subids), *command),
            ]
        finally:
            shutil.rmtree(scratch)

    return wrap


def _in_vm(*options: str) -> Callable[[list[str]], contextlib.AbstractContextManager[list[str]]]:
    return lambda command: contextlib.nullcontext([sys.executable, "-m", "tests.vm", *options, "--", *command])


ALL = ("tests/integration",)


def _files(*patterns: str, are: bool = True) -> tuple[str, ...]:
    """Name the test files that have such names, or all others."""
    files = (TREE / ALL[0]).glob("test_*.py")
    return tuple(sorted(f"{ALL[0]}/{file.name}" for file in files if any(map(file.match, patterns)) == are))


ELSEWHERE = ("test_registry*", "test_login*", "test_fuzz*", "test_malformed*")
"The same whoever calls, and whatever the cgroups."
WITHOUT_CGROUPS = (
    *ELSEWHERE,
    *("test_images*", "test_cli_images*", "test_cli_completion*", "test_layers*", "test_host_image*", "test_volumes*"),
    *("test_files*", "test_container_files*", "test_pipe_locks*", "test_streams*", "test_logs*", "test_readiness*"),
    *("test_namespaces*", "test_joining_mounts*", "test_isolation_roots*", "test_seccomp*", "test_landlock*"),
    *("test_oci_bundle*", "test_oci_imports*", "test_oci_mounts*", "test_explain*", "test_docs*", "test_attaching*"),
)
"What asks nothing of cgroups: the same in the virtual machine as on the host."
DELEGATED = _files(
    *("test_cgroup*", "test_exec_limits*", "test_verdict*", "test_usage*", "test_run.py", "test_containers.py"),
    *("test_looking*", "test_cli_containers*", "test_oci_command*", "test_oci_plain*", "test_isolation_cgroups*"),
    *("test_nesting*", "test_doctor*", "test_demo*", "test_readme*"),
)
"What a delegated cgroup decides: all else is as in rootless, and as root's in vm."
WITHOUT_IDS = (
    *ELSEWHERE,
    *("test_images_at_once*", "test_images_damage*", "test_images_store_faults*", "test_images_writing_faults*"),
    *("test_monitor*", "test_logs*", "test_pipe_locks*", "test_streams*", "test_threads*", "test_readiness*"),
    *("test_cli_attached*", "test_cli_completion*", "test_cli_terminal*", "test_docs*", "test_pytest*"),
)
"The same with one id as with many."
SYSTEMD = (
    "tests/integration/test_cgroup_systemd.py",
    "tests/integration/test_oci_systemd.py",
    "tests/integration/test_oci_checkpoint.py::test_it_goes_on_in_a_scope_of_systemds",
    "tests/integration/test_exec_limits.py::test_in_a_scope_of_systemds",
)
WITHOUT = (
    "tests/integration/test_cgroups.py",
    "tests/integration/test_verdict.py::test_a_limit_that_cannot_be_enforced_is_an_error_unless_told",
    "tests/integration/test_exec_limits.py::test_without_a_cgroup_it_is_an_error_or_listed",
)
"What is another thing where there are cgroups that the user may not use; all else is as in rootless."

# They run side by side: the longest first, for an early end.
WORLDS = [
    World(name="vm", tests=ALL, short=_files(*WITHOUT_CGROUPS, are=False), lacking=machine.missing, wrap=_in_vm()),
    World(
        name="vm-user",
        tests=ALL,
        short=DELEGATED,
        lacking=machine.missing,
        wrap=_in_vm("--user", "--cgroups=delegated"),
    ),
    World(name="rootless", tests=ALL, lacking=_needs_root, wrap=_as_user(54321, 65536)),
    World(name="account", tests=ALL, lacking=_needs_account),
    World(name="host", tests=ALL, lacking=_needs_root),
    World(
        name="rootless-single",
        tests=ALL,
        short=_files(*WITHOUT_IDS, are=False),
        lacking=_needs_root,
        wrap=_as_user(54322, 0),
    ),
    World(name="vm-systemd", tests=SYSTEMD, lacking=machine.missing_systemd, wrap=_in_vm("--cgroups=systemd")),
    World(
        name="vm-session", tests=SYSTEMD, lacking=machine.missing_systemd, wrap=_in_vm("--cgroups=systemd", "--user")
    ),
    World(name="vm-bare", tests=WITHOUT, lacking=machine.missing, wrap=_in_vm("--user")),
    World(name="unit", tests=("tests/unit",), lacking=lambda: None),
]


def _tests(world: World, arguments: Sequence[str]) -> list[str]:
    """Name the world's tests: the short or all of its own, or those that the arguments name."""
    named = [word for word in arguments if word.startswith("tests")]
    if not named:
        return list(world.short if world.short and "--long" not in arguments else world.tests)
    within = [word for word in named if word.startswith(world.tests)]
    above = tuple(f"{word.rstrip('/')}{separator}" for word in named for separator in ("/", "::"))
    return within + [own for own in world.tests if own.startswith(above)]


def run(world: World, arguments: Sequence[str]) -> Outcome:
    """Run the tests in one world, passing their output on."""
    reason = world.lacking()
    if reason:
        return Outcome(world=world.name, note=f"not run: {reason}")
    tests = _tests(world, arguments)
    if not tests:
        return Outcome(world=world.name, note="not run: none of these tests")
    options = [word for word in arguments if not word.startswith("tests")]
    started = time.monotonic()
    with world.wrap([PYTHON, "-m", "pytest", *SLOWEST, *options, *tests]) as command:
        returncode, counts = _relay(world, command)
    outcome = attrs.evolve(counts, world=world.name, seconds=time.monotonic() - started)
    if returncode in (0, NO_TESTS_COLLECTED) or outcome.failed:
        return outcome
    # Interrupted, a usage error, killed by a signal: more than the counts can tell.
    return attrs.evolve(outcome, failed=1, note=f"the session ended with exit code {returncode}")


def _relay(world: World, command: list[str]) -> tuple[int, Outcome]:
    """Run the session, copy its output, and pick the counts out of it."""
    counts = Outcome()
    prefix = f"{world.name:<16}| ".encode()
    with subprocess.Popen(
        command,
        env={**os.environ, "PYCGROUPS_TEST_WORLD": world.name},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as session:
        assert session.stdout
        for line in session.stdout:
            if line.startswith(COUNTS.encode()):
                counts = Outcome(**json.loads(line.removeprefix(COUNTS.encode())))
            else:
                sys.stdout.buffer.write(prefix + line)
                sys.stdout.flush()
    return session.returncode, counts


def run_all(chosen: Sequence[World], arguments: Sequence[str]) -> list[Outcome]:
    """Run the worlds, as many at a time as there are processors; then what failed, alone."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        outcomes = list(pool.map(lambda world: run(world, arguments), chosen))
    return [try_again(world, outcome, arguments) for world, outcome in zip(chosen, outcomes, strict=True)]


def try_again(world: World, outcome: Outcome, arguments: Sequence[str]) -> Outcome:
    """Run a world's few failures once more, on a machine that does nothing else: are they of the code, or of the load?

    What passes then does not fail the run, and is named: a test, or the code, that only mostly works is to be mended.
    """
    if not 0 < len(outcome.failures) <= FEW or outcome.note:
        return outcome
    options = [word for word in arguments if not word.startswith("tests")]
    second = run(world, [*options, *again(outcome.failures)])
    seconds = outcome.seconds + second.seconds
    if second.failed or not second.passed:
        return attrs.evolve(outcome, seconds=seconds)
    return attrs.evolve(outcome, failed=0, failures=(), unsteady=outcome.failures, seconds=seconds)


def again(failures: Sequence[str]) -> list[str]:
    """Name the tests to run for some failures ``TEST (PHASE)``: what is left behind may be of any test in the file."""
    parted = [failure.rpartition(" (")[::2] for failure in failures]
    return list(dict.fromkeys(test if phase == "call)" else test.partition("::")[0] for test, phase in parted))


def report(outcomes: Sequence[Outcome]) -> None:
    """Print one line a world, what failed, and, last, the sums."""
    print(f"\n{'world':<16}{'passed':>8}{'failed':>8}{'unsteady':>10}{'skipped':>9}{'seconds':>9}")
    for one in outcomes:
        counts = f"{one.passed:>8}{one.failed:>8}{len(one.unsteady):>10}{one.skipped:>9}"
        print(f"{one.world:<16}{counts}{one.seconds:>9.1f}  {one.note}".rstrip())
    named = [
        *(f"failed in {one.world}: {failure}" for one in outcomes for failure in one.failures),
        *(f"unsteady in {one.world}, passed alone: {failure}" for one in outcomes for failure in one.unsteady),
    ]
    if named:
        print("", *named, sep="\n")
    passed, failed, skipped = (sum(getattr(one, kind) for one in outcomes) for kind in ("passed", "failed", "skipped"))
    unsteady = sum(len(one.unsteady) for one in outcomes)
    print(f"\n{passed} passed, {failed} failed, {unsteady} unsteady, {skipped} skipped", flush=True)


def main() -> int:
    """Run what the command line asks for; 1 when anything failed or nothing ran."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.worlds", description=worlds.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [world.name for world in WORLDS]
    parser.add_argument("--world", action="append", choices=names, help="only this one (may be given again)")
    parser.add_argument("--long", action="store_true", help="the tests marked long as well")
    parser.add_argument("arguments", nargs="*", metavar="-- PYTEST ARGUMENT", help="options; tests")
    args = parser.parse_args()
    arguments = [*args.arguments, *(["--long", "--timeout=0"] if args.long else [])]
    chosen = [world for world in WORLDS if not args.world or world.name in args.world]
    outcomes = run_all(chosen, arguments)
    report(outcomes)
    return 0 if any(one.passed for one in outcomes) and not any(one.failed for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
