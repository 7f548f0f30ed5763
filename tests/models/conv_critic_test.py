"""Tests of models/conv_critic.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.models import conv_critic

B, T = 5, 8
KEYS = arrays.keys(B)
VIDEO = arrays.normal((B, T, 16, 16, 3), 1)
LABELS = {'label': np.array([0, 1, 2, 0, 1])}


def critic(**fields) -> conv_critic.ConvCritic:
  return conv_critic.ConvCritic(width=4, **fields)


def init(network, condition):
  return compiled.init(
    network, jax.random.key(2), VIDEO, condition, KEYS, train=False
  )


def logits(network, variables, video=VIDEO, condition=None, keys=KEYS):
  return compiled.apply(
    network, variables, video, condition or {}, keys, train=False
  )


def used_bt(network) -> np.ndarray:
  """Returns which frames the first logit of each clip depends on."""
  variables = init(network, {})
  total = lambda video: logits(network, variables, video)[:, 0].sum()
  slope = compiled.jit(jax.grad(total))(VIDEO)
  return np.abs(slope).max(axis=(2, 3, 4)) > 0


@pytest.mark.parametrize(
  ('fields', 'num_logits', 'num_used'),
  [
    (dict(view='clip'), 1, T),
    (dict(view='clip', time_rate=2), 1, T // 2),
    (dict(view='frames', num_frames=3), 3, 1),
    (dict(view='stack', num_frames=3), T - 2, 3),
    (dict(view='stack', num_frames=2, time_rate=2), T // 2 - 1, 2),
    (dict(view='clip', space_scale=2), 1, T),
  ],
)
def test_what_a_logit_depends_on(fields, num_logits: int, num_used: int):
  network = critic(**fields)
  shape = jax.eval_shape(
    lambda: network.init_with_output(
      jax.random.key(2), VIDEO, {}, KEYS, train=False
    )[0]
  ).shape
  assert shape == (B, num_logits)
  used = used_bt(network)
  assert (used.sum(axis=1) == num_used).all()
  if fields['view'] == 'frames':  # Clips have frames of their own.
    assert len({tuple(row) for row in used}) > 1
  if fields.get('time_rate') == 2:
    assert not used[:, 1::2].any()


def test_random_frames_are_different_frames_of_a_clip():
  """If all frames of the clip are taken, each frame is used once."""
  network = critic(view='frames', num_frames=T)
  variables = init(network, {})
  total = lambda video: logits(network, variables, video).sum(axis=0)
  used = compiled.jit(jax.jacrev(total))(VIDEO)  # [n, b, t, h, w, c]
  depends_nbt = np.abs(used).max(axis=(3, 4, 5)) > 0
  assert (depends_nbt.sum(axis=0) == 1).all()
  assert (depends_nbt.sum(axis=2) == 1).all()


def test_patch_logits_depend_on_a_part_of_each_frame():
  network = critic(view='frames', patches=True)
  variables = init(network, {})
  output = logits(network, variables)
  assert output.ndim == 4
  assert output.shape[2] > 1
  corner = lambda video: logits(network, variables, video)[:, 0, 0, 0].sum()
  slope = np.abs(compiled.jit(jax.grad(corner))(VIDEO)).max(axis=(0, 1, 4))
  assert slope[0, 0] > 0
  assert slope[-1, -1] == 0


@pytest.mark.parametrize('conditioning', ['concat', 'projection'])
@pytest.mark.parametrize('view', ['clip', 'frames'])
def test_logits_depend_on_the_own_label(conditioning: str, view: str):
  network = critic(
    conditioning=conditioning, num_classes=3, view=view, num_frames=2
  )
  variables = init(network, LABELS)
  output = logits(network, variables, condition=LABELS)
  changed = {'label': arrays.put(LABELS['label'], 2, 0)}
  other = logits(network, variables, condition=changed)
  differs_b = np.abs(output - other).max(axis=1) > 1e-6
  assert differs_b.tolist() == [False, False, True, False, False]
  with pytest.raises(ValueError, match='it needs labels'):
    logits(network, variables)


def test_projection_is_the_product_of_embedding_and_features():
  """The difference of two labels is linear in the embedding."""
  network = critic(conditioning='projection', num_classes=3)
  variables = init(network, LABELS)
  zero = jax.tree.map(jnp.copy, variables)
  table = zero['params']['label']['embedding']
  zero['params']['label']['embedding'] = np.zeros_like(table)
  plain = logits(network, zero, condition=LABELS)
  double = jax.tree.map(jnp.copy, variables)
  double['params']['label']['embedding'] = 2 * table
  one = logits(network, variables, condition=LABELS) - plain
  two = logits(network, double, condition=LABELS) - plain
  np.testing.assert_allclose(two, 2 * one, atol=1e-5)
  assert np.abs(one).min() > 1e-6


def test_classes_are_predicted_and_not_given():
  network = critic(conditioning='classes', num_classes=3)
  variables = init(network, LABELS)
  logit, class_logit = logits(network, variables, condition=LABELS)
  assert logit.shape == (B, 1)
  assert class_logit.shape == (B, 3)
  _, same = logits(network, variables, condition={'label': np.zeros(B, int)})
  assert (same == class_logit).all()


def test_norms():
  """Batch norm is not applied to the first layer; spectral norm to all."""
  names = lambda norm: set(
    jax.tree_util.keystr(path)
    for path, _ in jax.tree_util.tree_leaves_with_path(
      init(critic(norm=norm), {}).get('batch_stats', {})
    )
  )
  assert len(names('batch')) == 2  # Mean and variance of the second layer.
  assert len([x for x in names('spectral') if x.endswith("/u']")]) == 3
  assert not names('none')


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    (dict(view='clips'), "Did you mean 'clip'"),
    (dict(conditioning='label'), "conditioning is 'label'"),
    (dict(norm='layer'), "norm is 'layer'"),
    (dict(attention='axial'), "attention is 'axial'"),
    (dict(time_rate=0), 'time_rate is 0'),
  ],
)
def test_wrong_fields(fields, match: str):
  with pytest.raises(ValueError, match=match):
    critic(**fields)


def test_clips_that_are_too_short_or_small():
  with pytest.raises(ValueError, match='num_frames of ConvCritic is 9'):
    init(critic(view='stack', num_frames=9), {})
  with pytest.raises(ValueError, match='gets 3 frames'):
    init(critic(time_rate=3), {})
  with pytest.raises(ValueError, match='squares'):
    init(critic(space_scale=8), {})


def test_the_number_of_layers_can_be_given():
  """Then frames need not be squares."""
  video = np.zeros((B, 4, 16, 24, 3))
  network = conv_critic.ConvCritic(
    view='stack', patches=True, num_layers=2, width=2
  )
  logits, variables = compiled.init_with_output(
    network, jax.random.key(0), video, {}, KEYS, train=False
  )
  assert logits.shape == (B, 4, 1, 3)
  assert len(variables['params']['Down_0']) == 2
  with pytest.raises(ValueError, match='num_layers is 2, but patches is False'):
    conv_critic.ConvCritic(num_layers=2)
