"""Tests of data/tfds/storage.py: quality of stored videos."""

import io
import sys

import numpy as np
from PIL import Image
import pytest

from vgen_jax.data.tfds import storage
from vgen_jax.synthetic.world import source


def psnr(one, two) -> float:
  error = np.mean((one.astype(np.float64) - two) ** 2)
  return 10 * np.log10(255**2 / max(error, 1e-9))


@pytest.fixture(scope='module')
def video_thwc():
  """A colour clip of 40 frames of 64x64 with noise of a camera."""
  clip = source.World((40, 64, 64, 3))[3]['video']
  noise = np.random.default_rng(0).normal(0, 2, clip.shape)
  return np.uint8(np.clip(clip + noise, 0, 255))


def stored(kind, video_thwc, choose=np.arange, quality=None):
  kept = storage.encode(kind, video_thwc, 8.0, quality)
  if kind == 'mp4':
    return storage.read_mp4(kept, choose)[0]
  return storage.read_images(kept, choose, video_thwc.shape[-1])[0]


def test_chroma_has_full_resolution(video_thwc):
  assert psnr(stored('jpeg', video_thwc), video_thwc) > 39
  assert psnr(stored('mp4', video_thwc), video_thwc) > 36
  # With subsampled chroma, both would be worse.
  halved = video_thwc[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2)
  assert psnr(halved, video_thwc) < 36


def test_single_frames_of_an_mp4_equal_those_of_all(video_thwc):
  whole = stored('mp4', video_thwc)
  assert len(whole) == 40
  rng = np.random.default_rng(0)
  for _ in range(12):
    number_t = rng.integers(0, 40, rng.integers(1, 9))
    part = stored('mp4', video_thwc, lambda n, number_t=number_t: number_t)
    np.testing.assert_array_equal(part, whole[number_t])
  assert (whole[1:] != whole[:-1]).any((1, 2, 3)).all()  # Frames differ.


def test_odd_and_large_frames_can_be_stored():
  for size in ((63, 95), (130, 132)):
    video_thwc = np.full((3, *size, 3), 128, np.uint8)
    video_thwc[:, :, size[1] // 2 :] = 60
    assert psnr(stored('mp4', video_thwc), video_thwc) > 36


def test_grey_has_one_channel(video_thwc):
  grey = video_thwc[..., :1]
  assert stored('jpeg', grey).shape == grey.shape
  assert psnr(stored('jpeg', grey), grey) > 39


@pytest.mark.parametrize('kind', ['jpeg', 'mp4'])
def test_better_quality_needs_more_bytes(kind, video_thwc):
  best, worst = {'jpeg': (95, 50), 'mp4': (10, 40)}[kind]
  size = lambda quality: len(
    np.hstack(storage.encode(kind, video_thwc, 8, quality)).tobytes()
  )
  assert size(best) > 1.5 * size(worst)


@pytest.mark.parametrize('cut', [0, 20, 200])
def test_damage_is_an_error(cut, video_thwc):
  kept = storage.encode('mp4', video_thwc, 8.0)
  with pytest.raises(ValueError, match=r'it cannot be decoded|frame'):
    storage.read_mp4(kept[:cut], np.arange)
  with pytest.raises(ValueError, match='cannot be decoded'):
    storage.read_images([b'\x00' * cut], np.arange)


def test_a_video_without_a_rate_is_an_error(video_thwc, monkeypatch):
  """FFmpeg has no rate if a file only has headers, for example."""

  class Rateless:
    def __init__(self, stream):
      self._stream = stream

    average_rate = None

    def __getattr__(self, name):
      return getattr(self._stream, name)

  class Container:
    def __init__(self, opened):
      self._opened = opened
      self.streams = self

    @property
    def video(self):
      return [Rateless(self._opened.streams.video[0])]

    def __enter__(self):
      return self

    def __exit__(self, *args):
      self._opened.close()

  kept = storage.encode('mp4', video_thwc[:2], 8.0)
  real = storage.av.open
  monkeypatch.setattr(
    storage.av, 'open', lambda f, **kwargs: Container(real(f, **kwargs))
  )
  with pytest.raises(ValueError, match='does not state its frame rate'):
    storage.read_mp4(kept, np.arange)


def test_simplejpeg_decodes_as_pillow_does(video_thwc, monkeypatch):
  pytest.importorskip('simplejpeg')
  with_it = stored('jpeg', video_thwc[:2])
  monkeypatch.setitem(sys.modules, 'simplejpeg', None)
  storage._simplejpeg.cache_clear()
  without = stored('jpeg', video_thwc[:2])
  storage._simplejpeg.cache_clear()
  np.testing.assert_array_equal(with_it, without)


@pytest.mark.parametrize('has_simplejpeg', [True, False])
def test_large_images_are_not_decoded(monkeypatch, has_simplejpeg):
  """The header of a JPEG of a few bytes may state four billion pixels."""
  if not has_simplejpeg:
    monkeypatch.setattr(storage, '_simplejpeg', lambda: None)
  (data,) = storage.encode('jpeg', np.zeros((1, 8, 8, 3), np.uint8), 8)
  at = data.index(b'\xff\xc0') + 5
  bomb = data[:at] + b'\xff\xdc\xff\xdc' + data[at + 4 :]
  with pytest.raises(ValueError, match=r'pixels|decompression bomb'):
    storage.read_images([bomb], np.arange)


@pytest.mark.parametrize('kind', ['mp4', 'jpeg'])
def test_frames_that_are_read_together_have_a_limit(kind, monkeypatch):
  video_thwc = np.zeros((10, 16, 16, 3), np.uint8)
  monkeypatch.setattr(storage.containers, 'MAX_CLIP_PIXELS', 9 * 16 * 16)
  assert len(stored(kind, video_thwc, lambda n: np.arange(9))) == 9
  with pytest.raises(ValueError, match='10 frames of 16 x 16 pixels do not'):
    stored(kind, video_thwc)
  read = {'mp4': storage.read_mp4, 'jpeg': storage.read_images}[kind]
  smaller = lambda image_hwc: image_hwc[::2, ::2]
  kept = storage.encode(kind, video_thwc, 8)
  assert len(read(kept, np.arange, resize=smaller)[0]) == 10


def test_the_size_of_a_large_image_is_stated_as_height_and_width(monkeypatch):
  monkeypatch.setattr(storage.containers, 'MAX_PIXELS', 10)
  file = io.BytesIO()
  Image.new('RGB', (4, 3)).save(file, 'png')
  with pytest.raises(ValueError, match='1 frames of 3 x 4 pixels'):
    storage.image(file.getvalue(), 3)
