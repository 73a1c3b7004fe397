"""A training of your own that can be tuned: a PyTorch loop on scikit-learn's digits, and the lines that adopt tuning_client.

python examples/own_script.py           by hand, with the defaults
tuning run examples/own-script.yaml     as the trials of a study
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.functional import cross_entropy

import tuning_client

EPOCHS = 15


def main() -> None:
    """Train, report each epoch, give the accuracy after the last one as the result."""
    with tuning_client.trial() as trial:
        torch.set_num_threads(1)
        torch.manual_seed(trial.seed)  # repeats of the defaults differ by their seed, and by nothing else
        inputs, labels = map(torch.from_numpy, load_digits(return_X_y=True))
        # Everybody's validation rows are the same: what differs between trials are the hyperparameters alone.
        parts = train_test_split(inputs.float() / 16, labels, test_size=0.25, stratify=labels, random_state=0)
        train_inputs, val_inputs, train_labels, val_labels = parts

        width = trial.param("hidden_units", 64)
        model = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=trial.param("learning_rate", 1e-3))
        batch_size = trial.param("batch_size", 64)

        # Optional, for trainings of hours: an interrupted trial goes on from what it saved.
        first, checkpoint = 0, trial.checkpoint_dir and trial.checkpoint_dir / "checkpoint.pt"
        if checkpoint and checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            first = saved["epochs"]
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])

        for epoch in range(first, EPOCHS):
            for rows in torch.randperm(len(train_labels)).split(batch_size):
                optimizer.zero_grad()
                cross_entropy(model(train_inputs[rows]), train_labels[rows]).backward()
                optimizer.step()
            trial.report(epoch, val_accuracy=share_right(model, val_inputs, val_labels))
            if trial.should_prune():
                raise tuning_client.Pruned
            if trial.interrupted:
                if checkpoint:
                    state = {"epochs": epoch + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
                    torch.save(state, checkpoint)
                trial.exit_interrupted()
        trial.result(val_accuracy=share_right(model, val_inputs, val_labels))


@torch.no_grad()
def share_right(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    """The share of the rows whose class the model tells, 0 to 1."""
    return float((model(inputs).argmax(1) == labels).float().mean())


if __name__ == "__main__":
    main()
