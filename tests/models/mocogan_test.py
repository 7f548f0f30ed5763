"""Tests of models/mocogan.py."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import arrays
from tests import compiled
from vgen_jax.config import build
from vgen_jax.config import loading as config_lib
from vgen_jax.models import mocogan

CONFIG = pathlib.Path(__file__).parents[2] / 'configs/mocogan_world.py'
KEYS = arrays.keys(6)
LABELS = np.array([0, 1, 2, 0, 1, 2])
SMALL = dict(width=4, content_width=5, motion_width=3)


def generator(t: int = 8, **fields) -> mocogan.Generator:
  return mocogan.Generator((t, 16, 16, 3), **SMALL | fields)


def init(network, *args):
  variables = compiled.init(network, jax.random.key(1), *args, train=False)
  # Larger kernels, so that dependencies are visible.
  return variables | {
    'params': jax.tree.map(lambda x: 2 * x, variables['params'])
  }


def num_params(network, *args) -> int:
  shapes = jax.eval_shape(
    lambda: network.init(jax.random.key(0), *args, train=False)
  )
  return sum(x.size for x in jax.tree.leaves(shapes['params']))


def test_parameter_counts_equal_the_released_code():
  """The released code was counted by hand; comments explain differences."""
  shape = (16, 64, 64, 3)
  condition_b = {'label': LABELS}
  video = np.zeros((6, *shape))
  code = mocogan.Generator(shape, num_classes=6, category_to='frames')
  # PyTorch's GRU adds two biases per gate where one does for two of the gates:
  # 6 * 10 numbers there, 4 * 10 here.
  assert num_params(code, KEYS, condition_b) == 3_298_836 - 20
  # In the better variant of the paper, 6 inputs are those of the recurrent
  # network instead of the decoder.
  paper = code.clone(category_to='motion')
  moved = 3 * 6 * 10 - 6 * 512 * 4 * 4
  assert num_params(paper, KEYS, condition_b) == 3_298_836 - 20 + moved
  image = mocogan.ImageCritic(norm='batch')
  assert num_params(image, video, {}, KEYS) == 663_296
  clip = mocogan.VideoCritic(num_classes=6, norm='batch')
  assert num_params(clip, video, {}, KEYS) == 11_253_504
  # As there, a clip has one logit, and an image has 4 x 4.
  logit = jax.eval_shape(
    lambda: image.init_with_output(
      jax.random.key(0), video, {}, KEYS, train=False
    )[0]
  )
  assert logit.shape == (6, 4, 4, 1)


@pytest.mark.parametrize('size', ['paper', 'base'])
def test_only_the_size_paper_has_the_critics_of_the_released_code(size: str):
  """Its video critic has logits for 8 classes instead of 6."""
  config = config_lib.load(f'{CONFIG}:{size}')
  source = build.source(config.data.to_dict(), config.clip_shape)
  model = build.model(config.model.to_dict(), source.schema)
  video = np.zeros((6, *config.clip_shape))
  numbers = [
    num_params(model.critic[name], video, {}, KEYS)
    for name in ('image', 'video')
  ]
  released = [663_296, 11_253_504 + 2 * 512 * 4**3]
  assert (numbers == released) == (size == 'paper')
  # Batch norm makes the logit of a clip depend on others, which R1 forbids.
  assert (model.penalty_kind == 'none') == (size == 'paper')
  assert config.optim.schedule.peak == (2e-4 if size == 'paper' else 1e-3)


def test_frames_depend_on_noise_up_to_their_own_time():
  """Frames also depend on the content code."""
  network = generator(norm='none')
  variables = init(network, KEYS, {})
  codes = jax.tree.map(lambda x: x[:1], network.codes(KEYS))
  frames = lambda codes: network.apply(
    variables, codes, {}, train=False, method='from_codes'
  )[0].mean(axis=(1, 2, 3))
  slopes = compiled.jit(jax.jacrev(frames))(codes)
  hears_tt = np.abs(slopes.noise_btd[:, 0]).max(axis=-1) > 0
  assert np.array_equal(hears_tt, np.tri(8, dtype=bool))
  assert (np.abs(slopes.content_bd).max(axis=(1, 2)) > 0).all()
  assert (np.abs(slopes.start_bd).max(axis=(1, 2)) > 0).all()


@pytest.mark.parametrize('category_to', ['motion', 'frames'])
def test_content_is_the_same_in_all_frames(category_to: str):
  network = generator(num_classes=3, category_to=category_to)
  variables = init(network, KEYS, {'label': LABELS})
  draw = compiled.jit(
    lambda variables, label_b: network.apply(
      variables, KEYS, {'label': label_b}, train=False
    )
  )
  video = draw(variables, LABELS)
  other = draw(variables, (LABELS + 1) % 3)
  assert not np.allclose(video[:, 0], video[:, 7], atol=1e-2)
  assert not np.allclose(video, other, atol=1e-2)

  # Without motion, inputs of the decoder are content (and category).
  layer = variables['params']['ConvTranspose2D_0']
  layer['kernel'] = layer['kernel'].copy()
  layer['kernel'][:, :, 5:8] = 0
  without_motion = draw(variables, LABELS)
  assert np.allclose(without_motion, without_motion[:, :1], atol=1e-6)
  assert not np.allclose(
    without_motion[0], without_motion[3], atol=1e-2
  )  # Content differs.
  category_is_lost = np.allclose(
    without_motion, draw(variables, (LABELS + 1) % 3), atol=1e-6
  )
  assert category_is_lost == (category_to == 'motion')


def test_longer_clips_extend_shorter_ones_in_any_batch():
  variables = init(generator(), KEYS, {})
  others = arrays.keys(6, 9)
  others = jnp.where(np.arange(6) == 2, KEYS, others)

  def draw(key_b, t=8, train=False):
    apply = generator(t).apply
    return apply(variables, key_b, {}, train=train, mutable='batch_stats')[0]

  draw = compiled.jit(draw, static_argnames=('t', 'train'))
  video = draw(KEYS)
  longer = draw(KEYS, t=11)
  assert longer.shape == (6, 11, 16, 16, 3)
  np.testing.assert_allclose(longer[:, :8], video, atol=1e-5)
  np.testing.assert_allclose(draw(others)[2], video[2], atol=1e-5)
  # Batch norm in training does mix clips, so the test can fail.
  mixed = draw(KEYS, train=True)[2], draw(others, train=True)[2]
  assert not np.allclose(*mixed, atol=1e-3)


def dependence_bt(critic, video, key_b):
  """Returns which frames of which clips the critic's logits depend on."""
  variables = init(critic, video, {}, key_b)

  @compiled.jit
  def slope(video):
    def total(video):
      opinion = compiled.apply(critic, variables, video, {}, key_b, train=False)
      return opinion[0].sum() if critic_classifies else opinion.sum()

    critic_classifies = getattr(critic, 'num_classes', 0) > 0
    return compiled.jit(jax.grad(total))(video)

  return np.abs(slope(video)).max(axis=(2, 3, 4)) > 0


def test_image_critic_uses_one_frame_of_each_clip():
  key_b = arrays.keys(40, 3)
  video = arrays.normal((40, 4, 8, 8, 1), 2)
  depends = dependence_bt(mocogan.ImageCritic(width=2), video, key_b)
  assert (depends.sum(axis=1) == 1).all()
  assert (depends.sum(axis=0) >= 4).all()  # About 10 clips for each frame.


@pytest.mark.parametrize('t', [2, 12])
def test_video_critic_uses_all_frames(t: int):
  video = arrays.normal((2, t, 16, 16, 1), 2)
  critic = mocogan.VideoCritic(width=2, num_classes=3, norm='spectral')
  assert dependence_bt(critic, video, KEYS[:2]).all()


@pytest.mark.parametrize('shape', [(8, 16, 16), (16, 32, 32), (16, 64, 64)])
@pytest.mark.parametrize('norm', ['none', 'spectral'])
def test_common_frame_sizes_work(shape: tuple[int, ...], norm: str):
  t, h, w = shape
  network = mocogan.Generator((t, h, w, 3), num_classes=3, dtype='bfloat16')

  def opinions():
    key = jax.random.key(0)
    video, _ = compiled.init_with_output(
      network, key, KEYS, {'label': LABELS}, train=False
    )
    fields = dict(norm=norm, dtype='bfloat16')
    logit, variables = compiled.init_with_output(
      mocogan.ImageCritic(**fields), key, video, {}, KEYS, train=True
    )
    (_, class_logit), _ = mocogan.VideoCritic(
      num_classes=3, **fields
    ).init_with_output(key, video, {}, KEYS, train=True)
    return video, logit, class_logit, variables['params']

  video, logit, class_logit, params = jax.eval_shape(opinions)
  assert video.shape == (6, t, h, w, 3)
  assert class_logit.shape == (6, 3)
  for array in (video, logit, class_logit, *jax.tree.leaves(params)):
    assert array.dtype == jnp.float32


def test_invalid_shapes_and_fields_raise():
  with pytest.raises(ValueError, match='16 x 24'):
    mocogan.Generator((8, 16, 24, 3))
  with pytest.raises(ValueError, match='24 x 24'):
    mocogan.Generator((8, 24, 24, 3))
  with pytest.raises(ValueError, match="norm is 'layer'"):
    mocogan.VideoCritic(norm='layer')
  with pytest.raises(ValueError, match='num_classes'):
    compiled.init(
      generator(num_classes=3), jax.random.key(0), KEYS, {}, train=False
    )
  with pytest.raises(ValueError, match='num_classes'):
    compiled.init(
      generator(), jax.random.key(0), KEYS, {'label': LABELS}, train=False
    )
