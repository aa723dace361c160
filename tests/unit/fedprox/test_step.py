"""The FedProx step: the proximal term reaches the gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fl_app.jobs.fedprox_vla.step import FedProxStep, Precision
from fl_app.jobs.shared.proximal_term import anchor_of, proximal_term

SINGLE = Precision("cpu", None)
STEPS = 50


class Task:
    """A small classification task; every instance has the same model and data."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        order = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(64, 6, generator=order, dtype=torch.float64).to(dtype)
        self.labels = torch.randint(0, 3, (64,), generator=order)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double().to(dtype)
        self.anchor = anchor_of(self.model)

    def loss(self) -> Tensor:
        return functional.cross_entropy(self.model(self.inputs), self.labels)

    def step(
        self,
        mu: float,
        learning_rate: float = 0.1,
        max_norm: float = 1e9,
        precision: Precision = SINGLE,
    ) -> FedProxStep:
        made = torch.optim.SGD(self.model.parameters(), lr=learning_rate)
        return FedProxStep(self.model, made, self.anchor, mu, max_norm, precision)

    def move_away(self, distance: float) -> None:
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.add_(distance)

    def drift(self) -> float:
        """Return the distance of the model from the anchor."""
        return float((2 * proximal_term(self.model, self.anchor, 1.0)).detach().sqrt())


def train(mu: float, steps: int = STEPS, **settings: float) -> Task:
    task = Task()
    step = task.step(mu, **settings)  # type: ignore[arg-type]
    for _ in range(steps):
        step(task.loss)
    return task


def weights(task: Task) -> list[Tensor]:
    return [parameter.detach() for parameter in task.model.parameters()]


def test_mu_0_is_fedavg_bit_for_bit() -> None:
    plain = Task()
    optimizer = torch.optim.SGD(plain.model.parameters(), lr=0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        plain.loss().backward()
        optimizer.step()

    assert all(map(torch.equal, weights(train(mu=0.0)), weights(plain)))


def test_the_gradient_includes_mu_times_the_distance() -> None:
    task, mu = Task(), 0.7
    task.move_away(0.1)
    before = anchor_of(task.model)
    of_the_loss = torch.autograd.grad(task.loss(), list(task.model.parameters()))

    task.step(mu, learning_rate=1.0)(task.loss)

    for (name, after), gradient in zip(task.model.named_parameters(), of_the_loss, strict=True):
        expected = gradient + mu * (before[name] - task.anchor[name])
        torch.testing.assert_close(before[name] - after, expected, rtol=0, atol=1e-14)


def test_the_term_does_not_change_the_first_step() -> None:
    assert train(mu=10.0, steps=1).drift() == pytest.approx(train(mu=0.0, steps=1).drift(), abs=1e-14)


def test_training_reaches_the_analytic_optimum() -> None:
    """The minimum of 1/2 ||w - t||^2 + mu/2 ||w - g||^2 is (t + mu g) / (1 + mu)."""
    torch.manual_seed(0)
    model, target, mu = nn.Linear(4, 1, bias=False).double(), torch.randn(1, 4, dtype=torch.float64), 3.0
    anchor = anchor_of(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    step = FedProxStep(model, optimizer, anchor, mu, 1e9, SINGLE)

    for _ in range(400):
        step(lambda: ((model.weight - target) ** 2).sum() / 2)

    expected = (target + mu * anchor["weight"]) / (1 + mu)
    torch.testing.assert_close(model.weight.detach(), expected, rtol=0, atol=1e-12)


def test_clipping_includes_the_term() -> None:
    task = Task()
    task.move_away(1.0)
    at = [value.clone() for value in weights(task)]

    result = task.step(100.0, learning_rate=1.0, max_norm=0.5)(task.loss)

    moved = torch.stack([(a - b).square().sum() for a, b in zip(weights(task), at, strict=True)]).sum().sqrt()
    assert result.gradient_norm > 100
    assert float(moved) == pytest.approx(0.5, abs=1e-5)


def test_the_term_ignores_frozen_parameters() -> None:
    task = Task()
    task.model[0].weight.requires_grad_(False)
    anchor = anchor_of(task.model)

    assert "0.weight" not in anchor
    task.move_away(1.0)
    trained = sum(value.numel() for value in anchor.values())
    assert proximal_term(task.model, anchor, 2.0).item() == pytest.approx(trained)


def test_bf16_on_the_cpu_is_close_to_double_precision() -> None:
    exact, mixed = Task(), Task(torch.float32)
    steps: list[tuple[Callable[[], Tensor], FedProxStep]] = [
        (exact.loss, exact.step(0.5)),
        (mixed.loss, mixed.step(0.5, precision=Precision("cpu", torch.bfloat16))),
    ]
    for loss, step in steps:
        for _ in range(20):
            step(loss)

    for a, b in zip(weights(mixed), weights(exact), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=0, atol=2e-2)


def test_the_term_is_computed_in_single_precision() -> None:
    """In fp16 the square of 1e-4 is 0."""
    task = Task(torch.float32)
    task.move_away(1e-4)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = task.step(1.0, precision=Precision("cpu", torch.bfloat16))(task.loss)

    assert result.proximal == pytest.approx(
        0.5 * sum(v.numel() for v in task.anchor.values()) * 1e-8, rel=0.05
    )


def test_an_overflow_skips_the_optimizer_and_the_schedule() -> None:
    task = Task(torch.float32)
    step = task.step(0.1, precision=Precision("cpu", torch.float16))
    step.scheduler = torch.optim.lr_scheduler.StepLR(step.optimizer, 1, 0.5)

    overflowed = step(lambda: task.loss() * float("inf"))
    assert not overflowed.stepped
    assert task.drift() == 0
    assert step.optimizer.param_groups[0]["lr"] == 0.1

    fine = step(task.loss)
    assert fine.stepped
    assert step.optimizer.param_groups[0]["lr"] == 0.05


def test_gradients_are_unscaled_before_they_are_clipped() -> None:
    """The scale is 65,536: scaled gradients would always be clipped."""
    task = Task(torch.float32)
    result = task.step(0.0, max_norm=10.0, precision=Precision("cpu", torch.float16))(task.loss)

    assert result.gradient_norm < 10


def test_the_term_equals_that_of_nvflare() -> None:
    import copy

    from nvflare.app_opt.pt.fedproxloss import PTFedProxLoss

    task = Task()
    received = copy.deepcopy(task.model)
    task.move_away(0.3)

    torch.testing.assert_close(
        PTFedProxLoss(0.7)(task.model, received), proximal_term(task.model, task.anchor, 0.7)
    )
