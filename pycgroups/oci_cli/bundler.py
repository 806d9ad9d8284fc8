"""What makes the file of a command's modules, which `pycgroups.oci_cli.bundle` loads.

In it is what a command needs of them, and no more: not what type checkers read, nor docstrings, nor assertions, nor the
columns that a traceback would mark; and for `os` there is `pycgroups.oci_cli.light_os`. Of annotations those of classes
stay, by which records and models are made.
"""

from __future__ import annotations

import ast
import marshal
import os
import sys
from _frozen_importlib_external import MAGIC_NUMBER

from pycgroups.oci_cli import light_os
from pycgroups.oci_cli.bundle import HEAD, PACKAGE, TOP, facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType

    from pycgroups.oci_cli.bundle import Entry

_NO_DOCSTRINGS = 2
_NO_COLUMN = -1


def write(path: str, names: Iterable[str]) -> None:
    """Write the file of these modules, as a whole or not at all.

    Raises:
        OSError: it cannot be written.
        SyntaxError: a source is half written.
    """
    beside = f"{path}.{os.getpid()}"
    entries, compiled = zip(*_compiled_ones([light_os.__name__, *names]), strict=True)
    head = marshal.dumps(entries)
    content = b"".join([MAGIC_NUMBER, len(head).to_bytes(HEAD - len(MAGIC_NUMBER), "little"), head, *compiled])
    try:
        with open(beside, "xb", opener=_for_others_to_read) as file:
            file.write(content)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def _for_others_to_read(path: str, flags: int) -> int:
    return os.open(path, flags, 0o644)  # a daemon's umask may be 0, and who writes here is obeyed


def _compiled_ones(names: Iterable[str]) -> Iterator[tuple[Entry, bytes]]:
    """Compile those modules that are ours, and Python."""
    for name in names:
        path = getattr(sys.modules[name], "__file__", None) or ""
        if name.startswith(f"{PACKAGE}.") and path.endswith(".py"):
            source = path.removeprefix(f"{TOP}/")
            size, changed = facts(source)  # of before it is read: who writes meanwhile makes another time
            compiled = marshal.dumps(_compiled(path))
            yield (name, source, size, changed, len(compiled)), compiled


def _compiled(path: str) -> CodeType:
    with open(path, "rb") as file:
        tree = _Bare().visit(ast.parse(file.read(), path))
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.expr | ast.excepthandler | ast.pattern):
            node.end_lineno, node.col_offset, node.end_col_offset = node.lineno, _NO_COLUMN, _NO_COLUMN
    code: CodeType = compile(tree, path, "exec", dont_inherit=True, optimize=_NO_DOCSTRINGS)
    return _named_alike(code)


def _named_alike(code: CodeType) -> CodeType:
    """Take away what is around its name, and around those in it: no two are the same, and Python keeps each."""
    inner = (_named_alike(each) if isinstance(each, type(code)) else each for each in code.co_consts)
    return code.replace(co_consts=tuple(inner), co_qualname=code.co_name)


class _Bare(ast.NodeTransformer):
    """Leaves out what is for type checkers."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Take the other branch of TYPE_CHECKING."""
        self.generic_visit(node)
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse
        return node

    def visit_Import(self, node: ast.Import) -> ast.AST:
        """Take the light one for os."""
        (name,) = node.names
        if name.name != "os":
            return node
        light = ast.ImportFrom(light_os.__name__, [ast.alias("light", "os")], level=0)
        return ast.fix_missing_locations(ast.copy_location(light, node))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Take away the annotations of a function."""
        self.generic_visit(node)
        node.returns = None
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Take away that of a parameter."""
        node.annotation = None
        return node
