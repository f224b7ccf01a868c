"""A transformer of 124 million analog weights fits on one GPU of 80 GB; a small one of its kind trains."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from ohmgrad.optim import AnalogSGD
from ohmgrad.tile import AnalogTile
from transformer import Shape, Transformer, batches, config

BATCH = 4
"""Texts of a step, as the benchmark has them."""


def bytes_of_cells(shape: Shape) -> int:
    """The memory of all tiles, from that of a tile of the same kind: what a cell takes does not depend on the size."""
    each = AnalogTile(96, 64, config()).memory()
    lines = sum(inputs + outputs for inputs, outputs in shape.linear())
    return round(each.per_weight["total"] * shape.weights()) + 8 * lines


def bytes_of_a_step(shape: Shape, batch: int) -> int:
    """An upper bound of what one step takes beside the cells.

    For every sample and layer its input and gradient wait for the update, and activations for the backward pass. The
    update of the largest layer takes some numbers for every sample and line, and for every read and lane; a vector is
    read after every sample.
    """
    samples = batch * shape.context
    remembered = sum(4 * (inputs + outputs) * samples for inputs, outputs in shape.linear())
    attention = shape.layers * batch * shape.heads * shape.context**2 * 4
    update = max(12 * 4 * (inputs + outputs) * samples for inputs, outputs in shape.linear())
    digital = 3 * 4 * shape.width * (shape.vocabulary + shape.context)
    return 3 * remembered + attention + update + digital


def test_a_transformer_of_124_million_weights_fits_on_a_gpu_of_80_gigabytes() -> None:
    shape = Shape()
    assert round(shape.weights() / 1e6) == 124
    cells, step = bytes_of_cells(shape), bytes_of_a_step(shape, BATCH)
    assert 13e9 < cells < 14e9  # 108 bytes for each
    assert cells + step < 40e9


def test_a_small_one_learns_to_spell() -> None:
    torch.manual_seed(1)
    shape = Shape(layers=1, width=16, heads=2, vocabulary=256, context=8)
    model = Transformer(shape, config())
    optimizer = AnalogSGD(model.named_parameters(), lr=0.1)
    before = model.head.weight.clone()
    losses = []
    for text in batches(30, 4, shape.context):
        with torch.autocast("cpu", torch.bfloat16):
            scores = model(text[:, :-1])
        loss = cross_entropy(scores.flatten(0, 1).float(), text[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < sum(losses[:5])
    assert not torch.equal(model.head.weight, before)
