"""Tests of unusual and broken files: each is read exactly, or an error."""

from collections.abc import Callable
import fractions
import os
import pathlib

import av
import numpy as np
from PIL import Image
import pytest

from tests import time_limit
from vgen_jax.data.files import codecs
from vgen_jax.data.files import containers

RNG = np.random.default_rng(0)
MP4 = {'codec': 'libx264', 'pix_fmt': 'yuv420p'}


def moving(t: int = 24, h: int = 32, w: int = 48) -> np.ndarray:
  i, y, x = np.mgrid[:t, :h, :w]
  return np.stack([x * 4 + 5 * i, y * 5 + 3 * i, 6 * i], -1).astype(np.uint8)


def encode(
  path,
  video_thwc=None,
  *,
  codec='libx264',
  pix_fmt='yuv420p',
  form=None,
  ticks=None,
  turn=None,
  is_cover=False,
  **container,
) -> None:
  video_thwc = moving() if video_thwc is None else video_thwc
  with av.open(str(path), 'w', format=form, options=container) as file:
    stream = file.add_stream(codec, 25, options={'g': '8'})
    stream.height, stream.width = video_thwc.shape[1:3]
    stream.pix_fmt = pix_fmt
    if turn is not None:
      stream.set_display_rotation(turn)
    if is_cover:
      stream.disposition = av.stream.Disposition.attached_pic
    for i, image in enumerate(video_thwc):
      frame = av.VideoFrame.from_ndarray(image, format='rgb24')
      if ticks is not None:
        frame.pts, frame.time_base = ticks[i], fractions.Fraction(1, 1000)
        stream.codec_context.time_base = frame.time_base
      file.mux(stream.encode(frame))
    file.mux(stream.encode())


def alike(**kwargs) -> Callable:
  return lambda path: encode(path, **kwargs)


def content(data: bytes) -> Callable:
  return lambda path: path.write_bytes(data)


def changed(change: Callable[[bytes], bytes], **kwargs) -> Callable:
  def make(path):
    encode(path, **kwargs)
    path.write_bytes(change(path.read_bytes()))

  return make


def cut(first: float, last: float, **kwargs) -> Callable:
  return changed(
    lambda x: x[int(first * len(x)) : int(last * len(x))], **kwargs
  )


def flipped(first: float, last: float, seed: int, **kwargs) -> Callable:
  def change(data: bytes) -> bytes:
    array = np.frombuffer(data, np.uint8).copy()
    span = int(first * len(array)), int(last * len(array))
    array[np.random.default_rng(seed).integers(*span, 30)] ^= 0xFF
    return array.tobytes()

  return changed(change, **kwargs)


def patched(box: bytes, offset: int, value: bytes, **kwargs) -> Callable:
  """A wrong header: `value` is `offset` bytes after the name of a box."""

  def change(data: bytes) -> bytes:
    start = data.index(box) + len(box) + offset
    return data[:start] + value + data[start + len(value) :]

  return changed(change, **kwargs)


def see_through(path) -> None:
  images = [Image.new('RGBA', (48, 32), (9 * i, 50, 99, 255)) for i in range(6)]
  for i, image in enumerate(images):
    image.putpixel((i, i), (0, 0, 0, 0))
  images[0].save(path, save_all=True, append_images=images[1:], disposal=2)


def sound(path) -> None:
  with av.open(str(path), 'w') as file:
    stream = file.add_stream('aac', 8000)
    silence = np.zeros((1, 1024), np.float32)
    frame = av.AudioFrame.from_ndarray(silence, 'fltp', 'mono')
    frame.sample_rate = 8000
    file.mux(stream.encode(frame))
    file.mux(stream.encode())


def locked(path) -> None:
  encode(path)
  path.chmod(0)
  if os.access(path, os.R_OK):
    pytest.skip('Root can read all files.')


FAST = {'movflags': 'faststart'}
TICKS = np.cumsum(20 + 37 * (np.arange(24) % 4)).tolist()
WHOLE = {  # Name: function that writes it. These must be read.
  'plain.mp4': alike(),
  'one_frame.mp4': alike(video_thwc=moving(1)),
  'ten_bits.mkv': alike(pix_fmt='yuv420p10le'),
  'grey.mp4': alike(pix_fmt='gray'),
  'grey_16_bits.mkv': alike(codec='ffv1', pix_fmt='gray16le'),
  'odd_size.mp4': alike(video_thwc=moving(9, 31, 47), pix_fmt='yuv444p'),
  'two_pixels.mp4': alike(video_thwc=moving(9, 2, 2)),
  'turned_90.mp4': alike(turn=90),
  'turned_180.mp4': alike(turn=180),
  'turned_270.mov': alike(turn=-90),
  'variable_rate.mp4': alike(ticks=TICKS),
  'begins_late.mkv': alike(ticks=[10**6 + 40 * i for i in range(24)]),
  'matroska_within.mp4': alike(form='matroska'),
  'mp4_within.avi': alike(form='mp4'),
  'stream_within.mov': alike(form='mpegts'),
  'no_duration.mkv': alike(form='matroska', live='1'),
  'fragments.mp4': alike(movflags='frag_keyframe+empty_moov'),
  'see_through.gif': see_through,
  'stills.avi': alike(codec='mjpeg', pix_fmt='yuvj420p'),
  'rubbish_behind.mp4': changed(lambda x: x + RNG.bytes(999)),
  'ä b %03d [1].mp4': alike(),
  'title_in_latin_1.mp4': patched(b'isomiso2', -3, b'\xe4'),
  'long_rate.mp4': patched(b'mvhd', 12, b'\x00\x00\x00\x01'),
}
BROKEN = {  # These must raise an error.
  'empty.mp4': content(b''),
  'one_byte.mp4': content(b'\x00'),
  'zeros.mp4': content(bytes(9999)),
  'noise.webm': content(RNG.bytes(9999)),
  'page.mp4': content(b'<html>404 Not found</html>' * 99),
  'name_only.mp4': content(b'\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom'),
  'tail_10.mp4': cut(0, 0.1),
  'tail_90.mp4': cut(0, 0.9),
  'head.mp4': cut(0.3, 1),
  'fast_50.mp4': cut(0, 0.5, **FAST),
  'fast_95.mp4': cut(0, 0.95, **FAST),
  'sound.mp4': sound,
  'folder.mp4': lambda path: path.mkdir(),
  'pipe.mp4': os.mkfifo,
  'link.mp4': lambda path: path.symlink_to('nowhere.mp4'),
  'gone.mp4': lambda path: None,
  'locked.mp4': locked,
  'playlist.mp4': content(
    b'#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://[::1]/a.ts\n'
  ),
  'playlist_of_files.mp4': content(b"ffconcat version 1.0\nfile 'plain.mp4'\n"),
  'bomb.mp4': alike(video_thwc=np.zeros((1, 1200, 1200, 3), np.uint8)),
  'bomb_without_header.mkv': alike(
    video_thwc=np.zeros((1, 1200, 1200, 3), np.uint8), form='mpegts'
  ),
  'unknown_code.mkv': patched(b'V_MPEG4', 1, b'XXXX', form='matroska'),
  'many_frames.mp4': patched(b'stsz', 8, b'\x7f\xff\xff\xff'),
}
EITHER = {
  'huge_box.mp4': patched(b'mdat', -8, b'\x7f\xff\xff\xff'),
  'small_header.mkv': cut(0, 0.6, form='matroska'),
  'tail.webm': cut(0, 0.7, codec='libvpx-vp9'),
  'tail.avi': cut(0, 0.7, codec='mpeg4'),
  'tail.gif': changed(lambda x: x[: len(x) // 2], codec='gif', pix_fmt='rgb8'),
  'raw.mp4': alike(form='h264'),
  **{f'pictures_{i}.mp4': flipped(0.4, 1, i, **FAST) for i in range(3)},
  **{f'header_{i}.mp4': flipped(0, 0.3, i, **FAST) for i in range(3)},
  **{f'anywhere_{i}.mkv': flipped(0, 1, i, form='matroska') for i in range(3)},
}
MAX_PIXELS = 10**6


def read(path: pathlib.Path) -> np.ndarray:
  index = codecs.scan(str(path), MAX_PIXELS)
  return codecs.read(index, range(len(index)))


def outcome(path: pathlib.Path) -> np.ndarray | codecs.ClipError:
  try:
    return read(path)
  except codecs.ClipError as error:
    return error


def decode_all(path: pathlib.Path) -> np.ndarray:
  """Returns all frames, upright, decoded from the start."""
  with av.open(str(path), **containers.LENIENT) as file:
    return np.stack(
      [
        np.rot90(frame.to_ndarray(format='rgb24'), frame.rotation // 90)
        for frame in file.decode(video=0)
      ]
    )


def test_there_are_many_files():
  assert len(WHOLE) + len(BROKEN) + len(EITHER) >= 50


@pytest.mark.parametrize('name', WHOLE)
def test_unusual_files_are_read_exactly(tmp_path, name):
  path = tmp_path / name
  WHOLE[name](path)
  with time_limit.seconds(20):
    np.testing.assert_array_equal(read(path), decode_all(path))


@pytest.mark.parametrize('name', BROKEN)
def test_broken_files_are_named_with_a_reason(tmp_path, name):
  path = tmp_path / name
  BROKEN[name](path)
  with time_limit.seconds(20), pytest.raises(codecs.ClipError) as caught:
    read(path)
  assert caught.value.path == str(path)
  assert len(caught.value.reason) > 8
  assert caught.value.reason.endswith('.')


@pytest.mark.parametrize('name', EITHER)
def test_damaged_files_are_read_exactly_or_named(tmp_path, name):
  path = tmp_path / name
  EITHER[name](path)
  with time_limit.seconds(20):
    got = outcome(path)
    if isinstance(got, codecs.ClipError):
      assert got.path == str(path)
    else:
      np.testing.assert_array_equal(got, decode_all(path))


def test_rotated_videos_are_upright(tmp_path):
  """The content of frames is checked, not the angle of the decoder."""
  corner = np.zeros((2, 32, 48, 3), np.uint8)
  corner[:, :16, :16] = 255
  encode(tmp_path / 'a.mp4', corner, turn=90)  # Anticlockwise.
  turned = read(tmp_path / 'a.mp4')
  assert turned.shape == (2, 48, 32, 3)
  assert turned[:, -12:, :12].min() > 200
  assert turned[:, :12].max() < 50


def test_the_number_of_pixels_is_limited(tmp_path):
  path = tmp_path / 'bomb.mp4'
  BROKEN['bomb.mp4'](path)
  with pytest.raises(codecs.ClipError, match='1200 x 1200 pixels, more than'):
    codecs.scan(str(path), MAX_PIXELS)
  assert len(codecs.scan(str(path), 2 * MAX_PIXELS)) == 1


def test_a_cover_picture_is_not_a_video(tmp_path):
  path = tmp_path / 'cover.mp4'
  encode(path, moving(1), codec='mjpeg', pix_fmt='yuvj420p', is_cover=True)
  with av.open(str(path)) as file:
    assert len(file.streams.video) == 1
  with pytest.raises(codecs.ClipError, match='it has no video stream'):
    codecs.scan(str(path))
