"""Configs of runs that compile in little time.

For tests of the loop, of its hooks and of commands, which need a run of any
model.
"""

from typing import Any

from ml_collections import ConfigDict

from vgen_jax.config import loading as config_lib

_FIELDS = {'mesh.data': 1, 'tensorboard': False, 'sample_every': 0}


def predictor(**overrides: Any) -> ConfigDict:
  """Returns the config of a convolutional LSTM with one layer.

  Its step compiles in a second. It has one player, `predictor`, and its clips
  have no labels.

  Args:
    **overrides: {path: value} of other fields of the config.
  """
  fields = {'model.predictor.features': (4,), **_FIELDS, **overrides}
  return config_lib.replace(config_lib.load('convlstm_world:smoke'), fields)


def gan(**overrides: Any) -> ConfigDict:
  """Returns the config of a GAN of frames, conditioned on the direction.

  Its step compiles in three seconds. It has two players, `generator` and
  `critic_frames`, an average of the parameters, `slow`, and random samples.

  Args:
    **overrides: {path: value} of other fields of the config.
  """
  fields = {'model.penalty_kind': 'none', 'data.label': 'direction'}
  fields |= {**_FIELDS, **overrides}
  return config_lib.replace(config_lib.load('dcgan_world:smoke'), fields)
