"""The notations of ``--mount`` and ``--tmpfs``, which are docker's."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pycgroups.containers.mounts import Mount

_KEYS = {"source": "src", "destination": "dst", "target": "dst", "readonly": "ro"}
_SWITCHES = {"ro", "idmap"}
# What each kind may be given, and the word of `Mount` for it.
_WORDS = {
    "bind": {"src": "src", "dst": "dst", "ro": "read_only", "idmap": "idmap", "bind-propagation": "propagation"},
    "tmpfs": {"dst": "dst", "ro": "read_only", "tmpfs-size": "size", "tmpfs-mode": "mode"},
    "volume": {"src": "name", "dst": "dst", "ro": "read_only"},
}
_ALWAYS = {"rw", "nosuid", "nodev"}  # of a tmpfs; how it is anyway


def mount(text: str) -> Mount:
    """Read ``type=bind,src=DIR,dst=DIR[,ro][,idmap][,bind-propagation=WORD]``, or type=tmpfs or volume."""
    fields: dict[str, str] = {}
    for field in text.split(","):
        key, found, value = field.partition("=")
        fields[_KEYS.get(key, key)] = value if found else "true"
    kind = fields.pop("type", "volume")
    if kind not in _WORDS:
        raise ValueError("type=bind, type=tmpfs or type=volume")
    known = _WORDS[kind]
    if not fields.keys() <= known.keys() or not {"dst", "src"} & known.keys() <= fields.keys():
        raise ValueError(f"for type={kind}: {', '.join(known)}")
    return _make(kind, {known[key]: _value(key, value) for key, value in fields.items()})


def tmpfs(text: str) -> Mount:
    """Read ``DIR[:size=SIZE,mode=OCTAL,ro]``."""
    path, _, options = text.partition(":")
    words: dict[str, Any] = {"dst": path}
    for option in options.split(",") if options else ():
        key, _, value = option.partition("=")
        if key in {"size", "mode"}:
            words[key] = _value(f"tmpfs-{key}", value)
        elif key == "ro":
            words["read_only"] = True
        elif option not in _ALWAYS:
            raise ValueError("size=, mode=, ro, rw, nosuid, nodev")
    return _make("tmpfs", words)


def _value(key: str, value: str) -> Any:
    if key in _SWITCHES:
        if value not in {"true", "false", "1", "0"}:
            raise ValueError(f"{key}=true, {key}=false")
        return value in {"true", "1"}
    if key == "tmpfs-mode":
        try:
            return int(value, 8)
        except ValueError:
            raise ValueError("an octal mode, as 1777") from None
    return value


def _make(kind: str, words: dict[str, Any]) -> Mount:
    from pycgroups.containers.mounts import Mount

    made: Mount = getattr(Mount, kind)(**words)
    return made
