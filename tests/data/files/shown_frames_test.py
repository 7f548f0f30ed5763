"""Tests that all frames that a player shows are read, and no others."""

import struct
import subprocess

import av
import numpy as np
from PIL import Image
import pytest

from vgen_jax.data.files import codecs
from vgen_jax.data.files import video_folder
from vgen_jax.data.prepare import raw_videos

RATE = 24


def write(path, num_frames=96, gop=24, rate=RATE, **container) -> str:
  """Writes frames that differ in brightness, in groups of `gop` frames."""
  options = {'crf': '5', 'bf': '2', 'sc_threshold': '0'}
  with av.open(str(path), 'w', options=container) as file:
    stream = file.add_stream('libx264', rate, options=options)
    stream.height = stream.width = 32
    stream.pix_fmt, stream.gop_size = 'yuv420p', gop
    for i in range(num_frames):
      image = np.full((32, 32, 3), 20 + 7 * i % 210, np.uint8)
      file.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
    file.mux(stream.encode())
  return str(path)


def with_edits(path, edits, num_frames=96, rate=RATE) -> str:
  """Writes a video with an edit list that shows parts of it, as editors do.

  Args:
    path: File to write.
    edits: First frame and number of frames of each part.
    num_frames: Number of frames that are stored.
    rate: Frames per second.
  """
  with open(write(path, num_frames, rate=rate), 'rb') as file:
    data = bytearray(file.read())
  scale = {  # Ticks per second of the movie and of the media.
    box: struct.unpack_from('>I', data, data.find(box) + 16)[0]
    for box in (b'mvhd', b'mdhd')
  }
  elst = data.find(b'elst')
  _, start = struct.unpack_from('>Ii', data, elst + 12)
  entries = b''.join(
    struct.pack(
      '>IiI',
      num * scale[b'mvhd'] // rate,
      start + first * scale[b'mdhd'] // rate,
      1 << 16,
    )
    for first, num in edits
  )
  growth = len(entries) - 12
  data[elst + 8 : elst + 24] = struct.pack('>I', len(edits)) + entries
  for box in (b'moov', b'trak', b'edts', b'elst'):
    at = data.find(box) - 4
    size = struct.unpack_from('>I', data, at)[0]
    struct.pack_into('>I', data, at, size + growth)
  path.write_bytes(data)
  return str(path)


def shown(path: str) -> list[int]:
  """Returns the brightness of all frames that FFmpeg shows."""
  with av.open(path) as file:
    frames = [
      frame.to_ndarray(format='rgb24') for frame in file.decode(video=0)
    ]
  return [round(float(frame.mean())) for frame in frames]


def assert_all_are_read(path: str) -> None:
  want, index = shown(path), codecs.scan(path)
  brightness = lambda numbers: [
    round(float(x.mean())) for x in codecs.read(index, numbers)
  ]
  assert brightness(range(len(index))) == want
  rng = np.random.default_rng(0)
  for first in rng.integers(0, max(len(want) - 4, 1), 6).tolist():
    numbers = range(first, min(first + 4, len(want)))
    assert brightness(numbers) == [want[i] for i in numbers]


@pytest.mark.parametrize(
  ('edits', 'num_shown'),
  [
    ([(0, 96)], 96),
    ([(0, 40)], 40),  # The end is cut.
    ([(5, 91)], 91),  # The beginning is cut, within the first group.
    ([(30, 20)], 20),
    ([(50, 46)], 46),
    ([(10, 20), (60, 25)], 45),  # The middle is cut.
    ([(60, 20), (10, 20)], 40),  # Two parts are exchanged.
    ([(10, 12), (10, 12)], 24),  # A part is shown twice.
  ],
)
def test_parts_that_an_edit_list_shows_are_read(tmp_path, edits, num_shown):
  path = with_edits(tmp_path / 'a.mov', edits)
  assert abs(len(shown(path)) - num_shown) <= len(edits)
  assert_all_are_read(path)


@pytest.mark.parametrize('gop', [12, 250])
@pytest.mark.parametrize('cut', [('1.3',), ('2.6', '-t', '1')])
def test_cuts_without_encoding_are_read(tmp_path, gop, cut):
  """FFmpeg keeps frames before the cut, and hides them by an edit list."""
  ffmpeg = pytest.importorskip('imageio_ffmpeg').get_ffmpeg_exe()
  whole, path = write(tmp_path / 'a.mp4', gop=gop), str(tmp_path / 'b.mp4')
  command = [ffmpeg, '-v', 'error', '-ss', cut[0], '-i', whole, *cut[1:]]
  subprocess.run([*command, '-c', 'copy', path], check=True)
  frames = [ffmpeg, '-v', 'error', '-i', path, '-f', 'framemd5', '-']
  probed = subprocess.run(frames, check=True, capture_output=True, text=True)
  lines = [x for x in probed.stdout.splitlines() if not x.startswith('#')]
  assert len(lines) == len(codecs.scan(path))
  assert_all_are_read(path)


def test_a_truncated_file_with_an_edit_list_is_named(tmp_path):
  path = tmp_path / 'a.mp4'
  write(path, movflags='faststart')
  data = bytearray(path.read_bytes())
  whole = len(data)
  elst, mvhd = data.find(b'elst'), data.find(b'mvhd')
  movie = struct.unpack_from('>I', data, mvhd + 16)[0]
  struct.pack_into('>I', data, elst + 12, 90 * movie // RATE)
  path.write_bytes(data)
  assert len(codecs.scan(str(path))) == 90
  path.write_bytes(data[: whole * 3 // 4])
  with pytest.raises(codecs.ClipError, match=r'truncated: it has \d+ of 96'):
    codecs.scan(str(path))


@pytest.fixture
def gif(tmp_path):
  """Four frames that are shown for 0.5, 0.25, 0.25 and 2 seconds."""
  images = [
    Image.fromarray(np.full((16, 16, 3), level, np.uint8))
    for level in (40, 90, 150, 220)
  ]
  images[0].save(
    tmp_path / 'a.gif',
    save_all=True,
    append_images=images[1:],
    duration=[500, 250, 250, 2000],
  )
  return tmp_path


def levels(folder, num_frames: int, **kwargs) -> list[int]:
  source = video_folder.VideoFolder(
    (num_frames, 16, 16, 1), str(folder), 'all', 8.0, **kwargs
  )
  clip = source[0]['video']
  return [round(float(frame.mean())) for frame in clip]


def test_the_last_frame_lasts_as_long_as_players_show_it(gif):
  index = codecs.scan(str(gif / 'a.gif'))
  assert index.duration_s == pytest.approx(3)
  want = [40] * 4 + [90] * 2 + [150] * 2 + [220] * 16
  np.testing.assert_allclose(levels(gif, 24), want, atol=3)
  with pytest.raises(codecs.ClipError, match='it lasts 3 s, but a clip lasts'):
    levels(gif, 25)
  video = raw_videos.File(str(gif / 'a.gif'))
  (piece,) = video.pieces(raw_videos.Options(frames_per_second=8.0))
  prepared = [round(float(frame.mean())) for frame in piece['video']]
  np.testing.assert_allclose(prepared, want, atol=3)


def test_a_constant_rate_is_not_extended(tmp_path):
  """The last frame of 24 is shown for one frame, as all others are."""
  index = codecs.scan(write(tmp_path / 'a.mp4', 24))
  assert index.duration_s == pytest.approx(1, abs=1e-3)
  source = lambda t: video_folder.VideoFolder(
    (t, 16, 16, 1), str(tmp_path), 'all', 24.0
  )
  assert len(source(24)) == 1
  with pytest.raises(codecs.ClipError, match='it lasts 1 s, but a clip lasts'):
    source(25)
