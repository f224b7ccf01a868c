"""The analog tile: the state of its arrays and five verbs, forward, backward, update, get and set weights."""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from collections.abc import Callable
from numbers import Integral
from typing import Any, NoReturn, cast

import torch
from torch import Tensor, nn

from ohmgrad.algorithms.base import Rule, RuleParameters, SingleArrayRule
from ohmgrad.algorithms.sgd import ExactSGD, PulsedSGD
from ohmgrad.cells.base import checked
from ohmgrad.cells.vector import VectorArray
from ohmgrad.configs import (
    FloatingPointRPUConfig,
    IdealDevice,
    InferenceRPUConfig,
    PulseType,
    RPUConfig,
    SingleRPUConfig,
    TileConfig,
)
from ohmgrad.devices.ideal import ExactDevice
from ohmgrad.engine.array import PulseCounts
from ohmgrad.engine.draws import Draws, Stream
from ohmgrad.engine.host import HostModule
from ohmgrad.engine.implementation import choose
from ohmgrad.engine.kept import Kept
from ohmgrad.engine.management import check_io, new_average
from ohmgrad.engine.mvm import mvm
from ohmgrad.engine.noise import next_numbers
from ohmgrad.engine.peaks import all_finite, any_holds
from ohmgrad.engine.periphery import Direction, Periphery, is_ideal
from ohmgrad.engine.precision import cast_for_region, in_single_precision
from ohmgrad.engine.site import Site
from ohmgrad.engine.watch import Watch, complaint
from ohmgrad.errors import ConfigError, TileError
from ohmgrad.hardware_aware import acts, after_step, learns_digitally, new_modifier
from ohmgrad.memory import Memory, memory_of
from ohmgrad.product import analog_product, like, numbered
from ohmgrad.weight import AnalogWeight, DigitalWeight, KeepsWeight, VisibleWeight, watch_optimizers

_MANY = 5000
"""Batches that nobody lets wait on purpose; recurrent layers remember one for each step in time."""
_FORWARD, _BACKWARD = Stream.FORWARD.of(0), Stream.BACKWARD.of(0)


class AnalogTile(KeepsWeight, HostModule):
    r"""A crossbar of ``out_size`` rows and ``in_size`` columns, and the rule by which it learns.

    Everything it remembers is a buffer; PyTorch's own ``state_dict``, ``copy.deepcopy``, pickling and ``.to()`` are
    exact. Its random numbers are addressed by its ``seed``, which is drawn from torch's generator when it is made, so
    ``torch.manual_seed`` fixes everything that follows. Cells are simulated in float32: ``.half()``, ``.bfloat16()``
    and ``torch.autocast`` leave them as they are, and ``.double()`` is refused; results have the type of the input.

    Numbers that are not finite are an error at once in the processor's memory. On a GPU, where nothing waits for the
    answer, they make the products of their batch NaN and its update one of zeros, and a later product or update raises
    the error, once; :meth:`check` asks at once.

    :param out_size: number of outputs; :param in_size: number of inputs.
    :param rpu_config: device or compound, converters and pulses; a copy is kept. Default: :class:`SingleRPUConfig`.
    :param has_bias: whether there is an analog bias: one more column, the last, whose input is always 1.
    :raises ConfigError: if the configuration does not fit together.
    """

    seed: Tensor
    learning_rate: Tensor
    forward_vectors: Tensor
    backward_vectors: Tensor
    average_input: Tensor
    weight: VisibleWeight
    learns_digitally: bool
    """Whether the weight is an ordinary parameter with a gradient."""
    rate_scale: float
    """By which an optimizer multiplies the learning rate, see ``MappingParameter.weight_scaling_lr_compensation``."""
    remap: Callable[[], None] | None
    """How the layer that the tile is in moves a factor from the weights to a scale, if it may be asked to."""

    def __init__(
        self, out_size: int, in_size: int, rpu_config: RPUConfig | None = None, has_bias: bool = False
    ) -> None:
        super().__init__()
        for name, size in (("out_size", out_size), ("in_size", in_size)):
            if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
                raise ConfigError(f"AnalogTile: {name} = {size!r}. Give a whole number of at least 1.")
        self.rpu_config: RPUConfig = checked_config(rpu_config).model_copy(deep=True)
        check_io(self.rpu_config.forward, "forward")
        check_io(self.rpu_config.backward, "backward")
        self.out_size, self.in_size, self.has_bias = out_size, in_size, has_bias
        self.name = ""
        self.rate_scale = 1.0
        self.remap = None
        where = torch.get_default_device()
        with torch.device("cpu"):  # it is made on the processor, whatever updates it later
            self._make(out_size, in_size + int(has_bias))
        if where.type != "cpu":
            self.to(where)

    def _make(self, rows: int, columns: int) -> None:
        """The arrays, the circuits around them, and what the tile itself remembers."""
        self.register_host_buffer("seed", torch.randint(2**63 - 1, ()))
        self.register_host_buffer("learning_rate", torch.tensor(0.1, dtype=torch.float64))
        self.register_counter("forward_vectors")
        self.register_counter("backward_vectors")
        self.register_buffer("average_input", new_average())
        draws = Draws(int(self.seed), "reference" if self.rpu_config.runtime.implementation == "reference" else "cpu")
        site = Site(rows, columns, draws, self.has_bias, runtime=self.rpu_config.runtime)
        self.rule = _make_rule(self.rpu_config, site)
        self.modifier = new_modifier(self.rpu_config, self.rule.visible())
        forward, backward = self.rpu_config.forward, self.rpu_config.backward
        self.forward_periphery = Periphery(forward, rows, columns, draws, Direction.FORWARD.stream())
        self.backward_periphery = Periphery(backward, columns, rows, draws, Direction.BACKWARD.stream(), True)
        self._trace: list[tuple[Tensor, Tensor]] = []
        self._watch = Watch()
        self._drawing: Kept[Draws] = Kept()
        self._number = numbered(self)
        watch_optimizers()
        self.learns_digitally = learns_digitally(self.rpu_config)
        kind = DigitalWeight if self.learns_digitally else AnalogWeight
        self.weight = kind(torch.zeros(site.shape, dtype=torch.float32))
        self.register_load_state_dict_post_hook(_after_load)
        self._show()

    # --- the five verbs ----------------------------------------------------------------------------------------------

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        r"""The analog product ``W x``, ``[..., in]`` to ``[..., out]``; remembers the gradient when it is trained.

        In a region of ``torch.autocast`` the input is taken, and the output given, in the type of the region.

        :param scale: a digital factor s of the outputs, ``[1]`` or ``[out]``; none of its own is learned. What is
            remembered moves the scaled weight s W, by :math:`-\lambda d x^T` with d the gradient of the scaled outputs.
        :raises TileError: on a wrong width or a number that is not finite.
        """
        x = cast_for_region(x) if isinstance(x, Tensor) else x
        return analog_product(self, x, scale)

    def backward(self, d: Tensor) -> Tensor:
        r"""The analog product :math:`W^T d`, ``[..., out]`` to ``[..., in]``.

        :raises TileError: on a wrong width or a number that is not finite.
        """
        self.check(wait=False)
        return like(d, self._backward_product(self._rows(d, self.out_size, "gradient")))

    @in_single_precision
    def update(self, x: Tensor, d: Tensor) -> None:
        r"""Learn from a batch, :math:`W \leftarrow W - \lambda \sum_n d_n x_n^T` by the rule of the tile.

        :param x: inputs ``[..., in]``; :param d: gradients of the outputs ``[..., out]``, as many.
        :raises TileError: on wrong shapes or a number that is not finite; nothing is changed then.
        """
        self.check(wait=False)
        x, d = self._with_bias(self._rows(x, self.in_size, "input")), self._rows(d, self.out_size, "gradient")
        count = x.shape[0]
        if count != d.shape[0]:
            raise TileError(f"{self.label}: {count} inputs but {len(d)} gradients. Give one gradient for each input.")
        if self._notices_late(x):
            sound = self._watch.note(input=x, gradient=d)
            x, d = torch.where(sound, x, 0.0), torch.where(sound, d, 0.0)
        rate = self.get_learning_rate()
        if count and rate > 0.0:
            rule: Rule = self._modules["rule"]  # type: ignore[assignment]
            rule.update(x, d, rate, self.rpu_config.update, self._draws(x.device))
            self._show(anew=True)  # it was intact before

    def get_weights(self) -> Tensor:
        """A copy of the visible weight ``[out, in]``, on the processor; an analog bias is its last column."""
        self._intact()
        return self._shown.memory.clone(memory_format=torch.contiguous_format).cpu()

    @torch.no_grad()
    def set_weights(self, weights: Tensor) -> None:
        """Set the visible weight ``[out, in]`` within the bounds of the cells; the rule starts anew.

        :raises TileError: on a wrong shape or a number that is not finite.
        """
        values = torch.as_tensor(weights, dtype=torch.float32, device=self.weight.device)
        if values.shape != self.weight.shape:
            raise TileError(
                f"{self.label}: weights of shape {tuple(values.shape)} given, {tuple(self.weight.shape)} needed."
            )
        self._finite(values, "weight")
        self.rule.set_weights(values, self._draws(values.device))
        self._show(anew=True)

    # --- learning rate and optimizer step ----------------------------------------------------------------------------

    def get_learning_rate(self) -> float:
        r"""The learning rate :math:`\lambda` of :meth:`update`."""
        return float(self.known("learning_rate"))

    def set_learning_rate(self, rate: float) -> None:
        r"""Set the learning rate :math:`\lambda`; 0 makes :meth:`update` do nothing.

        :raises TileError: if it is negative or not finite; nothing is changed then.
        """
        if not 0.0 <= rate < math.inf:
            raise TileError(f"{self.label}: learning rate {rate}. Give a finite number that is not negative.")
        if rate != self.get_learning_rate():  # to ask is faster
            self.known("learning_rate").fill_(rate)

    def remember(self, x: Tensor, d: Tensor) -> None:
        """Keep copies of the inputs and output gradients of a backward pass, until :meth:`learn` or :meth:`forget`.

        They stay in the type they have: half precision takes half the memory.
        """
        self._trace.append((_dense_copy(x), _dense_copy(d)))
        if len(self._trace) == _MANY:
            warnings.warn(
                f"{self.label} remembers {_MANY} batches for an optimizer that has not stepped. Give its weight to one,"
                " such as AnalogSGD, or freeze it: layer.freeze().",
                stacklevel=2,
            )

    def forget(self) -> None:
        """Drop what was kept since the last step."""
        self._trace.clear()

    @in_single_precision
    def learn(self) -> None:
        """One update with all that was kept since the last step, then forget it."""
        if self._trace:
            batches = self._trace.copy()
            self.forget()
            if len(batches) > 1:
                inputs, gradients = zip(*batches, strict=True)
                batches = [(torch.cat(inputs), torch.cat(gradients))]
            self.update(*batches[0])

    def post_update_step(self) -> None:
        """What happens at every optimizer step: diffusion, then decay, where the devices have them.

        In a training for a chip (:class:`~ohmgrad.configs.InferenceRPUConfig`) weights are then clipped, remapped, and
        disturbed anew.
        """
        rule = cast(Rule, self._modules["rule"])
        if rule.diffuses():
            self.diffuse_weights()
        if rule.decays():
            self.decay_weights()
        if isinstance(self.rpu_config, InferenceRPUConfig):
            after_step(self, self.rpu_config)

    def acts_after_steps(self) -> bool:
        """Whether :meth:`post_update_step` does anything."""
        rule = cast(Rule, self._modules["rule"])
        return rule.diffuses() or rule.decays() or acts(self.rpu_config)

    # --- operations on the cells -------------------------------------------------------------------------------------

    @torch.no_grad()
    def decay_weights(self, alpha: float = 1.0) -> None:
        """Decay by ``alpha`` steps of the devices' lifetime."""
        self.rule.decay(alpha, self._draws())
        self._show()

    @torch.no_grad()
    def diffuse_weights(self) -> None:
        """One step of the devices' random walk."""
        self.rule.diffuse(self._draws())
        self._show()

    @torch.no_grad()
    def drift_weights(self, delta_t: float = 1.0) -> None:
        """Let the time ``delta_t`` pass for the devices that drift; it never passes by itself.

        :raises TileError: if it is negative or not finite.
        """
        if not 0.0 <= delta_t < float("inf"):
            raise TileError(f"{self.label}: drift over the time {delta_t}. Give a finite time that is not negative.")
        self.rule.drift(delta_t, self._draws())
        self._show()

    @torch.no_grad()
    def clip_weights(self, limit: float = -1.0) -> None:
        """Clip every cell to its bounds and, unless ``limit`` is negative, to ``[-limit, limit]``."""
        self.rule.clip(limit, self._draws())
        self._show()

    @torch.no_grad()
    def reset_columns(self, start: int = 0, count: int = 1, probability: float = 1.0) -> None:
        """Reset cells in ``count`` columns from ``start`` on (wrapping; negative: all), each with a probability."""
        if not 0.0 <= probability <= 1.0:
            raise TileError(f"{self.label}: reset probability {probability}. Give a number from 0 to 1.")
        if probability > 0.0:
            size = self.weight.shape[1]
            count = size if count < 0 else min(count, size)
            columns = (start + torch.arange(count, device=self.weight.device)) % size
            self.rule.reset_columns(columns, probability, self._draws())
            self._show()

    def reset(self, probability: float = 1.0) -> None:
        """Reset all cells, each with a probability."""
        self.reset_columns(0, -1, probability)

    # --- looking inside ----------------------------------------------------------------------------------------------

    def get_hidden_parameters(self) -> OrderedDict[str, Tensor]:
        """Copies of the parameters and hidden weights of the cells by name, float32, on the processor.

        Each is ``[out, in]``, or of the shape that its array has in a rule of low rank.
        """
        return OrderedDict((name, value.float()) for name, value in _copies(self.rule.hidden()).items())

    @torch.no_grad()
    def set_hidden_parameters(self, values: dict[str, Tensor]) -> None:
        """Restore what :meth:`get_hidden_parameters` gave, exactly (in the precision in which cells are stored).

        Implicit cells that are given other parameters than their own are stored from then on.

        :raises TileError: if a name is missing or unknown, a shape differs, or a number is too large for their
            precision.
        """
        for name, value in values.items():
            self._finite(torch.as_tensor(value), f"hidden parameter {name!r}")
        self.rule.set_hidden(values)
        self._show(anew=True)

    def get_forward_parameters(self) -> OrderedDict[str, Tensor]:
        """Copies of what was drawn for the circuits of the forward direction, by name, on the processor.

        Only what the configuration needs: ``v_offset``, ``out_nonlinearity``, ``out_nonlinearity_factor``,
        ``w_asymmetry``, ``out_noise_values``.
        """
        return _copies(self.forward_periphery.values())

    def get_backward_parameters(self) -> OrderedDict[str, Tensor]:
        """The same for the backward direction."""
        return _copies(self.backward_periphery.values())

    def set_forward_parameters(self, values: dict[str, Tensor]) -> None:
        """Replace some of what :meth:`get_forward_parameters` gives, by numbers measured on a chip for example.

        :raises TileError: if a name is unknown, the number of values differs or one is not finite; nothing is changed
            then.
        """
        self._set_periphery(self.forward_periphery, values)

    def set_backward_parameters(self, values: dict[str, Tensor]) -> None:
        """The same for the backward direction."""
        self._set_periphery(self.backward_periphery, values)

    def get_hidden_update_index(self) -> int:
        """The device of a vector cell that receives pulses; 0 if there is no choice."""
        cell = self._vector_cell()
        return 0 if cell is None else int(cell.current_device_idx)

    def set_hidden_update_index(self, index: int) -> None:
        """Choose the device of a vector cell that receives pulses (policy SINGLE_FIXED), or begins (SINGLE_SEQUENTIAL).

        :raises TileError: if there is no such device.
        """
        cell = self._vector_cell()
        count = 1 if cell is None else len(cell.arrays)
        if not 0 <= index < count:
            raise TileError(f"{self.label}: no device {index} to choose. Give a number from 0 to {count - 1}.")
        if cell is not None:
            cell.current_device_idx.fill_(index)

    def algorithm_state(self) -> dict[str, Tensor]:
        """The rule's own state by name: counters, choppers, averages."""
        return {name: value.detach().clone() for name, value in self.rule.state().items()}

    def counted(self) -> list[Tensor]:
        """What a product reads and moves on: its number, and the running average of the inputs."""
        return [self.forward_vectors, self.average_input]

    def pulse_counts(self) -> list[PulseCounts]:
        """Pulses that every cell has received since the tile was made.

        :returns: up pulses, down pulses and resets of each array of cells, beginning with the one that gradients reach.
        """
        return [cells.pulse_counts() for cells in self.rule.cells()]

    def check(self, wait: bool = True) -> None:
        """Raise the error about numbers that were not finite, if it is still to come.

        :param wait: until the GPU has looked at all that the tile was given; False: only if it is known already.
        :raises TileError: if an input or gradient since the last such error was not finite; nothing was learned from
            its batch. Or if the visible weight was written to.
        """
        self._intact()
        found = self._watch.report(wait)
        if found is not None:
            raise TileError(
                f"{self.label}: {found}. Look for the cause before this layer. It was noticed late, since nothing waits"
                " for a GPU; nothing was learned from that batch."
            )

    def memory(self) -> Memory:
        """How many bytes the tile takes, by what they are for.

        What an update needs in passing is not in it: the plan of a batch, and of implicit cells what an operation on
        all of them looks at.
        """
        return memory_of(self, self.weight)

    @property
    def _shown(self) -> VisibleWeight:
        """The visible weight, faster than as an attribute, which a module searches for in many places."""
        weight = self._parameters["weight"]
        assert weight is not None
        return weight  # type: ignore[return-value]

    @property
    def label(self) -> str:
        """What errors call this tile: its name in the model if the optimizer knows it, and its size."""
        return label_of(self.name, self.in_size, self.out_size)

    def extra_repr(self) -> str:
        """Size and device for ``print(model)``."""
        return f"out_size={self.out_size}, in_size={self.in_size}, device={type(self.rpu_config.device).__name__}"

    # --- inside ------------------------------------------------------------------------------------------------------

    def _draws(self, where: torch.device | None = None) -> Draws:
        where = self._shown.device if where is None else where
        seed, asked = int(self.known("seed")), self.rpu_config.runtime.implementation
        return self._drawing.of((seed, asked, where), lambda: Draws(seed, choose(asked, where)))

    def _vector_cell(self) -> VectorArray | None:
        """The array whose devices take turns, if there is one."""
        first = self.rule.all_arrays()[0] if isinstance(self.rule, SingleArrayRule) else None
        return first if isinstance(first, VectorArray) else None

    def _show(self, anew: bool = False) -> None:
        """Let the visible weight be what the rule says it is; ``anew``: whatever was done to it before."""
        rule: Rule = self._modules["rule"]  # type: ignore[assignment]
        weights, shown = rule.visible(), self._shown
        if not anew:
            self._intact()
        if weights.is_meta != shown.is_meta:  # a parameter cannot change into one without memory, nor back
            self.weight = shown = type(shown)(weights.new_empty(0), shown.requires_grad)
        shown.show(weights, self)
        if self.modifier is not None:
            self.modifier.forget()

    @torch.no_grad()
    def _set_periphery(self, periphery: Periphery, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            self._finite(torch.as_tensor(value), f"parameter {name!r}")
        periphery.set_values(values)

    def _intact(self) -> None:
        """Raise, if somebody has written to the visible weight, unless it is an ordinary parameter."""
        shown = self._shown
        if shown.is_written:
            if not self.learns_digitally:
                raise shown.refusal("in place")
            self._show(anew=True)

    def _finite(self, values: Tensor, what: str) -> None:
        """Raise at once, if numbers are not finite."""
        if not values.is_meta and not all_finite(values):
            self._refuse(values, what, torch.float32)

    def _refuse(self, values: Tensor, what: str, came_in: torch.dtype) -> NoReturn:
        """Raise the error about numbers that are not finite, which came in some type."""
        found = complaint(what, bool(torch.isnan(values).any()), came_in)
        raise TileError(f"{self.label}: {found}. Look for its cause before this layer.")

    def _notices_late(self, values: Tensor) -> bool:
        """Whether nothing waits to know if numbers are finite: they are on a GPU, or treated as if they were."""
        return not values.is_cpu or self.rpu_config.runtime.implementation == "gpu"

    def _rows(self, values: Tensor, width: int, what: str) -> Tensor:
        """Checked ``[n, width]`` float32 without gradients; what is noticed late, if not finite, may be in it."""
        if type(values) is not Tensor and not isinstance(values, Tensor):  # the first is fast
            raise TileError(f"{self.label}: the {what} is a {type(values).__name__}. Give a tensor.")
        shape, kind, shown = values.shape, values.dtype, self._shown
        if not shape or shape[-1] != width:
            raise TileError(f"{self.label}: the {what} has shape {tuple(shape)}; its last dimension must be {width}.")
        if kind is not torch.float32 and not kind.is_floating_point:
            raise TileError(f"{self.label}: the {what} is of type {kind}. Give floating-point numbers.")
        if not (values.is_cpu and shown.is_cpu) and values.device != shown.device:
            raise TileError(
                f"{self.label}: the {what} is on {values.device}, the cells are on {shown.device}. Move one of them."
            )
        rows = values.detach() if values.requires_grad else values
        rows = rows if len(shape) == 2 else rows.reshape(-1, width)
        rows = rows if kind is torch.float32 else rows.float()
        if self._notices_late(rows):
            self._watch.types[what] = kind
        elif not all_finite(rows):
            self._refuse(rows, what, kind)
        return rows

    def _with_bias(self, rows: Tensor) -> Tensor:
        """Inputs ``[n, in]`` of the columns; that of an analog bias is 1."""
        return torch.cat([rows, rows.new_ones(len(rows), 1)], 1) if self.has_bias else rows

    @in_single_precision
    def _product(self, rows: Tensor, direction: Direction, clipped: Tensor | None = None) -> Tensor:
        """The analog product of checked rows, float32 ``[n, out]``, or ``[n, in]`` in the backward direction."""
        config, weight, sound = self.rpu_config, self._shown.memory, None
        if self._notices_late(rows):
            sound = self._watch.note(**{"input" if direction is Direction.FORWARD else "gradient": rows})
            rows = torch.where(sound, rows, 0.0)  # so that it reaches no average
        if self.modifier is not None and self.modifier.acts(self.training):
            weight = self.modifier.seen(weight, self._draws(rows.device))
        if direction is Direction.FORWARD:
            io, circuits, counter, stream = config.forward, "forward_periphery", "forward_vectors", _FORWARD
            matrix, rows = weight, self._with_bias(rows)
        else:
            io, circuits, counter, stream = config.backward, "backward_periphery", "backward_vectors", _BACKWARD
            matrix = weight.t()
        draws, average = self._draws(rows.device), self.known("average_input")
        numbers = next_numbers(self.known(counter), rows.shape[0], draws)
        before = average if sound is None else average.clone()
        forward, periphery = direction is Direction.FORWARD, cast(Periphery, self._modules[circuits])
        y = mvm(matrix, rows, io, draws, stream, numbers, average, forward, periphery, clipped)
        if self.has_bias and not forward:
            y = y[:, : self.in_size]  # nothing comes before a bias
        if sound is not None:  # of a batch that is not, nothing remains
            y = torch.where(sound, y, torch.nan)
            average.copy_(torch.where(sound, average, before))
        return y

    def _forward_product(self, x: Tensor, marks_clipped: bool) -> tuple[Tensor, Tensor | None]:
        """The product and, if asked for, which of its elements the output converter clipped (None: none)."""
        self.check(wait=False)
        rows, clipped = self._rows(x, self.in_size, "input"), None
        if marks_clipped and not is_ideal(self.rpu_config.forward):
            clipped = torch.zeros(rows.shape[0], self.out_size, dtype=torch.bool, device=x.device)
        y = self._product(rows, Direction.FORWARD, clipped)
        if clipped is not None and (self._notices_late(rows) or any_holds(clipped)):
            return like(x, y), clipped.reshape(*x.shape[:-1], self.out_size)
        return like(x, y), None

    def _backward_product(self, rows: Tensor) -> Tensor:
        """The product of checked rows of gradients, float32 ``[n, in]``."""
        return self._product(rows, Direction.BACKWARD)

    # --- PyTorch's own saving, loading, copying and moving -----------------------------------------------------------

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        self._intact()
        super()._save_to_state_dict(destination, prefix, keep_vars)
        del destination[prefix + "weight"]  # what is visible follows from the hidden state

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        _metadata, strict, missing_keys, unexpected_keys, _errors = arguments
        visible = prefix + "weight"  # follows from the hidden state: never saved, and not taken from elsewhere
        hidden = {name: value for name, value in state_dict.items() if name != visible}
        super()._load_from_state_dict(hidden, prefix, *arguments)
        if visible in missing_keys:
            missing_keys.remove(visible)
        if strict and visible in state_dict:
            unexpected_keys.append(visible)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> AnalogTile:
        self._intact()
        weight = self._parameters.pop("weight")  # it shows the memory of the cells, which moves
        try:
            super()._apply(lambda tensor: self._moved(tensor, fn(tensor)), recurse)
        finally:
            self._parameters["weight"] = weight
        self._show(anew=True)
        return self

    def _moved(self, tensor: Tensor, moved: Tensor) -> Tensor:
        """The tensor where another is, in its own type; what has no memory gets some, for ``to_empty``."""
        if moved.dtype is torch.float64 and tensor.dtype is torch.float32:
            raise TileError(
                f"{self.label}: cells are simulated in single precision, and cannot become double. Leave the model in"
                " float32; inputs may be of any floating-point type, and outputs have theirs."
            )
        return torch.empty_like(tensor, device=moved.device) if tensor.is_meta else tensor.to(moved.device)

    def _replicate_for_data_parallel(self) -> NoReturn:
        raise TileError(
            f"{self.label}: torch.nn.DataParallel would train copies of its cells, and throw away what they learned."
            " Train on one device, or on several with one process and one model each."
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._number = numbered(self)
        watch_optimizers()
        self._show(anew=True)


def label_of(name: str, in_size: int, out_size: int) -> str:
    """What errors call a tile: its name in the model, if it is known, and its size."""
    size = f"{in_size} inputs, {out_size} outputs"
    return f"layer {name!r} ({size})" if name else f"analog layer ({size})"


def checked_config(config: RPUConfig | None) -> RPUConfig:
    """The configuration of a tile, the default if there is none.

    :raises ConfigError: if it is something else, such as a device.
    """
    config = SingleRPUConfig() if config is None else config
    if not isinstance(config, (TileConfig, FloatingPointRPUConfig)):
        if isinstance(config, type):
            raise ConfigError(
                f"AnalogTile: rpu_config is the class {config.__name__}. Make one: {config.__name__}(...)."
            )
        given = type(config).__name__
        raise ConfigError(
            f"AnalogTile: rpu_config is a {given}."
            " Wrap a device in SingleRPUConfig(device=...), a compound in UnitCellRPUConfig(device=...),"
            " and a rule with a digital gradient in DigitalRankUpdateRPUConfig(device=...)."
        )
    return config


def _dense_copy(values: Tensor) -> Tensor:
    """A contiguous copy."""
    return values.clone() if values.is_contiguous() else values.clone(memory_format=torch.contiguous_format)


def _copies(values: OrderedDict[str, Tensor]) -> OrderedDict[str, Tensor]:
    return OrderedDict((name, value.detach().cpu().clone()) for name, value in values.items())


def _after_load(tile: nn.Module, _keys: Any) -> None:
    """Show the weights that were loaded."""
    assert isinstance(tile, AnalogTile)
    tile._show(anew=True)


def _make_rule(config: RPUConfig, site: Site) -> Rule:
    device = config.device
    if isinstance(device, ExactDevice):
        return ExactSGD(device, site)
    device.check()
    if config.update.pulse_type is PulseType.NONE:  # only what acts without a device model remains
        kept = ("diffusion", "lifetime", "drift", "reset_std")
        simple = IdealDevice(**{name: getattr(device, name) for name in kept if hasattr(device, name)})
        return ExactSGD(simple, site)
    if isinstance(device, RuleParameters):
        device.check_build()
        return device.build(site)
    return PulsedSGD(checked(device, "device"), site)
