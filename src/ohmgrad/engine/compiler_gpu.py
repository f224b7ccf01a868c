"""Compiles functions written in the vocabulary of laws, and kernels that call them, with Triton.

Triton compiles source text, so a function is written anew: every ``/`` becomes a correctly rounded division, every loop
over ``range`` in the vocabulary is unrolled, and in the namespace in which the text is run, words are replaced by
Triton's versions, helpers by their own translations, and numbers by compile-time constants. For tensors in the
processor's memory the same text is run by Triton's interpreter instead.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
import types
from collections.abc import Callable
from functools import cache
from typing import Any

from ohmgrad.engine.fingerprint import fingerprint

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
) -> Any:
    """A kernel: ``kernel[grid](...)`` launches it.

    :param function: in Triton's language.
    :param bound: translations of some of its global names.
    :param varying: arguments that differ from launch to launch, whose values are not compiled in.
    """
    plain = _rewritten(function, interpreted, False, bound)
    if interpreted:
        from triton.runtime.interpreter import InterpretedFunction

        return InterpretedFunction(plain)
    return _jit(plain, varying)


def generated(source: str, name: str, scope: dict[str, Any]) -> Any:
    """A function from generated source text, which later readers find as if it stood in a file."""
    file = f"<ohmgrad {fingerprint(source)[:16]}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    scope["__name__"] = __name__
    exec(compile(source, file, "exec"), scope)
    return scope[name]


def _jit(plain: Any, varying: tuple[str, ...] = ()) -> Any:
    from triton import JITFunction

    return JITFunction(plain, do_not_specialize=list(varying))


def _rewritten(function: Any, interpreted: bool, real: bool, bound: dict[str, Any]) -> Any:
    """The function in Triton's language; ``bound`` holds translations that are known."""
    import triton.language as tl

    from ohmgrad.engine.words_gpu import divide

    definition = _definition(function)
    definition.args.defaults = [ast.Constant(value) for value in function.__defaults__ or ()]
    names = {node.id for node in ast.walk(definition) if isinstance(node, ast.Name)}
    names -= {*function.__code__.co_varnames}
    captured = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    known = function.__globals__ | {name: cell.cell_contents for name, cell in captured}
    meant = {name: known[name] for name in names - bound.keys() if name in known}
    in_vocabulary = not any(value is tl for value in meant.values())
    scope = bound | {name: _translated(name, value, interpreted, real) for name, value in meant.items()}
    if in_vocabulary:
        scope |= {"tl": tl, _DIVIDE: translate(divide, interpreted)}
    text = ast.unparse(_Rewriter(real, in_vocabulary).visit(definition)) + "\n"
    plain = generated(text, function.__name__, scope)
    # Helpers of one kernel may share a name: they are told apart by what is in them.
    content = fingerprint(
        text, *(f"{name} {getattr(scope[name], '__qualname__', scope[name])}" for name in sorted(meant))
    )
    plain.__qualname__ = f"{function.__name__}_{content[:16]}"
    return plain


def _definition(function: Any) -> ast.FunctionDef:
    try:
        text = textwrap.dedent("".join(inspect.getsourcelines(function)[0]))
        nodes = list(ast.walk(ast.parse(text)))
    except (OSError, TypeError, SyntaxError) as error:
        raise Untranslatable(f"the source text of {function.__name__!r} cannot be found") from error
    definition = next((node for node in nodes if isinstance(node, ast.FunctionDef)), None)
    if definition is None:
        raise Untranslatable(f"{function.__name__!r} is not written as a def")
    definition.decorator_list, definition.returns = [], None
    for argument in definition.args.args:  # only Triton's own annotations mean something to it
        if argument.annotation is not None and "constexpr" not in ast.unparse(argument.annotation):
            argument.annotation = None
    return definition


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


_DIVIDE = "_divide"
"""What the rewritten text calls a division."""


class _Rewriter(ast.NodeTransformer):
    """The changes to the text of a function.

    :param real: whole numbers become real ones; :param in_vocabulary: loops over ``range`` are unrolled, and divisions
        are rounded correctly.
    """

    def __init__(self, real: bool, in_vocabulary: bool) -> None:
        self.real, self.in_vocabulary = real, in_vocabulary

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """A number of the text."""
        return ast.Constant(float(node.value)) if self.real and type(node.value) is int else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """A division."""
        self.generic_visit(node)
        if not (self.in_vocabulary and isinstance(node.op, ast.Div)):
            return node
        return ast.Call(ast.Name(_DIVIDE, ast.Load()), [node.left, node.right], [])

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
