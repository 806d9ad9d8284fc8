"""Flags of what makes an image: what it says of itself beside its files."""

from __future__ import annotations

from pycgroups.cli.flags import Flag

CHANGE = Flag(
    "--change -c",
    "an instruction: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME or WORKDIR",
    word="changes",
    value="INSTRUCTION",
    many=True,
)
MESSAGE = Flag("--message -m", "a comment in its history", value="TEXT")
