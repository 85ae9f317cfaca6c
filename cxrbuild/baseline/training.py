"""Training: one seed from the first epoch, or from the last checkpoint, to the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.baseline.augmentation import augment
from cxrbuild.baseline.backend import load_tensorflow
from cxrbuild.baseline.checkpoint import (
    Checkpoint,
    explaining_full_disk,
    read_checkpoint,
    refuse_other_training,
    require_space,
    write_checkpoint,
)
from cxrbuild.baseline.evaluation import measure, predictor
from cxrbuild.baseline.input import Images
from cxrbuild.baseline.model import build_model, load_model, save_model
from cxrbuild.catalog.baseline import Baseline
from cxrbuild.files import read_json, write_json
from cxrbuild.progress import Progress

MODEL, HISTORY, CHECKPOINT = "model.keras", "history.json", "checkpoint.npz"


@dataclass(frozen=True)
class Trained:
    """A trained model and what was measured in each of its epochs."""

    model: Any
    history: list[dict[str, Any]]


def train(
    baseline: Baseline,
    images: Images,
    classes: list[str],
    seed: int,
    folder: Path,
    identity: dict[str, Any],
    progress: Progress,
) -> Trained:
    """Train a model with one seed, or take up the training that the folder holds.

    All that is random in an epoch is drawn from the seed and the epoch's number, so a training that was
    killed and goes on from a checkpoint ends with the same weights as one that was not. The model is the one
    of the last epoch: there is no choosing by test images.

    Parameters
    ----------
    baseline
        The declaration.
    images
        The dataset.
    classes
        The classes in the order of their numbers.
    seed
        What weights, order, augmentation and dropout are drawn from.
    folder
        Where ``checkpoint.npz`` (while it lasts), ``model.keras``, ``history.json`` and ``tensorboard/`` go.
    identity
        What tells this training from others, but for the seed.
    progress
        Told of each step.

    Raises
    ------
    CxrbuildError
        The folder holds another training, or cannot hold this one.
    """
    identity = identity | {"seed": seed}
    if (folder / HISTORY).is_file():
        document = read_json(folder / HISTORY)
        refuse_other_training(folder / HISTORY, document["identity"], identity)
        return Trained(load_model(folder / MODEL, baseline.network, len(classes)), document["epochs"])
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(baseline, images, classes, seed)
    checkpoint = read_checkpoint(folder / CHECKPOINT, identity)
    history = checkpoint.history if checkpoint else []
    if checkpoint:
        trainer.restore(checkpoint.values)
    # One checkpoint (there already, where one is gone on from), the next one beside it, and the model.
    checkpoints = 1 if checkpoint else 2
    require_space(folder, (3 * checkpoints + 1) * 4 * trainer.model.count_params())
    steps = trainer.steps_per_epoch
    logs = folder / "tensorboard"
    with explaining_full_disk(logs, kept="the last checkpoint" if checkpoint else "no checkpoint yet"):
        writers = _tensorboard(logs, images.parts)
    with progress(f"training, seed {seed}", baseline.epochs * steps, "step") as bar:
        bar.update(len(history) * steps)
        for epoch in range(len(history) + 1, baseline.epochs + 1):
            history = [*history, trainer.run_epoch(epoch, bar.update)]
            write_checkpoint(folder / CHECKPOINT, Checkpoint(history, trainer.values()), identity)
            with explaining_full_disk(logs, kept="the checkpoint of this epoch"):
                _log(writers, history[-1])
    save_model(trainer.model, folder / MODEL, kept="the checkpoint of the last epoch")
    # The history is the sign that a training is done; the checkpoint, three times the model, has served.
    with explaining_full_disk(folder / HISTORY, kept="the model and its last checkpoint"):
        write_json(folder / HISTORY, {"identity": identity, "epochs": history})
    (folder / CHECKPOINT).unlink()
    return Trained(trainer.model, history)


class Trainer:
    """A model with its optimizer and the training images on the device.

    Parameters
    ----------
    baseline, images, classes, seed
        As ``train`` takes them.
    """

    def __init__(self, baseline: Baseline, images: Images, classes: list[str], seed: int) -> None:
        tf = load_tensorflow()
        import keras

        keras.utils.set_random_seed(seed)
        self.baseline, self.images, self.seed = baseline, images, seed
        self.model = build_model(baseline.network, len(classes), seed=seed, precision=baseline.precision)
        self._optimizer = keras.optimizers.Adam(baseline.learning_rate[0].rate)
        self._optimizer.build(self.model.trainable_variables)
        self._train = images.rows("train")
        self.steps_per_epoch = -(-len(self._train) // baseline.batch)
        self._predict = predictor(self.model, baseline.network.side, baseline.batch)
        weights = np.array([baseline.class_weights.get(name, 1.0) for name in classes], np.float32)
        self._step = self._compile(tf, keras, np.eye(len(classes), dtype=np.float32), weights)

    def _compile(self, tf: Any, keras: Any, one_hot: NDArray[Any], weights: NDArray[Any]) -> Any:
        films = tf.constant(self.images.wide[self._train])
        labels = tf.constant(self.images.labels[self._train])
        model, optimizer, baseline = self.model, self._optimizer, self.baseline
        variables = model.trainable_variables
        self._mean_loss = keras.metrics.Mean()
        self._metrics = {
            "accuracy": keras.metrics.CategoricalAccuracy(),
            "precision": keras.metrics.Precision(),
            "recall": keras.metrics.Recall(),
        }

        # Compiled, the update is one pass over 63 million weights instead of a dozen. The whole step compiled
        # is slower than TensorFlow's own kernels for convolutions.
        update = tf.function(lambda gradients: optimizer.apply(gradients, variables), jit_compile=True)

        def step(rows: Any, seed: Any) -> None:
            classes = tf.gather(labels, rows)
            truth = tf.gather(one_hot, classes)
            x = augment(tf.gather(films, rows), seed, baseline.augmentation, baseline.network.side)
            with tf.GradientTape() as tape:
                probabilities = model(x, training=True)
                losses = keras.losses.categorical_crossentropy(
                    truth, probabilities, label_smoothing=baseline.label_smoothing
                )
                # As Keras weighs: the mean is over images, not over weights.
                losses *= tf.gather(weights, classes)
                loss = tf.reduce_mean(losses)
            update(tape.gradient(loss, variables))
            self._mean_loss.update_state(losses)
            for metric in self._metrics.values():
                metric.update_state(truth, probabilities)

        signature = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([2], tf.int32)]
        return tf.function(step, input_signature=signature, autograph=False)

    def run_epoch(self, epoch: int, told: Callable[[int], object]) -> dict[str, Any]:
        """Train for one epoch and measure it.

        Parameters
        ----------
        epoch
            Its number, counted from 1.
        told
            Called with 1 after each step.

        Returns
        -------
        dict
            ``train`` is what Keras prints while it trains: the weighted loss and the metrics, with
            augmentation and dropout, over the weights as they change. ``test`` (and ``validation``) are
            measured after the epoch.
        """
        import tensorflow as tf

        rate = [stage.rate for stage in self.baseline.learning_rate if stage.from_epoch <= epoch][-1]
        self._optimizer.learning_rate = rate
        self._reseed_dropout(epoch)
        self._mean_loss.reset_state()
        for metric in self._metrics.values():
            metric.reset_state()
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self._train))
        began = time.perf_counter()
        for number in range(self.steps_per_epoch):
            rows = order[number * self.baseline.batch : (number + 1) * self.baseline.batch]
            self._step(tf.constant(rows), tf.constant([self.seed, epoch << 20 | number], tf.int32))
            told(1)
        train = {"loss": float(self._mean_loss.result())} | {
            name: float(metric.result()) for name, metric in self._metrics.items()
        }
        trained = time.perf_counter()
        measured = {part: self._measure(part) for part in self.images.parts if part != "train"}
        seconds = {"train": trained - began, "measure": time.perf_counter() - trained}
        return {"epoch": epoch, "learning_rate": rate, "train": train} | measured | {"seconds": seconds}

    def _measure(self, part: str) -> dict[str, float]:
        rows = self.images.rows(part)
        return measure(
            self.images.labels[rows], self._predict(self.images.whole[rows]), self.baseline.label_smoothing
        )

    def _reseed_dropout(self, epoch: int) -> None:
        for number, layer in enumerate(self.model.layers):
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                draw = np.random.default_rng([self.seed, epoch, number]).integers(2**32, size=2)
                generator.state.assign(draw.astype(generator.state.dtype))

    def values(self) -> list[NDArray[Any]]:
        """Return the weights, then the optimizer's variables."""
        return [variable.numpy() for variable in (*self.model.weights, *self._optimizer.variables)]

    def restore(self, values: list[NDArray[Any]]) -> None:
        """Set the weights and the optimizer's variables to what ``values`` returned."""
        for variable, value in zip((*self.model.weights, *self._optimizer.variables), values, strict=True):
            variable.assign(value)


def _tensorboard(folder: Path, parts: list[str]) -> dict[str, Any]:
    import tensorflow as tf

    return {part: tf.summary.create_file_writer(str(folder / part)) for part in parts}


def _log(writers: dict[str, Any], epoch: dict[str, Any]) -> None:
    """Write an epoch's figures where TensorBoard looks for them."""
    import tensorflow as tf

    for part, writer in writers.items():
        figures = dict(epoch[part])
        if part == "train":
            figures |= {"learning_rate": epoch["learning_rate"], "seconds": epoch["seconds"]["train"]}
        with writer.as_default(step=epoch["epoch"]):
            for name, value in figures.items():
                tf.summary.scalar(name, value)
        writer.flush()
