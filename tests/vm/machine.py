"""Start QEMU and virtiofsd, relay what the guest says, return its exit code.

Host and guest talk over one virtio serial port, guest to host, in lines. A line that starts with the token is ours,
all others are the command's output:

    guest                                   host
    TOKEN ready                ->           the command starts now
    any output of the command  ->           copied to stdout
    TOKEN exit CODE            ->           done
    TOKEN fail REASON          ->           the guest could not be set up
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import attrs

from tests.vm import initramfs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TREE = Path(__file__).parents[2]
PACKAGES = "qemu-system-x86 virtiofsd linux-image-cloud-amd64 busybox-static"
QEMU = "qemu-system-x86_64"
VIRTIOFSD = Path("/usr/libexec/virtiofsd")
BUSYBOX = Path("/usr/bin/busybox")
SYSTEMD_PACKAGES = "systemd dbus dbus-user-session"
SYSTEMD = Path("/usr/lib/systemd/systemd")
BUSES = (Path("/usr/lib/systemd/system/dbus.socket"), Path("/usr/lib/systemd/user/dbus.socket"))
USER = "ordinary"
USER_ID = 1234
BOOT = 400.0
"Seconds that a machine gets to boot, however busy this one is, before another is tried."
CGROUPS = {
    "service": "in a cgroup of root's, and nothing else runs",
    "delegated": "in a cgroup that was handed to the user, with cpu, memory and pids, and nothing else runs",
    "systemd": "in a cgroup of root's, beside systemd and the D-Bus that root or the user talks to it by",
}


class VmError(Exception):
    """The machine could not be built or booted, or died before the command had finished."""


@attrs.frozen(kw_only=True)
class Job:
    """What to run in the machine."""

    command: Sequence[str]
    env: Mapping[str, str] = attrs.field(factory=dict)
    as_user: bool = False
    cgroups: str = "service"
    "Where the command is: see `CGROUPS`."
    timeout: float = 4500.0
    memory: int = 3072
    "MiB of guest memory."


def missing() -> str | None:
    """Tell why no machine can be started here; None if one can."""
    if os.uname().machine != "x86_64":
        return f"the test machine is made for x86_64, this is {os.uname().machine}"
    lacks = [str(path) for path in (VIRTIOFSD, BUSYBOX) if not path.exists()]
    lacks += [] if shutil.which(QEMU) else [QEMU]
    lacks += [] if _kernels() else ["/boot/vmlinuz-*-cloud-amd64"]
    return f"{', '.join(lacks)} missing; on Debian: apt-get install {PACKAGES}" if lacks else None


def missing_systemd() -> str | None:
    """Tell why no machine with systemd as its init can be started here; None if one can."""
    lacks = [str(path) for path in (SYSTEMD, *BUSES) if not path.exists()]
    return missing() or (
        f"{', '.join(lacks)} missing; on Debian: apt-get install {SYSTEMD_PACKAGES}" if lacks else None
    )


def _kernels() -> list[Path]:
    """Readable cloud kernels that have their modules, oldest first."""
    found = sorted(Path("/boot").glob("vmlinuz-*-cloud-amd64"), key=lambda path: path.stat().st_mtime)
    return [
        path
        for path in found
        if os.access(path, os.R_OK) and Path("/lib/modules", path.name.removeprefix("vmlinuz-"), "modules.dep").exists()
    ]


def run(job: Job) -> int:
    """Run the job; its output goes to stdout.

    Returns:
        The command's exit code, 128 + N after signal N.

    Raises:
        VmError: no machine, no boot, or the time is over.
    """
    if reason := missing():
        raise VmError(reason)
    deadline = time.monotonic() + job.timeout
    # QEMU 10's multi-threaded emulation aborts now and then (seen in one boot of sixty) while the guest sets up its
    # PCI bus. Nothing of ours has run then, so another try is safe.
    for _ in range(3):
        code = _boot(job, deadline)
        if code is not None:
            return code
    raise VmError("the machine died three times before it was up")


def _boot(job: Job, deadline: float) -> int | None:
    """Boot once; None when the machine died before the command had started."""
    token = f"vm-{secrets.token_hex(16)}"
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vm-")))
        (scratch / "initrd").write_bytes(initramfs.build(BUSYBOX, _settings(job, token), _script(job)))
        log = stack.enter_context((scratch / "log").open("w+b"))
        port, far_port = socket.socketpair()
        stack.enter_context(port)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(scratch / "fs"))
        listener.listen(1)
        stack.enter_context(_started(_virtiofsd(listener.fileno()), listener.fileno(), log.fileno()))
        with far_port:
            stack.enter_context(_started(_qemu(job, scratch, far_port.fileno()), far_port.fileno(), log.fileno()))
        relay = Relay(port, token)
        code = relay.run(deadline)
        if code is None and relay.ready:
            log.seek(0)
            said = log.read().decode(errors="replace")[-4000:]
            raise VmError(f"the machine died before the command had finished\n{said}")
        return code


def _settings(job: Job, token: str) -> dict[str, str]:
    return {
        "TOKEN": token,
        "TREE": str(TREE),
        "USER_NAME": USER,
        "USER_ID": str(USER_ID if job.as_user else 0),
        "USER_HOME": f"/home/{USER}",
        "CGROUPS": job.cgroups,
        "SUBID_FIRST": "300000",
    }


def _script(job: Job) -> str:
    """Write the shell script that becomes the command."""
    name, home, uid = (USER, f"/home/{USER}", USER_ID) if job.as_user else ("root", "/root", 0)
    env = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "USER": name,
        "LOGNAME": name,
        "HOME": home,
        **({"XDG_RUNTIME_DIR": f"/run/user/{uid}"} if job.as_user else {}),
        **job.env,
    }
    # Absolute paths: the shell is busybox, and would take its own applets for these programs.
    words = ["/usr/bin/env", "-i", *(f"{key}={value}" for key, value in env.items())]
    if job.as_user:
        words += ["/usr/bin/setpriv", f"--reuid={uid}", f"--regid={uid}", "--init-groups", "--inh-caps=-all", "--"]
    return f"cd {shlex.quote(str(TREE))} || exit 125\numask 022\nexec {shlex.join([*words, *job.command])}\n"


def _virtiofsd(listener: int) -> list[str]:
    return [
        str(VIRTIOFSD),
        f"--fd={listener}",
        "--shared-dir=/",
        "--sandbox=none",
        "--readonly",
        "--cache=always",
        # The lower layer of an overlay does not cross mount points: show one file system.
        "--no-announce-submounts",
        "--log-level=error",
        # File handles instead of open files need CAP_DAC_READ_SEARCH; raising the limit of files needs root as well.
        "--inode-file-handles=prefer" if os.geteuid() == 0 else "--rlimit-nofile=0",
    ]


def _qemu(job: Job, scratch: Path, port: int) -> list[str]:
    kernel_options = [
        "console=ttyS0",
        "quiet",
        "panic=-1",
        "rdinit=/init",
        # Each of these shortens an emulated boot; none of them changes what is tested.
        *("nokaslr", "mitigations=off", "tsc=reliable", "no_timer_check", "cryptomgr.notests"),
    ]
    return [
        *(QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "q35,memory-backend=memory", "-accel", "tcg,thread=multi", "-cpu", "max"),
        # One processor: what is emulated for another to see takes a quarter of the time of two.
        *("-smp", "1", "-m", f"{job.memory}M"),
        *("-object", f"memory-backend-memfd,id=memory,size={job.memory}M,share=on"),
        *("-kernel", str(_kernels()[-1]), "-initrd", str(scratch / "initrd"), "-append", " ".join(kernel_options)),
        *("-serial", "stdio"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=port,fd={port}"),
        *("-device", "virtserialport,nr=1,chardev=port"),
        *("-chardev", f"socket,id=fs,path={scratch / 'fs'}"),
        *("-device", "vhost-user-fs-pci,chardev=fs,tag=host,queue-size=1024"),
    ]


@contextlib.contextmanager
def _started(command: Sequence[str], fd: int, log: int) -> Iterator[None]:
    """Keep a process running that holds ``fd`` and dies with us."""
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig=KILL", "--", *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=[fd],
        start_new_session=True,  # Ctrl-C is for us
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Relay:
    """The host's end of the conversation drawn above."""

    def __init__(self, port: socket.socket, token: str) -> None:
        self.ready = False
        self._up_by = time.monotonic() + BOOT
        self._port = port
        self._token = token.encode()

    def run(self, deadline: float) -> int | None:
        """Copy output until the command ends; None when the machine is gone."""
        pending = b""
        while data := self._receive(deadline):
            *lines, pending = (pending + data).splitlines(keepends=True)
            if pending.endswith(b"\n"):
                lines, pending = [*lines, pending], b""
            for line in lines:
                text, marked, message = line.partition(self._token)
                sys.stdout.buffer.write(text)  # output that did not end in a newline
                if marked and (code := self._message(*message.decode().split(maxsplit=1))) is not None:
                    return code
            sys.stdout.flush()
        return None

    def _receive(self, deadline: float) -> bytes:
        left = (deadline if self.ready else self._up_by) - time.monotonic()
        if left <= 0 or not select.select([self._port], [], [], left)[0]:
            if self.ready:
                raise VmError("the command did not finish in time")
            return b""
        try:
            return self._port.recv(1 << 16)
        except ConnectionResetError:
            return b""

    def _message(self, word: str, rest: str = "") -> int | None:
        if word == "exit":
            return int(rest)
        if word == "fail":
            _fail(rest)
        self.ready = True
        return None


def _fail(reason: str) -> NoReturn:
    raise VmError(f"guest: {reason.strip()}")
