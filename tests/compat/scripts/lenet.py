"""A LeNet-like analog network on the 8x8 digits."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from aihwkit.nn import AnalogConv2d, AnalogLinear, AnalogSequential
from aihwkit.optim import AnalogSGD
from aihwkit.simulator.configs import MappingParameter
from aihwkit.simulator.presets import GokmenVlasovPreset

torch.manual_seed(4)
np.random.seed(4)

USE_CUDA = 0
DEVICE = torch.device("cuda" if USE_CUDA else "cpu")
N_CLASSES, BATCH, EPOCHS = 10, 10, 5

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16.0
labels = torch.tensor(digits.target, dtype=torch.long)
perm = torch.randperm(len(labels))
train, test = perm[:1300], perm[1300:]
train_loader = DataLoader(TensorDataset(images[train], labels[train]), batch_size=BATCH, shuffle=True)
test_loader = DataLoader(TensorDataset(images[test], labels[test]), batch_size=100)


def create_network(rpu_config):
    """Two convolutions and two fully connected layers."""
    return AnalogSequential(
        AnalogConv2d(1, 8, kernel_size=3, stride=1, padding=1, rpu_config=rpu_config),
        nn.ReLU(),
        nn.MaxPool2d(2),
        AnalogConv2d(8, 16, kernel_size=3, padding=1, rpu_config=rpu_config),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        AnalogLinear(16 * 2 * 2, 32, rpu_config=rpu_config),
        nn.Tanh(),
        AnalogLinear(32, N_CLASSES, rpu_config=rpu_config),
        nn.LogSoftmax(dim=1),
    )


config = GokmenVlasovPreset(mapping=MappingParameter(weight_scaling_omega=0.6))
model = create_network(config).to(DEVICE)
optimizer = AnalogSGD(model.parameters(), lr=0.2)
optimizer.regroup_param_groups(model)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.5)
criterion = nn.NLLLoss()

for epoch in range(EPOCHS):
    model.train()
    total = 0.0
    for xb, yb in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(xb.to(DEVICE)), yb.to(DEVICE))
        loss.backward()
        optimizer.step()
        total += loss.item() * len(yb)
    scheduler.step()

model.eval()
with torch.no_grad():
    hits = sum((model(xb.to(DEVICE)).argmax(1).cpu() == yb).sum().item() for xb, yb in test_loader)
accuracy = hits / len(test)
assert model.analog_tile_count() == 4
assert accuracy > 0.8, accuracy
print(f"lenet: train loss {total / len(train):.3f}, test accuracy {accuracy:.3f}")
