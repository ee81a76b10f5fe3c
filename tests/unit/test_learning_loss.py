import numpy as np
import pytest

from finalinfarct.learning.schedule import EarlyStopping, learning_rate

# The batch of the closed forms: 4 voxels of classes 0, 1, 1, 2.
LABELS = np.array([0, 1, 1, 2], np.uint8).reshape(1, 2, 2)
PROBABILITIES = np.array([[0.8, 0.2, 0.0], [0.1, 0.6, 0.3], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]], np.float32).reshape(1, 2, 2, 3)
# Dice by class, by hand: 2 sum(p y) / (sum(p^2) + sum(y)) and 2 sum(p y) / (sum(p) + sum(y)).
DICE = {"squared": (1.6 / 1.9, 3.2 / 3.4, 1.0 / 1.34), "linear": (1.6 / 2.4, 3.2 / 3.8, 1.0 / 1.8)}


@pytest.mark.parametrize("denominator", ["squared", "linear"])
@pytest.mark.parametrize("weight", [8.0, 1.0])
def test_loss_equals_its_closed_form(denominator, weight):
    from finalinfarct.learning.loss import dice_terms, multiclass_dice, weighted_dice_loss

    background, healthy, lesion = DICE[denominator]
    expected = 1 - (weight * lesion + healthy + background) / (weight + 2)
    assert float(weighted_dice_loss(LABELS, PROBABILITIES, weight, denominator)) == pytest.approx(expected, abs=1e-6)
    assert float(multiclass_dice(dice_terms(LABELS, PROBABILITIES, denominator))) == pytest.approx(sum(DICE[denominator]) / 3, abs=1e-6)


def test_perfect_and_opposite_predictions_and_empty_classes():
    from finalinfarct.learning.loss import dice_terms, multiclass_dice, weighted_dice_loss

    perfect = np.eye(3, dtype=np.float32)[LABELS]
    assert float(weighted_dice_loss(LABELS, perfect)) == pytest.approx(0, abs=1e-6)
    assert float(weighted_dice_loss(LABELS, np.roll(perfect, 1, axis=-1))) == pytest.approx(1, abs=1e-5)
    without = np.minimum(LABELS, 1)
    assert float(multiclass_dice(dice_terms(without, np.eye(3, dtype=np.float32)[without]))) == pytest.approx(1, abs=1e-6)
    # Lesion predicted where there is none: its Dice is 0, not undefined.
    assert float(multiclass_dice(dice_terms(without, perfect))) == pytest.approx((1 + 2 * 2 / (2 + 3) + 0) / 3, abs=1e-5)


def test_dice_is_taken_over_the_batch_and_batches_add_up():
    from finalinfarct.learning.loss import dice_terms, multiclass_dice

    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, (5, 4, 4)).astype(np.uint8)
    probabilities = generator.dirichlet(np.ones(3), (5, 4, 4)).astype(np.float32)
    whole = float(multiclass_dice(dice_terms(labels, probabilities)))
    parts = sum(np.asarray(dice_terms(labels[i : i + 2], probabilities[i : i + 2])) for i in (0, 2, 4))
    assert float(multiclass_dice(parts)) == pytest.approx(whole, abs=1e-6)
    by_slice = np.mean([float(multiclass_dice(dice_terms(labels[i : i + 1], probabilities[i : i + 1]))) for i in range(5)])
    assert abs(whole - by_slice) > 1e-4


@pytest.mark.parametrize("denominator", ["squared", "linear"])
def test_gradient_equals_finite_differences(denominator):
    import tensorflow as tf

    from finalinfarct.learning.loss import weighted_dice_loss

    def loss_in_numpy(p):
        truth = np.eye(3)[LABELS]
        mass = p**2 if denominator == "squared" else p
        dice = 2 * (p * truth).sum((0, 1, 2)) / (mass + truth).sum((0, 1, 2))
        return 1 - (8 * dice[2] + dice[1] + dice[0]) / 10

    p = tf.constant(PROBABILITIES)
    with tf.GradientTape() as tape:
        tape.watch(p)
        loss = weighted_dice_loss(LABELS, p, 8.0, denominator)
    gradient = tape.gradient(loss, p).numpy()
    for index in np.ndindex(PROBABILITIES.shape):
        step = np.zeros(PROBABILITIES.shape)
        step[index] = 1e-5
        difference = (loss_in_numpy(PROBABILITIES + step) - loss_in_numpy(PROBABILITIES - step)) / 2e-5
        assert gradient[index] == pytest.approx(difference, abs=2e-5)


def test_rate_follows_keras_2_decay():
    assert learning_rate(1e-4, 5e-4, 0) == 1e-4
    assert learning_rate(1e-4, 5e-4, 2000) == pytest.approx(5e-5)
    assert learning_rate(1e-4, 5e-4, 1) == pytest.approx(1e-4 / 1.0005)


def test_early_stopping_follows_the_rule():
    rule = EarlyStopping(minimum_improvement=0.005, patience=3)
    # 0.505 is no improvement on 0.5 (not more than 0.005 above it); 0.506 is.
    values = [0.5, 0.505, 0.506, 0.507, 0.509, 0.511, 0.4]
    highest = [True, True, True, True, True, True, False]
    waited = [0, 1, 0, 1, 2, 3, 4]
    stop = [False, False, False, False, False, True, True]
    for value, is_highest, epochs, over in zip(values, highest, waited, stop, strict=True):
        assert rule.update(value) == is_highest
        assert rule.waited == epochs
        assert rule.stop == over
    assert rule.reference == 0.506 and rule.best == 0.511


def test_slow_rise_counts_once_it_adds_up():
    rule = EarlyStopping(minimum_improvement=0.005, patience=10)
    for epoch in range(60):
        rule.update(0.5 + 0.001 * epoch)
        assert rule.waited <= 6
    assert not rule.stop
