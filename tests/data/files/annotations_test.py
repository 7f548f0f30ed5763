"""Tests of folders with annotations and with audio."""

import json

import av
import numpy as np
import pytest

from vgen_jax.config import build
from vgen_jax.data import pipeline
from vgen_jax.data.files import audio as audio_lib
from vgen_jax.data.files import codecs
from vgen_jax.data.files import video_folder

RATE = 8000
RISE = [[i, 0] for i in range(20)]
ROWS = [
  {'file': 'a.mp4', 'caption': 'größer', 'action': RISE},
  {'file': 'b/c.mp4', 'caption': 'b, "c"', 'action': [x[::-1] for x in RISE]},
]


def write(path, num_frames: int = 20, hertz: float = 1000) -> None:
  """Writes a video at 10 frames/s, with a tone in every other second."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with av.open(str(path), 'w') as file:
    picture = file.add_stream('libx264', 10)
    picture.height, picture.width, picture.pix_fmt = 16, 16, 'yuv420p'
    sound = file.add_stream('aac', RATE, layout='mono')
    for i in range(num_frames):
      image = np.full((16, 16, 3), 8 * i, np.uint8)
      file.mux(picture.encode(av.VideoFrame.from_ndarray(image)))
    file.mux(picture.encode())
    time_n = np.arange(RATE * num_frames // 10) / RATE
    tone_n = 0.5 * np.sin(2 * np.pi * hertz * time_n) * (time_n % 2 >= 1)
    frame = av.AudioFrame.from_ndarray(
      tone_n[None].astype(np.float32), 'fltp', 'mono'
    )
    frame.sample_rate, frame.pts = RATE, 0
    file.mux(sound.encode(frame))
    file.mux(sound.encode())


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('annotated')
  write(folder / 'a.mp4')
  write(folder / 'b/c.mp4', hertz=500)
  return folder


def save(path, rows=ROWS) -> str:
  if path.suffix == '.jsonl':
    text = ''.join(json.dumps(row) + '\n' for row in rows)
  else:
    quoted = lambda x: '"' + str(x).replace('"', '""') + '"'
    lines = [','.join(rows[0])] + [
      ','.join(
        quoted(x if isinstance(x, str) else json.dumps(x)) for x in row.values()
      )
      for row in rows
    ]
    text = '\n'.join(lines)
  path.write_text(text, encoding='utf-8')
  return str(path)


@pytest.mark.parametrize(
  ('kwargs', 'key'),
  [
    ({'flips': True}, 'flips'),
    ({'stride': 2}, 'stride'),
    ({'stride': (1, 3)}, 'stride'),
    ({'frames_per_second': 10.0}, 'frames_per_second'),
    ({'time_jitter': 0.5}, 'time_jitter'),
    ({'short': 'loop'}, 'short'),
  ],
)
def test_clips_with_actions_have_all_original_frames(
  folder, tmp_path, kwargs, key
):
  def make(rows):
    annotations = save(tmp_path / 'annotations.jsonl', rows)
    return video_folder.VideoFolder(
      (4, 8, 8, 3), str(folder), split='all', annotations=annotations, **kwargs
    )

  with pytest.raises(ValueError, match=f'{key}.* for clips with actions'):
    make(ROWS)
  assert len(make([{'file': r['file'], 'caption': 'c'} for r in ROWS]))


def test_a_folder_with_annotations(folder, tmp_path):
  spec = {
    'name': 'data.files.video_folder.VideoFolder',
    'folder': str(folder),
    'annotations': save(tmp_path / 'annotations.jsonl'),
    'text': {'name': 'data.text.Bytes', 'length': 16},
    'split': 'all',
  }
  source = build.source(spec, (4, 8, 8, 3))
  assert source.schema.vocab_size == 259
  assert source.schema.action_width == 2
  assert len(source) == 2 * 5
  for i in range(10):
    clip, random = source[i], source.random_view(i, np.random.default_rng(i))
    for view in (clip, random):
      assert source.text.decode(view['text']) == ROWS[i // 5]['caption']
      shown_t = np.round(view['video'].mean((1, 2, 3)) / 8)
      action_ta = view['action']
      np.testing.assert_allclose(action_ta[:, i // 5], shown_t, atol=1)
      assert np.diff(action_ta[:, i // 5]).tolist() == [1] * 3
      assert not action_ta[:, 1 - i // 5].any()
  with pipeline.batches(source, batch_size=4, seed=0) as batches:
    batch = next(batches)
  assert {k: x.shape for k, x in batch.items()} == {
    'video': (4, 4, 8, 8, 3),
    'text': (4, 16),
    'text_mask': (4, 16),
    'action': (4, 4, 2),
  }


def test_annotations_must_match_the_folder(folder, tmp_path, caplog):
  def make(rows, **kwargs):
    annotations = save(tmp_path / 'annotations.jsonl', rows)
    return video_folder.VideoFolder(
      (4, 8, 8, 3), str(folder), split='all', annotations=annotations, **kwargs
    )

  with caplog.at_level('WARNING', 'vgen_jax'):
    assert len(make(ROWS[:1])) == 5
  assert (
    '1 of 2 videos in the folder have no line and are not used: b/c.mp4.'
    in (caplog.text)
  )
  with caplog.at_level('WARNING', 'vgen_jax'):
    make([ROWS[0] | {'caption': 'c' * 5000}, ROWS[1]])
  assert '1 of 2 captions are longer than' in caplog.text
  short = [ROWS[0], ROWS[1] | {'action': [[0, 0]] * 18}]
  with pytest.raises(ValueError, match=r'has 20 frames, but 18 actions in'):
    make(short)
  last = [ROWS[0], ROWS[1] | {'action': [[0, 0]] * 19}]
  assert len(make(last))  # The action at the last frame has no effect.
  wide = ROWS[1] | {'action': [[0, 0, 0]] * 20}
  with pytest.raises(ValueError, match=r'actions of \[2, 3\] values'):
    make([ROWS[0], wide])
  assert 'text' not in make([{'file': r['file']} for r in ROWS])[0]


@pytest.mark.parametrize('kwargs', [{}, {'frames_per_second': 10.0}])
def test_labels_segments_and_splits_of_a_table_apply(folder, tmp_path, kwargs):
  rows = [
    {'path': 'a.mp4', 'label': 'up', 'split': 'train'},
    {'path': 'a.mp4', 'label': 'down', 'split': 'test', 'start_s': 0.5},
    {'path': 'b/c.mp4', 'label': 'up', 'split': 'test', 'end_s': 0.7},
  ]
  make = lambda t, split: video_folder.VideoFolder(
    (t, 8, 8, 3), str(folder), split=split, annotations=table, **kwargs
  )
  table = save(tmp_path / 'a.jsonl', rows)
  shown = lambda clip: np.round(clip['video'].mean((1, 2, 3)) / 8).tolist()
  train, test = make(20, 'train'), make(8, 'test')
  assert train.schema.class_names == test.schema.class_names == ('down', 'up')
  assert [len(train), len(test), len(make(8, 'all'))] == [1, 2, 4]
  assert [int(clip['label']) for clip in (train[0], *test)] == [1, 0, 1]
  assert [shown(clip) for clip in test] == [[*range(5, 13)], [*range(8)]]
  for i in range(9):  # Random views are within the segment.
    view = shown(test.random_view(0, np.random.default_rng(i)))
    assert min(view) >= 5
  with pytest.raises(ValueError, match=r'no line of .* has this split'):
    make(8, 'validation')
  with pytest.raises(codecs.ClipError, match=r'its segment lasts'):
    make(9, 'test')


@pytest.mark.parametrize('kwargs', [{}, {'frames_per_second': 10.0}])
def test_audio_is_aligned_with_frames(folder, kwargs):
  """The tone begins with second 1: frame 10."""
  source = video_folder.VideoFolder(
    (20, 8, 8, 3),
    str(folder),
    split='all',
    audio=audio_lib.LogMel(32, high_hz=4000.0, window_s=0.1),
    **kwargs,
  )
  assert source.schema.audio_bands == 32
  peaks = []
  for clip in (source[0], source[1]):
    assert clip['audio'].shape == (20, 32)
    assert clip['audio'].dtype == np.float32
    loud_t = clip['audio'].max(1) > -4
    assert loud_t[11:].all()  # Half of the window lies before the frame.
    assert not loud_t[:9].any()
    peaks.append(int(clip['audio'][15].argmax()))
  assert peaks[0] > peaks[1]  # 1,000 Hz and 500 Hz.
  late = video_folder.VideoFolder(
    (5, 8, 8, 3), str(folder), split='all', audio=source.audio, **kwargs
  )
  np.testing.assert_allclose(
    late[3]['audio'], source[0]['audio'][15:], atol=0.05
  )  # AAC decoded from another start is not bit-identical.
  assert video_folder.VideoFolder(
    (5, 8, 8, 3), str(folder), split='all', audio=True, **kwargs
  )[0]['audio'].shape == (5, 64)
