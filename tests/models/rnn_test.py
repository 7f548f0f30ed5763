"""Tests of models/rnn.py."""

import jax
import numpy as np
import pytest

from tests import compiled
from vgen_jax.models import rnn

pytestmark = pytest.mark.usefixtures('compares_finite')


def dot(row: int, column: int) -> np.ndarray:
  """Returns a black frame with one white patch, `[1, 8, 8, 3]`."""
  frame_bhwc = np.full((1, 8, 8, 3), -1, np.float32)
  frame_bhwc[:, row : row + 2, column : column + 2] = 1
  return frame_bhwc


def run(model, params, frames, actions=None):
  """Returns the last carry, and the output after each frame."""
  carry, outputs = model.initial_carry((1, 8, 8)), []
  for i, frame_bhwc in enumerate(frames):
    action_ba = None if actions is None else actions[i]
    carry, out = compiled.apply(
      model, params, carry, frame_bhwc, action_ba, num_outputs=3
    )
    outputs.append(out)
  return carry, outputs


def random_params(model, action_ba=None) -> dict:
  """Returns random parameters none of which is zero."""
  shapes = jax.eval_shape(
    lambda: model.init(
      jax.random.key(0),
      model.initial_carry((1, 8, 8)),
      dot(0, 0),
      action_ba,
      num_outputs=3,
    )
  )
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: np.float32(0.3 * rng.standard_normal(x.shape)), shapes
  )


@pytest.mark.parametrize('cell', ['lstm', 'gru'])
def test_the_prediction_depends_on_this_frame_and_on_earlier_ones(cell):
  model = rnn.RNN(width=8, num_layers=2, cell=cell, features=4)
  params = random_params(model)
  _, (first, second) = run(model, params, [dot(0, 0), dot(2, 2)])
  assert first.shape == second.shape == (1, 8, 8, 3)
  assert np.isfinite(first).all()
  assert np.isfinite(second).all()
  for row, column in ((0, 2), (2, 0), (4, 4)):
    moved = run(model, params, [dot(row, column)])[1][0]
    assert np.abs(moved - first).max() > 1e-3
  _, (_, later) = run(model, params, [dot(4, 0), dot(2, 2)])
  assert np.abs(later - second).max() > 1e-4


def test_every_pixel_of_the_frame_and_of_the_output_counts():
  model = rnn.RNN(width=8, features=4)
  params = random_params(model)
  carry = model.initial_carry((1, 8, 8))

  def total(frame_bhwc):
    return model.apply(params, carry, frame_bhwc, num_outputs=3)[1].sum()

  rng = np.random.default_rng(1)
  frame_bhwc = np.float32(rng.normal(size=(1, 8, 8, 3)))
  assert (np.abs(compiled.jit(jax.grad(total))(frame_bhwc)) > 0).all()
  _, out = compiled.apply(model, params, carry, frame_bhwc, num_outputs=3)
  assert len(np.unique(out)) == out.size


def test_actions_change_the_prediction():
  model = rnn.RNN(width=8, features=4)
  actions = np.float32([[[1, 0]], [[0, 1]]])
  params = random_params(model, actions[0])
  outs = [run(model, params, [dot(0, 0)], [a])[1][0] for a in actions]
  assert np.abs(outs[0] - outs[1]).max() > 1e-3


def test_errors_name_the_fault():
  with pytest.raises(ValueError, match="cell is 'rnn'"):
    random_params(rnn.RNN(cell='rnn'))
  with pytest.raises(ValueError, match='6'):
    rnn.RNN(patch=2).initial_carry((1, 6, 8))
