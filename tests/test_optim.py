"""Optimizers: what pulses, what does not, and who is told."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from builders import RULES, perfect, rule, steady
from ohmgrad import AnalogLinear, AnalogSGD
from ohmgrad.configs import ConstantStepDevice, IdealDevice, RPUConfig, SingleRPUConfig, SoftBoundsDevice
from ohmgrad.errors import OptimizerError
from ohmgrad.optim import AnalogAdam, AnalogOptimizer, AnalogOptimizerMixin
from ohmgrad.weight import AnalogWeight

ANALOG = pytest.mark.parametrize("kind", [AnalogSGD, AnalogAdam])


def ideal(**fields: Any) -> RPUConfig:
    return perfect(SingleRPUConfig(device=IdealDevice(**fields)))


def model_of(config: RPUConfig | None = None, seed: int = 6) -> nn.Sequential:
    torch.manual_seed(seed)
    config = ideal() if config is None else config
    return nn.Sequential(AnalogLinear(5, 4, rpu_config=config), nn.Tanh(), nn.Linear(4, 3))


def tile_of(model: nn.Sequential) -> Any:
    return model[0].tile


X = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))


def backward(model: nn.Module, x: Tensor = X) -> Tensor:
    loss = model(x).square().sum()
    loss.backward()
    return loss


def everything(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in {**model.state_dict(), "w": tile_of(model).get_weights()}.items()}


def assert_unchanged(model: nn.Module, before: dict[str, Tensor], but: tuple[str, ...] = ()) -> None:
    changed = [name for name, value in everything(model).items() if not torch.equal(value, before[name])]
    assert [name for name in changed if not name.endswith(but or ("nothing",))] == []


PRODUCTS = ("forward_vectors", "backward_vectors", "average_input", "learning_rate")


# Who moves what


@ANALOG
def test_the_torch_optimizer_moves_digital_parameters_and_pulses_move_the_analog_weight(kind: Any) -> None:
    model, digital = model_of(), model_of()
    optimizer = kind(model.parameters(), lr=0.01)
    base = kind.__mro__[2]([*digital[2].parameters(), digital[0].bias], lr=0.01)
    weights = tile_of(model).get_weights()
    hidden = [one[0](X) for one in (model, digital)]
    for one, h, step in zip((model, digital), hidden, (optimizer, base), strict=True):
        h.retain_grad()
        one[2](one[1](h)).square().sum().backward()
        step.step()
    torch.testing.assert_close(tile_of(model).get_weights(), weights - 0.01 * hidden[0].grad.t() @ X)
    for first, second in zip(model[2].parameters(), digital[2].parameters(), strict=True):
        assert torch.equal(first, second)
    assert torch.equal(model[0].bias, digital[0].bias)


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_a_torch_optimizer_refuses_analog_weights_when_it_steps(kind: Any) -> None:
    model = model_of()
    optimizer = kind(model.parameters(), lr=0.1)
    backward(model)
    before = everything(model)
    message = rf"{kind.__name__} cannot update the weight of analog layer \(5 inputs, 4 outputs\).*AnalogSGD"
    with pytest.raises(OptimizerError, match=message):
        optimizer.step()
    assert_unchanged(model, before)


def test_a_torch_optimizer_may_have_the_digital_parameters_of_an_analog_model() -> None:
    model = model_of()
    optimizer = torch.optim.SGD([*model[2].parameters(), model[0].bias], lr=0.1)
    before, digital = tile_of(model).get_weights(), model[2].weight.detach().clone()
    backward(model)
    optimizer.step()
    assert torch.equal(tile_of(model).get_weights(), before)
    assert not torch.equal(model[2].weight, digital)


def test_an_analog_optimizer_trains_a_purely_digital_model() -> None:
    models = [nn.Linear(5, 3) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [torch.optim.SGD(models[0].parameters(), 0.1, 0.9), AnalogSGD(models[1].parameters(), 0.1, 0.9)]
    for _ in range(3):
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            backward(model)
            optimizer.step()
    assert torch.equal(models[0].weight, models[1].weight)


@pytest.mark.parametrize("options", [{"momentum": 0.9}, {"weight_decay": 0.5}, {"momentum": 0.9, "nesterov": True}])
def test_momentum_and_weight_decay_do_not_act_on_analog_weights(options: dict[str, Any]) -> None:
    weights = []
    for given in ({}, options):
        model = model_of()
        optimizer = AnalogSGD([{"params": [tile_of(model).weight], **given}], lr=0.05)
        for _ in range(3):
            optimizer.zero_grad()
            backward(model)
            optimizer.step()
        weights.append(tile_of(model).get_weights())
    assert torch.equal(*weights)


# Groups, rates, schedulers


def test_every_group_has_its_own_rate() -> None:
    moved = []
    for rate in (0.1, 0.2):
        model = model_of()
        groups = [{"params": model[0].parameters(), "lr": rate}, {"params": model[2].parameters()}]
        optimizer = AnalogSGD(groups, lr=0.05)
        before = tile_of(model).get_weights()
        backward(model)
        optimizer.step()
        moved.append(tile_of(model).get_weights() - before)
        assert tile_of(model).get_learning_rate() == rate
    torch.testing.assert_close(moved[1], 2 * moved[0])


def test_a_group_may_be_added_later() -> None:
    model = model_of()
    optimizer = AnalogSGD(model[2].named_parameters(), lr=0.05)
    optimizer.add_param_group({"params": [("front.tile.weight", tile_of(model).weight)], "lr": 0.5})
    before = tile_of(model).get_weights()
    backward(model)
    optimizer.step()
    assert not torch.equal(tile_of(model).get_weights(), before)
    assert tile_of(model).label.startswith("layer 'front'")


@ANALOG
def test_a_scheduler_sets_the_rate_of_the_tile(kind: Any) -> None:
    model = model_of()
    optimizer = kind(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    rates = []
    for _ in range(3):
        optimizer.zero_grad()
        backward(model)
        optimizer.step()
        scheduler.step()
        rates.append(tile_of(model).get_learning_rate())
    assert rates == [0.1, 0.05, 0.025]


@pytest.mark.parametrize("name", RULES)
def test_the_rate_of_a_scheduler_reaches_every_rule(name: str) -> None:
    model = model_of(rule(name))
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: float(epoch == 0))
    backward(model)
    optimizer.step()
    scheduler.step()
    pulses = tile_of(model).pulse_counts()
    assert pulses[0].total.any()
    backward(model)
    optimizer.step()
    for now, then in zip(tile_of(model).pulse_counts(), pulses, strict=True):
        assert torch.equal(now.total, then.total)


@ANALOG
@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_a_negative_or_endless_rate_is_refused_when_given(kind: Any, rate: float) -> None:
    model = model_of()
    with pytest.raises((OptimizerError, ValueError), match=r"[Ll]earning rate"):
        kind(model.parameters(), lr=rate)
    optimizer = kind(model[2].parameters(), lr=0.1)
    with pytest.raises((OptimizerError, ValueError), match=r"[Ll]earning rate"):
        optimizer.add_param_group({"params": [tile_of(model).weight], "lr": rate})


@ANALOG
@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_a_rate_that_turns_negative_or_endless_is_refused_before_anything_moves(kind: Any, rate: float) -> None:
    model = model_of()
    optimizer = kind(model.parameters(), lr=0.1)
    backward(model)
    before = everything(model)
    optimizer.param_groups[0]["lr"] = rate
    with pytest.raises(OptimizerError, match=f"Learning rate {rate}"):
        optimizer.step()
    assert_unchanged(model, before)
    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.step()  # the gradients are still there
    assert not torch.equal(tile_of(model).get_weights(), before["w"])


def test_a_scheduler_that_goes_below_0_is_refused() -> None:
    model = model_of()
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: -1.0)
    backward(model)
    with pytest.raises(OptimizerError, match=r"Learning rate -0\.1"):
        optimizer.step()


def test_a_rate_may_be_a_tensor() -> None:
    weights = []
    for rate in (0.1, torch.tensor(0.1)):
        model = model_of()
        optimizer = AnalogSGD(model.parameters(), lr=rate)
        backward(model)
        optimizer.step()
        weights.append(tile_of(model).get_weights())
    torch.testing.assert_close(*weights)


def test_a_rate_on_a_device_is_refused_since_every_step_would_wait_for_it() -> None:
    model = model_of()
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    optimizer.param_groups[0]["lr"] = torch.tensor(0.1, device="meta")
    backward(model)
    before = everything(model)
    with pytest.raises(OptimizerError, match=r"Learning rate on meta.*Give a number"):
        optimizer.step()
    assert_unchanged(model, before)


# Rate 0


@pytest.mark.parametrize("name", RULES)
def test_a_rate_of_0_leaves_a_tile_as_it_is_and_drops_its_gradients(name: str) -> None:
    model = model_of(rule(name))
    optimizer = AnalogSGD([tile_of(model).weight], lr=0.1)
    for _ in range(3):
        backward(model)
        optimizer.step()
    before = everything(model)
    optimizer.param_groups[0]["lr"] = 0.0
    backward(model)
    optimizer.step()
    assert_unchanged(model, before, PRODUCTS)
    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.step()  # nothing was kept
    assert_unchanged(model, before, PRODUCTS)


@pytest.mark.parametrize("device", [steady(SoftBoundsDevice, lifetime=10.0), IdealDevice(lifetime=10.0)])
def test_time_passes_at_every_step_even_at_rate_0_and_without_gradients(device: Any) -> None:
    model = model_of(SingleRPUConfig(device=device))
    optimizer = AnalogSGD(model.parameters(), lr=0.0)
    weights = tile_of(model).get_weights()
    for step in range(1, 4):
        optimizer.step()
        torch.testing.assert_close(tile_of(model).get_weights(), weights * 0.9**step)


def test_diffusion_comes_before_decay() -> None:
    device = steady(SoftBoundsDevice, lifetime=1.0, diffusion=0.1)
    model = model_of(SingleRPUConfig(device=device))
    AnalogSGD(model.parameters(), lr=0.0).step()
    assert not tile_of(model).get_weights().any()
    model = model_of(SingleRPUConfig(device=device.replaced(lifetime=0.0)))
    before = tile_of(model).get_weights()
    AnalogSGD(model.parameters(), lr=0.0).step()
    assert (tile_of(model).get_weights() != before).all()


def test_time_passes_after_all_tiles_have_learned_and_once_for_each() -> None:
    torch.manual_seed(2)
    config = ideal(lifetime=2.0)
    model = nn.Sequential(*(AnalogLinear(3, 3, bias=False, rpu_config=config) for _ in range(2)))
    before = [layer.tile.get_weights() for layer in model]
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    model(torch.zeros(2, 3)).sum().backward()
    optimizer.step()
    torch.testing.assert_close(model[0].tile.get_weights(), before[0] / 2)
    torch.testing.assert_close(model[1].tile.get_weights(), before[1] / 2)


# Gradients


@pytest.mark.parametrize("name", ["ideal", *RULES])
def test_two_backward_passes_and_one_step_are_one_step_with_both_batches(name: str) -> None:
    parts, whole = (model_of(ideal() if name == "ideal" else perfect(rule(name)))[0] for _ in range(2))
    slope = torch.randn(8, 4, generator=torch.Generator().manual_seed(3))
    optimizers = [AnalogSGD(layer.parameters(), lr=0.1) for layer in (parts, whole)]
    for part in (slice(0, 3), slice(3, 8)):
        (parts(X[part]) * slope[part]).sum().backward()
    (whole(X) * slope).sum().backward()
    for optimizer in optimizers:
        optimizer.step()
    assert torch.equal(parts.tile.get_weights(), whole.tile.get_weights())
    torch.testing.assert_close(parts.bias, whole.bias)
    for name_, value in parts.tile.state_dict().items():
        assert torch.equal(value, whole.tile.state_dict()[name_]), name_


def test_zero_grad_drops_what_was_kept() -> None:
    model = model_of()
    optimizer = AnalogSGD([tile_of(model).weight], lr=0.1)
    before = tile_of(model).get_weights()
    backward(model)
    optimizer.zero_grad()
    optimizer.step()
    assert torch.equal(tile_of(model).get_weights(), before)


def test_zero_grad_of_the_model_reaches_digital_gradients_only() -> None:
    model = model_of()
    optimizer = AnalogSGD([tile_of(model).weight], lr=0.1)
    before = tile_of(model).get_weights()
    backward(model)
    assert tile_of(model).weight.grad is None
    model.zero_grad()
    optimizer.step()
    assert not torch.equal(tile_of(model).get_weights(), before)


def test_a_step_uses_up_what_was_kept() -> None:
    model = model_of()
    optimizer = AnalogSGD([tile_of(model).weight], lr=0.1)
    backward(model)
    optimizer.step()
    after = tile_of(model).get_weights()
    optimizer.step()
    assert torch.equal(tile_of(model).get_weights(), after)


def test_a_closure_is_evaluated_once_and_its_gradients_are_used() -> None:
    with_closure, without = model_of(), model_of()
    losses = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses.append(backward(with_closure))
        return losses[-1]

    optimizer = AnalogSGD(with_closure.parameters(), lr=0.1)
    assert optimizer.step(closure) is losses[0]
    assert len(losses) == 1
    plain = AnalogSGD(without.parameters(), lr=0.1)
    backward(without)
    plain.step()
    assert torch.equal(tile_of(with_closure).get_weights(), tile_of(without).get_weights())


def test_a_frozen_weight_does_not_learn_but_passes_gradients_on() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 5), AnalogLinear(5, 3, rpu_config=ideal()))
    model[1].weight.requires_grad_(False)
    optimizer = AnalogSGD(model.parameters(), lr=0.1)
    before = model[1].tile.get_weights()
    backward(model)
    assert model[0].weight.grad.any()
    optimizer.step()
    assert torch.equal(model[1].tile.get_weights(), before)
    model[1].weight.requires_grad_(True)
    backward(model)
    optimizer.step()
    assert not torch.equal(model[1].tile.get_weights(), before)


def test_a_weight_stays_frozen_while_the_tile_is_used() -> None:
    model = model_of(rule("ttv1"))
    tile_of(model).weight.requires_grad_(False)
    tile_of(model).update(torch.randn(3, 5), torch.randn(3, 4))
    tile_of(model).set_weights(torch.zeros(4, 5))
    model.to("cpu").half()
    other = copy.deepcopy(model)
    assert not tile_of(model).weight.requires_grad
    assert not tile_of(other).weight.requires_grad


def test_a_second_derivative_is_refused() -> None:
    model = model_of()
    x = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


def test_tiles_learn_in_the_order_of_their_parameters() -> None:
    model = nn.Sequential(*(AnalogLinear(3, 3, rpu_config=ideal()) for _ in range(3)))
    order = []
    for number, layer in enumerate(model):
        learn = layer.tile.learn
        object.__setattr__(layer.tile, "learn", lambda n=number, f=learn: (order.append(n), f()))
    optimizer = AnalogSGD(reversed(list(model.parameters())), lr=0.1)
    model(torch.randn(2, 3)).sum().backward()
    optimizer.step()
    assert order == [2, 1, 0]


# Names


def test_named_parameters_name_the_layers_in_errors() -> None:
    model = nn.ModuleDict({"front": AnalogLinear(4, 3), "back": nn.Sequential(AnalogLinear(3, 2))})
    AnalogSGD(model.named_parameters(), lr=0.1)
    assert model["front"].tile.label == "layer 'front' (4 inputs, 3 outputs)"
    assert model["back"][0].tile.label == "layer 'back.0' (3 inputs, 2 outputs)"


# Saving, before and after


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        optimizer.zero_grad()
        backward(model, torch.randn(4, 5, generator=torch.Generator().manual_seed(step)))
        optimizer.step()


@pytest.mark.parametrize("made", ["before", "after"])
@ANALOG
@pytest.mark.parametrize("name", RULES)
def test_an_optimizer_made_before_or_after_loading_goes_on_as_if_nothing_had_happened(name, kind, made) -> None:
    model = model_of(rule(name))
    optimizer = kind(model.parameters(), lr=0.02)
    trained(model, optimizer, 5)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    trained(model, optimizer, 5, first=5)

    file.seek(0)
    checkpoint = torch.load(file, weights_only=True)
    other = model_of(rule(name), seed=99)
    if made == "before":
        other_optimizer = kind(other.parameters(), lr=0.02)
        other.load_state_dict(checkpoint["model"])
    else:
        other.load_state_dict(checkpoint["model"])
        other_optimizer = kind(other.parameters(), lr=0.02)
    other_optimizer.load_state_dict(checkpoint["optimizer"])
    trained(other, other_optimizer, 5, first=5)
    expected = everything(model)
    assert all(torch.equal(value, expected[key]) for key, value in everything(other).items())


def test_gradients_that_wait_are_copied_with_the_model() -> None:
    model = model_of()
    backward(model)
    other = copy.deepcopy(model)
    for one in (model, other):
        AnalogSGD([tile_of(one).weight], lr=0.1).step()
    assert torch.equal(tile_of(model).get_weights(), tile_of(other).get_weights())
    assert not torch.equal(tile_of(model).get_weights(), tile_of(model_of()).get_weights())


def test_a_constant_step_device_learns_a_small_task() -> None:
    torch.manual_seed(0)
    config = SingleRPUConfig(device=steady(ConstantStepDevice, dw_min=0.005))
    model = nn.Sequential(AnalogLinear(5, 8, rpu_config=config), nn.Tanh(), AnalogLinear(8, 1, rpu_config=config))
    optimizer = AnalogSGD(model.named_parameters(), lr=0.05)
    x = torch.randn(64, 5)
    y = (x[:, :1] - x[:, 1:2]).tanh()
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]


# Any optimizer of torch


OF_TORCH = {
    "SGD": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "AdamW": (torch.optim.AdamW, {"lr": 0.1}),
    "RMSprop": (torch.optim.RMSprop, {"lr": 0.1}),
    "NAdam": (torch.optim.NAdam, {"lr": 0.1}),
    "Adagrad": (torch.optim.Adagrad, {"lr": 0.1}),
    "Adafactor": (torch.optim.Adafactor, {"lr": 0.1}),
}


@pytest.mark.parametrize("name", OF_TORCH)
def test_any_optimizer_of_torch_steps_what_is_digital_while_tiles_are_pulsed(name: str) -> None:
    base, options = OF_TORCH[name]
    model, x = model_of(rule("sgd")), torch.randn(6, 5)
    twin, plain = copy.deepcopy(model), copy.deepcopy(model)
    optimizer = AnalogOptimizer(base, model.named_parameters(), **options)
    pulsed = AnalogSGD(twin.parameters(), lr=0.1)
    digital = base([each for each in plain.parameters() if not isinstance(each, AnalogWeight)], **options)
    assert isinstance(optimizer, base)
    assert isinstance(optimizer, AnalogOptimizerMixin)
    assert type(optimizer).__name__ == f"AnalogOptimizer{name}"
    for each, steps in ((model, optimizer), (twin, pulsed), (plain, digital)):
        each(x).square().sum().backward()
        steps.step()
    assert torch.equal(tile_of(model).get_weights(), tile_of(twin).get_weights())
    for (key, value), wanted in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert isinstance(value, AnalogWeight) or torch.equal(value, wanted), key


@pytest.mark.parametrize("way", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))], ids=["copy", "pickle"])
def test_a_copy_of_a_model_and_its_optimizer_goes_on(way: Any) -> None:
    model, x = model_of(rule("ttv3")), torch.randn(6, 5)
    pair = (model, AnalogOptimizer(torch.optim.AdamW, model.parameters(), lr=0.1))

    def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()

    step(*pair)
    other = way(pair)
    assert type(other[1]) is type(pair[1])
    for _ in range(3):
        step(*pair)
        step(*other)
    state = other[0].state_dict()
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_an_optimizer_that_tries_weights_and_one_that_is_none_are_refused() -> None:
    model = model_of(rule("sgd"))
    with pytest.raises(OptimizerError, match="LBFGS tries several weights"):
        AnalogOptimizer(torch.optim.LBFGS, model.parameters(), lr=0.1)
    for wrong in (torch.optim.SGD(model.parameters(), lr=0.1), nn.Linear, "SGD"):
        with pytest.raises(OptimizerError, match=r"no class of optimizers.*torch\.optim\.SGD"):
            AnalogOptimizer(wrong, model.parameters(), lr=0.1)
    assert AnalogOptimizer(AnalogSGD, model.parameters(), lr=0.1).__class__ is AnalogSGD


def test_the_rate_of_all_groups_is_set_at_once() -> None:
    model = model_of(rule("sgd"))
    first, *others = model.parameters()
    optimizer = AnalogSGD([{"params": [first], "lr": 0.3}, {"params": others}], lr=0.1)
    with pytest.raises(OptimizerError, match="rate"):
        optimizer.set_learning_rate(-1.0)
    optimizer.set_learning_rate(0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2, 0.2]


def test_clipping_of_gradients_acts_on_what_is_digital() -> None:
    model, twin = (model_of(rule("sgd")) for _ in range(2))
    twin.load_state_dict(model.state_dict())
    x = torch.randn(6, 5)
    for each, limit in ((model, 1e-3), (twin, 1e9)):
        optimizer = AnalogSGD(each.parameters(), lr=0.1)
        (each(x).square().sum() * 100).backward()
        nn.utils.clip_grad_norm_(each.parameters(), limit)
        norm = torch.stack([p.grad.norm() for p in each.parameters() if p.grad is not None]).norm()
        assert (norm <= limit * 1.001) if limit < 1.0 else (norm > 1.0)
        optimizer.step()
    assert torch.equal(tile_of(model).get_weights(), tile_of(twin).get_weights())


@pytest.mark.parametrize("named", [False, True])
def test_analog_weights_may_have_groups_of_their_own_with_the_settings_that_they_had(named: bool) -> None:
    model, twin = (model_of(rule("sgd")) for _ in range(2))
    twin.load_state_dict(model.state_dict())
    for each, regroups in ((model, True), (twin, False)):
        given = each.named_parameters() if named else each.parameters()
        optimizer = AnalogOptimizer(torch.optim.SGD, given, lr=0.1, momentum=0.9)
        backward(each)
        optimizer.step()
        if regroups:
            optimizer.regroup_param_groups(each)
            kinds = [[isinstance(value, AnalogWeight) for value in group["params"]] for group in optimizer.param_groups]
            assert kinds == [[False] * 3, [True]]
            assert all(group["momentum"] == 0.9 for group in optimizer.param_groups)
            assert not named or optimizer.param_groups[1]["param_names"] == ["0.matrix.blocks.0.tile.weight"]
        optimizer.zero_grad()
        backward(each)
        optimizer.step()
    assert_unchanged(model, everything(twin))
