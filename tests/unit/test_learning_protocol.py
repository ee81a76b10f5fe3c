"""The paper's configuration and the constants of the code are those that the protocol fixes (Debs et al. 2021, section 2.3 and appendix B)."""

import numpy as np
import pytest
import yaml
from test_config import merge

from finalinfarct.learning.adam import adam
from finalinfarct.learning.network import DECODER_WIDTHS, ENCODER_WIDTHS
from project import ROOT


def test_paper_configuration_is_the_protocol(config):
    merge(config, yaml.safe_load((ROOT / "config" / "paper.yaml").read_text(encoding="utf-8")))
    fixed = {
        **{"batch_size": 12, "epochs": 500, "learning_rate": 1e-4, "learning_rate_decay": 5e-4, "l2": 2e-4, "dropout": 0.5, "lesion_weight": 8},
        **{"dice_denominator": "squared", "batch_normalization_momentum": 0.99, "batch_normalization_epsilon": 1e-3, "initializer": "glorot_uniform"},
        **{"early_stopping": {"minimum_improvement": 0.005, "patience": 100}, "weights": "best"},
    }
    assert {key: config["training"][key] for key in fixed} == fixed
    assert config["folds"]["number"] == 5 and config["folds"]["validation_fraction"] == 0.1
    assert config["images"]["matrix"] == 192 and config["evaluation"]["probability_threshold"] == 0.5
    assert ENCODER_WIDTHS == (8, 16, 32, 64, 128) and DECODER_WIDTHS == (64, 32, 16, 8)


def test_first_updates_of_adam_equal_their_closed_form():
    gradient = np.array([3.0, -0.5, 1e-3])
    weight, first, second = adam(np.zeros(3), gradient, np.zeros(3), np.zeros(3), 0.01, 0)
    # Both moments are the gradient and its square but for factors that the correction of their bias takes out again.
    np.testing.assert_allclose(weight, -0.01 * gradient / (np.abs(gradient) + 1e-7 / np.sqrt(0.001)), rtol=1e-12)
    np.testing.assert_allclose(first, 0.1 * gradient)
    np.testing.assert_allclose(second, 0.001 * gradient**2)
    again, _, _ = adam(weight, gradient, first, second, 0.01, 1)
    np.testing.assert_allclose(again, 2 * weight, rtol=1e-3)


@pytest.mark.parametrize("l2", [2e-4, 0.1])
def test_penalty_pulls_a_kernel_by_twice_its_weight(l2):
    import tensorflow as tf

    from finalinfarct.learning.network import build_network

    network = build_network("early", 1, 16, l2=l2)
    kernel, bias = (w.value for w in network.get_layer("decoder3_up").trainable_variables)
    with tf.GradientTape() as tape:
        penalty = tf.add_n(network.losses)
    pulled, untouched = tape.gradient(penalty, [kernel, bias])
    np.testing.assert_allclose(pulled, 2 * l2 * kernel.numpy(), rtol=1e-5)
    assert untouched is None
