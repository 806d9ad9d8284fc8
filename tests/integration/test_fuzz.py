"""The C that reads what others wrote, under libFuzzer, AddressSanitizer and UBSan: tests/fuzz/."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pycgroups.containers.assemble import assemble
from pycgroups.containers.config import ContainerConfig
from tests import tars

pytestmark = [pytest.mark.long, pytest.mark.requires("clang")]

HERE = Path(__file__).parents[1] / "fuzz"
NATIVE = HERE.parents[1] / "pycgroups/_native"
NAMES = "steps inside copy passwd landlock refusal tar tree unpack"
SOURCES = [NATIVE / f"{name}.c" for name in NAMES.split()]
FLAGS = [
    "-std=gnu11",
    "-Wall",
    "-Wextra",
    "-g",
    "-O1",
    "-fsanitize=fuzzer,address,undefined",
    "-fno-sanitize-recover=all",
]
SECONDS = 60


def plan():
    config = ContainerConfig(command=["true"], hostname="here", sysctls={"net.ipv4.ip_forward": "1"})
    return assemble(config, joins=0, terminal=None).plan.encode()


SEEDS = {
    "plan": plan,
    "passwd": lambda: b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:\n",
    "tar": lambda: tars.file(b"a") + tars.file(b"./b", mode=0o4755, prefix=b"p") + tars.file(b"\xff", b"") + tars.END,
}


@pytest.mark.parametrize("target", sorted(SEEDS))
def test_nothing_is_found(tmp_path, target):
    program, corpus = tmp_path / target, tmp_path / "corpus"
    subprocess.run(["clang", *FLAGS, f"-I{NATIVE}", HERE / f"{target}.c", *SOURCES, "-o", program], check=True)
    corpus.mkdir()
    (corpus / "seed").write_bytes(SEEDS[target]())
    done = subprocess.run(
        [program, f"-max_total_time={SECONDS}", "-max_len=16384", corpus],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
