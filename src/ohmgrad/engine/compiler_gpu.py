"""Compiles functions written in the vocabulary of laws, and kernels that call them, with Triton.

Triton compiles source text, so a function is written anew: every ``/`` becomes a correctly rounded division, every loop
over ``range`` in the vocabulary is unrolled, and in the namespace in which the text is run, words are replaced by
Triton's versions, helpers by their own translations, and numbers by compile-time constants. For tensors in the
processor's memory the same text is run by Triton's interpreter instead.
"""

from __future__ import annotations

import ast
import linecache
import types
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ohmgrad import words
from ohmgrad.engine.fingerprint import fingerprint
from ohmgrad.engine.generated import generated

PRECISE = {"enable_fp_fusion": False}
"""Options of every launch: no fused operations, so that results are those of the processor, bit for bit."""


class Untranslatable(Exception):
    """A function that Triton's language has no words for; the message says why."""


def constant(value: Any, interpreted: bool) -> Any:
    """A number that is compiled in."""
    import triton.language as tl

    return value if interpreted else tl.constexpr(value)


@cache
def translate(function: Callable[..., Any], interpreted: bool, real: bool = False) -> Any:
    """A function that kernels can call.

    :param function: written in the vocabulary of :mod:`ohmgrad.words`, or in Triton's language.
    :param interpreted: for Triton's interpreter instead of its compiler.
    :param real: whole numbers mean real ones too, as in a law.
    :raises Untranslatable: if its source cannot be found, or it uses what Triton does not know.
    """
    return helper(function, interpreted, {}, real)


def helper(function: Callable[..., Any], interpreted: bool, bound: dict[str, Any], real: bool = False) -> Any:
    """See :func:`translate`; ``bound`` holds translations of some of its global names."""
    plain = _rewritten(function, interpreted, real, bound)
    return plain if interpreted else _jit(plain)


def kernel(
    function: Callable[..., Any], interpreted: bool, bound: dict[str, Any], varying: tuple[str, ...] = ()
) -> Kernel:
    """A kernel.

    :param function: in Triton's language.
    :param bound: translations of some of its global names.
    :param varying: arguments that differ from launch to launch, whose values are not compiled in.
    """
    plain = _rewritten(function, interpreted, False, bound)
    if interpreted:
        from triton.runtime.interpreter import InterpretedFunction

        return Kernel(InterpretedFunction(plain))
    return Kernel(_jit(plain, varying))


class Kernel:
    """What Triton compiles or interprets: ``kernel[grid](...)`` launches it, on the device of its first argument.

    ``function`` is Triton's own object; ``refused`` says why it cannot be compiled, once that is known.
    """

    def __init__(self, function: Any, refused: str = "") -> None:
        self.function, self.refused = function, refused

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        """What launches it; see :meth:`launch`."""
        return partial(self.launch, grid)

    def launch(self, grid: tuple[int, ...], first: Tensor, *arguments: Any, **options: Any) -> None:
        """Launch it; on torch's meta device, where there is nothing to compute, do nothing.

        :raises Untranslatable: if Triton cannot compile it; nothing has happened then.
        """
        from triton.compiler.errors import CompilationError
        from triton.runtime.errors import InterpreterError

        if self.refused:
            raise Untranslatable(self.refused)
        if first.is_meta:
            return
        try:
            with _current(first.device):
                self.function[grid](first, *arguments, **options, **PRECISE)
        except (CompilationError, InterpreterError) as error:
            self.refused = str(error).strip().splitlines()[-1]
            raise Untranslatable(self.refused) from error


@cache
def warn(what: str, reason: str) -> None:
    """Say once that something is slow."""
    warnings.warn(
        f"{what} cannot be compiled for the GPU and runs as torch operations there, slowly: {reason}.", stacklevel=3
    )


def _current(where: torch.device) -> AbstractContextManager[Any]:
    """Make a device the current one, which is where Triton launches."""
    if where.type == "cpu":  # the interpreter's infinities and NaN are as good as the hardware's
        return np.errstate(all="ignore")
    context: AbstractContextManager[Any] = torch.get_device_module(where).device(where)
    return context


def _jit(plain: Any, varying: tuple[str, ...] = ()) -> Any:
    from triton import JITFunction

    return JITFunction(plain, do_not_specialize=list(varying))


def _rewritten(function: Any, interpreted: bool, real: bool, bound: dict[str, Any]) -> Any:
    """The function in Triton's language; ``bound`` holds translations that are known."""
    import triton.language as tl

    from ohmgrad.engine.words_gpu import divide, negative

    definition = _definition(function)
    definition.args.defaults = [ast.Constant(value) for value in function.__defaults__ or ()]
    names = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
    captured = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    known = function.__globals__ | {name: cell.cell_contents for name, cell in captured}
    names -= bound.keys() | set(function.__code__.co_varnames)  # a local name may also be a global one
    meant = {name: known[name] for name in sorted(names) if name in known}
    in_vocabulary = function.__module__ != divide.__module__ and not any(value is tl for value in meant.values())
    tables = {name: meant.pop(name) for name, value in list(meant.items()) if _is_table(value)}
    text = ast.unparse(_Rewriter(real, in_vocabulary, set(tables)).visit(definition)) + "\n"
    scope = bound | {name: _translated(name, value, interpreted, real) for name, value in meant.items()}
    scope |= {_LOOK_UP + name: translate(_lookup(tuple(values)), interpreted) for name, values in tables.items()}
    if in_vocabulary:
        scope |= {"tl": tl, _DIVIDE: translate(divide, interpreted), _NEGATIVE: translate(negative, interpreted)}
    # Helpers of one kernel may share a name: they are told apart by what is in them.
    content = fingerprint(text, *(f"{name} {getattr(scope[name], '__qualname__', scope[name])}" for name in meant))
    plain = generated(text, definition.name, scope)
    plain.__qualname__ = f"{definition.name}_{content[:16]}"
    return plain


def _definition(function: Any) -> ast.FunctionDef:
    """The text of a function as a tree, a lambda as the def that it stands for."""
    code, name = function.__code__, function.__name__
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except SyntaxError as error:
        raise Untranslatable(f"the source text of {name!r} cannot be read") from error
    found = next((node for node in ast.walk(tree) if _defines(node, code)), None)
    if found is None:
        raise Untranslatable(f"the source text of {name!r} cannot be found")
    if isinstance(found, ast.Lambda):
        body: list[ast.stmt] = [ast.Return(found.body)]
        found = ast.FunctionDef("expression", found.args, body, [], lineno=0)
    assert isinstance(found, ast.FunctionDef)
    found.decorator_list, found.returns = [], None
    for argument in found.args.args:  # only Triton's own annotations mean something to it
        if argument.annotation is not None and "constexpr" not in ast.unparse(argument.annotation):
            argument.annotation = None
    return found


def _defines(node: ast.AST, code: types.CodeType) -> bool:
    """Whether a part of a text is the definition that some code was made from."""
    if isinstance(node, ast.FunctionDef):
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        return node.name == code.co_name and first == code.co_firstlineno
    if not isinstance(node, ast.Lambda) or code.co_name != "<lambda>" or node.lineno != code.co_firstlineno:
        return False
    made = compile(ast.Expression(node), code.co_filename, "eval").co_consts[0]  # one line may hold several
    arguments = [argument.arg for argument in node.args.args]
    return (made.co_consts, arguments) == (code.co_consts, list(code.co_varnames[: code.co_argcount]))


def _translated(name: str, value: Any, interpreted: bool, real: bool) -> Any:
    """What a global name or a captured variable means in the translation."""
    import triton.language as tl

    from ohmgrad.engine import words_gpu

    if isinstance(value, types.FunctionType):
        if value in words_gpu.TRANSLATION:
            return translate(words_gpu.TRANSLATION[value], interpreted)
        if value in words_gpu.COMPOSED:
            return translate(words_gpu.COMPOSED[value], interpreted)
        return translate(value, interpreted, real)
    if value is tl:
        return tl
    if isinstance(value, (bool, int, float)):
        value = float(value) if real and type(value) is int else value
        return constant(value, interpreted)
    if isinstance(value, types.ModuleType):
        raise Untranslatable(f"it calls through the module {name!r}: import the words of ohmgrad.words by their names")
    raise Untranslatable(f"it uses {name!r}, a {type(value).__name__}")


def _is_table(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, (int, float)) for item in value)


def _lookup(values: tuple[float, ...]) -> Any:
    """Interpolation in a table of the law's module: Triton has no tables, so it becomes a chain of choices."""
    last = len(values) - 1
    lines = [
        "def look_up(share):",
        f"    place = share * {float(last)!r}",
        f"    first = floor(minimum(maximum(place, 0.0), {float(max(last - 1, 0))!r}))",
        "    t = minimum(maximum(place - first, 0.0), 1.0)",
        f"    low = where(first < 1.0, {float(values[0])!r}, {float(values[min(1, last)])!r})",
        f"    high = where(first < 1.0, {float(values[min(1, last)])!r}, {float(values[min(2, last)])!r})",
    ]
    for k in range(2, last):
        lines.append(f"    low = where(first < {float(k)!r}, low, {float(values[k])!r})")
        lines.append(f"    high = where(first < {float(k)!r}, high, {float(values[k + 1])!r})")
    lines.append("    return (1.0 - t) * low + t * high\n")
    scope = {word.__name__: word for word in (words.floor, words.minimum, words.maximum, words.where)}
    return generated("\n".join(lines), "look_up", scope)


_DIVIDE, _NEGATIVE, _LOOK_UP = "_divide", "_negative", "_look_up_"
"""What the rewritten text calls a division, a minus, and an interpolation in a table (and then the table's name)."""


class _Rewriter(ast.NodeTransformer):
    """The changes to the text of a function.

    :param real: whole numbers become real ones; :param in_vocabulary: loops over ``range`` are unrolled, and divisions
        are rounded correctly; :param tables: names of tables that are known when it is compiled.
    """

    def __init__(self, real: bool, in_vocabulary: bool, tables: set[str]) -> None:
        self.real, self.in_vocabulary, self.tables = real, in_vocabulary, tables

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """A number of the text."""
        return ast.Constant(float(node.value)) if self.real and type(node.value) is int else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """A division."""
        self.generic_visit(node)
        if not (self.in_vocabulary and isinstance(node.op, ast.Div)):
            return node
        return ast.Call(ast.Name(_DIVIDE, ast.Load()), [node.left, node.right], [])

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """A minus."""
        self.generic_visit(node)
        if not (self.in_vocabulary and isinstance(node.op, ast.USub)) or isinstance(node.operand, ast.Constant):
            return node
        return ast.Call(ast.Name(_NEGATIVE, ast.Load()), [node.operand], [])

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """An interpolation."""
        self.generic_visit(node)
        if node.args and isinstance(node.args[0], ast.Name) and node.args[0].id in self.tables:
            return ast.Call(ast.Name(_LOOK_UP + node.args[0].id, ast.Load()), node.args[1:], [])
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """A division of what is assigned to."""
        if not (self.in_vocabulary and isinstance(node.op, ast.Div)):
            return self.generic_visit(node)
        assert isinstance(node.target, ast.Name)
        value = ast.BinOp(ast.Name(node.target.id, ast.Load()), node.op, node.value)
        return self.visit(ast.Assign([node.target], value, lineno=node.lineno))

    def visit_For(self, node: ast.For) -> ast.For:
        """A loop."""
        node.body = [self.visit(each) for each in node.body]
        if self.in_vocabulary and isinstance(node.iter, ast.Call) and ast.unparse(node.iter.func) == "range":
            node.iter.func = ast.Attribute(ast.Name("tl", ast.Load()), "static_range", ast.Load())
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        """A docstring, which Triton does not need."""
        return None if isinstance(node.value, ast.Constant) else node
