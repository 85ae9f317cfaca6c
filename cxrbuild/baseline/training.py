"""Training: one seed, from the first epoch or from the last checkpoint, to the last epoch."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact import names
from cxrbuild.artifact.baseline import (
    Epoch,
    EpochTiming,
    HistoryDocument,
    Metrics,
    TimingDocument,
    TrainingIdentity,
)
from cxrbuild.baseline.augmentation import augment
from cxrbuild.baseline.backend import load_tensorflow
from cxrbuild.baseline.checkpoint import (
    Arrays,
    Checkpoint,
    read_checkpoint,
    require_same_training,
    write_checkpoint,
)
from cxrbuild.baseline.disk import explaining_write_errors, require_space
from cxrbuild.baseline.evaluation import keras_metrics, make_predictor
from cxrbuild.baseline.input import Images
from cxrbuild.baseline.model import build_model, load_model, save_model
from cxrbuild.catalog.baseline import Training
from cxrbuild.errors import CxrbuildError, count_of
from cxrbuild.files import remove_temporary_files
from cxrbuild.progress import Progress

# The stages that follow a training, of one network and of a comparison.
MEASURING, DRAWING = "measuring", "drawing figures"

_logger = logging.getLogger(__name__)
CHECKPOINT = "checkpoint.npz"
LOGS = "tensorboard"


@dataclass(frozen=True)
class Trained:
    """A trained model, the figures of each epoch, and the seconds of each, empty where unknown."""

    model: Any
    history: list[Epoch]
    timing: list[EpochTiming]


def train(
    images: Images,
    identity: TrainingIdentity,
    folder: Path,
    progress: Progress,
    *,
    weights: Path | None = None,
    title: str = "training",
) -> Trained:
    """Train a model with one seed, or return the one that the folder already has.

    Everything random in an epoch is drawn from the seed and the epoch's number, so a training that was
    killed and resumes from a checkpoint ends with the same weights as one that was not. The result is the
    model of the last epoch: none is selected by its figures on the test images.

    Parameters
    ----------
    images
        The dataset.
    identity
        Settings, classes and seed.
    folder
        Folder of ``checkpoint.npz`` (until the end), ``model.keras``, ``history.json``, ``timing.json`` and
        ``tensorboard/``. Of these only the last two depend on anything but identity and device.
    progress
        Advanced for each step.
    weights
        The file of weights that the network starts from.
    title
        What the progress bar shows before the seed.

    Raises
    ------
    CxrbuildError
        The folder has another training or too little space, the weights are of another network, or the
        training diverges.
    """
    finished = _read_finished(folder, identity)
    if finished:
        _logger.info("seed %d: finished already", identity.seed)
        progress.note(
            f"{stage_of(title, identity.seed)}: finished already, {count_of(identity.epochs, 'epoch')}."
        )
        return finished
    folder.mkdir(parents=True, exist_ok=True)
    remove_temporary_files(folder)
    trainer = Trainer(images, identity, weights)
    checkpoint = read_checkpoint(folder / CHECKPOINT, identity)
    history = checkpoint.history if checkpoint else []
    timing = checkpoint.timing if checkpoint else []
    if checkpoint:
        trainer.restore(checkpoint.values)
        _logger.info("seed %d: resumed after epoch %d", identity.seed, len(history))
        progress.note(
            f"{stage_of(title, identity.seed)}: resumes after epoch {len(history)} of {identity.epochs}."
        )
    # A checkpoint has the size of three models, and the next one is written next to the present one. The
    # model is written twice: as Keras saves it, and without dates.
    checkpoints = 1 if checkpoint else 2
    require_space(folder, (3 * checkpoints + 2) * 4 * trainer.model.count_params())
    logs = folder / LOGS
    with explaining_write_errors(logs, kept="the last checkpoint" if checkpoint else "no checkpoint yet"):
        writers = _open_logs(logs, images.splits)
    steps = trainer.steps_per_epoch
    of_all, before = identity.epochs * steps, len(history) * steps
    with progress(stage_of(title, identity.seed), of_all, "step", done=before) as bar:
        for number in range(len(history) + 1, identity.epochs + 1):
            epoch, seconds = trainer.run_epoch(number, bar.update)
            _require_convergence(epoch, identity)
            history, timing = [*history, epoch], [*timing, seconds]
            losses = {split: metrics.loss for split, metrics in epoch.metrics.items()}
            _logger.info("seed %d, epoch %d: loss %s", identity.seed, number, losses)
            write_checkpoint(folder / CHECKPOINT, Checkpoint(history, timing, trainer.values()), identity)
            with explaining_write_errors(logs, kept="the checkpoint of this epoch"):
                _log(writers, epoch, seconds)
    save_model(trainer.model, folder / names.MODEL, kept="the checkpoint of the last epoch")
    # The history marks the training as finished, so it is written last.
    with explaining_write_errors(folder / names.HISTORY, kept="the model and its last checkpoint"):
        TimingDocument(epochs=timing).write(folder / names.TIMING)
        HistoryDocument(identity=identity, epochs=history).write(folder / names.HISTORY)
    (folder / CHECKPOINT).unlink()
    return Trained(trainer.model, history, timing)


def stage_of(title: str, seed: int) -> str:
    """Return the title of the bar of a training."""
    return f"{title}, seed {seed}"


def _read_finished(folder: Path, identity: TrainingIdentity) -> Trained | None:
    path = folder / names.HISTORY
    if not path.is_file():
        return None
    document = HistoryDocument.read(path)
    require_same_training(path, document.identity, identity)
    model = load_model(folder / names.MODEL, identity.network, len(identity.classes))
    timing = TimingDocument.read(folder / names.TIMING).epochs if (folder / names.TIMING).is_file() else []
    return Trained(model, document.epochs, timing)


def _require_convergence(epoch: Epoch, identity: TrainingIdentity) -> None:
    losses = {split: metrics.loss for split, metrics in epoch.metrics.items()}
    undefined = [split for split, loss in losses.items() if loss is None or not math.isfinite(loss)]
    if undefined:
        raise CxrbuildError(
            "the training diverged",
            where=f"seed {identity.seed}, epoch {epoch.epoch}",
            expected="a finite loss",
            found=f"no finite loss on {', '.join(undefined)}, at a learning rate of {epoch.learning_rate:g}",
            todo="Lower the rates of [baseline] learning_rate, or train with another --seed",
        )


class Trainer:
    """A model with its optimizer, and the images that it is trained on.

    Parameters
    ----------
    images
        The dataset.
    identity
        Settings, classes and seed.
    weights
        The file of weights that the network starts from.
    """

    def __init__(self, images: Images, identity: TrainingIdentity, weights: Path | None = None) -> None:
        tf = load_tensorflow()
        import keras

        keras.utils.set_random_seed(identity.seed)
        self.images, self.settings, self.seed = images, identity, identity.seed
        classes = identity.classes
        self.model = build_model(
            identity.network,
            len(classes),
            seed=identity.seed,
            precision=identity.precision,
            weights=weights,
        )
        self._smoothing = identity.keras_label_smoothing(len(classes))
        self._optimizer = _build_optimizer(identity)
        self._optimizer.build(self.model.trainable_variables)
        self._train = images.rows("train")
        self.steps_per_epoch = -(-len(self._train) // identity.batch)
        self._predict = make_predictor(self.model, identity.network.side, identity.batch)
        class_weights = np.array([identity.class_weights.get(name, 1.0) for name in classes], np.float32)
        self._step = self._compile(tf, keras, np.eye(len(classes), dtype=np.float32), class_weights)

    def _compile(self, tf: Any, keras: Any, one_hot: NDArray[Any], weights: NDArray[Any]) -> Any:
        settings: Training = self.settings
        model, optimizer = self.model, self._optimizer
        variables = model.trainable_variables
        self._mean_loss = keras.metrics.Mean()
        self._metrics = {
            "accuracy": keras.metrics.CategoricalAccuracy(),
            "precision": keras.metrics.Precision(),
            "recall": keras.metrics.Recall(),
        }

        # Compiled, the update is one pass over 63 million weights instead of a dozen. Compiling the whole
        # step is slower, because TensorFlow's own kernels for convolutions are faster than XLA's.
        update = tf.function(lambda gradients: optimizer.apply(gradients, variables), jit_compile=True)

        def step(pixels: Any, classes: Any, seed: Any) -> None:
            truth = tf.gather(one_hot, classes)
            x = augment(pixels, seed, settings.augmentation, settings.network.side)
            with tf.GradientTape() as tape:
                probabilities = model(x, training=True)
                losses = keras.losses.categorical_crossentropy(
                    truth, probabilities, label_smoothing=self._smoothing
                )
                # As in Keras, the mean is over images, not over weights.
                losses *= tf.gather(weights, classes)
                loss = tf.reduce_mean(losses)
            update(tape.gradient(loss, variables))
            self._mean_loss.update_state(losses)
            for metric in self._metrics.values():
                metric.update_state(truth, probabilities)

        side = settings.training_side
        signature = [
            tf.TensorSpec([None, side, side], tf.uint8),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([2], tf.int32),
        ]
        return tf.function(step, input_signature=signature, autograph=False)

    def run_epoch(self, number: int, on_steps: Callable[[int], object]) -> tuple[Epoch, EpochTiming]:
        """Train for one epoch and measure it.

        Parameters
        ----------
        number
            The epoch's number, counted from 1.
        on_steps
            Called with 1 after each step.
        """
        import tensorflow as tf

        rate = [stage.rate for stage in self.settings.learning_rate if stage.from_epoch <= number][-1]
        self._optimizer.learning_rate = rate
        self._reseed_dropout(number)
        self._mean_loss.reset_state()
        for metric in self._metrics.values():
            metric.reset_state()
        batch = self.settings.batch
        order = np.random.default_rng([self.seed, number]).permutation(len(self._train))
        start = time.perf_counter()
        for step in range(self.steps_per_epoch):
            rows = self._train[order[step * batch : (step + 1) * batch]]
            self._step(
                tf.constant(self.images.for_training[rows]),
                tf.constant(self.images.labels[rows]),
                tf.constant([self.seed, number << 20 | step], tf.int32),
            )
            on_steps(1)
        metrics = {"loss": float(self._mean_loss.result())} | {
            name: float(metric.result()) for name, metric in self._metrics.items()
        }
        trained = time.perf_counter()
        measured = {split: self._measure(split) for split in self.images.splits if split != "train"}
        timing = EpochTiming(epoch=number, train=trained - start, measure=time.perf_counter() - trained)
        by_split = {"train": Metrics.model_validate(metrics)} | measured
        return Epoch(epoch=number, learning_rate=rate, metrics=by_split), timing

    def _measure(self, split: str) -> Metrics:
        rows = self.images.rows(split)
        probabilities = self._predict(self.images.for_testing.select(rows))
        return Metrics.model_validate(keras_metrics(self.images.labels[rows], probabilities, self._smoothing))

    def _reseed_dropout(self, epoch: int) -> None:
        for number, layer in enumerate(self.model.layers):
            generator = getattr(layer, "seed_generator", None)
            if generator is not None:
                draw = np.random.default_rng([self.seed, epoch, number]).integers(2**32, size=2)
                generator.state.assign(draw.astype(generator.state.dtype))

    def values(self) -> Arrays:
        """Return the weights, then the optimizer's variables."""
        return [variable.numpy() for variable in (*self.model.weights, *self._optimizer.variables)]

    def restore(self, values: Arrays) -> None:
        """Set the weights and the optimizer's variables to the result of ``values``."""
        for variable, value in zip((*self.model.weights, *self._optimizer.variables), values, strict=True):
            variable.assign(value)


def _build_optimizer(training: Training) -> Any:
    import keras

    rate = training.learning_rate[0].rate
    if training.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=training.momentum)
    return {"adam": keras.optimizers.Adam, "nadam": keras.optimizers.Nadam}[training.optimizer](rate)


def _open_logs(folder: Path, splits: list[str]) -> Mapping[str, Any]:
    import tensorflow as tf

    return {split: tf.summary.create_file_writer(str(folder / split)) for split in splits}


def _log(writers: Mapping[str, Any], epoch: Epoch, timing: EpochTiming) -> None:
    """Write the figures of an epoch for TensorBoard."""
    import tensorflow as tf

    for split, writer in writers.items():
        figures = epoch.metrics[split].model_dump()
        if split == "train":
            figures |= {"learning_rate": epoch.learning_rate, "seconds": timing.train}
        with writer.as_default(step=epoch.epoch):
            for name, value in figures.items():
                tf.summary.scalar(name, value)
        writer.flush()
