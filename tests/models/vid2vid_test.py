"""Tests of models/vid2vid.py."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.models import vid2vid
from vgen_jax.nn import translation
from vgen_jax.nn import warp

B, SHAPE, K = 2, (4, 16, 16, 3), 3
KEY = jax.random.key(0)
LAYOUT = arrays.integers((B, 3, *SHAPE[1:3]), K)
PREVIOUS = arrays.uniform((B, 2, *SHAPE[1:]), low=-1)
WINDOW = translation.Window(LAYOUT, PREVIOUS, np.ones((B, 2), bool))


def generator(**fields):
  small = {'width': 4, 'num_halvings': 1, 'num_blocks': 2, 'kernel_size': 3}
  return vid2vid.Generator(SHAPE, K, **small | fields)


def init(net):
  variables = compiled.init(net, KEY, WINDOW, (), train=False)
  # Larger kernels, so that dependencies are visible.
  return jax.tree.map(lambda x: 2 * x, variables)


def applied(net):
  """Returns a compiled function of variables and changes of the window."""
  return lambda variables, **changes: compiled.apply(
    net, variables, WINDOW._replace(**changes), (), train=False
  )


@pytest.fixture(scope='module', params=[0, 1], ids=['one scale', 'enhancer'])
def net(request):
  """Returns a compiled network and its variables."""
  net = generator(foreground=True, num_enhancers=request.param)
  return applied(net), init(net)


def test_a_frame_is_composed_of_its_layers(net):
  apply, variables = net
  out = apply(variables)
  mask = np.asarray(out.previous.mask_bhw)[..., None]
  assert ((mask > 0) & (mask < 1)).all()
  moved = compiled.call(warp.backward, PREVIOUS[:, 1], out.previous.flow_bhwx)
  np.testing.assert_allclose(out.previous.warped_bhwc, moved, atol=1e-6)
  np.testing.assert_allclose(
    out.frame_bhwc, mask * out.new_bhwc + (1 - mask) * moved, atol=1e-5
  )
  assert np.abs(out.new_bhwc).max() <= 1
  assert np.abs(out.previous.flow_bhwx).max() > 1e-3


def test_all_layouts_and_previous_frames_matter(net):
  apply, variables = net
  out = apply(variables)
  for i in range(3):
    other = arrays.put(LAYOUT, np.s_[:, i], (LAYOUT[:, i] + 1) % K)
    assert (
      np.abs(
        apply(variables, layout_blhw=other).frame_bhwc - out.frame_bhwc
      ).max()
      > 1e-3
    )
  for i in range(2):
    other = arrays.multiply(PREVIOUS, np.s_[:, i], -1)
    changed = apply(variables, previous_bmhwc=other)
    assert np.abs(changed.new_bhwc - out.new_bhwc).max() > 1e-3
    assert (changed.previous.flow_bhwx != out.previous.flow_bhwx).any()


def test_without_a_previous_frame_all_pixels_are_new(net):
  apply, variables = net
  exists = np.array([[True, True], [False, False]])
  out = apply(variables, exists_bm=exists)
  assert (out.previous.mask_bhw[1] == 1).all()
  np.testing.assert_allclose(out.frame_bhwc[1], out.new_bhwc[1], atol=1e-6)
  assert np.abs(out.frame_bhwc[0] - out.new_bhwc[0]).max() > 1e-3


def test_the_foreground_depends_on_layouts_only(net):
  """The background also depends on previous frames."""
  apply, variables = net
  out = apply(variables)
  other = apply(variables, previous_bmhwc=0.3 * PREVIOUS)
  same = np.asarray(out.new_bhwc == other.new_bhwc).all(axis=-1)
  front = np.asarray(LAYOUT[:, -1] > 0)
  assert same[front].all()
  assert same[~front].mean() < 0.1
  # The foreground has layers of its own.
  params = variables['params']
  layer = jax.tree.map(lambda x: x + 0.5, params['front'])
  changed = apply({'params': {**params, 'front': layer}})
  same = np.asarray(out.new_bhwc == changed.new_bhwc).all(axis=-1)
  assert same[~front].all()
  assert same[front].mean() < 0.1


def test_a_network_without_foreground_has_one_branch_less():
  net = generator()
  params = init(net)['params']
  assert not [name for name in params if 'front' in name]
  apply = applied(net)
  out = apply({'params': params})
  other = apply({'params': params}, previous_bmhwc=0.3 * PREVIOUS)
  assert (out.new_bhwc != other.new_bhwc).any(axis=-1).mean() > 0.9


def test_the_flow_is_small_before_training():
  net = generator(width=16)
  variables = jax.tree.map(lambda x: x / 2, init(net))
  out = applied(net)(variables)
  assert 0.01 < np.abs(out.previous.flow_bhwx).mean() < 1


def count(params):
  return sum(x.size for x in jax.tree.leaves(params))


def test_parameters_are_those_of_the_code():
  """Computed by hand from the layers of CompositeGenerator and its enhancer.

  A convolution has a bias, and a norm a scale and a bias.
  """
  conv = lambda i, o, k: i * o * k * k + o + 2 * o
  head = lambda i, o: i * o * 49 + o
  block = lambda c: 2 * conv(c, c, 3)
  width, segments = 128, 35

  def encoder(i, width, halvings, blocks):
    sides = [width * 2**n for n in range(halvings + 1)]
    pairs = itertools.pairwise(sides)
    downs = sum(conv(a, b, 3) for a, b in pairs)
    return conv(i, width, 7) + downs + blocks * block(sides[-1])

  def decoder(width, halvings, blocks):
    sides = [width * 2**n for n in range(halvings + 1)]
    pairs = itertools.pairwise(sides)
    return sum(conv(b, a, 3) for a, b in pairs) + blocks * block(sides[-1])

  layouts, images = 3 * segments, 2 * 3
  coarse = (
    encoder(layouts, width, 3, 5) + encoder(images, width, 3, 5)
    + 2 * decoder(width, 3, 4)
  )  # fmt: skip
  heads = lambda width: head(width, 3) + head(width, 2) + head(width, 1)
  local = (
    encoder(layouts, 64, 1, 0) + encoder(images, 64, 1, 0)
    + 2 * decoder(64, 1, 3)
  )  # fmt: skip
  front = encoder(layouts, 64, 3, 5) + decoder(64, 3, 4) + head(64, 3)

  def found(**fields):
    shape = (30, 64, 64, 3)
    net = vid2vid.Generator(shape, segments, width=128, num_halvings=3,
                            num_blocks=9, **fields)  # fmt: skip
    window = translation.Window(
      jnp.zeros((1, 3, 64, 64), int),
      jnp.zeros((1, 2, *shape[1:])),
      jnp.ones((1, 2), bool),
    )
    init = lambda: net.init(KEY, window, (), train=False)
    return count(jax.eval_shape(init)['params'])

  assert found() == coarse + heads(128)
  assert found(foreground=True) == coarse + heads(128) + front
  # Our heads are those of the finest scale only.
  assert found(num_enhancers=1) == coarse + local + heads(64)


@pytest.mark.parametrize(
  ('fields', 'match'),
  [
    ({'kernel_size': 4}, 'odd'),
    ({'num_halvings': 5}, 'num_halvings'),
    ({'width': 5, 'num_enhancers': 1}, 'width'),
    ({'num_blocks': -1}, 'num_blocks'),
  ],
)
def test_wrong_fields(fields, match):
  with pytest.raises(ValueError, match=match):
    generator(**fields)
