"""Tests of models/cvae.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from vgen_jax.models import cvae

SHAPE = (4, 8, 8, 3)
VIDEO = arrays.uniform((3, *SHAPE), low=-1)
LABEL = np.array([0, 1, 2])
LATENT = arrays.normal((3, 2), 1)
FIELDS = dict(
  latent_width=2, widths=(2, 4), dense_widths=(6,), time_strides=(1, 2)
)
BOTH = cvae.ClipCVAE(SHAPE, 3, True, **FIELDS)
LABELS = cvae.ClipCVAE(SHAPE, 3, **FIELDS)


def outputs(net, video, label, first, latent):
  """Returns the posterior, the prior and the decoded clips."""
  features = net.features({'label': label}, first, len(video))
  posterior = net.posterior(video, features)
  return posterior, net.prior_of(features), net.decode(latent, features)


@functools.cache
def variables(net):
  """Returns random parameters, none of which is zero."""
  arguments = (VIDEO, LABEL, VIDEO[:, 0], LATENT)
  shapes = jax.eval_shape(
    lambda: net.init(jax.random.key(0), *arguments, method=outputs)
  )
  rng = np.random.default_rng(0)
  return jax.tree.map(
    lambda x: np.float32(0.3 * rng.standard_normal(x.shape)), shapes
  )


@functools.partial(jax.jit, static_argnums=0)
def _computed(net, video, label, first, latent):
  return net.apply(variables(net), video, label, first, latent, method=outputs)


def differ(net, **changed) -> list[bool]:
  """Returns whether posterior, prior and clips change for all clips."""
  arguments = dict(video=VIDEO, label=LABEL, first=VIDEO[:, 0], latent=LATENT)
  flat = lambda x: [
    np.concatenate(
      [np.asarray(y).reshape(3, -1) for y in jax.tree.leaves(part)], 1
    )
    for part in x
  ]
  one = flat(_computed(net, *arguments.values()))
  two = flat(_computed(net, *(arguments | changed).values()))
  return [
    bool((np.abs(a - b).max(1) > 1e-6).all())
    for a, b in zip(one, two, strict=True)
  ]


def test_what_each_distribution_depends_on():
  """The prior and the clips do not depend on the clip, but on conditions."""
  assert differ(BOTH) == [False, False, False]
  assert differ(BOTH, video=-VIDEO) == [True, False, False]
  assert differ(BOTH, label=(LABEL + 1) % 3) == [True, True, True]
  assert differ(BOTH, first=-VIDEO[:, 0]) == [True, True, True]
  assert differ(BOTH, latent=-LATENT) == [False, False, True]
  assert differ(LABELS, first=-VIDEO[:, 0]) == [False, False, False]


def test_a_standard_prior_is_n01_and_has_no_parameters():
  net = cvae.ClipCVAE(SHAPE, 3, prior='standard', **FIELDS)
  _, prior, _ = _computed(net, VIDEO, LABEL, VIDEO[:, 0], LATENT)
  np.testing.assert_array_equal(prior.mean, np.zeros((3, 2)))
  np.testing.assert_array_equal(prior.log_variance, np.zeros((3, 2)))
  assert 'prior_out' not in variables(net)['params']
  assert 'prior_out' in variables(LABELS)['params']


def test_keys_and_shapes():
  keys = ('label', 'known_video', 'known')
  assert BOTH.condition_keys == keys
  assert LABELS.condition_keys == keys[:1]
  frame = cvae.ClipCVAE(SHAPE, 0, True, **FIELDS)
  assert frame.condition_keys == keys[1:]
  posterior, _, clips = _computed(BOTH, VIDEO, LABEL, VIDEO[:, 0], LATENT)
  assert posterior.mean.shape == posterior.log_variance.shape == (3, 2)
  assert clips.shape == VIDEO.shape
  assert clips.dtype == jnp.float32


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    (dict(num_classes=0), 'there is no condition'),
    (dict(prior='none'), "prior is 'none'; it must be one of"),
    (dict(latent_width=0), 'latent_width is 0; it must be at least 1'),
    (dict(num_classes=-1), 'num_classes is -1; it must be at least 0'),
    (dict(widths=(), time_strides=()), 'Number of widths is 0'),
    (dict(widths=(2, 0)), r'of widths \(2, 0\) is 0; it must be at least 1'),
    (dict(dense_widths=()), 'Number of dense_widths is 0'),
    (dict(time_strides=(1,)), r'time_strides are \(1,\)'),
  ],
)
def test_fields_that_are_not_allowed(fields, message):
  with pytest.raises(ValueError, match=message):
    cvae.ClipCVAE(SHAPE, **{'num_classes': 3} | FIELDS | fields)


def test_a_missing_label_is_an_error():
  with pytest.raises(ValueError, match="'label' is needed"):
    LABELS.apply(variables(LABELS), {}, None, 3, method='features')
