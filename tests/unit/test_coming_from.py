"""The words that docs/how-to/coming-from.md promises to those who come from elsewhere are there."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import pycgroups as pc
from pycgroups import misnamed
from pycgroups.cli import elsewhere
from pycgroups.containers.attaching import Attachment
from pycgroups.containers.config import OPTIONS
from pycgroups.containers.vocabulary import Options

PAGE = Path(__file__).parents[2] / "docs/how-to/coming-from.md"
OURS = [line.split(" | ")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
PLACES = {"pc": pc, "c": pc.Container}
NOT_PUBLIC = {"Attachment": Attachment}
"Classes that calls give back, and that pycgroups does not show by name."


def spans():
    """Yield each piece of code in the column of ours; one that begins with a dot goes on from the one before."""
    for cell in OURS:
        place = ""
        for span in re.findall(r"`([^`]+)`", cell):
            full = f"{place}{span}" if span.startswith(".") else span
            place = full.rpartition(".")[0]
            yield full


def chains():
    """Yield each dotted expression that begins with one of the places."""
    for span in spans():
        try:
            parsed = ast.parse(span)
        except SyntaxError:  # a flag, or a keyword alone
            continue
        for node in ast.walk(parsed):
            if isinstance(node, ast.Attribute) and re.match(r"(pc|c)\b", chain := ast.unparse(node)):
                yield chain


def found(node):
    """Return what an expression stands for: a module, a class, a function; for an object, its class."""
    if isinstance(node, ast.Name):
        return PLACES[node.id]
    if isinstance(node, ast.Call):
        return given(found(node.func))
    assert isinstance(node, ast.Attribute)
    owner = found(node.value)
    if isinstance(owner, type) and node.attr in inspect.signature(owner).parameters:
        return None  # an attribute that each object gets when it is made
    value = getattr(owner, node.attr)
    return given(value.fget) if isinstance(value, property) and value.fget.__annotations__ else value


def given(function):
    """Return the class of what a function gives back, or None if it has no class of ours."""
    if isinstance(function, type):
        return function() if function is pc.Store else function  # which has attributes, and touches nothing yet
    name = re.match(r"\w*", str(function.__annotations__.get("return")))[0]
    return NOT_PUBLIC.get(name) or getattr(pc, name, None)


@pytest.mark.parametrize("chain", sorted(set(chains())))
def test_a_name_is_there(chain):
    found(ast.parse(chain, mode="eval").body)


def test_the_page_has_names():
    assert {"pc.run", "pc.containers.prune", "c.exec", "c.wait", "pc.images.push"} <= set(chains())


@pytest.mark.parametrize("wrong", ["pc.run(...).text", "pc.containers.create('x').start().stop", "c.look", "pc.look"])
def test_a_name_that_is_not_there_is_noticed(wrong):
    with pytest.raises(AttributeError):
        found(ast.parse(wrong, mode="eval").body)


KEYWORDS = {word for cell in OURS for word in re.findall(r"`([a-z_]+)=", cell)}


@pytest.mark.parametrize("word", sorted(KEYWORDS))
def test_an_option_is_there(word):
    assert (
        word in Options.__annotations__
        or word in pc.run.__annotations__
        or word in pc.Container.__init__.__annotations__
    )


THEIRS = {word for line in PAGE.read_text().splitlines() for word in re.findall(r"`([a-z_]+)=", line.split(" | ")[0])}
TAKEN = OPTIONS | pc.run.__kwdefaults__.keys() | pc.Container.__init__.__kwdefaults__.keys()


@pytest.mark.parametrize("word", sorted(THEIRS - TAKEN))
def test_the_error_about_an_option_of_theirs_tells_it_too(word):
    assert word in misnamed.RENAMED or word in misnamed.OTHERWISE


FLAGS = {
    word
    for line in PAGE.read_text().partition("\n## Not there\n")[2].splitlines()
    if line.startswith(("| `-", "| `run "))
    for word in re.findall(r"`(?:run )?(-[-\w]+)", line.split(" | ")[0])
}


def test_the_error_about_a_flag_of_dockers_tells_the_way_round():
    assert elsewhere.FLAGS.keys() == FLAGS
