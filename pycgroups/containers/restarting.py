"""When a container that has ended is started again, and how long after: Docker's restart policies. Pure.

==================  ================================================================
``no``              never
``on-failure[:N]``  when its program did not exit 0; N times at most
``always``          whatever became of it
``unless-stopped``  likewise; the two differ after a reboot: `starts_after_boot`
==================  ================================================================

Whoever stops it ends that, until somebody starts it. The first time it is `FIRST` seconds from the end to the start,
then twice as long each time, at most `LONGEST`; after a run of `SETTLED` seconds it is as the first time.
https://docs.docker.com/engine/containers/start-containers-automatically/
"""

from __future__ import annotations

from pycgroups.containers.monitor import NO_COMMAND, Command
from pycgroups.containers.values import exact, is_number
from pycgroups.errors import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIRST, LONGEST, SETTLED = 0.1, 60.0, 10.0
NEVER = "no"
_MOST = 10**9


def parse(value: object, *, remove: bool = False) -> str:
    """Take a policy, of a container that is removed once it has ended or stays; its normal form.

    Raises:
        InvalidConfig: it is none, or cannot be together with the removal.
    """
    policy = _parse(value)
    if remove and policy != NEVER:
        raise invalid("restart", value, "'no' with remove: it is removed once it has ended")
    return policy


def _parse(value: object) -> str:
    word, colon, count = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon and word in {NEVER, "always", "on-failure", "unless-stopped"}:
        return exact(word)
    if word == "on-failure" and is_number(count) and int(count) <= _MOST:
        return f"{word}:{int(count)}" if int(count) else exact(word)  # docker's 0 is any number
    raise invalid("restart", value, "'no', 'on-failure[:MOST]', 'always' or 'unless-stopped'")


def command(policy: str, restarts: int, waited: float, words: Sequence[str], environment: Mapping[str, str]) -> Command:
    """Say what comes after the end of a container.

    Args:
        policy: of it.
        restarts: how often it was started again already.
        waited: seconds before this start.
        words: what starts it again.
        environment: of that.
    """
    kind, _, most = policy.partition(":")
    if kind == NEVER or (most and restarts >= int(most)):
        return NO_COMMAND
    delay = min(2 * waited, LONGEST) or FIRST
    return Command(
        words,
        environment,
        delay=delay,
        settled=SETTLED,
        first=FIRST,
        again=True,
        if_failed=kind == "on-failure",
    )


def starts_after_boot(policy: str, *, stopped: bool) -> bool:
    """Tell whether a container is started when the machine is.

    Args:
        policy: of it.
        stopped: somebody has stopped it.
    """
    return policy == "always" or (policy == "unless-stopped" and not stopped)
