"""What a training can be told, declared once: flags, tuned parameters, defaults, checks and help.

A study's parameter of the same name wins over the flag, the flag over the default. `resolve` reads them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

Switch = Literal["on", "off"]


@dataclass(frozen=True, kw_only=True)
class About:
    """What a setting means and which numbers it takes."""

    help: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    tunable: bool = True

    def contains(self, value: float) -> bool:
        """Whether the setting takes this number; no setting takes nan or inf."""
        return (
            math.isfinite(value)
            and (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def range(self) -> str:
        """The numbers it takes, in words."""
        bounds = (("at least", self.at_least), ("above", self.above), ("at most", self.at_most), ("below", self.below))
        return " and ".join(f"{word} {bound:.10g}" for word, bound in bounds if bound is not None)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that decides what a training does, apart from its seed and its role."""

    # Data. The same for every trial of a study: trials that differ here could not be compared.
    dataset: Annotated[
        Literal["digits", "wine", "breast_cancer", "diabetes", "file", "images"],
        About(help="what to learn from; file: the table under --path; images: the folder under --path", tunable=False),
    ] = "digits"
    path: Annotated[
        str, About(help="table (.csv, .parquet, .npz), or folder with one folder of images per class", tunable=False)
    ] = ""
    test_path: Annotated[
        str, About(help="the same of the untouched test rows; read in the final evaluation only", tunable=False)
    ] = ""
    target: Annotated[str, About(help="column to predict; file only", tunable=False)] = "target"
    group: Annotated[
        str, About(help="column whose equal values stay in one part of a split, such as a patient; file only", tunable=False)
    ] = ""
    ignore: Annotated[str, About(help="columns to leave out, separated by commas; file only", tunable=False)] = ""
    task: Annotated[
        Literal["auto", "classification", "regression"],
        About(help="what the target is; auto: numbers with a fraction, or more than 20 of them, are a regression", tunable=False),
    ] = "auto"
    missing: Annotated[
        Literal["refuse", "impute", "drop"],
        About(
            help="missing values: refused with the column's name, replaced by the training rows' median or commonest value,"
            " or their rows dropped",
            tunable=False,
        ),
    ] = "refuse"
    image_size: Annotated[
        int, About(help="pixels of a side that images are resized to", at_least=8, at_most=512, tunable=False)
    ] = 32
    split: Annotated[
        Literal["auto", "stratified", "shuffled", "grouped", "time"],
        About(
            help="how rows are divided; auto: grouped with --group, stratified for classes, else shuffled; time: the last rows"
            " validate",
            tunable=False,
        ),
    ] = "auto"
    split_seed: Annotated[
        int, About(help="seed of the split into training and validation rows", at_least=0, below=2**32, tunable=False)
    ] = 0
    validation_share: Annotated[
        float, About(help="share of the rows that validate, without --folds", at_least=0.01, at_most=0.9, tunable=False)
    ] = 0.25
    folds: Annotated[
        int,
        About(
            help="parts for cross-validation, each of which validates once; 1: one split", at_least=1, at_most=100, tunable=False
        ),
    ] = 1

    # The machine.
    device: Annotated[
        Literal["auto", "cpu", "cuda"], About(help="where to train; auto: the GPU where there is one", tunable=False)
    ] = "auto"
    threads: Annotated[
        int, About(help="CPU threads of torch; results repeat bit for bit with the same number", at_least=1, tunable=False)
    ] = 1
    loading: Annotated[
        Literal["auto", "resident", "workers"],
        About(
            help="rows: all on the device, or read batch by batch; auto: on the device up to a quarter of its memory",
            tunable=False,
        ),
    ] = "auto"
    workers: Annotated[int, About(help="processes that read batches", at_least=0, at_most=64, tunable=False)] = 2
    deterministic: Annotated[Switch, About(help="only operations that repeat bit for bit, on a GPU too", tunable=False)] = "off"

    # Preparation of the rows; fitted on training rows alone.
    scaling: Annotated[
        Literal["standard", "minmax", "robust", "none"],
        About(help="features: mean 0 and deviation 1, range 0 to 1, median 0 and quartiles 1 apart, or as they are"),
    ] = "standard"
    class_weights: Annotated[
        Literal["none", "balanced"], About(help="weight of a class in the loss; balanced: the rarer, the heavier")
    ] = "none"

    # The network.
    model: Annotated[
        Literal["linear", "mlp", "cnn", "transformer", "custom"],
        About(help="which network; linear: logistic or linear regression; custom: what --factory returns"),
    ] = "mlp"
    factory: Annotated[
        str,
        About(
            help="package.module:function that takes input_shape, outputs and settings by name, and returns a torch.nn.Module",
            tunable=False,
        ),
    ] = ""
    layers: Annotated[int, About(help="hidden layers, convolutions or transformer blocks", at_least=1, at_most=256)] = 1
    hidden_units: Annotated[
        int, About(help="units of each hidden layer, channels of the first convolution, or width of a token", at_least=1)
    ] = 64
    activation: Annotated[Literal["relu", "gelu", "silu", "tanh", "sigmoid"], About(help="after each hidden layer")] = "relu"
    normalization: Annotated[Literal["none", "batch", "layer"], About(help="before each activation")] = "none"
    residual: Annotated[Switch, About(help="add each hidden layer's input to its output, from the second on")] = "off"
    heads: Annotated[int, About(help="attention heads, a divisor of hidden_units; transformer only", at_least=1)] = 4
    dropout: Annotated[float, About(help="share of hidden units switched off in each step", at_least=0, below=1)] = 0.0

    # Optimisation.
    optimizer: Annotated[
        Literal["sgd", "adam", "adamw", "rmsprop", "adagrad", "nadam"], About(help="how gradients become steps")
    ] = "adam"
    learning_rate: Annotated[float, About(help="size of the optimiser's steps; the highest of its schedule", above=0)] = 1e-3
    momentum: Annotated[float, About(help="share of the last step kept in the next; sgd and rmsprop", at_least=0, below=1)] = 0.9
    nesterov: Annotated[Switch, About(help="momentum that looks ahead; sgd only")] = "off"
    beta1: Annotated[float, About(help="memory of the gradients' mean; adam, adamw, nadam", at_least=0, below=1)] = 0.9
    beta2: Annotated[
        float, About(help="memory of their squares; adam, adamw, nadam, and rmsprop's alpha", at_least=0, below=1)
    ] = 0.999
    epsilon: Annotated[float, About(help="added to the divisor; all but sgd", above=0)] = 1e-8
    weight_decay: Annotated[
        float, About(help="pull of the weights towards zero; biases and normalisations are left alone", at_least=0)
    ] = 0.0
    label_smoothing: Annotated[float, About(help="share of each label spread over all classes", at_least=0, below=1)] = 0.0
    gradient_clipping: Annotated[float, About(help="largest norm of a step's gradient; 0: any", at_least=0)] = 0.0
    batch_size: Annotated[int, About(help="rows of one pass through the network", at_least=1)] = 64
    accumulation: Annotated[int, About(help="batches whose gradients make one step", at_least=1)] = 1

    schedule: Annotated[
        Literal["constant", "step", "exponential", "cosine", "one_cycle", "plateau"],
        About(help="how the learning rate decays over the epochs"),
    ] = "constant"
    warmup_epochs: Annotated[float, About(help="epochs in which the learning rate rises from 0; not one_cycle", at_least=0)] = 0.0
    decay_epochs: Annotated[int, About(help="epochs between two decays of step; patience of plateau", at_least=1)] = 10
    decay_factor: Annotated[
        float, About(help="what step and plateau multiply by, and exponential each epoch", above=0, at_most=1)
    ] = 0.5
    final_share: Annotated[
        float, About(help="lowest learning rate as a share of the highest; cosine, one_cycle, plateau", at_least=0, at_most=1)
    ] = 0.0

    precision: Annotated[Literal["float32", "bfloat16", "float16"], About(help="of the network's arithmetic")] = "float32"
    compile: Annotated[Switch, About(help="let torch.compile fuse the network's operations")] = "off"

    # When to stop.
    epochs: Annotated[int, About(help="most passes over the training rows", at_least=1)] = 20
    patience: Annotated[int, About(help="stop after this many epochs without a better one; 0: never stop early", at_least=0)] = 0
    min_delta: Annotated[float, About(help="an epoch is better when its metric beats the best by more than this", at_least=0)] = (
        0.0
    )

    # What is written besides the result.
    checkpoint_seconds: Annotated[
        float, About(help="least time between two checkpoints; SIGTERM writes one at once", at_least=0, tunable=False)
    ] = 10.0
    tensorboard: Annotated[Switch, About(help="event files for TensorBoard in TUNING_OUTPUT_DIR", tunable=False)] = "off"
    progress: Annotated[
        Literal["auto", "bar", "lines", "none"],
        About(help="auto: a bar on a terminal, a line per epoch elsewhere", tunable=False),
    ] = "auto"
