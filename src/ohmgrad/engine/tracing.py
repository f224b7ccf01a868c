"""Follows the sampling of cells: what the parameters of one cell are made of, as a graph.

``PulsedDevice.sample`` is written in torch for whole matrices. Here it runs once on matrices that hold nothing: each
knows the expression that its entries are. What is no expression of one cell in single precision (a mean over cells, a
branch that depends on values, double precision) cannot be followed, and says so.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

Node = tuple[Any, ...]
"""``("normal", purpose)``, ``("uniform", purpose)``, ``("constant", value)``, ``("last column",)`` (whether the cell is
in that one), or an operation and the numbers of the nodes that it is applied to."""

_EXACT: dict[str, Callable[..., Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "neg": operator.neg,
    "absolute": abs, "minimum": np.minimum, "maximum": np.maximum, "sqrt": np.sqrt, "floor": np.floor,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
    "&": operator.and_, "|": operator.or_,
}  # fmt: skip
"""Operations that NumPy rounds in single precision as torch does, so that constants can be worked out beforehand."""
_TRUTHS = ("<", "<=", ">", ">=", "==", "!=", "&", "|", "last column")


class Untraceable(Exception):
    """Something in the sampling of cells is no expression of one cell."""


@dataclass
class Graph:
    """Expressions of one cell; equal ones are there once, but for constants, which may be equal by chance."""

    nodes: list[Node] = field(default_factory=list)
    numbers: dict[Node, int] = field(default_factory=dict)

    def add(self, *node: Any) -> int:
        """The number of a node."""
        if node[0] != "constant" and node in self.numbers:
            return self.numbers[node]
        self.nodes.append(node)
        self.numbers[node] = len(self.nodes) - 1
        return self.numbers[node]

    def constant(self, value: float | bool) -> int:
        """A number, in single precision, or a truth value."""
        return self.add("constant", bool(value) if isinstance(value, (bool, np.bool_)) else float(np.float32(value)))

    def value(self, number: int) -> float | bool | None:
        """The value of a constant; None if it is none."""
        kind, *rest = self.nodes[number]
        return rest[0] if kind == "constant" else None

    def is_truth(self, number: int) -> bool:
        """Whether it is a truth value."""
        return self.nodes[number][0] in _TRUTHS or isinstance(self.value(number), bool)

    def real(self, number: int) -> int:
        """A truth value as 1 or 0; a number as it is."""
        return self.where(number, self.constant(1.0), self.constant(0.0)) if self.is_truth(number) else number

    def apply(self, operation: str, *of: int) -> int:
        """An operation on numbers (``&`` and ``|``: on truth values)."""
        truths = [self.is_truth(number) for number in of]
        if operation not in ("&", "|"):
            if all(truths) and operation not in _TRUTHS:
                raise Untraceable("truth values are used as numbers")  # torch has its own ideas of what they give
            of = tuple(self.real(number) for number in of)
        elif not all(truths):
            raise Untraceable("numbers are used as truth values")
        values = [self.value(number) for number in of]
        if operation in _EXACT and None not in values:
            with np.errstate(all="ignore"):
                constants = [value if isinstance(value, bool) else np.float32(value) for value in values]
                return self.constant(_EXACT[operation](*constants))
        if operation in ("&", "|") and values != [None, None]:
            known, other = (values[0], of[1]) if values[0] is not None else (values[1], of[0])
            return other if known is (operation == "&") else self.constant(operation == "|")
        if operation == "*" and 0.0 in values:  # a random number is finite: it need not be drawn
            other = of[1] if values[0] == 0.0 else of[0]
            if self.nodes[other][0] in ("normal", "uniform"):
                return self.constant(0.0)
        return self.add(operation, *of)

    def where(self, condition: int, yes: int, no: int) -> int:
        """A choice."""
        value = self.value(condition)
        if value is not None:
            return yes if value else no
        return self.add("where", condition, self.real(yes), self.real(no))

    def negated(self, truth: int) -> int:
        """The opposite of a truth value; as a comparison, since a target may have no other way."""
        return self.apply("==", truth, self.constant(0.0))


def _power(graph: Graph, base: int, exponent: int) -> int:
    if graph.value(exponent) == 2.0:
        return graph.apply("*", base, base)
    return graph.apply("sqrt", base) if graph.value(exponent) == 0.5 else graph.apply("power", base, exponent)


def _clamp(graph: Graph, value: int, min: int | None = None, max: int | None = None) -> int:
    value = value if min is None else graph.apply("maximum", value, min)
    return value if max is None else graph.apply("minimum", value, max)


def _partly_set(graph: Graph, target: int, key: Any, value: int) -> int:
    """A matrix of which one column, or the cells of a mask, were set to a number."""
    if isinstance(key, int) and graph.is_truth(key) and graph.value(key) is None:
        chosen = key
    elif isinstance(key, tuple) and key == (slice(None), -1):
        chosen = graph.add("last column")
    else:
        raise Untraceable("cells are picked out by something else than a mask or the last column")
    if graph.value(value) is None:
        raise Untraceable("numbers of cells are put into other cells")
    return graph.where(chosen, value, target)


def _unary(operation: str) -> Callable[..., int]:
    return lambda graph, value: graph.apply(operation, value)


def _binary(operation: str) -> Callable[..., int]:
    return lambda graph, first, second: graph.apply(operation, first, second)


def _reversed(operation: str) -> Callable[..., int]:
    return lambda graph, first, second: graph.apply(operation, second, first)


def _of_two(name: str) -> Callable[..., int]:
    """The smaller or larger of two matrices; with a number in the second place it is a dimension."""

    def translation(graph: Graph, first: int, second: int) -> int:
        if graph.value(second) is not None:
            raise Untraceable(f"{name} is not asked of two matrices")
        return graph.apply(f"{name}imum", first, second)

    return translation


def _all_of(names: str, translation: Callable[..., int]) -> dict[str, Callable[..., int]]:
    return dict.fromkeys(names.split(), translation)


_TRANSLATIONS: dict[str, Callable[..., int]] = {
    **_all_of("neg negative", _unary("neg")),
    **_all_of("abs absolute", _unary("absolute")),
    **{name: _unary(name) for name in ("exp", "log", "sqrt", "floor")},
    **_all_of("square", lambda graph, value: graph.apply("*", value, value)),
    **_all_of("reciprocal", lambda graph, value: graph.apply("/", graph.constant(1.0), value)),
    **_all_of("add __radd__", _binary("+")),
    **_all_of("mul multiply __rmul__", _binary("*")),
    **_all_of("sub subtract", _binary("-")),
    **_all_of("rsub __rsub__", _reversed("-")),
    **_all_of("div divide true_divide", _binary("/")),
    # torch multiplies with the reciprocal, which rounds twice
    **_all_of("__rdiv__ __rtruediv__", lambda g, a, b: g.apply("*", g.apply("/", g.constant(1.0), a), b)),
    **_all_of("pow", _power),
    **_all_of("__rpow__", lambda graph, exponent, base: _power(graph, base, exponent)),
    **_all_of("minimum", _binary("minimum")),
    **_all_of("maximum", _binary("maximum")),
    **{name: _of_two(name) for name in ("min", "max")},
    **_all_of("clamp clip", _clamp),
    **_all_of("clamp_min", _binary("maximum")),
    **_all_of("clamp_max", _binary("minimum")),
    **_all_of("lt less __lt__", _binary("<")),
    **_all_of("le less_equal __le__", _binary("<=")),
    **_all_of("gt greater __gt__", _binary(">")),
    **_all_of("ge greater_equal __ge__", _binary(">=")),
    **_all_of("eq __eq__", _binary("==")),
    **_all_of("ne not_equal __ne__ __xor__ logical_xor", _binary("!=")),
    **_all_of("__and__ __rand__ logical_and bitwise_and", _binary("&")),
    **_all_of("__or__ __ror__ logical_or bitwise_or", _binary("|")),
    **_all_of("__invert__ logical_not bitwise_not", Graph.negated),
    **_all_of("where", Graph.where),
    **_all_of("masked_fill", lambda graph, value, mask, filling: graph.where(mask, filling, value)),
    **_all_of("float", Graph.real),
    **_all_of("clone", lambda graph, value: value),
    **_all_of("zeros_like", lambda graph, value: graph.constant(0.0)),
    **_all_of("ones_like", lambda graph, value: graph.constant(1.0)),
    **_all_of("full_like", lambda graph, value, filling: filling),
    "__setitem__": _partly_set,
}
"""What a torch function does to the expressions, by its name; arguments that are not listed are refused by Python."""


_QUESTIONS = ("__get__", "size", "dim", "ndimension", "numel", "__len__", "is_floating_point")
"""What may be asked of a matrix without looking at what it holds; ``__get__``: an attribute such as its shape."""


class Traced(Tensor):
    """A matrix of one entry for each cell that holds nothing but the expression of its entries."""

    graph: Graph
    number: int

    @staticmethod
    def of(graph: Graph, number: int, shape: torch.Size) -> Traced:
        """An expression as a matrix."""
        kind = torch.bool if graph.is_truth(number) else torch.float32
        traced: Traced = torch.empty((), dtype=kind).expand(shape).as_subclass(Traced)
        traced.graph, traced.number = graph, number
        return traced

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = kwargs or {}, func.__name__
        first = next((value for value in (*args, *kwargs.values()) if isinstance(value, Traced)), None)
        if first is None:
            raise Untraceable(f"{name} is asked of several matrices at once")
        graph, shape = first.graph, first.matrix_shape()
        if name in _QUESTIONS:
            with torch._C.DisableTorchFunctionSubclass():
                answer = func(*args, **kwargs)
            if isinstance(answer, Tensor):
                raise Untraceable("a view of a matrix is taken")
            return answer
        translation = _TRANSLATIONS.get(name) or _TRANSLATIONS.get(name.removesuffix("_"))
        if translation is None:
            raise Untraceable(f"{name} is not among the operations that can be followed")
        given = [_number(graph, value, shape) for value in args]
        options = {key: _number(graph, value, shape) for key, value in kwargs.items()}
        try:
            number = translation(graph, *given, **options)
        except TypeError as error:
            raise Untraceable(f"{name} has arguments that cannot be followed ({error})") from None
        if name == "__setitem__" or (name not in _TRANSLATIONS and name.endswith("_")):
            if args[0] is not first:
                raise Untraceable("numbers of cells are put into a matrix of something else")
            first.number = number
            return first
        return first if name == "float" and number == first.number else Traced.of(graph, number, shape)

    def matrix_shape(self) -> torch.Size:
        """Its shape, without being followed."""
        with torch._C.DisableTorchFunctionSubclass():
            return self.shape


def _number(graph: Graph, value: Any, shape: torch.Size) -> Any:
    """The node of an argument; what is no number, as it is."""
    if isinstance(value, Traced):
        return value.number
    if isinstance(value, Tensor):
        if value.dim() and (value.shape != shape or value.dtype not in (torch.float32, torch.bool)):
            raise Untraceable(f"a tensor {list(value.shape)} of {value.dtype} is put in")
        entries = value.detach().flatten()
        if (entries != entries[0]).any():
            raise Untraceable("a tensor whose entries differ is put in")
        value = entries[0].item()
    return graph.constant(value) if isinstance(value, (bool, int, float)) else value


class TracingSampler:
    """Gives matrices that hold nothing for the random numbers of cells; see :class:`~ohmgrad.devices.base.Sampler`."""

    def __init__(self, graph: Graph, shape: tuple[int, int], has_bias: bool) -> None:
        self.graph, self.shape, self.has_bias = graph, shape, has_bias

    def _draw(self, kind: str, purpose: int) -> Tensor:
        return Traced.of(self.graph, self.graph.add(kind, int(purpose)), torch.Size(self.shape))

    def normal(self, purpose: int) -> Tensor:
        """Standard normal numbers."""
        return self._draw("normal", purpose)

    def uniform(self, purpose: int) -> Tensor:
        """Uniform numbers in (0, 1]."""
        return self._draw("uniform", purpose)


def trace(
    function: Callable[[TracingSampler], Mapping[str, Tensor]], shape: tuple[int, int], has_bias: bool
) -> tuple[tuple[Node, ...], dict[str, int]]:
    """What a function of a sampler gives, as nodes and the number of the node of each name.

    :raises Untraceable: if it is no function of each cell alone.
    """
    graph = Graph()
    try:
        found = function(TracingSampler(graph, shape, has_bias))
        outputs = {name: graph.real(_output(graph, value, shape)) for name, value in found.items()}
    except Untraceable:
        raise
    except Exception as error:  # whatever the code of a device does with matrices that hold nothing
        raise Untraceable(f"{type(error).__name__}: {error}") from error
    return tuple(graph.nodes), outputs


def _output(graph: Graph, value: Any, shape: tuple[int, int]) -> int:
    if not (isinstance(value, Tensor) and value.shape == shape):
        raise Untraceable("a parameter is not one number for each cell")
    number: int = _number(graph, value, torch.Size(shape))
    return number
