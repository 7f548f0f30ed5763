"""Tests of evaluation/evaluator.py: cut off anywhere, it ends the same."""

import json

from etils import epath
import numpy as np
import pytest

from vgen_jax.evaluation import evaluator
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import results


class Level(base.Probe):
  """Mean level of each clip; counts the clips that it saw."""

  def __init__(self, version: int = 1):
    self.name = 'level'
    self.protocol = {'version': version}
    self.seen = 0

  def __call__(self, clips):
    self.seen += len(clips['video'])
    return {'mean': clips['video'].mean((1, 2, 3, 4))}


class Gap(base.Metric):
  """Difference of means, and of a random half."""

  def __init__(self, probe: Level | None = None, name: str = 'gap'):
    self.name = name
    self.probe = probe or Level()

  def counts(self, num_clips):
    return {base.GENERATED: num_clips, base.REAL: 2 * num_clips}

  def conclude(self, features, rng):
    drawn_n, real_n = (features[p]['mean'] for p in (base.GENERATED, base.REAL))
    half = drawn_n[rng.permutation(len(drawn_n))[: len(drawn_n) // 2]].mean()
    values = {
      self.name: results.Value(float(drawn_n.mean() - real_n.mean())),
      f'{self.name}_half': results.Value(float(half)),
      f'{self.name}_num': results.Value(len(drawn_n) + len(real_n) / 1000),
    }
    return base.Findings(values)


class Clips:
  """Clip i of a place is the same whenever it is read; counts what is read."""

  def __init__(self, seed: int):
    self.seed = seed
    self.spans = []

  def __call__(self, first, num):
    self.spans.append((first, num))
    draw = lambda i: np.random.default_rng([self.seed, i]).integers(
      0, 255, (3, 4, 4, 1), np.uint8
    )
    return {'video': np.stack([draw(i) for i in range(first, first + num)])}


@pytest.fixture
def streams():
  return {
    base.GENERATED: evaluator.ClipProvider(Clips(1), {'seed': 1}, chunk=4),
    base.REAL: evaluator.ClipProvider(Clips(2), {'seed': 2}, chunk=6, size=17),
  }


def measure(streams, folder, metrics=None, num=10, **kwargs):
  return evaluator.measure(
    metrics or [Gap()],
    streams,
    num,
    made=folder / 'partial',
    found=folder / 'real',
    **kwargs,
  )


def test_all_clips_count_once_and_no_more_than_there_are(streams):
  found = evaluator.measure([Gap()], streams, 10)
  assert found.values['gap_num'].value == 10 + 17 / 1000
  every = [Clips(s)(0, n)['video'].mean() for s, n in ((1, 10), (2, 17))]
  assert found.values['gap'].value == pytest.approx(every[0] - every[1])
  assert streams[base.GENERATED].read.spans == [(0, 4), (4, 4), (8, 2)]
  assert streams[base.REAL].read.spans == [(0, 6), (6, 6), (12, 5)]


@pytest.mark.parametrize('chunks_done', range(7))
def test_cut_off_anywhere_it_ends_as_if_it_never_was(
  streams, tmp_path, chunks_done
):
  """By a stop between chunks, then by a kill in the middle of a write."""
  straight = evaluator.measure([Gap()], streams, 10)
  polls = iter([False] * chunks_done + [True] * 99)
  first = measure(streams, epath.Path(tmp_path), stop=lambda: next(polls))
  before = sum(len(s.read.spans) for s in streams.values()) - 6
  assert (first is None) == (chunks_done < 6)
  assert before == chunks_done
  for file in tmp_path.rglob('0_*.npz'):  # Torn, as no write of ours is.
    file.write_bytes(file.read_bytes()[:-30])
  torn = len(list(tmp_path.rglob('0_*.npz')))
  again = measure(streams, epath.Path(tmp_path))
  assert again.values == straight.values
  after = sum(len(s.read.spans) for s in streams.values()) - 6 - before
  assert after == 6 - chunks_done + torn  # Nothing sound was made again.


def test_a_kill_in_a_chunk_loses_that_chunk_alone(streams, tmp_path):
  class Killed(Level):
    def __call__(self, clips):
      if self.seen >= 8:
        raise KeyboardInterrupt
      return super().__call__(clips)

  folder = epath.Path(tmp_path)
  with pytest.raises(KeyboardInterrupt):
    measure(streams, folder, [Gap(Killed())])
  whole = Gap()
  found = measure(streams, folder, [whole])
  assert whole.probe.seen == 10 + 17 - 8
  assert found.values == evaluator.measure([Gap()], streams, 10).values


def test_real_features_last_and_others_are_never_taken_for_them(
  streams, tmp_path
):
  folder = epath.Path(tmp_path)
  measure(streams, folder)
  (folder / 'partial').rmtree()
  streams[base.REAL].read.spans.clear()
  measure(streams, folder)
  assert not streams[base.REAL].read.spans
  # Another probe, other clips: not the same features.
  measure(streams, folder, [Gap(Level(version=2))])
  assert len(streams[base.REAL].read.spans) == 3
  other = evaluator.ClipProvider(Clips(3), {'seed': 3}, chunk=6, size=17)
  measure({**streams, base.REAL: other}, folder)
  assert len(other.read.spans) == 3


def test_metrics_share_what_a_probe_finds(streams):
  probe = Level()
  two = [Gap(probe), Gap(probe, 'other')]
  found = evaluator.measure(two, streams, 10)
  assert probe.seen == 27
  one, other = (found.values[f'{name}_half'] for name in ('gap', 'other'))
  assert one != other  # Their draws are their own,
  alone = evaluator.measure([Gap(name='other')], streams, 10)
  assert alone.values['other_half'] == other  # whoever is beside them.


def test_clips_are_shown_even_if_their_features_are_known(streams, tmp_path):
  folder = epath.Path(tmp_path)
  for _ in range(2):
    found = measure(streams, folder, num_shown=3)
    np.testing.assert_array_equal(
      found.clips[base.GENERATED]['video'], Clips(1)(0, 3)['video']
    )
    assert len(found.clips[base.REAL]['video']) == 3


def result(**metrics) -> results.Result:
  values = {name: results.Value(x) for name, x in metrics.items()}
  return results.Result(
    'a',
    '/a',
    7,
    '2026-01-01',
    protocol={'n': 2, 'shape': (1, 2)},
    metrics=values,
  )


def test_files_are_whole_and_readable(tmp_path):
  folder = epath.Path(tmp_path) / results.FOLDER
  video = np.zeros((2, 3, 8, 8, 3), np.uint8)
  clips = {
    'generated': video,
    'real': video,
    'title': np.array(['left', 'right']),
    'seed': np.arange(2),
  }
  told = evaluator.write(folder, result(fvd=2.0, bad=np.nan), clips)
  assert told.clips == '7_clips.npz'
  read = results.read(tmp_path)
  assert read.metrics['fvd'].value == 2.0
  assert read.metrics['bad'].status == 'undefined'
  assert results.read_clips(tmp_path, read)['title'][1] == 'right'
  assert '</html>' in (folder / '7.html').read_text().lower()
  assert {f.name for f in folder.iterdir()} == {
    '7.json',
    '7.html',
    '7_clips.npz',
  }


def test_another_evaluation_of_the_same_clips_adds_to_the_first(tmp_path):
  folder = epath.Path(tmp_path) / results.FOLDER
  evaluator.write(folder, result(fvd=2.0, verifier=1.0), {})
  told = evaluator.write(folder, result(fvd=None, verifier=3.0), {})
  assert told.metrics['fvd'].value is None
  metrics = results.read(tmp_path).metrics
  assert (metrics['fvd'].value, metrics['verifier'].value) == (2.0, 3.0)
  other = json.loads(json.dumps(result(verifier=4.0).to_json()))
  other['protocol']['n'] = 3
  evaluator.write(folder, results.Result.from_json(other), {})
  assert set(results.read(tmp_path).metrics) == {'verifier'}
