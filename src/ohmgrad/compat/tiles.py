"""The tiles of aihwkit: a block of ohmgrad (cells, scales, range of inputs) with a digital bias, by its names."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ohmgrad.compat.context import AnalogContext, PulsedWeight, SharedWeight
from ohmgrad.compat.errors import ModuleError, TileModuleError
from ohmgrad.compat.simulator import AnalogSimulatorTile, SimulatorTile
from ohmgrad.configs import FloatingPointRPUConfig, RPUConfig
from ohmgrad.nn.block import Block
from ohmgrad.parameters.base import Config
from ohmgrad.tile import AnalogTile as Cells
from ohmgrad.tile import checked_config
from ohmgrad.weight import AnalogWeight

STATE = "analog_tile_state"
Weights = tuple[Tensor, Tensor | None]


class TileModule(nn.Module):
    """What a layer holds: one tile."""


class AnalogTile(TileModule):
    """A tile with what is digital around it.

    ``state_dict`` has what it remembers in one entry, ``analog_tile_state``, with the configuration: load a file of it
    with ``torch.load(..., weights_only=False)``, as scripts for aihwkit do.

    :param out_size: number of outputs; :param in_size: number of inputs; :param bias: whether there is a bias.
    :param in_trans: samples are the last dimension of inputs, not the first; :param out_trans: of outputs.
    """

    bias: nn.Parameter | None
    analog_ctx: Any
    loads_config = True
    """Whether a state that is loaded brings its configuration, as in aihwkit."""
    supports_indexed = False
    supports_ddp = False
    shared_weights = None
    block: Block
    """Cells, scales and range of inputs."""

    def __init__(
        self,
        out_size: int,
        in_size: int,
        rpu_config: RPUConfig | None = None,
        bias: bool = False,
        in_trans: bool = False,
        out_trans: bool = False,
    ) -> None:
        super().__init__()
        config = checked_config(rpu_config)
        self.out_size, self.in_size, self.use_bias = out_size, in_size, bias
        self.in_trans, self.out_trans = in_trans, out_trans
        self.digital_bias = bias and config.mapping.digital_bias
        self.analog_bias = bias and not self.digital_bias
        block = Block(out_size, in_size, config, self.analog_bias)
        is_analog = isinstance(block.tile.weight, AnalogWeight)
        block.tile.weight = (PulsedWeight if is_analog else SharedWeight)(torch.empty(0))
        block.tile._show(anew=True)
        object.__setattr__(self, "block", block)  # not a submodule: its parameters go by the names below
        where = block.tile.weight.device
        self.bias = nn.Parameter(torch.zeros(out_size, device=where)) if self.digital_bias else None
        self._alias()

    def _alias(self) -> None:
        """Let the parameters of the block be parameters of this module."""
        block = self.block
        weight = block.tile.weight
        if isinstance(weight, AnalogContext):  # not of a chip
            weight._owner = weakref.ref(self)
            self._parameters["analog_ctx"] = weight
        self._parameters["out_scaling_alpha"] = block.out_scale
        ranged = None if block.input_range is None else block.input_range.value
        if isinstance(ranged, nn.Parameter):
            self._parameters["input_range"] = ranged

    @property
    def cells(self) -> Cells:
        """The cells, by the names of ohmgrad."""
        return self.block.tile

    @property
    def tile(self) -> SimulatorTile:
        """The cells."""
        is_digital = isinstance(self.rpu_config, FloatingPointRPUConfig)
        return (SimulatorTile if is_digital else AnalogSimulatorTile)(self.cells)

    @property
    def rpu_config(self) -> RPUConfig:
        """Its own copy of the configuration."""
        return self.cells.rpu_config

    @property
    def device(self) -> torch.device:
        """Where the cells are."""
        return self.cells.weight.device

    @property
    def is_cuda(self) -> bool:
        """Whether the cells are on a GPU."""
        return self.device.type == "cuda"

    # --- products and updates ----------------------------------------------------------------------------------------

    def forward(self, x_input: Tensor, tensor_view: tuple[int, ...] | None = None) -> Tensor:
        """``[..., in]`` to ``[..., out]``; with ``in_trans`` or ``out_trans`` features are the first dimension."""
        y = self.block(x_input.movedim(0, -1) if self.in_trans else x_input)
        if self.bias is not None:
            y = y + self.bias
        return y.movedim(-1, 0) if self.out_trans else y

    def backward(self, d_input: Tensor, ctx: Any = None) -> Tensor:
        """The product with the transpose, ``[..., out]`` to ``[..., in]``."""
        d, scale = d_input.movedim(0, -1) if self.out_trans else d_input, self.block.mapping_scale
        x = self.cells.backward(d if scale is None else d * scale)
        return x.movedim(-1, 0) if self.in_trans else x

    def update(self, x_input: Tensor, d_input: Tensor) -> None:
        """Learn from inputs and output gradients."""
        x = x_input.movedim(0, -1) if self.in_trans else x_input
        d, scale = d_input.movedim(0, -1) if self.out_trans else d_input, self.block.mapping_scale
        self.cells.update(x, d if scale is None else d / (scale * self.cells.rate_scale))

    def get_learning_rate(self) -> float:
        """The learning rate of :meth:`update`."""
        return self.cells.get_learning_rate() / self.cells.rate_scale

    def set_learning_rate(self, learning_rate: float | None) -> None:
        """Set the learning rate; None leaves it."""
        if learning_rate is not None:
            self.cells.set_learning_rate(learning_rate * self.cells.rate_scale)

    # --- weights -----------------------------------------------------------------------------------------------------

    def get_weights(self, apply_weight_scaling: bool = True, realistic: bool = False) -> Weights:
        """Copies of the weight ``[out, in]`` and the bias; ``realistic``: as they are read through the products."""
        if realistic:
            return self.read_weights(apply_weight_scaling)
        return self._split(self.block.get_weights() if apply_weight_scaling else self.cells.get_weights())

    def _split(self, weights: Tensor) -> Weights:
        if self.analog_bias:
            return weights[:, :-1], weights[:, -1].clone()
        return weights, None if self.bias is None else self.bias.detach().cpu().clone()

    @torch.no_grad()
    def set_weights(
        self,
        weight: Any,
        bias: Any = None,
        apply_weight_scaling: bool = True,
        realistic: bool = False,
        weight_scaling_omega: float | None = None,
    ) -> None:
        """Set weight and bias within the bounds of the cells; ``realistic``: by pulses, see :meth:`program_weights`."""
        flat = torch.as_tensor(weight, dtype=torch.float32).detach().cpu().reshape(self.out_size, self.in_size)
        if bias is not None:
            bias = torch.as_tensor(bias, dtype=torch.float32).detach().cpu()
        if self.analog_bias:
            column = self.get_weights(apply_weight_scaling)[1] if bias is None else bias
            assert column is not None
            flat = torch.cat([flat, column[:, None]], 1)
        elif self.bias is not None and bias is not None:
            self.bias.copy_(bias)
        if weight_scaling_omega is not None and self.block.mapping_scale is not None:
            self.rpu_config.mapping.weight_scaling_omega = weight_scaling_omega
        where = self.device
        if apply_weight_scaling:
            self.block.set_weights(flat.to(where))
        else:
            self.cells.set_weights(flat.to(where))
        if realistic:
            self.program_weights()

    @torch.no_grad()
    def read_weights(
        self, apply_weight_scaling: bool = False, x_values: Tensor | None = None, over_sampling: int = 10
    ) -> Weights:
        """The weight and the bias, estimated by least squares from products with random inputs."""
        if x_values is None:
            x_values = torch.randn(over_sampling * self.in_size, self.in_size, device=self.device)
        was = self.training
        y = self.eval().block(x_values)
        self.train(was)
        ones = [x_values.new_ones(len(x_values), 1)] if self.analog_bias else []
        found = torch.linalg.lstsq(torch.cat([x_values, *ones], 1).cpu(), y.cpu()).solution.t()
        scale = self.block.scale()
        if not apply_weight_scaling and scale is not None:
            found = found / scale.cpu()[:, None]
        return self._split(found)

    @torch.no_grad()
    def program_weights(
        self,
        from_reference: bool = True,
        x_values: Tensor | None = None,
        learning_rate: float = 0.1,
        max_iter: int = 10000,
        tolerance: float | None = 0.01,
        w_init: float | Tensor = 0.01,
    ) -> None:
        """Set the weights that there are once more, by pulses: read, compare, update, until they are near enough."""
        target, before = self.cells.get_weights(), self.cells.get_learning_rate()
        if x_values is None:  # also no input at all, which tells the bias from the weights
            x_values = torch.cat([torch.eye(self.in_size), torch.zeros(int(self.analog_bias), self.in_size)])
        x = x_values.cpu()
        first = w_init if isinstance(w_init, Tensor) else torch.empty_like(target).uniform_(-w_init, w_init)
        self.cells.set_weights(first)
        self.cells.set_learning_rate(learning_rate)
        inputs = torch.cat([x, x.new_ones(len(x), 1)], 1) if self.analog_bias else x
        wanted, x = (inputs @ target.t()).to(self.device), x.to(self.device)
        for _ in range(max_iter):
            error = self.cells(x) - wanted
            if tolerance is not None and float(error.abs().mean() / target.abs().max()) < tolerance:
                break
            self.cells.update(x, error)
        self.cells.set_learning_rate(before)

    def remap_weights(self, weight_scaling_omega: float | None = 1.0) -> None:
        """Choose the scale of the mapping anew."""
        self.set_weights(*self.get_weights(), weight_scaling_omega=weight_scaling_omega)

    # --- scales ------------------------------------------------------------------------------------------------------

    def get_mapping_scales(self) -> Tensor | None:
        """The scale of the mapping."""
        return self.block.mapping_scale

    def get_learned_out_scales(self) -> Tensor | None:
        """The trained factor of the outputs."""
        return self.block.out_scale

    def get_scales(self) -> Tensor | None:
        """Both together."""
        scale = self.block.scale()
        return None if scale is None else scale.clone()

    @torch.no_grad()
    def set_scales(self, scales: float | Tensor) -> None:
        """Set the scale of the mapping, and the trained one to 1."""
        self.set_mapping_scales(scales)
        if self.block.out_scale is not None:
            self.block.out_scale.fill_(1.0)

    @torch.no_grad()
    def set_mapping_scales(self, mapping_scales: float | Tensor) -> None:
        """Set the scale of the mapping; what the cells hold stays."""
        if self.block.mapping_scale is None:
            raise ModuleError("This tile has no scale of its mapping. Set mapping.weight_scaling_omega above 0.")
        self.block.mapping_scale.copy_(torch.as_tensor(mapping_scales))
        self.block._compensate()

    @torch.no_grad()
    def set_input_range(self, value: float | Tensor) -> None:
        """Set the range of the inputs, if there is one."""
        if self.block.input_range is not None:
            self.block.input_range.value.copy_(torch.as_tensor(value))

    # --- cells -------------------------------------------------------------------------------------------------------

    def get_analog_ctx(self) -> Any:
        """The visible weight, as optimizers are given it."""
        return self.analog_ctx

    def get_hidden_parameters(self) -> OrderedDict[str, Tensor]:
        """Copies of the parameters and hidden weights of the cells by name."""
        return self.cells.get_hidden_parameters()

    def set_hidden_parameters(self, ordered_parameters: dict[str, Tensor]) -> None:
        """Restore what :meth:`get_hidden_parameters` gave."""
        self.cells.set_hidden_parameters(ordered_parameters)

    def get_hidden_update_index(self) -> int:
        """The device of a vector cell that receives pulses."""
        return self.cells.get_hidden_update_index()

    def set_hidden_update_index(self, index: int) -> None:
        """Choose the device of a vector cell that receives pulses; nothing else has a choice."""
        if self.cells._vector_cell() is not None:
            self.cells.set_hidden_update_index(index)

    def dump_extra(self) -> dict[str, list[float]]:
        """The state of the rule by name, as lists."""
        return self.tile.dump_extra()

    def decay_weights(self, alpha: float = 1.0) -> None:
        """Decay by steps of the lifetime."""
        self.cells.decay_weights(alpha)

    def diffuse_weights(self) -> None:
        """One step of the random walk."""
        self.cells.diffuse_weights()

    def drift_weights(self, delta_t: float = 1.0) -> None:
        """Let time pass for devices that drift."""
        self.cells.drift_weights(delta_t)

    def reset_columns(self, start_column_idx: int = 0, num_columns: int = 1, reset_prob: float = 1.0) -> None:
        """Reset cells in some columns."""
        self.cells.reset_columns(start_column_idx, num_columns, reset_prob)

    def reset(self, reset_prob: float = 1.0) -> None:
        """Reset all cells."""
        self.cells.reset(reset_prob)

    def post_update_step(self) -> None:
        """What time does at every optimizer step."""
        self.cells.post_update_step()

    def get_forward_parameters(self) -> OrderedDict[str, Tensor]:
        """What was drawn for the circuits of the forward direction."""
        return self.cells.get_forward_parameters()

    def get_backward_parameters(self) -> OrderedDict[str, Tensor]:
        """What was drawn for the circuits of the backward direction."""
        return self.cells.get_backward_parameters()

    def set_forward_parameters(self, dic: dict[str, Tensor] | None = None, **fields: Tensor) -> None:
        """Replace some of :meth:`get_forward_parameters`."""
        self.cells.set_forward_parameters({**(dic or {}), **fields})

    def set_backward_parameters(self, dic: dict[str, Tensor] | None = None, **fields: Tensor) -> None:
        """Replace some of :meth:`get_backward_parameters`."""
        self.cells.set_backward_parameters({**(dic or {}), **fields})

    def load_extra(self, extra: dict[str, Any], strict: bool = False) -> None:
        """Set the state of the rule."""
        self.tile.load_extra(extra, strict)

    def replace_with(self, rpu_config: RPUConfig) -> None:
        """Take another configuration, and keep what it has of the state.

        :raises TileModuleError: if the state does not fit, as that of another kind of device.
        """
        state = self.block.state_dict()
        self._renew(rpu_config)
        self._restore(state)

    def _renew(self, rpu_config: RPUConfig) -> None:
        """Another block, of another configuration; parameters stay the same, so that optimizers know them."""
        before = self.block
        if not isinstance(rpu_config, Config):
            raise TileModuleError(
                f"{self.get_brief_info()}: {rpu_config!r} is no configuration. Make one of it: (...)."
            )
        if (tile_class := type(self)) is not (wanted := _kind_of(rpu_config, tile_class)):
            raise TileModuleError(f"{self.get_brief_info()}: the configuration is for a {wanted.__name__}.")
        after = Block(self.out_size, self.in_size, rpu_config, self.analog_bias).to(self.device)
        after.tile.weight = before.tile.weight
        after.tile._show(anew=True)
        if before.out_scale is not None and after.out_scale is not None:
            after.out_scale = before.out_scale
        object.__setattr__(self, "block", after.train(self.training))
        self._alias()

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.block.load_state_dict(state)
        except RuntimeError as error:
            raise TileModuleError(f"{self.get_brief_info()}: the state is of another kind. {error}") from None

    def get_analog_state_name(self, prefix: str = "") -> str:
        """The entry of ``state_dict`` that has what the tile remembers."""
        return prefix + STATE

    def get_brief_info(self) -> str:
        """What it is, in a line."""
        return f"{type(self).__name__}[{type(self.rpu_config.device).__name__}]({self.out_size},{self.in_size})"

    def extra_repr(self) -> str:
        """For ``print(model)``."""
        return self.get_brief_info()

    # --- what PyTorch does with modules ------------------------------------------------------------------------------

    def to(self, *arguments: Any, **named: Any) -> AnalogTile:
        """As in torch; or, with a configuration, :meth:`replace_with`."""
        config = named.pop("rpu_config", arguments[0] if arguments else None)
        if isinstance(config, Config):
            self.replace_with(config)  # type: ignore[arg-type]
            return self
        return super().to(*arguments, **named)

    def train(self, mode: bool = True) -> AnalogTile:
        """As in torch."""
        super().train(mode)
        self.block.train(mode)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> AnalogTile:
        self.block._apply(fn)
        kept, self._parameters = self._parameters, {"bias": self._parameters.get("bias")}
        super()._apply(fn, recurse)
        kept["bias"] = self._parameters["bias"]
        self._parameters = kept
        self._alias()
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._alias()

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + STATE] = {
            "analog_tile_class": type(self).__name__,
            "rpu_config": self.rpu_config,
            "block": dict(self.block.state_dict()),
        }

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        _metadata, strict, missing, *_ = arguments
        saved = state_dict.get(prefix + STATE)
        if saved is None:
            if strict:
                missing.append(prefix + STATE)
        else:
            config, kind = saved["rpu_config"], saved["analog_tile_class"]
            if kind != type(self).__name__:
                raise TileModuleError(f"{prefix}{STATE} is of a {kind}; {self.get_brief_info()} is not one.")
            if self.loads_config and config != self.rpu_config:
                self._renew(config)
            self._restore(saved["block"])
        bias = state_dict.get(prefix + "bias")
        if self.bias is not None and bias is not None:
            with torch.no_grad():
                self.bias.copy_(bias)
        elif strict and self.bias is not None:
            missing.append(prefix + "bias")


class FloatingPointTile(AnalogTile):
    """A tile with exact digital weights."""


def _kind_of(config: RPUConfig, like: type[AnalogTile]) -> type[AnalogTile]:
    """The class of tile that a configuration means; that which it should be like, if it may."""
    if isinstance(config, FloatingPointRPUConfig) == issubclass(like, FloatingPointTile):
        return like
    return FloatingPointTile if isinstance(config, FloatingPointRPUConfig) else AnalogTile
