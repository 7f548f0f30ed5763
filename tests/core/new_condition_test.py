"""A condition that is a new row of the table reaches data, model and sampler.

Nothing else in the package knows the condition `depth`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.config import build
from vgen_jax.config import classes
from vgen_jax.core import modalities
from vgen_jax.core.types import Schema
from vgen_jax.data import pipeline
from vgen_jax.data import transforms
from vgen_jax.families import base
from vgen_jax.families.diffusion import denoising
from vgen_jax.inference import sampling
from vgen_jax.models import dit
from vgen_jax.training import step as step_lib

SHAPE = (4, 2, 2, 1)
ROW = modalities.Modality(
  'depth', 'frame', 'float32', 'btd', size='depth_width'
)
# Pixels, so they are uint8 in data, and in [-1, 1] for the model.
SKETCH = modalities.Modality('sketch', 'pixel', 'uint8', 'bthwc')


class Depths:
  """Clips whose brightness is their depth; frame t of clip i has 10 i + t."""

  schema = Schema(SHAPE, sizes=(('depth_width', 2),))

  def __len__(self):
    return 6

  def __getitem__(self, index):
    depth_t = 10 * index + np.arange(4)
    video_thwc = np.broadcast_to(depth_t[:, None, None, None], SHAPE)
    depth_td = np.stack([depth_t, -depth_t], axis=1)
    return {'video': np.uint8(video_thwc), 'depth': np.float32(depth_td)}


class Network(nn.Module):
  depth_width: int

  @nn.compact
  def __call__(self, depth_btd):
    return nn.Dense(1, name='brightness')(depth_btd)[..., None, None]


class FromDepth(base.VideoModel):
  network: nn.Module
  depth_width: int = 0

  @property
  def updates(self):
    return (base.Update('network'),)

  @property
  def condition_keys(self):
    return ('depth',) if self.depth_width else ()

  def loss(self, batch, *, player, train):
    error = self.network(batch['depth']) - batch['video']
    return jnp.square(error).mean(), {}

  def sample(self, key_b, condition):
    self.check_condition(condition)
    brightness = self.network(condition['depth']).clip(-1, 1)
    return jnp.broadcast_to(brightness, (len(key_b), *SHAPE))


@pytest.fixture
def row(monkeypatch):
  monkeypatch.setattr(modalities, 'TABLE', (*modalities.TABLE, ROW))


@pytest.fixture
def model(row, monkeypatch):
  """The model as a config would build it."""
  found = {'families.a.FromDepth': FromDepth, 'models.a.Network': Network}
  monkeypatch.setattr(classes, 'resolve', lambda _, name, path: found[name])
  spec = {
    'name': 'families.a.FromDepth',
    'network': {'name': 'models.a.Network'},
  }
  return build.model(spec, Depths.schema)


def test_the_row_is_needed():
  with pytest.raises(ValueError, match="unknown key 'depth_width'"):
    modalities.sizes(Depths.schema)
  with pytest.raises(ValueError, match="unknown key 'depth'"):
    modalities.row('depth')


def test_its_size_reaches_the_family_and_its_networks(model):
  assert model.depth_width == model.network.depth_width == 2


def test_it_reaches_the_loss_and_the_sampler(model):
  source = Depths()
  with pipeline.batches(source, batch_size=3, seed=0) as batches:
    batch = step_lib.prepare(next(iter(batches)), 0)
  index_b = np.asarray(batch['depth'][:, 0, 0]) / 10
  np.testing.assert_allclose(
    batch['video'][:, 0, 0, 0, 0], 10 * index_b / 127.5 - 1, rtol=1e-5
  )
  rngs = {'params': jax.random.key(0), 'noise': jax.random.key(1)}
  params = compiled.shapes(model, rngs, batch)['params']
  exact = {'kernel': np.array([[1.0], [0.0]]) / 127.5, 'bias': -np.ones(1)}
  exact = {'params': {'network': {'brightness': exact}}}
  assert jax.tree.structure(params) == jax.tree.structure(exact['params'])
  arguments = dict(player='network', train=True, method='loss')
  loss, _ = compiled.apply(model, exact, batch, **arguments)
  assert loss == pytest.approx(0, abs=1e-10)
  shuffled = batch | {'depth': batch['depth'][::-1]}
  assert compiled.apply(model, exact, shuffled, **arguments)[0] > 1e-3

  condition = sampling.conditions(model, source, 3, first=4)
  assert set(condition) == {'depth'}
  key_b = arrays.keys(3)
  video = compiled.apply(model, exact, key_b, condition, method='sample')
  # Clips 4, 5 and, as there are 6, clip 0.
  expected = np.stack([source[i]['video'] for i in (4, 5, 0)])
  np.testing.assert_allclose(
    video, expected.astype(np.float32) / 127.5 - 1, atol=1e-5
  )


def test_transforms_take_its_frames(row):
  views = transforms.Transformed((2, 2, 2, 1), Depths(), strides=(2,))
  np.testing.assert_array_equal(views[1]['depth'][:, 0], [10, 12])


def test_transforms_do_not_know_it_without_the_row():
  views = transforms.Transformed((2, 2, 2, 1), Depths(), strides=(2,))
  with pytest.raises(ValueError, match=r"\['depth'\]"):
    views[1]


def test_pixels_become_floats(monkeypatch):
  monkeypatch.setattr(modalities, 'TABLE', (*modalities.TABLE, SKETCH))
  pixels = jnp.full((2, *SHAPE), 255, jnp.uint8)
  batch = step_lib.prepare({'video': pixels, 'sketch': pixels}, 0)
  np.testing.assert_array_equal(batch['sketch'], jnp.ones((2, *SHAPE)))


def test_errors_name_it(model):
  key_b = jax.random.split(jax.random.key(0), 2)
  sample = lambda model, **condition: model.apply(
    {}, key_b, condition, method='sample'
  )
  depth = jnp.zeros((2, 4, 2))
  with pytest.raises(ValueError, match=r"'dept'.*'depth'\?.* text,.* depth\."):
    sample(model, dept=depth)
  other = denoising.Diffusion(SHAPE, dit.VideoDiT(8, 1, 1))
  message = r"condition\['depth'\] is given, but this Diffusion accepts \[\]"
  with pytest.raises(ValueError, match=message):
    sample(other, depth=depth)

  class Plain(Depths):
    def __getitem__(self, index):
      return {'video': super().__getitem__(index)['video']}

  message = r"FromDepth is conditioned on 'depth', but .*Plain have \['video'\]"
  with pytest.raises(ValueError, match=message):
    sampling.conditions(model, Plain(), 2)
