"""What makes the file of a command's modules, which `pycgroups.oci_cli.bundle` loads; its parts are told of there.

In it is what a command needs of them, and no more: not what type checkers read, nor docstrings, nor assertions, nor the
columns that a traceback would mark; and for `os` there is `pycgroups.oci_cli.light_os`. Of annotations those of classes
stay, by which records and models are made.
"""

from __future__ import annotations
import __future__

import ast
import marshal
import os
import sys

from pycgroups import oci_cli
from pycgroups.oci_cli import bundle, light_os
from pycgroups.oci_cli.bundle import HEAD, OWN, PACKAGE, TOP, facts, head_of_python, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType

    from pycgroups.oci_cli.bundle import Entry

_MADE_OF = {"stat": "_stat", "struct": "_struct"}
"""Modules in Python that have their names from one in C."""
_NO_DOCSTRINGS = 2
_NO_COLUMN = -1


def write(path: str, names: Iterable[str]) -> None:
    """Write the file of these modules, as a whole or not at all.

    Raises:
        OSError: it cannot be written.
        SyntaxError: a source is half written.
    """
    beside = f"{path}.{os.getpid()}"
    content = _content([OWN, PACKAGE, oci_cli.__name__, light_os.__name__, *names])
    try:
        with open(beside, "xb", opener=_for_others_to_read) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a command that is to start after a crash of the machine may find half of it
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def _for_others_to_read(path: str, flags: int) -> int:
    return os.open(path, flags, 0o644)  # a daemon's umask may be 0, and who writes here is obeyed


def _content(names: Iterable[str]) -> bytes:
    entries, compiled = zip(*_compiled_ones(names), strict=True)
    program, known = marshal.dumps(_compiled(bundle.__file__)), marshal.dumps(entries)
    tail = number(HEAD + len(program)) + number(len(known))
    size = HEAD + sum(map(len, (program, known, *compiled, tail)))
    return b"".join([head_of_python(), number(size), program, known, *compiled, tail])


def _compiled_ones(names: Iterable[str]) -> Iterator[tuple[Entry, bytes]]:
    """Compile those modules that are ours, and Python; shared objects are told of."""
    for name in dict.fromkeys(names):
        path = getattr(sys.modules[name], "__file__", None) or ""
        is_ours = f"{name}.".startswith(f"{PACKAGE}.") and path.endswith(".py")
        if is_ours or path.endswith(".so"):
            source = path.removeprefix(f"{TOP}/")
            size, changed = facts(source)  # of before it is read: who writes meanwhile makes another time
            compiled = marshal.dumps(_compiled(path)) if is_ours and name != OWN else b""
            yield (name, source, size, changed, len(compiled)), compiled


def _compiled(path: str) -> CodeType:
    with open(path, "rb") as file:
        tree = _Bare().visit(ast.parse(file.read(), path))
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.expr | ast.excepthandler | ast.pattern):
            node.end_lineno, node.col_offset, node.end_col_offset = node.lineno, _NO_COLUMN, _NO_COLUMN
    flags = __future__.annotations.compiler_flag
    code: CodeType = compile(tree, path, "exec", flags, dont_inherit=True, optimize=_NO_DOCSTRINGS)
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

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """Leave out what is said to the compiler, and would load a module."""
        return None if node.module == "__future__" else node

    def visit_Import(self, node: ast.Import) -> ast.AST:
        """Take the light one for os, and for others what they are made of."""
        (name,) = node.names
        if name.name == "os":
            light: ast.stmt = ast.ImportFrom(light_os.__name__, [ast.alias("light", "os")], level=0)
        elif name.name in _MADE_OF:
            light = ast.Import([ast.alias(_MADE_OF[name.name], name.name)])
        else:
            return node
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
