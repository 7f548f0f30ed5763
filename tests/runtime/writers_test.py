"""Tests of runtime/writers.py: readable files that contain each step once."""

import io
import json
import pathlib
import sys
import types

import av
import numpy as np
from PIL import Image
import pytest
from tensorboardX.proto import event_pb2

from vgen_jax.runtime import loggers
from vgen_jax.runtime import writers
from vgen_jax.runtime.output import pictures

_RNG = np.random.default_rng(0)
_CLIPS = _RNG.integers(0, 256, (3, 4, 6, 10, 3), np.uint8)


def _events(workdir: pathlib.Path) -> list:
  """Returns TensorBoard events from records of length, checksum, event."""
  events = []
  for file in sorted((workdir / 'tensorboard').iterdir()):
    data = file.read_bytes()
    while data:
      size = int.from_bytes(data[:8], 'little')
      events.append(event_pb2.Event.FromString(data[12 : 12 + size]))
      data = data[16 + size :]
  return events


def _lines(workdir: pathlib.Path) -> list[dict]:
  def refuse(text: str) -> None:
    raise ValueError(f'{text} is not JSON.')

  text = (workdir / 'metrics.jsonl').read_text()
  return [json.loads(s, parse_constant=refuse) for s in text.splitlines()]


def test_metrics_are_strict_json_line_by_line(tmp_path):
  with writers.Writer(str(tmp_path / 'run'), 0, tensorboard=False) as writer:
    writer.write_metrics(5, {'a/loss': np.float32(0.5), 'rest': np.nan})
    # It is complete before the run ends.
    [line] = _lines(tmp_path / 'run')
    assert line.pop('checksum').startswith('crc32:')
    assert line == {'step': 5, 'a/loss': 0.5, 'rest': 'nan'}
    writer.write_metrics(10, {'a/loss': -np.inf})
  first, second = writers.read_metrics(str(tmp_path / 'run'))
  assert np.isnan(first['rest'])
  assert second == {'step': 10, 'a/loss': -np.inf}
  assert writers.read_metrics(str(tmp_path)) == []


def test_after_a_kill_each_step_is_logged_once(tmp_path):
  with writers.Writer(str(tmp_path), 0, tensorboard=False) as writer:
    for step in (2, 4, 6):
      writer.write_metrics(step, {'process': 1})
  file = tmp_path / 'metrics.jsonl'
  file.write_text(file.read_text() + '{"step": 8, "pr')  # Killed while writing.
  # Its last checkpoint was that of step 4.
  with writers.Writer(str(tmp_path), 4, tensorboard=False) as writer:
    for step in (6, 8):
      writer.write_metrics(step, {'process': 2})
  found = [(line['step'], line['process']) for line in _lines(tmp_path)]
  assert found == [(2, 1), (4, 1), (6, 2), (8, 2)]
  assert not list(tmp_path.glob('*.new'))


def test_a_file_without_append_is_rewritten(tmp_path):
  with writers.Writer(str(tmp_path), 0, tensorboard=False) as writer:
    writer.write_metrics(1, {'loss': 3})
  local = writers.Writer(str(tmp_path), 1, tensorboard=False)

  class Bucket:
    """A path like gs://..., whose files have no mode 'a'."""

    def __truediv__(self, name: str) -> 'Bucket':
      return self

    def __str__(self) -> str:
      return 'gs://bucket/metrics.jsonl'

    def write_text(self, text: str) -> None:
      (tmp_path / 'metrics.jsonl').write_text(text)

  local.workdir = Bucket()
  for step in (2, 3):
    local.write_metrics(step, {'loss': 3})
  assert [line['step'] for line in _lines(tmp_path)] == [1, 2, 3]


def test_clips_are_written_as_video_gif_and_image(tmp_path):
  with writers.Writer(str(tmp_path), 0, frames_per_second=5) as writer:
    writer.write_clips(7, _CLIPS)
  folder = tmp_path / 'samples'
  with av.open(str(folder / '7.mp4')) as container:
    frames = [f.to_ndarray(format='rgb24') for f in container.decode(video=0)]
    assert container.streams.video[0].average_rate == 5
  # One column, enlarged 13 times, with gaps of 6.
  assert len(frames) == 4
  assert frames[0].shape == (3 * (6 * 13 + 6) + 6, 10 * 13 + 12, 3)
  assert frames[0][-3:].min() > 230  # The margin.
  with Image.open(folder / '7.gif') as gif:
    assert (gif.n_frames, gif.size) == (4, (142, 258))
    assert gif.info['duration'] == 200
  picture = np.asarray(Image.open(folder / '7.png'))
  wanted = pictures.sheet([pictures.Section(_CLIPS)])
  np.testing.assert_array_equal(picture, wanted)


def test_single_clips_and_arrays_on_request(tmp_path):
  files = writers.save_single_clips(tmp_path / 'a/b', _CLIPS, 5)
  assert [f.name for f in files] == ['000.mp4', '001.mp4', '002.mp4']
  with av.open(str(files[1])) as container:
    frames = [f.to_ndarray(format='rgb24') for f in container.decode(video=0)]
  assert [f.shape for f in frames] == [(6 * 13, 10 * 13, 3)] * 4
  means = [f.mean() for f in _CLIPS[1]]
  np.testing.assert_allclose([f.mean() for f in frames], means, atol=6)
  writers.save_array(tmp_path / 'c/clips.npy', _CLIPS)
  np.testing.assert_array_equal(np.load(tmp_path / 'c/clips.npy'), _CLIPS)


def test_tensorboard_has_curves_and_a_gif(tmp_path):
  assert 'moviepy' not in sys.modules
  with writers.Writer(str(tmp_path), 0) as writer:
    writer.write_metrics(3, {'a/loss': 0.5})
    writer.write_clips(3, _CLIPS)
  values = {
    value.tag: (event.step, value)
    for event in _events(tmp_path)
    for value in event.summary.value
  }
  step, loss = values['a/loss']
  assert (step, loss.simple_value) == (3, 0.5)
  step, clips = values['samples']
  with Image.open(io.BytesIO(clips.image.encoded_image_string)) as gif:
    assert (step, gif.n_frames) == (3, 4)
    assert gif.size == (clips.image.width, clips.image.height)
  # A resumed run states which old events TensorBoard must ignore.
  with writers.Writer(str(tmp_path), 2):
    pass
  starts = [e.step for e in _events(tmp_path) if e.session_log.status == 1]
  assert max(starts) == 3


def test_only_process_0_writes(tmp_path, monkeypatch):
  monkeypatch.setattr(writers.jax, 'process_index', lambda: 1)
  with writers.Writer(str(tmp_path / 'run'), 0, wandb='absent') as writer:
    writer.write_metrics(1, {'loss': 1})
    writer.write_clips(1, _CLIPS)
  assert not (tmp_path / 'run').exists()


def test_wandb_is_optional_and_its_run_is_resumed(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'wandb', None)  # As if not installed.
  with pytest.raises(ImportError, match=r"pip install 'vgen_jax\[wandb\]'"):
    writers.Writer(str(tmp_path), 0, wandb='project')

  calls: list = []
  run = types.SimpleNamespace(
    log=lambda values, step: calls.append((step, values)),
    finish=lambda: calls.append('finish'),
  )
  init = lambda **kwargs: calls.append(kwargs) or run
  video = lambda data, format: (format, data.read(6))
  fake = types.SimpleNamespace(init=init, Video=video)
  monkeypatch.setitem(sys.modules, 'wandb', fake)
  for first in (0, 2):
    with writers.Writer(
      str(tmp_path), first, tensorboard=False, wandb='project'
    ) as writer:
      writer.write_metrics(first + 2, {'loss': 1.0})
      writer.write_clips(first + 2, _CLIPS)
  init, loss, clips, end, again, *_ = calls
  assert (init['project'], init['resume']) == ('project', 'allow')
  assert again['id'] == init['id']
  assert loss == (2, {'loss': 1.0})
  assert clips == (2, {'samples': ('gif', b'GIF89a')})
  assert end == 'finish'
  other = loggers.Wandb('project', writers.epath.Path(tmp_path) / 'other')
  assert other is not None
  assert calls[-1]['id'] != init['id']
