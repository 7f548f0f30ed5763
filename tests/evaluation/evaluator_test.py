"""Tests of evaluator.py and output.py: interruption changes no result."""

import json

from etils import epath
import numpy as np
import pytest

from vgen_jax.evaluation import evaluator
from vgen_jax.evaluation import output
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import results


class Level(base.FeatureExtractor):
  """Mean level of each clip; counts the clips it was called with."""

  def __init__(self, version: int = 1):
    self.name = 'level'
    self.protocol = {'version': version}
    self.num_clips = 0

  def __call__(self, clips):
    self.num_clips += len(clips['video'])
    return {'mean': clips['video'].mean((1, 2, 3, 4))}


class Gap(base.Metric):
  """Difference of the mean levels, and the mean of a random half."""

  def __init__(self, extractor: Level | None = None, name: str = 'gap'):
    self.name = name
    self.extractor = extractor or Level()

  def counts(self, num_clips):
    return {base.GENERATED: num_clips, base.REAL: 2 * num_clips}

  def compute(self, features, rng):
    generated_n, real_n = (
      features[s]['mean'] for s in (base.GENERATED, base.REAL)
    )
    half = generated_n[
      rng.permutation(len(generated_n))[: len(generated_n) // 2]
    ].mean()
    values = {
      self.name: results.Value(float(generated_n.mean() - real_n.mean())),
      f'{self.name}_half': results.Value(float(half)),
      f'{self.name}_num': results.Value(len(generated_n) + len(real_n) / 1000),
    }
    return base.Findings(values)


class Clips:
  """Clips that depend on seed and index only; records what is read."""

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
def providers():
  return {
    base.GENERATED: evaluator.ClipProvider(Clips(1), {'seed': 1}, chunk_size=4),
    base.REAL: evaluator.ClipProvider(
      Clips(2), {'seed': 2}, chunk_size=6, num_clips=17
    ),
  }


def evaluate(providers, folder, metrics=None, num=10, **kwargs):
  return evaluator.evaluate(
    metrics or [Gap()],
    providers,
    num,
    model_features=folder / 'partial',
    data_features=folder / 'real',
    **kwargs,
  )


def test_each_clip_counts_once(providers):
  found = evaluator.evaluate([Gap()], providers, 10)
  assert found.values['gap_num'].value == 10 + 17 / 1000
  every = [Clips(s)(0, n)['video'].mean() for s, n in ((1, 10), (2, 17))]
  assert found.values['gap'].value == pytest.approx(every[0] - every[1])
  assert providers[base.GENERATED].read.spans == [(0, 4), (4, 4), (8, 2)]
  assert providers[base.REAL].read.spans == [(0, 6), (6, 6), (12, 5)]


@pytest.mark.parametrize('chunks_done', range(7))
def test_an_interrupted_evaluation_gives_the_same_result(
  providers, tmp_path, chunks_done
):
  """The evaluation is stopped between chunks, and then files are cut off."""
  uninterrupted = evaluator.evaluate([Gap()], providers, 10)
  polls = iter([False] * chunks_done + [True] * 99)
  first = evaluate(providers, epath.Path(tmp_path), stop=lambda: next(polls))
  before = sum(len(s.read.spans) for s in providers.values()) - 6
  assert (first is None) == (chunks_done < 6)
  assert before == chunks_done
  for file in tmp_path.rglob('0_*.npz'):  # Cut off.
    file.write_bytes(file.read_bytes()[:-30])
  num_cut = len(list(tmp_path.rglob('0_*.npz')))
  again = evaluate(providers, epath.Path(tmp_path))
  assert again.values == uninterrupted.values
  after = sum(len(s.read.spans) for s in providers.values()) - 6 - before
  assert after == 6 - chunks_done + num_cut  # Complete chunks are kept.


def test_a_kill_during_a_chunk_loses_only_that_chunk(providers, tmp_path):
  class Killed(Level):
    def __call__(self, clips):
      if self.num_clips >= 8:
        raise KeyboardInterrupt
      return super().__call__(clips)

  folder = epath.Path(tmp_path)
  with pytest.raises(KeyboardInterrupt):
    evaluate(providers, folder, [Gap(Killed())])
  whole = Gap()
  found = evaluate(providers, folder, [whole])
  assert whole.extractor.num_clips == 10 + 17 - 8
  assert found.values == evaluator.evaluate([Gap()], providers, 10).values


def test_real_features_are_reused_only_if_they_are_the_same(
  providers, tmp_path
):
  folder = epath.Path(tmp_path)
  evaluate(providers, folder)
  (folder / 'partial').rmtree()
  providers[base.REAL].read.spans.clear()
  evaluate(providers, folder)
  assert not providers[base.REAL].read.spans
  # Another extractor or other clips give other features.
  evaluate(providers, folder, [Gap(Level(version=2))])
  assert len(providers[base.REAL].read.spans) == 3
  other = evaluator.ClipProvider(
    Clips(3), {'seed': 3}, chunk_size=6, num_clips=17
  )
  evaluate({**providers, base.REAL: other}, folder)
  assert len(other.read.spans) == 3


def test_metrics_with_one_extractor_share_its_features(providers):
  extractor = Level()
  two = [Gap(extractor), Gap(extractor, 'other')]
  found = evaluator.evaluate(two, providers, 10)
  assert extractor.num_clips == 27
  one, other = (found.values[f'{name}_half'] for name in ('gap', 'other'))
  assert one != other  # Each metric has its own random numbers,
  alone = evaluator.evaluate([Gap(name='other')], providers, 10)
  assert alone.values['other_half'] == other  # whatever the others are.


def test_clips_are_shown_even_if_their_features_are_stored(providers, tmp_path):
  folder = epath.Path(tmp_path)
  for _ in range(2):
    found = evaluate(providers, folder, num_shown=3)
    np.testing.assert_array_equal(
      found.clips[base.GENERATED]['video'], Clips(1)(0, 3)['video']
    )
    assert len(found.clips[base.REAL]['video']) == 3
  # By default no clip is shown, and none need be read.
  assert not evaluate(providers, folder).clips


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


def test_written_files_can_be_read(tmp_path):
  folder = epath.Path(tmp_path) / results.FOLDER
  video = np.zeros((2, 3, 8, 8, 3), np.uint8)
  clips = {
    'generated': video,
    'real': video,
    'title': np.array(['left', 'right']),
    'clip': np.arange(2),
    'seed': np.zeros(2, int),
  }
  full = output.write(folder, result(fvd=2.0, bad=np.nan), clips)
  assert full.clips == '7_clips.npz'
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


def test_another_evaluation_of_the_same_clips_adds_its_values(tmp_path):
  folder = epath.Path(tmp_path) / results.FOLDER
  output.write(folder, result(fvd=2.0, verifier=1.0), {})
  full = output.write(folder, result(fvd=None, verifier=3.0), {})
  assert full.metrics['fvd'].value is None
  metrics = results.read(tmp_path).metrics
  assert (metrics['fvd'].value, metrics['verifier'].value) == (2.0, 3.0)
  other = json.loads(json.dumps(result(verifier=4.0).to_json()))
  other['protocol']['n'] = 3
  output.write(folder, results.Result.from_json(other), {})
  assert set(results.read(tmp_path).metrics) == {'verifier'}


@pytest.mark.parametrize(
  'num_flips', [30, pytest.param(200, marks=pytest.mark.slow)]
)
def test_no_flipped_bit_of_stored_features_is_silent(
  providers, tmp_path, num_flips
):
  """A damaged file is computed again; so is one of another shape."""
  folder, rng = epath.Path(tmp_path), np.random.default_rng(0)
  intact = evaluate(providers, folder).values
  files = sorted(tmp_path.rglob('*.npz'))
  for i in range(num_flips):
    file = files[i % len(files)]
    content = bytearray(file.read_bytes())
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    file.write_bytes(content)
    assert evaluate(providers, folder).values == intact
  np.savez(files[0], mean=np.zeros(4))  # Without a digest.
  assert evaluate(providers, folder).values == intact


def test_features_of_other_data_or_code_are_not_reused(
  providers, tmp_path, monkeypatch
):
  folder = epath.Path(tmp_path)
  evaluate(providers, folder)
  spans = providers[base.REAL].read.spans
  assert len(spans) == 3
  evaluate(providers, folder)
  assert len(spans) == 3
  monkeypatch.setattr(evaluator.digests, 'code', lambda *folders: 'newer')
  evaluate(providers, folder)
  assert len(spans) == 6
