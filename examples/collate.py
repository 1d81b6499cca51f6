"""Mixing in the workers of a DataLoader: a policy as its ``collate_fn``.

The batch comes out mixed, with soft targets. The loop needs a loss for these and nothing else.

python examples/collate.py
"""

import torch
from photos import CLASSES, accuracy, make_network, make_photos
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import samix

EPOCHS = 8


def main(policy: str = "cutmix") -> float:
    """Train a timm model, and return its accuracy on new photos."""
    torch.manual_seed(0)  # the mixes follow from it, too: workers take their seeds from here
    collate = samix.mix_collate(policy, num_classes=CLASSES)
    photos = TensorDataset(*make_photos(384))
    loader = DataLoader(photos, batch_size=32, shuffle=True, collate_fn=collate, num_workers=2)
    model = make_network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(EPOCHS):
        total = 0.0
        for images, soft_target in loader:  # (32,3,32,32) and (32,3)
            loss = cross_entropy(model(images), soft_target)  # it takes soft targets
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() / len(loader)
        print(f"epoch {epoch + 1}: loss {total:.3f}")
    return accuracy(model)  # no collate_fn there: what is tested is not mixed


if __name__ == "__main__":
    main()
