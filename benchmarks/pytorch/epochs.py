"""The epochs of the plain PyTorch script: loaders, steps, learning rates, evaluation, checkpoints."""

import itertools
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset

from benchmarks.pytorch import nets as torch_nets
from benchmarks.pytorch.train import Form, TorchTrain
from benchmarks.throughput.transforms import OpenCVTransform, PILTransform, Transform
from fer_jax.config.augment import AugmentConfig
from fer_jax.config.overrides import with_data
from fer_jax.config.run import Config
from fer_jax.config.training import LossConfig
from fer_jax.data.examples import Examples, class_counts
from fer_jax.data.load import load_examples
from fer_jax.data.split import Split, split_examples
from fer_jax.errors import ConfigError, RunError
from fer_jax.files import json_line
from fer_jax.images import standardise
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.runtime import cpu

STYLES: dict[Form, torch_nets.Style] = {
    "users": torch_nets.AS_USERS_RUN_IT,
    "tuned": torch_nets.TUNED,
    "tuned-bf16": torch_nets.Style(bfloat16=True),
}
TRANSFORMS: dict[str, type[Transform]] = {"pil": PILTransform, "cv2": OpenCVTransform}


class Faces(Dataset):
    """Rows of the data, each as (float32 [1, 48, 48], label)."""

    def __init__(self, examples: Examples, rows: np.ndarray, transform: Transform) -> None:
        """Keep the rows int [N] of the examples."""
        self.images, self.labels = examples.images[rows], examples.labels[rows]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.transform(self.images[index]), int(self.labels[index])


@dataclass(frozen=True)
class Loaders:
    """One DataLoader for training, and one for each part that is evaluated."""

    train: DataLoader
    measured: dict[str, DataLoader]


def train(options: TorchTrain) -> None:
    """Train as the options say, and write the log and the checkpoints.

    Raises:
        FerJaxError: a user error: config, data or run folder.
    """
    config = with_data(options.settings, options.data, None)
    log = options.run_dir / "log.jsonl"
    if log.exists():
        raise RunError(f"{options.run_dir} already contains a run; give another --run-dir")
    if config.optimizer.name == "sgd" and config.optimizer.weight_decay:
        raise ConfigError("PyTorch's SGD has no decoupled weight decay; use optimizer.l2")
    torch_nets.refuse_craft(config)
    if config.train.sampling != "all":
        raise ConfigError(
            f"config field train.sampling is {config.train.sampling!r}; the PyTorch script has only 'all'"
        )
    if options.form != "users":
        cpu.tune_cpu()
    style = STYLES[options.form]
    device = torch_nets.set_up(style)
    torch.manual_seed(config.train.seed)
    examples = load_examples(config.data)
    split = split_examples(examples, config.split)
    loaders = make_loaders(config, examples, split, options, pin_memory=device.type == "cuda")
    net = torch_nets.Net(config.model, style).to(device)
    weights = torch.tensor(class_weights(config.loss, examples.labels[split.train]), device=device)
    optimizer = torch_nets.make_optimizer(
        config.optimizer, net, rate=config.optimizer.peak_rate, fused=style.fused_optimizer
    )
    schedule = LambdaLR(optimizer, make_rate_factor(config, len(loaders.train)))
    options.run_dir.mkdir(parents=True, exist_ok=True)
    steps = 0
    for epoch in range(1, config.train.epochs + 1):
        started = time.perf_counter()
        batches = itertools.islice(loaders.train, options.max_steps)
        objective = train_epoch(net, batches, optimizer, schedule, config, weights, style)
        if options.max_steps is not None:
            print(f"objective {objective:.4f} after {options.max_steps} steps")
            return
        steps += len(loaders.train)
        record: dict[str, Any] = {"epoch": epoch, "step": steps, "rate": schedule.get_last_lr()[0]}
        record["objective"] = objective
        for name, loader in loaders.measured.items():
            record[f"{name}_loss"], record[f"{name}_accuracy"] = evaluate(net, loader, style)
        record["seconds"] = time.perf_counter() - started
        saved = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}
        torch.save(saved, options.run_dir / "last.pt")
        with log.open("a", encoding="utf-8") as lines:
            lines.write(json_line(record))
        print(f"epoch {epoch}: " + ", ".join(f"{name} {value:.4g}" for name, value in record.items()))


def train_epoch(
    net: nn.Module,
    batches: Iterable[Any],
    optimizer: torch.optim.Optimizer,
    schedule: LambdaLR,
    config: Config,
    weights: Tensor,
    style: torch_nets.Style,
) -> float:
    """Take a step on each batch, and return the mean of their losses."""
    device = weights.device
    loss_sum = torch.zeros((), device=device)
    steps = 0
    net.train()
    for images, labels in batches:
        x, y = to_device(images, labels, device, style)
        with torch.autocast(device.type, torch.bfloat16, enabled=style.bfloat16):
            logits = net(x)
        loss = weighted_loss(logits.float(), y, weights, config.loss)
        optimizer.zero_grad()
        loss.backward()
        if config.optimizer.clip_norm:
            nn.utils.clip_grad_norm_(net.parameters(), config.optimizer.clip_norm)
        optimizer.step()
        schedule.step()
        loss_sum += loss.detach()
        steps += 1
    return float(loss_sum) / max(1, steps)


def make_loaders(
    config: Config, examples: Examples, split: Split, options: TorchTrain, *, pin_memory: bool
) -> Loaders:
    """Make the DataLoaders: shuffled and augmented for training, in order and plain for evaluation."""
    train = config.train
    stats = standardise.measure(examples.images[split.train])
    transform = TRANSFORMS[options.transform]
    parts = {"train": train_eval_rows(config, split), "val": split.val}
    shared: dict[str, Any] = {
        "num_workers": options.workers,
        "pin_memory": pin_memory,
        "persistent_workers": options.workers > 0 and options.form != "users",
    }
    augmented = Faces(examples, split.train, transform(config.augment, stats))
    plain = transform(AugmentConfig(), stats)
    return Loaders(
        DataLoader(augmented, train.batch_size, shuffle=True, drop_last=True, **shared),
        {
            name: DataLoader(Faces(examples, rows, plain), train.eval_batch_size, **shared)
            for name, rows in parts.items()
        },
    )


def train_eval_rows(config: Config, split: Split) -> np.ndarray:
    """Return the training rows on which the train accuracy is measured, as in `fer_jax.engine.loop`."""
    wanted, rows = config.train.train_eval_examples, split.train
    if not wanted or wanted >= len(rows):
        return rows
    return np.sort(numpy_rng(config.train.seed, Stream.SUBSET).permutation(rows)[:wanted])


def class_weights(config: LossConfig, labels: np.ndarray) -> np.ndarray:
    """Return the class weights of `fer_jax.engine.losses`, which needs jax; float32 [7]."""
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[config.class_weights]
    rows = np.array(class_counts(labels), np.float64)
    weights = np.where(rows > 0, np.maximum(rows, 1) ** -power, 0.0)
    return (weights * rows.sum() / (weights * rows).sum()).astype(np.float32)


def make_rate_factor(config: Config, epoch_steps: int) -> Callable[[int], float]:
    """Make the learning-rate schedule as a factor on the peak; `plateau` stays constant here."""
    settings = config.optimizer
    warmup = round(settings.warmup_epochs * epoch_steps)
    rest = max(1, config.train.epochs * epoch_steps - warmup)

    def factor(step: int) -> float:
        if step < warmup:
            return step / warmup
        if settings.schedule == "cosine":
            return (1 + math.cos(math.pi * min(1.0, (step - warmup) / rest))) / 2
        if settings.schedule == "step":
            return float(settings.decay_factor ** ((step - warmup) // (settings.decay_epochs * epoch_steps)))
        if settings.schedule == "trapezoid":
            cooldown = max(1, round(settings.cooldown_epochs * epoch_steps))
            return min(1.0, (warmup + rest - step) / cooldown)
        return 1.0

    return factor


def to_device(
    images: Tensor, labels: Tensor, device: torch.device, style: torch_nets.Style
) -> tuple[Tensor, Tensor]:
    """Move float32 [B, 1, 48, 48] and int64 [B] to the device, in the network's memory format."""
    x = images.to(device, non_blocking=True)
    if style.channels_last:
        # With one channel both formats are the same memory; the strides tell PyTorch which one to use.
        x = x.reshape(len(x), *x.shape[2:], 1).permute(0, 3, 1, 2)
    return x, labels.to(device, non_blocking=True)


def weighted_loss(logits: Tensor, labels: Tensor, weights: Tensor, config: LossConfig) -> Tensor:
    """Return the mean cross-entropy, class-weighted; PyTorch's own weights label smoothing differently."""
    smoothing = config.label_smoothing
    losses = functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    weight = weights[labels]
    return (losses * weight).sum() / weight.sum()


def evaluate(net: nn.Module, loader: Iterable[Any], style: torch_nets.Style) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy."""
    device = next(net.parameters()).device
    net.eval()
    loss_sum = torch.zeros((), device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    count = 0
    with torch.inference_mode():
        for images, labels in loader:
            x, y = to_device(images, labels, device, style)
            with torch.autocast(device.type, torch.bfloat16, enabled=style.bfloat16):
                logits = net(x).float()
            loss_sum += functional.cross_entropy(logits, y, reduction="sum")
            correct += (logits.argmax(1) == y).sum()
            count += len(y)
    return float(loss_sum) / count, int(correct) / count
