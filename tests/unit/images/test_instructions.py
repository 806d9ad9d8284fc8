"""What ``import --change`` takes."""

from __future__ import annotations

import pytest

import pycgroups as pc
from pycgroups.images.instructions import changed
from pycgroups.oci.image_spec import ImageDefaults


def said(defaults):
    return {name: value for name, value in defaults.to_json().items() if value != ""}


def made(*instructions):
    return said(changed(ImageDefaults(), instructions))


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ([], {}),
        (['CMD ["sh", "-c", "true"]'], {"Cmd": ["sh", "-c", "true"]}),
        (["cmd echo a  b"], {"Cmd": ["/bin/sh", "-c", "echo a  b"]}),
        (["CMD [ -e / ]"], {"Cmd": ["/bin/sh", "-c", "[ -e / ]"]}),
        (["ENTRYPOINT []", 'ENTRYPOINT ["/init"]'], {"Entrypoint": ["/init"]}),
        (["ENV A=1 B='2 3'", 'ENV C="4\\"" D=', "ENV A x  y"], {"Env": ["A=x  y", "B=2 3", 'C=4"', "D="]}),
        (["EXPOSE 80 443/TCP", "EXPOSE 53/udp 80"], {"ExposedPorts": {"80/tcp": {}, "443/tcp": {}, "53/udp": {}}}),
        (["EXPOSE 8000-8001"], {"ExposedPorts": {"8000/tcp": {}, "8001/tcp": {}}}),
        (["LABEL a=1", 'LABEL a=2 "b c"="d e"'], {"Labels": {"a": "2", "b c": "d e"}}),
        (["USER  1000:1000 "], {"User": "1000:1000"}),
        (['VOLUME ["/a", "/b c"]', "VOLUME /d /e"], {"Volumes": {"/a": {}, "/b c": {}, "/d": {}, "/e": {}}}),
        (["WORKDIR /a/", "WORKDIR b", "WORKDIR c"], {"WorkingDir": "/a/b/c"}),
        (["WORKDIR a"], {"WorkingDir": "/a"}),
        (["STOPSIGNAL SIGINT"], {"StopSignal": "SIGINT"}),
    ],
)
def test_instructions(instructions, expected):
    assert made(*instructions) == expected


def test_what_was_there_stays():
    before = ImageDefaults(env=("A=1",), user="me", labels=(("x", "y"),))
    assert said(changed(before, ["ENV B=2", "LABEL z=1"])) == {
        "Env": ["A=1", "B=2"],
        "User": "me",
        "Labels": {"x": "y", "z": "1"},
    }


@pytest.mark.parametrize(
    "instruction",
    [
        *("", "CMD", "CMD ", "RUN true", "FROM debian", "HEALTHCHECK NONE", 5, None),
        *("ENV A", "ENV =1", "ENV A=1 B", "ENV A='1", "LABEL a"),
        *(
            "EXPOSE 0",
            "EXPOSE 65536",
            "EXPOSE 80/icmp",
            "EXPOSE 80/",
            "EXPOSE 9-8",
            "EXPOSE -",
            "EXPOSE 1-2-3",
            "EXPOSE x",
        ),
        *('VOLUME ["/a"', 'VOLUME {"/a": 1}["', "VOLUME [1]", "USER a b", "USER ''", "WORKDIR /a /b", "STOPSIGNAL 1 2"),
    ],
)
def test_what_is_refused(instruction):
    with pytest.raises(pc.InvalidConfig) as caught:
        made("USER me", instruction)
    assert caught.value.path == "changes[1]"
