"""Debian's docker-registry, with all that it takes to speak to it: for us, and for skopeo and podman."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from pycgroups.images import registry
from pycgroups.images.reference import Reference
from pycgroups.images.registry import RegistryOptions
from tests.registry.certificates import Authority
from tests.registry.debian import DockerRegistry, TokenService, htpasswd
from tests.registry.memory import Memory, copy
from tests.registry.misbehaving import PASSWORD, USER

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path


class Place:
    """A running registry and the options to speak to it."""

    def __init__(self, kind: str, directory: Path, stack: ExitStack) -> None:
        self.kind = kind
        self.directory = directory
        settings, tls = {}, None
        more: dict[str, Any] = {}
        if kind in {"token", "tls"}:
            authority = Authority(directory)
        if kind == "token":
            self.service = stack.enter_context(TokenService(authority))
            settings = self.service.settings
        elif kind == "htpasswd":
            settings = htpasswd(directory)
        elif kind == "tls":
            tls = authority.sign("server", "IP:127.0.0.1")
            certs = directory / "certs"
            certs.mkdir()
            (certs / "ca.crt").write_bytes(authority.certificate.read_bytes())
            more["certs"] = str(certs)
        if kind in {"token", "htpasswd"}:
            more["credentials"] = (USER, PASSWORD)
        self.domain = stack.enter_context(DockerRegistry(directory, settings, tls)).domain
        self.options = RegistryOptions(registries_conf="/dev/null", **more)

    def reference(self, text: str) -> Reference:
        return Reference.parse(f"{self.domain}/{text}")

    def push(self, text: str, made: Memory, **more: Any) -> str:
        return copy(made, registry.destination(self.reference(text), options=self.given(**more)))

    def pull(self, text: str, **more: Any) -> Memory:
        here = Memory()
        copy(registry.source(self.reference(text), options=self.given(**more)), here)
        return here

    def given(self, **more: Any) -> RegistryOptions:
        words = {name: getattr(self.options, name) for name in ("credentials", "certs", "registries_conf", "authfile")}
        return RegistryOptions(**{**words, **more})

    def flags(self, side: str = "") -> list[str]:
        """What skopeo and podman need for this registry."""
        flags = {"tls": [f"--{side}cert-dir={self.directory}/certs"]}.get(self.kind, [f"--{side}tls-verify=false"])
        if self.kind in {"token", "htpasswd"}:
            flags.append(f"--{side}creds={USER}:{PASSWORD}")
        return flags

    def skopeo(self, *words: str, side: str = "") -> str:
        """Run skopeo with what it needs for this registry, which is the source or the destination of a copy."""
        command = ["skopeo", words[0], *self.flags(side), *words[1:]]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
