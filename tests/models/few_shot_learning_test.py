"""Tests that models/few_shot_vid2vid.py learns to use its references."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from tests import compiled
from vgen_jax.models import few_shot_vid2vid
from vgen_jax.nn import translation

R = 2  # References of a clip.
NETWORK = few_shot_vid2vid.FewShotVid2Vid(
  (1, 16, 16, 3),
  num_segments=3,
  num_previous=1,
  width=8,
  num_levels=1,
  num_adaptive=2,
  attention_level=1,
  flow_levels=0,
  spade_width=8,
  moves_reference=False,
)


def forward(module, window, condition):
  return module(window, module.encode(condition))


def figures(seed, color_bc):
  """Returns a window and references of figures of 3 x 3 pixels.

  The figure of a clip has one colour, on a grey background. It is in another
  place in each reference and in the frame.
  """
  rng = np.random.default_rng(seed)
  b = len(color_bc)
  layout = np.zeros((b, R + 1, 16, 16), int)
  for i in range(b):
    for n in range(R + 1):
      y, x = rng.integers(0, 13, 2)
      layout[i, n, y : y + 3, x : x + 3] = 1
  color = np.asarray(color_bc)[:, None, None, None]
  video = np.where(layout[..., None] == 1, color, -0.5).astype(np.float32)
  condition = {
    'reference': video[:, :R, None],
    'reference_layout': layout[:, :R, None],
  }
  window = translation.Window(
    layout[:, R - 1 :],
    np.zeros((b, 1, 16, 16, 3), np.float32),
    np.zeros((b, 1), bool),
  )
  return window, condition, video[:, R]


@functools.cache
def initial():
  """Returns variables before training."""
  window, condition, _ = figures(0, np.zeros((2, 3)))
  return compiled.call(
    NETWORK.init, jax.random.key(0), window, condition, method=forward
  )


def test_small_figures_decide_about_kernels_before_training():
  """A figure of 9 of 256 pixels, in another place than in the frame."""
  colors = np.array([[1.0, -1, -1], [-1, -1, 1]])
  of = lambda module, window, condition: module.appearance(
    window.layout_blhw[:, -1], module.encode(condition)
  )
  find = functools.partial(compiled.apply, NETWORK, method=of)
  variables = initial()
  window, condition, _ = figures(0, colors[:1])
  found = find(variables, window, condition)
  other = find(variables, window, figures(0, colors[1:])[1])
  flat = lambda found: np.concatenate(
    [np.ravel(x) for x in jax.tree.leaves(found.kernels)]
  )
  change = np.linalg.norm(flat(other) - flat(found))
  assert change > 0.1 * np.linalg.norm(flat(found))
  # The figure of the frame attends to the only reference that has a figure.
  only = condition['reference_layout'].copy()
  only[:, 1:] = 0
  weight = find(
    variables, window, condition | {'reference_layout': only}
  ).weight_bhwr
  figure = np.asarray(window.layout_blhw[0, -1]).reshape(8, 2, 8, 2)
  inside = figure.mean((1, 3)) > 0
  assert weight[0, inside, 0].min() > 0.9


OPTIMIZER = optax.adam(3e-3, b1=0.5)


def apply(variables, window, condition):
  return compiled.apply(NETWORK, variables, window, condition, method=forward)


@jax.jit
def step(variables, state, window, condition, frame):
  """Returns the variables and the state after a training step."""

  def loss(variables):
    found = NETWORK.apply(variables, window, condition, method=forward)
    inside = window.layout_blhw[:, -1] == 1
    error = jnp.abs(found.new_bhwc - frame).mean(-1)
    return error.mean() + (inside * error).sum() / inside.sum()

  updates, state = OPTIMIZER.update(jax.grad(loss)(variables), state)
  return optax.apply_updates(variables, updates), state


def slope_after_training(blind, num_steps=40):
  """Returns how colours of figures follow those of held-out references.

  It is 1 for the colours of the references, and 0 if they have no effect.

  Args:
    blind: Whether all references are grey; such a network ignores them.
    num_steps: Number of training steps.
  """
  visible = np.float32(0 if blind else 1)
  see = lambda x: x | {'reference': visible * x['reference']}
  variables = initial()
  state = compiled.call(OPTIMIZER.init, variables)
  rng = np.random.default_rng(0)
  draw = lambda: rng.choice([-0.8, 0.8], (16, 3))
  for i in range(num_steps):
    window, condition, frame = figures(i, draw())
    variables, state = step(variables, state, window, see(condition), frame)

  def colors(color_bc):
    window, condition, _ = figures(1000, color_bc)
    new = apply(variables, window, see(condition)).new_bhwc
    inside = np.asarray(window.layout_blhw[:, -1] == 1)
    return np.stack([new[i][inside[i]].mean(0) for i in range(len(new))])

  one, other = draw(), draw()
  wanted = other - one
  return ((colors(other) - colors(one)) * wanted).sum() / (wanted**2).sum()


def test_colors_of_references_are_learned_in_few_steps():
  assert slope_after_training(blind=False) > 0.5
  assert abs(slope_after_training(blind=True, num_steps=10)) < 1e-3
