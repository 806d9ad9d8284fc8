"""``python -m pycgroups.demo``: good and bad programs in containers of the host's own root, each with its verdict.

Every scene is an ordinary `pycgroups.run`, printed as it is called. A scene whose limit this account may not set is not
played: an endless hog is for those who can stop it. It tells what would make it possible instead.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import attrs

import pycgroups as pc

if TYPE_CHECKING:
    from collections.abc import Callable

_STARTS = 60
_SECRETS = ("/etc/shadow", "/etc/passwd", "/etc/hostname")
_LINES_SHOWN = 1
_FREE_TOLERANCE = 64 << 20  # bytes; other programs of the host live on meanwhile


@attrs.frozen(kw_only=True)
class Scene:
    """One program, and how it has to end.

    Attributes:
        title: what it shows.
        command: the program.
        options: those of `pycgroups.run`.
        verdict: the reason that is right.
    """

    title: str
    command: list[str]
    options: dict[str, Any]
    verdict: str


SCENES = (
    Scene(
        title="A program with its answer, its verdict and what it took",
        command=["python3", "-c", "print('the answer is', 6 * 7)"],
        options={"memory": "256M", "cpus": 1, "pids": 64, "timeout": 5, "require_limits": False},
        verdict="exited",
    ),
    Scene(
        title="A memory hog",
        command=["python3", "-c", "hog = [bytearray(10**7) for _ in range(10**4)]"],
        options={"memory": "64M", "timeout": 5},
        verdict="oom",
    ),
    Scene(
        title="A fork bomb",
        command=["python3", "-c", "import os, signal\nwhile os.fork(): pass\nsignal.pause()"],
        options={"pids": 64, "timeout": 5},
        verdict="pids",
    ),
    Scene(
        title="An endless loop that ignores SIGTERM, with a daemon beside it",
        command=["sh", "-c", "trap '' TERM; (setsid sleep 1000 &); while :; do :; done"],
        options={"timeout": 1},
        verdict="timeout",
    ),
    Scene(
        title="A disk filler",
        command=["dd", "if=/dev/zero", "of=/tmp/filler", "bs=1M"],
        options={"disk": "64M", "timeout": 5},
        verdict="disk",
    ),
    Scene(
        title="A reader of /etc/shadow",
        command=["cat", "/etc/shadow"],
        options={"timeout": 5},
        verdict="exited",
    ),
)


def main() -> int:
    """Play all scenes; 0 if each ended as it has to and the host is as before."""
    say = _printer()
    before = Host.look()
    right = [play(scene, say) for scene in SCENES]
    compare_starts(say)
    harm = Host.look().harm(before)
    say("\nThe host afterwards", "bold")
    for line in harm or ("the same mounts and secrets, as much space, and no process left of any of these",):
        say(f"  {line}", "bold red" if harm else "green")
    return 0 if all(right) and not harm else 1


def play(scene: Scene, say: Callable[[str, str], None]) -> bool:
    """Run one scene; False if the verdict is not the right one."""
    say(f"\n{scene.title}", "bold")
    words = "".join(f", {word}={value!r}" for word, value in scene.options.items())
    say(f"  pc.run({scene.command!r}{words})", "cyan")
    try:
        result = pc.run(scene.command, text=True, stderr=pc.STDOUT, **scene.options)
    except pc.Unsupported as error:
        say(f"  not played: {error.message or error}", "yellow")
        say(f"  to mend it: {error.hint}", "yellow")
        return True
    for line in result.stdout.splitlines()[-_LINES_SHOWN:]:
        say(f"  {line}", "dim")
    right = result.reason == scene.verdict and not _leaks_secrets(result.stdout)
    say(f"  {verdict(result)}", "bold green" if right else "bold red")
    if result.unenforced:
        say(f"  not in force for this account: {', '.join(result.unenforced)}", "yellow")
        say(f"  to mend it: {pc.cgroups.info().hint}", "yellow")
    return right


def verdict(result: pc.Result) -> str:
    """Write the verdict and the usage in one line."""
    usage = result.usage
    parts = [
        f"{result.reason} ({result.returncode})",
        *(f"{name} hit {count}x" for name, count in result.hits.items() if count),
        f"{usage.wall_time * 1000:.0f} ms",
        f"cpu {usage.cpu_time * 1000:.0f} ms",
        f"peak memory {(usage.peak_memory or 0) / 2**20:.1f} MiB",
    ]
    return ", ".join(parts if usage.processes is None else [*parts, f"{usage.processes} processes"])


def _leaks_secrets(output: str) -> bool:
    return "root:" in output


def compare_starts(say: Callable[[str, str], None]) -> None:
    """Measure how long it takes to run a program that does nothing, with walls and without."""
    say(f"\nThe median of {_STARTS} starts of `true`", "bold")
    contained: list[float] = []
    plain: list[float] = []
    for _ in range(_STARTS):  # in turn, so that both have the same weather
        contained.append(_time(lambda: pc.run(["true"])))
        plain.append(_time(lambda: subprocess.run(["true"], capture_output=True, check=True)))  # noqa: S607
    own, theirs = (statistics.median(times) * 1000 for times in (contained, plain))
    say(f"  subprocess.run {theirs:5.2f} ms   no walls", "green")
    say(
        f"  pc.run         {own:5.2f} ms   own root, users, processes, network; filtered, without secrets", "bold green"
    )


def _time(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


@attrs.frozen(kw_only=True)
class Host:
    """What of the host a bad program could have changed.

    Attributes:
        mounts: how many mounts this process sees.
        secrets: size and time of change of some files.
        free: free bytes by file system.
        children: processes of ours.
    """

    mounts: int
    secrets: tuple[tuple[int, int], ...]
    free: dict[str, int]
    children: frozenset[str]

    @classmethod
    def look(cls) -> Host:
        """Look at it now."""
        stats = [os.stat(path) for path in _SECRETS if os.path.exists(path)]
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            mounts = len(file.readlines())
        return cls(
            mounts=mounts,
            secrets=tuple((each.st_size, each.st_mtime_ns) for each in stats),
            free={place: _free(place) for place in ("/", "/tmp")},  # noqa: S108 (looked at, not used)
            children=frozenset(_children()),
        )

    def harm(self, before: Host) -> tuple[str, ...]:
        """Tell what is worse than before."""
        fuller = any(before.free[place] - free > _FREE_TOLERANCE for place, free in self.free.items())
        left = self.children - before.children
        found = {
            "mounts have come or gone": self.mounts != before.mounts,
            f"changed: one of {', '.join(_SECRETS)}": self.secrets != before.secrets,
            "the disk is fuller": fuller,
            f"still running: {', '.join(sorted(left))}": bool(left),
        }
        return tuple(text for text, is_so in found.items() if is_so)


def _free(path: str) -> int:
    stats = os.statvfs(path)
    return stats.f_bfree * stats.f_frsize


def _children() -> list[str]:
    """Find the children of this process. A container's first process is one, and what is left of it is below that."""
    found = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/children", encoding="ascii") as file:
            found += file.read().split()
    return found


def _printer() -> Callable[[str, str], None]:
    """Print in colours where rich is installed; plainly elsewhere."""
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return lambda text, _: print(text)  # noqa: T201 (it is a demonstration)
    console = Console(highlight=False)
    return lambda text, style: console.print(Text(text, style), soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
