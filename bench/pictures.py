#!/usr/bin/env python3
"""CIFAR-10 by others: ONNX Runtime's accuracy of a tuned file, and a ResNet-8 that PyTorch trains.

Usage: pictures.py accuracy MODEL.onnx FOLDER
       pictures.py train FOLDER_OF_TRAIN_AND_TEST [EPOCHS] [SEED]

Pictures are read by Pillow and normalized by MEAN and STD, as `gannet tune --mean ... --std ...` does.
"""
import glob
import os
import sys
import time

import numpy as np
from PIL import Image

MEAN = np.array([0.4914, 0.4822, 0.4465], np.float32)
STD = np.array([0.2470, 0.2435, 0.2616], np.float32)


def load(folder):
    classes = sorted(os.listdir(folder))
    pictures, labels = [], []
    for number, name in enumerate(classes):
        for path in sorted(glob.glob(os.path.join(folder, name, "*"))):
            pictures.append(np.asarray(Image.open(path).convert("RGB")))
            labels.append(number)
    x = (np.stack(pictures).astype(np.float32) / 255 - MEAN) / STD
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), np.array(labels)


def accuracy(model, folder):
    import onnxruntime

    session = onnxruntime.InferenceSession(model)
    feed = session.get_inputs()[0]
    step = feed.shape[0] if isinstance(feed.shape[0], int) else 100
    x, y = load(folder)
    said = np.concatenate([session.run(None, {feed.name: x[i:i + step]})[0] for i in range(0, len(x), step)])
    print("ONNX Runtime %s: accuracy %.4f of %d pictures" % (onnxruntime.__version__, (said.reshape(len(x), -1).argmax(1) == y).mean(), len(x)))


def resnet8():
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, narrow, wide, stride):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(narrow, wide, 3, stride, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU(),
                                      nn.Conv2d(wide, wide, 3, 1, 1, bias=False), nn.BatchNorm2d(wide))
            self.short = nn.Identity() if stride == 1 else nn.Sequential(nn.Conv2d(narrow, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

        def forward(self, x):
            return torch.relu(self.body(x) + self.short(x))

    return nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), Block(16, 16, 1), Block(16, 32, 2),
                         Block(32, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def augmented(x, generator):
    """Flips, and crops of 32 x 32 from pictures with 4 black pixels around them."""
    import torch
    from torch.nn import functional

    count = len(x)
    flips = torch.rand(count, generator=generator) < 0.5
    x = torch.where(flips[:, None, None, None], x.flip(3), x)
    black = torch.tensor(-MEAN / STD)[None, :, None, None]
    x = functional.pad(x - black, (4, 4, 4, 4)) + black
    places = torch.randint(0, 9, (count, 2), generator=generator)
    return torch.stack([x[i, :, y:y + 32, z:z + 32] for i, (y, z) in enumerate(places.tolist())])


def train(folder, epochs=24, seed=0, batch=64):
    import torch
    from torch.nn import functional

    torch.set_num_threads(2)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.tensor(part) for part in load(os.path.join(folder, "train")))
    test_x, test_y = (torch.tensor(part) for part in load(os.path.join(folder, "test")))
    model = resnet8().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    steps = (len(x) + batch - 1) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=epochs * steps)
    best, start = 0.0, time.time()
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(x), generator=generator)
        for i in range(0, len(x), batch):
            rows = order[i:i + batch]
            loss = functional.cross_entropy(model(augmented(x[rows], generator)), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            right = sum((model(test_x[i:i + 200]).argmax(1) == test_y[i:i + 200]).sum().item() for i in range(0, len(test_x), 200))
        best = max(best, right / len(test_x))
        print("epoch %d  loss %.4f  accuracy %.4f  best %.4f  %.0f s" % (epoch + 1, loss.item(), right / len(test_x), best, time.time() - start), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "accuracy":
        accuracy(sys.argv[2], sys.argv[3])
    elif len(sys.argv) in (3, 4, 5) and sys.argv[1] == "train":
        train(sys.argv[2], *(int(value) for value in sys.argv[3:]))
    else:
        sys.exit(__doc__)
