"""The training loop, from the seed to the result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import islice

import numpy as np
import torch
from torch import nn

from tuning_client import Diagnosis, Pruned, Trial
from tuning_trainer import models, optimizers, schedules
from tuning_trainer.data import FinalData, Fold, Source, load_search
from tuning_trainer.diagnosis import Beginning, diagnose
from tuning_trainer.measures import Measures
from tuning_trainer.outcome import Outcome
from tuning_trainer.precision import Precision
from tuning_trainer.scoring import ON_TRAINING_ROWS, Loss, answers, loss_function, monitored, scores
from tuning_trainer.session import Session
from tuning_trainer.settings import Settings
from tuning_trainer.state import DataOrder, History, MeanLoss, Randomness, Stopwatch, TrainingState
from tuning_trainer.stopping import EarlyStopping

Learnable = Fold | FinalData


def train(trial: Trial, settings: Settings) -> None:
    """Train as the settings say, one fold after another, report every epoch, give the trial its result.

    The result holds the metrics of the best epoch, best_epoch, epochs, and seconds of training; of several folds their
    means, see `outcome.summary`. On the CPU equal settings and seed give equal results to the last bit, interrupted or
    not; on a GPU they do with --deterministic=on.

    Raises:
        Pruned: the study found the trial not worth finishing.
        SystemExit: with code 75, after a checkpoint: the trial was interrupted.
        ConfigurationError: a setting is wrong, or does not go with the others or with the data.
    """
    with Session(trial, settings) as session:
        data = load_search(settings)
        session.resume(data.fingerprint)
        for fold in range(len(data.splits)) if trial.fold is None else (trial.fold,):
            if fold not in session.finished:
                rows = data.fold(fold, session.device)
                _model, outcome = fit(session, settings, rows, validation=rows.validation, fold=fold)
                session.finish(fold, outcome)
            if session.finished[fold].diverged:
                break
        session.give_result()


def fit(
    session: Session,
    settings: Settings,
    rows: Learnable,
    *,
    validation: Source | None,
    fold: int = 0,
    epochs: int | None = None,
) -> tuple[nn.Module, Outcome]:
    """Train a network on the training rows, from its first weights to its best ones.

    Args:
        session: whom it reports to, and where it continues from.
        settings: of the training.
        rows: what it learns from.
        validation: the rows by which epochs are compared. None: nothing stops it early, and the last epoch counts.
        fold: whose random numbers and reports these are.
        epochs: instead of the settings' own, over which the schedule is stretched all the same.

    Returns:
        The network with the weights of its best epoch (its last ones if it diverged), and how the training ended.

    Raises:
        Pruned: the study found the trial not worth finishing.
        SystemExit: with code 75, after a checkpoint: the trial was interrupted.
        ConfigurationError: settings do not go together.
    """
    epochs = epochs or settings.epochs
    state = new_state(session, settings, rows, validated=validation is not None, fold=fold)
    loss_of = loss_function(settings, rows.problem, rows.class_weights)
    session.begin(fold, state, epochs=epochs)
    try:
        while state.epoch < epochs and not state.stopping.over(state.epoch):
            started, rows_left = time.perf_counter(), len(state.order.remaining())
            learn(session.after_step, settings, state, training=rows.training, loss_of=loss_of)
            metrics = {"train_loss": state.loss.mean()}
            rows_per_second = rows_left / (time.perf_counter() - started)
            if validation:
                metrics = validate(session, settings, state, rows=rows, validation=validation) | metrics

            state.end_epoch(metrics)
            if not all(map(math.isfinite, metrics.values())):
                break
            if validation:
                state.stopping.see(state.epoch, metrics, state.model)
            session.end_epoch(state, metrics, rows_per_second=rows_per_second)
    except Pruned:
        raise Pruned(diagnoses=_diagnoses(settings, rows, validation, state)) from None
    state.stopping.restore_best(state.model)
    return state.model, state.outcome(_diagnoses(settings, rows, validation, state), rows.warnings)


def new_state(session: Session, settings: Settings, rows: Learnable, *, validated: bool, fold: int) -> TrainingState:
    """Everything that changes while training, as it is before the first step."""
    device, trial = session.device, session.trial
    model_seed, order_seed = _seeds(trial.seed, fold)
    randomness = Randomness(device, model_seed)
    model = models.build(settings, rows.problem).to(device)
    if settings.compile == "on":
        models.compile_in_place(model, device)
    order = DataOrder(len(rows.training), batch_size=settings.batch_size, accumulation=settings.accumulation, seed=order_seed)
    optimizer = optimizers.build(settings, model)
    watched = monitored(trial.metric, rows.problem, by_hand=trial.by_hand) if validated else ON_TRAINING_ROWS
    return TrainingState(
        model=model,
        optimizer=optimizer,
        schedule=schedules.build(settings, optimizer, steps_per_epoch=order.steps_per_epoch),
        precision=Precision(settings, device),
        measures=Measures(
            model,
            hidden=models.hidden_activations(model),
            steps_per_epoch=order.steps_per_epoch,
            gradient_clipping=settings.gradient_clipping,
        ),
        stopping=EarlyStopping(watched, patience=settings.patience, min_delta=settings.min_delta),
        order=order,
        loss=MeanLoss(device),
        history=History(),
        randomness=randomness,
        clock=Stopwatch(),
    )


def learn(
    after_step: Callable[[TrainingState], object],
    settings: Settings,
    state: TrainingState,
    *,
    training: Source,
    loss_of: Loss,
) -> None:
    """Make the steps that are left of an epoch, and tell of each. None of them waits for the device."""
    model, optimizer, precision, measures = state.model, state.optimizer, state.precision, state.measures
    model.train()
    batches = training.batches(state.order.remaining(), settings.batch_size)
    for step_rows in state.order.steps():
        optimizer.zero_grad()
        for inputs, targets in islice(batches, settings.accumulation):
            with precision.autocast():
                outputs = model(inputs)
            loss = loss_of(outputs, targets)
            share = len(targets) / step_rows
            precision.backward(loss if share == 1 else loss * share)
            state.loss.add(loss, rows=len(targets))
        precision.unscale(optimizer)
        measures.after_backward(loss, outputs, targets)
        if settings.gradient_clipping:
            optimizers.clip(optimizer, largest=settings.gradient_clipping)
        if precision.step(optimizer):
            state.schedule.step()
        measures.after_step()
        state.order.advance(step_rows)
        after_step(state)


def validate(
    session: Session, settings: Settings, state: TrainingState, *, rows: Learnable, validation: Source
) -> dict[str, float]:
    """The metrics of the validation rows."""
    gathered = scores(rows.problem, rows.target_scale)
    # A compiled network calls no hooks.
    eager = torch.compiler.set_stance("force_eager") if settings.compile == "on" else nullcontext()
    with state.measures.watching_units(), eager:
        for outputs, targets in answers(
            state.model,
            validation,
            batch_size=settings.batch_size,
            row_size=math.prod(rows.problem.input_shape),
            autocast=state.precision.autocast,
        ):
            gathered.add(outputs, targets)
            session.pause(state)
    return gathered.metrics("val")


def _seeds(seed: int, fold: int) -> tuple[int, int]:
    """Seeds of the network (its first weights, dropout) and of the order of the rows, independent of other folds'."""
    model_seed, order_seed = np.random.SeedSequence([seed, fold]).generate_state(2, np.uint32).tolist()
    return model_seed, order_seed


def _diagnoses(settings: Settings, rows: Learnable, validation: Source | None, state: TrainingState) -> tuple[Diagnosis, ...]:
    if validation is None:
        return ()
    beginning = Beginning(
        settings=settings,
        task=rows.problem.task,
        loss=state.measures.first_loss,
        chance_loss=rows.chance_loss,
        outputs=rows.problem.outputs,
        validation_rows=len(validation),
        feature_spread=rows.spread.ratio if rows.spread else None,
    )
    return diagnose(beginning, state.history.epochs)
