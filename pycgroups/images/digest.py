"""Digests: the names of blobs, which are what their bytes hash to; image-spec, descriptor.md, "Digests"."""

from __future__ import annotations

from pycgroups.errors import DigestMismatch, invalid
from pycgroups.oci.kinds import DIGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple, Protocol

    class Hash(Protocol):
        """What hashlib gives."""

        def update(self, data: bytes | bytearray | memoryview, /) -> None: ...  # noqa: D102 (hashlib's)
        def hexdigest(self) -> str: ...  # noqa: D102 (hashlib's)
        def copy(self) -> Hash: ...  # noqa: D102 (hashlib's)
else:
    from pycgroups.records import NamedTuple


class Digest(NamedTuple):
    """A digest: the algorithm, ``sha256`` or ``sha512``, and the hash in lower hexadecimal."""

    algorithm: str
    encoded: str

    @classmethod
    def parse(cls, text: str, key: str = "digest") -> Digest:
        """Return the digest that a text is.

        Args:
            text: as ``sha256:9f86…``.
            key: the key path, for errors.

        Raises:
            InvalidConfig: it is none.
        """
        if not isinstance(text, str) or not DIGEST.holds(text):
            raise invalid(key, text, DIGEST.allowed)
        return cls(*text.split(":"))

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """Hash bytes with sha256."""
        made = new_hash("sha256")
        made.update(data)
        return cls("sha256", made.hexdigest())

    def hash(self) -> Hash:
        """Make what hashes as this digest was hashed."""
        return new_hash(self.algorithm)

    def __str__(self) -> str:
        """Write it as the specification does."""
        return f"{self.algorithm}:{self.encoded}"


def new_hash(algorithm: str) -> Hash:
    """Make a hash of `hashlib`, which releases the GIL for what is larger than 2 KiB."""
    import hashlib

    return hashlib.new(algorithm)


def digest_of(data: bytes, wanted: str | None, *, operation: str, path: str) -> Digest:
    """Return what bytes are called: what names them elsewhere, once they are checked against it; else their sha256.

    Raises:
        DigestMismatch: they are others.
    """
    if wanted is None:
        return Digest.of(data)
    digest = Digest.parse(wanted)
    check_bytes(data, digest, operation=operation, path=path)
    return digest


def check(got: str, wanted: Digest, *, operation: str, path: str) -> None:
    """Refuse bytes that are others than their name says.

    Raises:
        DigestMismatch: with both digests.
    """
    if got != wanted.encoded:
        raise DigestMismatch(
            f"is {wanted.algorithm}:{got}, expected {wanted}",
            operation=operation,
            path=path,
            hint="the content was damaged or changed on its way, or on disk",
        )


def check_bytes(data: bytes, wanted: Digest, *, operation: str, path: str) -> None:
    """Refuse bytes that are others than their name says.

    Raises:
        DigestMismatch: with both digests.
    """
    made = wanted.hash()
    made.update(data)
    check(made.hexdigest(), wanted, operation=operation, path=path)
