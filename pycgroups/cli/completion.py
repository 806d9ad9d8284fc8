"""``pycgroups completion``: what a shell has to know to complete commands, flags, and names of containers and images.

The shell asks ``pycgroups __complete WORD ...`` for each word that is completed; the last WORD is what there is of it.
The answer is a line for each candidate, with a tab and what it is. Where there is none, the shell offers files.
"""

from __future__ import annotations

import io
import re
import sys
from contextlib import redirect_stdout, suppress

from pycgroups.cli import commands
from pycgroups.cli.flags import UsageError
from pycgroups.cli.usage import Usage
from pycgroups.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Candidates = Iterator[tuple[str, str]]

BASH = """\
# pycgroups completion bash: source it, or write it to ~/.local/share/bash-completion/completions/pycgroups
_pycgroups() {
    local line="${COMP_LINE:0:COMP_POINT}" words current candidate shown=""
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current="${words[-1]}"
    # Readline has its own idea of where the word begins: behind the last colon or equals sign.
    [[ $current == *[:=]* && $COMP_WORDBREAKS == *[:=]* ]] && shown="${current%"${current##*[:=]}"}"
    COMPREPLY=()
    while IFS=$'\\t' read -r candidate _; do
        COMPREPLY+=("${candidate#"$shown"}")
    done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[:=] ]] && compopt -o nospace
}
complete -o default -F _pycgroups pycgroups
"""
ZSH = """\
#compdef pycgroups
# pycgroups completion zsh: source it after compinit, or write it to a directory of $fpath as _pycgroups
_pycgroups() {
    local -a candidates
    local name what
    while IFS=$'\\t' read -r name what; do
        candidates+=("${name//:/\\\\:}:$what")
    done < <("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( $#candidates )); then
        _describe pycgroups candidates
    else
        _files
    fi
}
compdef _pycgroups pycgroups
"""
FISH = """\
# pycgroups completion fish: source it, or write it to ~/.config/fish/completions/pycgroups.fish
function __pycgroups_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l candidates ($words[1] __complete $words[2..-1] 2>/dev/null)
    if set -q candidates[1]
        printf '%s\\n' $candidates
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c pycgroups -f -a '(__pycgroups_complete)'
"""
SHELLS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
USAGE = Usage(
    "completion bash|zsh|fish",
    """\
Write to stdout what makes that shell complete our commands and flags, and the names of containers, images and volumes.
In the first lines it tells where to put it.""",
    least=1,
    most=1,
)
_LIVE = frozenset({"running", "paused"})
_RESTING = frozenset({"created", "stopped"})
_OF_STATUS = {
    **dict.fromkeys(("stop", "kill", "pause", "exec", "attach", "stats", "top", "port"), _LIVE),
    "unpause": frozenset({"paused"}),
    "start": _RESTING,
}
_NO_NAMES = frozenset({"ps", "events", "doctor", "images", "import", "load", "login", "logout", "completion"})
_OF_IMAGES = frozenset({"run", "create", "explain", "record", "pull"})
_FIRST_ALONE = frozenset({"exec", "run", "create", "explain", "record", "rename", "fork"})
_FLAG = re.compile(r"^  (?:(-\w),)? +(--[\w-]+(?:, --[\w-]+)*)(?: (\S+))?  +(.*)$", re.MULTILINE)
_COMMAND = re.compile(r"^  ([a-z-]+)  +(.*)$", re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Run the command; the exit code.

    Raises:
        UsageError: there is no such shell.
    """
    asked = USAGE.read(arguments)
    if asked is None:
        return 0
    shell = asked[1][0]
    if shell not in SHELLS:
        raise UsageError(f"no shell that is known: {shell!r}; allowed: {', '.join(SHELLS)}")
    print(SHELLS[shell], end="")
    return 0


def complete(words: Sequence[str]) -> int:
    """Answer a shell; the exit code. Whatever cannot be told is no candidate."""
    current = words[-1] if words else ""
    with suppress(Error, OSError):
        for name, what in _candidates(list(words[:-1]), current):
            if name.startswith(current):
                sys.stdout.write(f"{name}\t{what}\n")
    return 0


def _candidates(before: list[str], current: str) -> Candidates:
    if not before:
        yield from _COMMAND.findall(_help())
        yield from _flags("")
        return
    command = before[0]
    has_kinds = command in {"container", "image", "volume", "system"}
    if has_kinds and len(before) == 1:
        yield from _COMMAND.findall(_help(command))
        return
    names = before[: 1 + has_kinds]
    flags, given = _flag_table(*names), before[len(names) :]
    if given and given[-1] in flags and flags[given[-1]][0]:
        yield from _values(given[-1])
    elif current.startswith("-"):
        yield from _flags(*names)
    elif not (command in _FIRST_ALONE and _has_word(given, flags)):
        yield from _names(*names)


def _help(*names: str) -> str:
    """Return the help of a command: all tables of flags are in it, in one form."""
    with redirect_stdout(io.StringIO()) as shown:
        commands.perform([*names, "--help"])
    return shown.getvalue()


def _flag_table(*names: str) -> dict[str, tuple[str, str]]:
    """Return the flags of a command, each with the name of its value, or "", and what it does."""
    table = {}
    for short, long, value, text in _FLAG.findall(_help(*names)):
        for flag in [*long.split(", "), *filter(None, [short])]:
            table[flag] = value, text
    return table


def _flags(*names: str) -> Candidates:
    for flag, (_, text) in _flag_table(*filter(None, names)).items():
        if flag.startswith("--"):
            yield flag, text


def _has_word(given: Sequence[str], flags: dict[str, tuple[str, str]]) -> bool:
    """Tell whether there is a word that is neither a flag nor a flag's value."""
    is_value = False
    for word in given:
        if not is_value and not word.startswith("-"):
            return True
        is_value = word in flags and bool(flags[word][0])
    return False


def _values(flag: str) -> Candidates:
    if flag == "--image":
        yield from _images()
    elif flag == "--format":
        yield from (("table", "for people"), ("json", "for programs"))


def _names(command: str, kind: str = "") -> Candidates:
    if command == "volume":
        yield from _volumes(kind)
    elif command in {*commands.HELD, "inspect"} - _NO_NAMES - _OF_IMAGES:
        yield from _containers(_OF_STATUS.get(command), ":" if command == "cp" else "")
    if command in {*commands.IMAGES, *_OF_IMAGES} - _NO_NAMES:
        yield from _images()
    elif command == "completion":
        yield from ((shell, "") for shell in SHELLS)


def _containers(statuses: frozenset[str] | None, end: str) -> Candidates:
    from pycgroups import containers

    for held in containers.list(all=True):
        with suppress(Error):  # removed meanwhile, or damaged
            status = held.status
            if statuses is None or status in statuses:
                yield f"{held.name}{end}", status


def _images() -> Candidates:
    from pycgroups import images
    from pycgroups.images.reference import Reference

    for image in images.list():
        if image.reference is not None:
            yield Reference.parse(image.reference).familiar, "image"


def _volumes(kind: str) -> Candidates:
    from pycgroups import volumes

    if kind in {"inspect", "rm"}:
        for volume in volumes.list():
            yield volume.name, "volume"
