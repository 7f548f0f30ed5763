"""Tests of data/files/containers.py: video with a high dynamic range."""

import av
import numpy as np
import pytest

from vgen_jax.data.files import codecs
from vgen_jax.data.files import containers


@pytest.fixture(autouse=True)
def _first_of_a_process(monkeypatch):
  monkeypatch.setattr(containers, '_warned', set())


def encode(path, transfer: str):
  """Writes grey video of 10 bits in BT.2020, with this transfer function."""
  params = f'colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc'
  options = {'x264-params': params, 'preset': 'ultrafast'}
  with av.open(str(path), 'w') as container:
    stream = container.add_stream('libx264', 10, options=options)
    stream.height = stream.width = 32
    stream.pix_fmt = 'yuv420p10le'
    for _ in range(3):
      frame = av.VideoFrame(32, 32, 'yuv420p10le')
      for plane in frame.planes:
        plane.update(np.full(plane.buffer_size // 2, 512, np.uint16).tobytes())
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return path


@pytest.mark.parametrize('ending', ['mp4', 'mkv', 'mov'])
@pytest.mark.parametrize(
  ('transfer', 'name'),
  [('smpte2084', 'PQ'), ('arib-std-b67', 'HLG'), ('bt2020-10', None)],
)
def test_a_line_says_that_there_is_no_tone_mapping(
  tmp_path, caplog, ending, transfer, name
):
  for number in range(2):  # There is no warning for the second file.
    path = encode(tmp_path / f'{number}.{ending}', transfer)
    codecs.read(codecs.scan(str(path)), [0])
  messages = [record.getMessage() for record in caplog.records]
  if name is None:
    assert messages == []
    return
  [message] = messages
  assert f'0.{ending} is HDR video ({name})' in message
  assert 'no tone mapping' in message


def test_bytes_are_recognized_too(tmp_path, caplog):
  """Records of TFDS datasets contain bytes."""
  content = encode(tmp_path / 'a.mp4', 'smpte2084').read_bytes()
  with containers.opened(content):
    pass
  assert '<bytes> is HDR video (PQ)' in caplog.text
