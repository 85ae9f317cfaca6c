"""The baseline as a plain Keras script: every image read, decoded and resized in every epoch.

It does what the published trainer does, with this project's contrast and without the change of saturation,
which costs time and has no effect on grey images. Of this project it uses only the folders of a build.

    python peer_keras.py BUILD BATCH EPOCHS      prints the seconds of each epoch as JSON
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from keras import layers

CLASSES = ["COVID-19", "Normal", "Pneumonia"]


def load(path: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
    image = tf.cast(image, tf.float32) / 255.0
    image = tf.image.random_flip_left_right(image)
    image = tf.image.random_brightness(image, 0.1)
    image = tf.image.random_contrast(image, 0.8, 1.2)
    image = tf.image.resize(image, (96, 96))
    return tf.image.random_crop(image, (80, 80, 3)), tf.one_hot(label, 3)


def build_model() -> keras.Model:
    x = inputs = layers.Input((80, 80, 3))
    pooled = []
    for filters, convolutions in ((32, 2), (64, 2), (128, 3), (128, 3)):
        for _ in range(convolutions):
            x = last = layers.Conv2D(filters, 3, padding="same", activation="elu")(x)
        x = layers.MaxPooling2D()(x)
        pooled.append(layers.GlobalMaxPooling2D()(x))
    x = layers.Concatenate()([*pooled, layers.Flatten()(last)])
    x = layers.Dropout(0.5)(layers.Dense(4096, activation="elu")(x))
    x = layers.Dropout(0.4)(layers.Dense(2048, activation="elu")(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


if __name__ == "__main__":
    build, (batch, count) = sys.argv[1], map(int, sys.argv[2:])
    files = [tf.io.gfile.glob(f"{build}/images/train/{name}/*.jpg") for name in CLASSES]
    labels = [number for number, paths in enumerate(files) for _ in paths]
    data = (
        tf.data.Dataset.from_tensor_slices(([path for paths in files for path in paths], labels))
        .shuffle(len(labels))
        .map(load, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch)
        .prefetch(tf.data.AUTOTUNE)
    )
    model = build_model()
    assert model.count_params() == 63_148_835
    model.compile(
        keras.optimizers.Adam(4e-4),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.12),
        metrics=[keras.metrics.CategoricalAccuracy(), keras.metrics.Precision(), keras.metrics.Recall()],
    )
    epochs = []
    # `fit` returns late, at 82 s, 142 s or 202 s after it began, so an epoch ends with its last batch. The
    # cause is inferred from these times: the thread that tunes the input pipeline would wake then.
    ends: list[float] = []
    at_end = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: ends.append(time.perf_counter())
    )
    for _ in range(count):
        start = time.perf_counter()
        model.fit(data, class_weight={0: 10, 1: 3, 2: 1}, verbose=0, callbacks=[at_end])
        epochs.append(ends[-1] - start)
    print(json.dumps(epochs))
