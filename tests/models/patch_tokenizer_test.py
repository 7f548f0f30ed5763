"""Tests of models/patch_tokenizer.py."""

import jax
import numpy as np
import optax
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.families.autoencoding import tokenizer as autoencoding
from vgen_jax.models import patch_tokenizer
from vgen_jax.nn.bottlenecks import lookup_free
from vgen_jax.synthetic.world import source as world
from vgen_jax.training import step as step_lib

SHAPE = (4, 8, 8, 3)


def small(**fields) -> patch_tokenizer.PatchTokenizer:
  fields = dict(patch_size=(2, 4, 4), width=32) | fields
  return patch_tokenizer.PatchTokenizer(lookup_free.FSQ((8, 5, 5)), **fields)


def clips(num: int, first: int = 0, shape=SHAPE):
  source = world.World(shape, label=None)
  return np.stack([source[first + i]['video'] for i in range(num)])


def initial(model, x):
  return compiled.init(model, jax.random.key(0), x, None, train=False)


def test_tokens_keep_the_positions_of_their_patches():
  """Without convolutions a token depends only on its own patch."""
  x = clips(1) / 127.5 - 1
  for blocks, is_single in ((0, True), (1, False)):
    model = small(encoder_blocks=blocks, decoder_blocks=blocks)
    variables = initial(model, x)
    decode = compiled.jit(
      lambda z, v=variables, m=model: m.apply(v, z, method='decode')
    )
    z = arrays.normal((1, *model.latent_shape(SHAPE)), 1)
    other = arrays.add(z, (0, 1, 0, 1), 1)
    change = np.abs(decode(other) - decode(z))[0].sum(-1)
    own = np.zeros(SHAPE[:3], bool)
    own[2:, :4, 4:] = True
    assert change[own].all()
    assert (change[~own] == 0).all() == is_single
    encode = compiled.jit(
      lambda x, v=variables, m=model: m.apply(v, x, method='encode')
    )
    marked = x.copy()
    marked[:, 2:, :4, 4:] += 0.5
    depends = np.abs(encode(marked) - encode(x)).sum((0, 4)) > 0
    assert depends[1, 0, 1]
    assert (depends.sum() == 1) == is_single


def mosaics(num: int, seed: int):
  """Returns clips whose patches each have one of 8 random colours."""
  rng = np.random.default_rng(seed)
  colors = rng.choice([0, 255], (num, 2, 2, 2, 3)).astype(np.uint8)
  return colors.repeat(2, 1).repeat(4, 2).repeat(4, 3)


def test_fifty_steps_are_enough_for_eight_colors():
  """The error of grey is 1; three bits per patch remove nearly all of it."""
  tokenizer = small(encoder_blocks=0, decoder_blocks=0)
  model = autoencoding.Autoencoding(SHAPE, tokenizer)
  optimizer = optax.adam(1e-2)
  noise = {'noise': jax.random.key(1)}
  first = step_lib.prepare({'video': mosaics(16, 0)}, 0)
  rngs = {'params': jax.random.key(0)} | noise
  stats = dict(compiled.init(model, rngs, first))
  params = stats.pop('params')

  @compiled.jit
  def step(params, stats, opt, batch):
    def loss_fn(params):
      (loss, terms), changed = model.apply(
        {'params': params, **stats},
        step_lib.prepare(batch, 0),
        player='autoencoder',
        train=True,
        method='loss',
        rngs=noise,
        mutable=list(stats),
      )
      return loss, (terms, changed)

    grad_fn = compiled.jit(jax.grad(loss_fn, has_aux=True))
    grads, (terms, stats_now) = grad_fn(params)
    updates, opt = optimizer.update(grads, opt)
    return optax.apply_updates(params, updates), stats_now, opt, terms

  opt = optimizer.init(params)
  errors = []
  for i in range(50):
    batch = {'video': mosaics(16, i)}
    params, stats, opt, terms = step(params, stats, opt, batch)
    errors.append(float(terms['reconstruction']))
  assert errors[0] > 0.7
  assert errors[-1] < 0.1
  assert terms['perplexity'] > 6  # Of 8 colours.


def test_clips_of_unsuitable_shapes_raise():
  with pytest.raises(ValueError, match=r'clips is 3 x 8 x 8; .* patch_size, '):
    small().latent_shape((3, 8, 8, 3))
  # Otherwise one channel would broadcast to three.
  with pytest.raises(
    ValueError, match=r'8, 1\) with shape.* with num_channels'
  ):
    jax.eval_shape(small().init, jax.random.key(0), np.zeros((1, 2, 8, 8, 1)))
