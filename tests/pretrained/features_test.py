"""Tests of pretrained/features.py and protocols.py."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.pretrained import seeded
from vgen_jax.pretrained import features
from vgen_jax.pretrained import protocols
from vgen_jax.pretrained import weight_files
from vgen_jax.pretrained import weights

PROTOCOL = {
  'row': 'clip',
  'frames': 3,
  'resize': None,
  'range': (-1.0, 1.0),
}


def means(scale, video_bthwc):
  """Returns the mean colour of each clip, as a network would."""
  return scale * jnp.mean(video_bthwc, (1, 2, 3))


def made(batch_size: int = 4, **changed) -> features.Features:
  protocol = PROTOCOL | changed
  return features.Features(means, jnp.float32(2), protocol, batch_size)


def test_rows_describe_clips_in_order_for_each_batch_size():
  clips = seeded.clips(0, 7, 3, 6, 8)
  wanted = 2 * (clips.astype(np.float64) / 127.5 - 1).mean((1, 2, 3))
  for batch_size in (1, 3, 7, 16):
    found = made(batch_size).extract(clips)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_rows_describe_frames_if_the_protocol_says_so():
  clips = seeded.clips(0, 3, 3, 6, 8)
  found = made(row='frame').extract(clips)
  wanted = 2 * (clips.astype(np.float64) / 127.5 - 1).mean((2, 3))
  np.testing.assert_allclose(found, wanted.reshape(9, 3), rtol=1e-5, atol=1e-6)


def test_the_range_gives_the_values_of_0_and_255():
  for value_range in ((-1.0, 1.0), (-1.0, 127 / 128), (0.0, 1.0)):
    features_of = made(range=value_range)
    for level, wanted in zip((0, 255), value_range, strict=True):
      clip = np.full((1, 3, 4, 4, 1), level, np.uint8)
      np.testing.assert_allclose(features_of.extract(clip), 2 * wanted)


def test_overshoot_of_cubic_kernels_is_clipped():
  edge = np.zeros((1, 3, 8, 8, 3), np.uint8)
  edge[:, :, :, 4:] = 255
  protocol = PROTOCOL | {'resize': 'bicubic-antialias', 'side': 24}
  x = features.prepare(jnp.array(edge), protocol)
  assert x.shape == (1, 3, 24, 24, 3)
  assert (x.min(), x.max()) == (-1, 1)


def test_clips_that_do_not_fit_are_errors():
  one = made()
  for t in (2, 4):
    with pytest.raises(ValueError, match=f'{t} frames; .* need 3'):
      one.extract(np.zeros((1, t, 4, 4, 3), np.uint8))
  with pytest.raises(ValueError, match='float32 with 3 channels'):
    one.extract(np.zeros((1, 3, 4, 4, 3), np.float32))
  with pytest.raises(ValueError, match='uint8 with 4 channels'):
    one.extract(np.zeros((1, 3, 4, 4, 4), np.uint8))
  with pytest.raises(ValueError, match='no clips'):
    one.extract(np.zeros((0, 3, 4, 4, 3), np.uint8))


@pytest.fixture
def alex(monkeypatch):
  """Replaces the published weights of LPIPS by small seeded ones."""
  state, wanted = seeded.load('lpips_alex')
  arrays = {k: abs(v) if k.startswith('lin') else v for k, v in state.items()}
  load = lambda key, folders: weights.Weights(
    arrays, key, weight_files.FILES[key]
  )
  monkeypatch.setattr(weights, 'load', load)
  return protocols.perceptual('alex', batch_size=4), wanted['distance']


def test_lpips_describes_frames_in_order(alex):
  lpips, wanted_b = alex
  a_b1hwc, b_b1hwc = np.split(seeded.clips(0, 6, 2, 64, 72), 2, 1)
  clips = [x.reshape(2, 3, *x.shape[2:]) for x in (a_b1hwc, b_b1hwc)]
  found_bt = lpips.by_frame(*clips)
  assert found_bt.shape == (2, 3)
  assert seeded.error(found_bt.reshape(-1), wanted_b) < 1e-3
  assert lpips.protocol['sha256'] == 'lpips-alex-trunk'
  assert lpips.protocol['heads_sha256'] == 'lpips-alex'
  with pytest.raises(ValueError, match='Axis'):
    lpips.by_frame(clips[0], clips[1][:, :2])


def test_unknown_protocols_and_layers_are_errors():
  with pytest.raises(ValueError, match="Did you mean 'stylegan-v'"):
    protocols.fvd('styleganv')
  with pytest.raises(ValueError, match='I3D needs 9 or more'):
    protocols.fvd(frames=8)
  with pytest.raises(ValueError, match="Did you mean 'clean-fid'"):
    protocols.frames('cleanfid')
  with pytest.raises(ValueError, match=r"Unknown layer 'pool'\. Did you mean"):
    protocols.frames(layer='pool')
  with pytest.raises(ValueError, match='Unknown trunk of LPIPS'):
    protocols.perceptual('squeeze')
