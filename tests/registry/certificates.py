"""Certificates for tests, by openssl(1): an authority, and what it signs."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PAST = ("-not_before", "20200101000000Z", "-not_after", "20200102000000Z")


class Authority:
    """One that signs certificates.

    Attributes:
        certificate: its own, a PEM file.
    """

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self.certificate = directory / f"{name}.crt"
        self.key = directory / f"{name}.key"
        _openssl("req", "-x509", *_NEW_KEY, "-keyout", self.key, "-out", self.certificate, "-subj", f"/CN={name}")

    def sign(self, name: str, *alternatives: str, options: tuple[str, ...] = ("-days", "2")) -> tuple[Path, Path]:
        """Make a certificate and its key, for hosts written as ``IP:127.0.0.1`` and ``DNS:localhost``."""
        certificate, key, request, extensions = (
            self._directory / f"{name}.{end}" for end in ("cert", "key", "csr", "ext")
        )
        _openssl("req", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extensions.write_text(f"subjectAltName={','.join(alternatives or ('DNS:nobody',))}\n")
        signer = ("-CA", self.certificate, "-CAkey", self.key)
        _openssl("x509", "-req", "-in", request, *signer, "-out", certificate, "-extfile", extensions, *options)
        return certificate, key


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
