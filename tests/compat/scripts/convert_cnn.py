"""Convert a trained torch CNN to analog layers and back."""

import torch
from sklearn.datasets import load_digits
from torch import nn

from aihwkit.nn import AnalogConv2d, AnalogConv2dMapped, AnalogLinear, AnalogLinearMapped
from aihwkit.nn.conversion import convert_to_analog, convert_to_digital
from aihwkit.simulator.configs import InferenceRPUConfig, SingleRPUConfig
from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType

torch.manual_seed(0)


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(128, 32), nn.ReLU())
        self.classifier = nn.Linear(32, 10)

    def forward(self, x):
        return self.classifier(self.head(self.features(x)))


digits = load_digits()
x = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
y = torch.tensor(digits.target)
model = Cnn()
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
for step in range(150):
    idx = torch.randint(0, 1200, (64,))
    opt.zero_grad()
    nn.functional.cross_entropy(model(x[idx]), y[idx]).backward()
    opt.step()


def accuracy(net):
    net.eval()
    with torch.no_grad():
        return (net(x[1200:]).argmax(1) == y[1200:]).float().mean().item()


def per_layer(name, module, rpu_config):
    """Finer output resolution for the last layer."""
    seen.append((name, type(module).__name__))
    if name == "classifier":
        rpu_config.forward.out_noise = 0.0
    return rpu_config


seen = []
config = InferenceRPUConfig()
config.forward.out_noise = 0.02
config.forward.noise_management = NoiseManagementType.ABS_MAX
config.forward.bound_management = BoundManagementType.ITERATIVE
config.mapping.weight_scaling_omega = 1.0
analog = convert_to_analog(model, config, specific_rpu_config_fun=per_layer)
assert isinstance(analog.features[0], AnalogConv2d) and isinstance(analog.classifier, AnalogLinear)
assert isinstance(analog, Cnn) and isinstance(model.classifier, nn.Linear)
assert ("classifier", "Linear") in seen and ("features.0", "Conv2d") in seen
tiles = dict(analog.named_analog_tiles())
assert len(tiles) == 3 and sorted(n for n, _ in analog.named_analog_layers()) == ["classifier", "features.0", "head.1"]
assert analog.classifier.analog_module.rpu_config.forward.out_noise == 0.0

partial = convert_to_analog(model, SingleRPUConfig(), exclude_modules=["classifier"])
assert type(partial.classifier) is nn.Linear and len(list(partial.analog_tiles())) == 2

mapped = convert_to_analog(model, config, conversion_map={nn.Linear: AnalogLinearMapped, nn.Conv2d: AnalogConv2dMapped})
assert isinstance(mapped.head[1], AnalogLinearMapped)
unwrapped = convert_to_analog(model, config, ensure_analog_root=False)
assert type(unwrapped) is Cnn

digital = convert_to_digital(analog)
assert type(digital) is Cnn and type(digital.features[0]) is nn.Conv2d
assert torch.allclose(digital.head[1].weight, model.head[1].weight, atol=1e-4)
accs = [accuracy(m) for m in (model, analog, mapped, digital)]
assert min(accs) > 0.75 and abs(accs[0] - accs[3]) < 0.01, accs
print("convert_cnn: accuracies " + " ".join(f"{a:.3f}" for a in accs))
