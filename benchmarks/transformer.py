"""Train a transformer whose linear layers are analog tiles: ``python benchmarks/transformer.py --help``.

The defaults are those of a GPT-2 of 124 million weights, which learns English from the manual that comes with Python,
byte by byte. All linear layers, the last one included, are trained by Tiki-taka v3; embeddings and norms are digital.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pydoc_data.topics import topics

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention

from ohmgrad.configs import (
    ChoppedTransferCompound,
    MappingParameter,
    RPUConfig,
    RuntimeParameter,
    SoftBoundsReferenceDevice,
    UnitCellRPUConfig,
)
from ohmgrad.nn import AnalogLinear
from ohmgrad.optim import AnalogSGD


@dataclass
class Shape:
    """The size of a model."""

    layers: int = 12
    width: int = 768
    heads: int = 12
    vocabulary: int = 50257
    context: int = 1024

    def linear(self) -> list[tuple[int, int]]:
        """Inputs and outputs of every linear layer."""
        w = self.width
        return [(w, 3 * w), (w, w), (w, 4 * w), (4 * w, w)] * self.layers + [(w, self.vocabulary)]

    def weights(self) -> int:
        """How many analog weights there are."""
        return sum(inputs * outputs for inputs, outputs in self.linear())


def config(**runtime: object) -> RPUConfig:
    """Tiki-taka v3 on two soft-bounds devices of 100 states; a layer is one tile, however large."""
    device = SoftBoundsReferenceDevice(dw_min=0.012, reference_std=0.05, subtract_symmetry_point=True)
    compound = ChoppedTransferCompound(unit_cell_devices=[device, device], in_chop_prob=0.1)
    whole = MappingParameter(max_input_size=0, max_output_size=0)
    return UnitCellRPUConfig(device=compound, runtime=RuntimeParameter(**runtime), mapping=whole)


class Block(nn.Module):
    """Attention and a perceptron, each around a residual connection."""

    def __init__(self, shape: Shape, rpu_config: RPUConfig) -> None:
        super().__init__()
        w = shape.width
        self.heads = shape.heads
        self.norm_1, self.norm_2 = nn.LayerNorm(w), nn.LayerNorm(w)
        self.attend, self.project = AnalogLinear(w, 3 * w, True, rpu_config), AnalogLinear(w, w, True, rpu_config)
        self.widen, self.narrow = AnalogLinear(w, 4 * w, True, rpu_config), AnalogLinear(4 * w, w, True, rpu_config)

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, time, width]`` to the same."""
        split = self.attend(self.norm_1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(*split, is_causal=True)
        x = x + self.project(mixed.transpose(1, 2).flatten(2))
        return x + self.narrow(gelu(self.widen(self.norm_2(x))))


class Transformer(nn.Module):
    """Predicts the next token at every place."""

    def __init__(self, shape: Shape, rpu_config: RPUConfig, report: bool = False) -> None:
        super().__init__()
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.places = nn.Embedding(shape.context, shape.width)
        numbers = range(shape.layers)
        self.blocks = nn.ModuleList(
            Block(shape, rpu_config) for _ in (track(numbers, "Making the cells") if report else numbers)
        )
        self.norm = nn.LayerNorm(shape.width)
        self.head = AnalogLinear(shape.width, shape.vocabulary, False, rpu_config)

    def forward(self, tokens: Tensor) -> Tensor:
        """``[batch, time]`` to scores ``[batch, time, vocabulary]``."""
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.head(self.norm(x))
        return scores


def batches(count: int, batch: int, length: int) -> Tensor:
    """Pieces of the manual as bytes, ``[count, batch, length + 1]``."""
    text = torch.frombuffer(bytearray("\n".join(topics.values()), "utf-8"), dtype=torch.uint8).long()
    starts = torch.randint(len(text) - length - 1, (count, batch, 1))
    return text[starts + torch.arange(length + 1)]


def parsed() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for name, value in vars(Shape()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=4, help="texts of a step")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rate", type=float, default=0.1, help="learning rate")
    parser.add_argument("--bfloat16", action="store_true", help="activations in bfloat16 (the cells stay as they are)")
    return parser.parse_args()


def main() -> None:
    """Train, and say what it took."""
    asked, console = parsed(), Console()
    shape = Shape(*(getattr(asked, name) for name in vars(Shape())))
    torch.manual_seed(0)
    model = Transformer(shape, config(), report=True).to(asked.device)
    optimizer = AnalogSGD(model.named_parameters(), lr=asked.rate)
    console.print(f"{shape.weights() / 1e6:.1f} million analog weights, on {asked.device}")
    is_cuda = torch.device(asked.device).type == "cuda"
    times = []
    for text in track(batches(asked.steps, asked.batch, shape.context).to(asked.device), "Training"):
        begin = time.perf_counter()
        with torch.autocast(torch.device(asked.device).type, torch.bfloat16, enabled=asked.bfloat16):
            scores = model(text[:, :-1])
            loss = cross_entropy(scores.flatten(0, 1).float(), text[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        figure = loss.item()  # waits for the device
        times.append(time.perf_counter() - begin)
        console.print(f"loss {figure:.3f} after {times[-1]:.2f} s")
    if is_cuda:
        console.print(f"at most {torch.cuda.max_memory_allocated() / 1e9:.1f} GB of GPU memory")


if __name__ == "__main__":
    main()
