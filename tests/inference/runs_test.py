"""Tests of inference/runs.py: clips, losses and evaluations of a run."""

import dataclasses
import pathlib
import re

import jax
import numpy as np
import pytest

from tests import small_configs
from vgen_jax.evaluation.metrics import base
from vgen_jax.evaluation.metrics import pixels
from vgen_jax.evaluation.metrics import results
from vgen_jax.inference import clip_providers
from vgen_jax.inference import hooks
from vgen_jax.inference import names
from vgen_jax.inference import runs
from vgen_jax.synthetic.world import verifier as verifier_lib
from vgen_jax.training import loop

pytestmark = pytest.mark.usefixtures('draws_first_states')


@pytest.fixture(scope='module')
def workdir(tmp_path_factory) -> str:
  folder = str(tmp_path_factory.mktemp('runs') / 'gan_run')
  loop.train(small_configs.gan(), folder, hooks=hooks.standard())
  return folder


@pytest.fixture(scope='module')
def run(workdir) -> runs.Run:
  return runs.load(workdir)


def test_a_clip_does_not_depend_on_the_batch(run):
  many = run.sample(9, seed=3)
  assert many.shape == (9, 4, 8, 8, 3)
  assert many.dtype == np.uint8
  few = run.sample(9, seed=3, batch_size=2)
  # Another order of sums may change the rounding to integers.
  assert np.abs(many.astype(int) - few).max() <= 1
  assert np.abs(many.astype(int) - run.sample(9, seed=4)).max() > 1
  assert np.abs(np.diff(many.astype(int), axis=0)).max() > 1


def test_classes_by_name_by_id_or_in_turn(run):
  right = run.source.schema.class_names.index('right')
  assert (run.condition(3, 'right')['label'] == right).all()
  assert (run.condition(3, 2)['label'] == 2).all()
  assert list(run.condition(10)['label']) == [*range(8), 0, 1]
  with pytest.raises(
    ValueError, match=r"no class 'rigth'\. Did you mean 'right'"
  ):
    run.condition(3, 'rigth')
  with pytest.raises(ValueError, match='label is 8; it must be from 0 to 7'):
    run.condition(3, 8)


def test_an_earlier_checkpoint_with_overrides(workdir, run):
  early = runs.load(workdir, step=2, overrides={'sample_from': 'params'})
  assert (early.step, run.step) == (2, 4)
  assert early.config.sample_from == 'params'
  assert np.abs(early.sample(2).astype(int) - run.sample(2)).max() > 0


def test_validation_losses_differ_between_checkpoints(workdir, run):
  losses = run.validate(16, batch_size=8)
  assert losses == run.validate(16, batch_size=8)
  assert losses.keys() >= {'generator/loss', 'critic_frames/loss'}
  early = runs.load(workdir, step=2).validate(16, batch_size=8)
  assert losses['generator/loss'] != early['generator/loss']
  more = run.validate(20, batch_size=8)  # The last batch is smaller.
  assert more['generator/loss'] == pytest.approx(
    losses['generator/loss'], abs=0.5
  )


def test_validation_does_not_depend_on_the_batch_size(run):
  """With 20 clips and batches of 8, the last batch has 4 clips."""
  small, large = run.validate(20, batch_size=4), run.validate(20, batch_size=8)
  assert small == pytest.approx(large, rel=0, abs=1e-5)
  other = run.validate(20, batch_size=4, seed=1)
  assert abs(other['generator/loss'] - small['generator/loss']) > 1e-4


def test_validation_uses_different_noise_for_each_clip(workdir, monkeypatch):
  run = runs.load(workdir)
  keys_of, keys = type(run.model).clip_keys, []

  def recorded(self, batch):
    key_b = keys_of(self, batch)
    jax.debug.callback(lambda x: keys.extend(x), jax.random.key_data(key_b))
    return key_b

  monkeypatch.setattr(type(run.model), 'clip_keys', recorded)
  run.validate(4, batch_size=2)
  jax.effects_barrier()
  assert len(keys) == 4 * len(run.model.players)
  assert len({tuple(key.tolist()) for key in keys}) == 4


def test_missing_runs_steps_and_fields_are_reported(workdir, run):
  with pytest.raises(ValueError, match=r"has no run .* mean 'gan_run'"):
    runs.load(workdir[:-1])
  with pytest.raises(
    ValueError, match=r'step 3; it has checkpoints of .*\[2, 4\]'
  ):
    runs.load(workdir, step=3)
  with pytest.raises(ValueError, match=r'but with this config it is float32'):
    runs.load(workdir, overrides={'model.generator.width': 8})
  with pytest.raises(
    ValueError, match=r"no field 'modle'\. Did you mean 'model'"
  ):
    runs.load(workdir, overrides={'modle.generator.width': 8})
  with pytest.raises(ValueError, match='num_clips is 0'):
    run.sample(0)


@pytest.mark.parametrize(
  ('path', 'value', 'message'),
  [
    (
      'frozen.autoencoder',
      'runs/other',
      'cannot be overridden: frozen parts are stored in',
    ),
    ('optim.schedule.peak', 1.0, 'only affects training'),
    ('ema.slow.decay', 0.5, 'only affects training'),
    ('num_steps', 9, 'only affects training'),
    ('seed', 9, 'only affects training'),
    ('batch_size', 9, 'To sample in smaller batches, use --batch_size'),
  ],
)
def test_overrides_of_training_fields_are_refused(
  workdir, path, value, message
):
  with pytest.raises(ValueError, match=f'^config.{path} .*{message}.*mesh'):
    runs.load(workdir, overrides={path: value})


METRICS = ('verifier', 'flicker')


def test_evaluate_writes_values_and_protocol(run):
  result = run.evaluate(METRICS, 10, seed=3, batch_size=4)
  assert result.metrics['validity_loose'].value == 0  # It is untrained.
  assert result.metrics['validity_loose'].interval[1] < 0.3
  assert result.metrics['verifier_frechet'].floor > 0
  protocol = result.protocol
  assert (protocol['num_generated'], protocol['num_real']) == (10, 20)
  assert protocol['sample_from'] == 'slow'
  assert protocol['real_split'] == 'validation'
  assert protocol['condition'] == 'labels in turn'
  assert protocol['seed'] == 3
  assert result.config['model.generator.width'] > 0
  folder = pathlib.Path(run.workdir) / results.FOLDER
  name = result.name
  assert re.fullmatch('4_10clips_[0-9a-f]{8}', name)
  assert {f'{name}.json', f'{name}.html', f'{name}_clips.npz', 'real'} == {
    path.name for path in folder.iterdir()
  }
  read = results.read(run.workdir)
  assert read.to_json() == result.to_json()
  clips = results.read_clips(run.workdir, read)
  np.testing.assert_array_equal(
    clips['generated'], run.sample(4, seed=3, batch_size=4)
  )
  assert list(clips['title'][:2]) == ['right', 'down-right']
  verifier = verifier_lib.Verifier(run.source)
  assert list(verifier.features(clips['real']).label_b) == [0, 1, 2, 3]


def test_averages_and_parameters_give_different_values(workdir):
  values = {}
  for name in ('params', 'slow'):
    run = runs.load(workdir, overrides={'sample_from': name})
    result = run.evaluate(METRICS, 10, batch_size=4)
    assert result.protocol['sample_from'] == name
    values[name] = result.metrics['verifier_frechet'].value
  assert values['params'] != values['slow']


def test_a_stopped_evaluation_continues_with_the_same_result(run, monkeypatch):
  straight = run.evaluate(METRICS, 12, batch_size=4)
  folder = pathlib.Path(run.workdir) / results.FOLDER
  partial = lambda: list(folder.glob('4_12clips_*.partial/*/*.npz'))
  polls = iter([False, False] + [True] * 9)
  stop = lambda: next(polls)
  assert run.evaluate(METRICS, 12, batch_size=4, stop=stop) is None
  assert len(partial()) == 4  # Two chunks of two probes.

  def killed(self, clips):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:  # Killed in the middle of a chunk.
    patch.setattr(pixels.FrameChanges, '__call__', killed)
    with pytest.raises(KeyboardInterrupt):
      run.evaluate(METRICS, 12, batch_size=4)
  assert len(partial()) == 5
  read, generated = [], clip_providers.ClipProviders._generated

  def counted(self, state, first, num):
    read.append((first, num))
    return generated(self, state, first, num)

  monkeypatch.setattr(clip_providers.ClipProviders, '_generated', counted)
  again = run.evaluate(METRICS, 12, batch_size=4)
  assert again.metrics == straight.metrics
  assert again.curves == straight.curves
  assert read == [(8, 4), (0, 4)]  # The missing chunk; clips for the page.
  assert not partial()

  # Features of another seed are not reused.
  polls = iter([False, True])
  assert run.evaluate(METRICS, 12, seed=1, batch_size=4, stop=stop) is None
  read.clear()
  run.evaluate(METRICS, 12, seed=2, batch_size=4)
  assert read == [(0, 4), (4, 4), (8, 4)]


def test_evaluations_by_different_protocols_are_kept_side_by_side(workdir):
  """Evaluations with the same protocol are merged."""
  flicker = ('flicker',)
  run = runs.load(workdir)
  first = run.evaluate(flicker, 8, batch_size=8)
  folder = pathlib.Path(workdir) / results.FOLDER
  texts = {p.name: p.read_bytes() for p in folder.glob(f'{first.name}*')}
  assert len(texts) == 3
  found = {first.name}
  for changes in (
    {'num_clips': 4},
    {'seed': 1},
    {'real_split': 'train'},
    {'context': 1},
    {'num_samples': 3},
  ):
    other = run.evaluate(
      flicker, **{'num_clips': 8, 'batch_size': 8, **changes}
    )
    found.add(other.name)
  for override in ({'sample_from': 'params'}, {'model.loss_kind': 'hinge'}):
    other = runs.load(workdir, overrides=override)
    found.add(other.evaluate(flicker, 8, batch_size=8).name)
  assert len(found) == 8
  for name, content in texts.items():
    assert (folder / name).read_bytes() == content, name
  assert {file.stem for file in folder.glob('*.json')} >= found

  more = run.evaluate(('diversity',), 8, batch_size=4)
  assert more.name == first.name
  merged = results.read(folder / f'{first.name}.json')
  assert {*first.metrics, *more.metrics} <= set(merged.metrics)
  assert results.read(workdir).name == first.name  # The latest.
  assert results.read_clips(folder / f'{first.name}.json', merged)


def test_only_fields_that_clips_depend_on_are_overrides(workdir):
  def load(**overrides):
    run = runs.load(workdir, overrides=overrides)
    return names.changed_fields(run.workdir, run.config)

  assert load() == {}
  assert load(sample_from='params') == {'sample_from': 'params'}
  assert load(**{'evaluation.seed': 3, 'model.loss_kind': 'hinge'}) == {
    'model.loss_kind': 'hinge'
  }


def test_chunks_of_an_evaluation_equal_one_draw(run):
  """The second chunk has noise and labels of its own: 6 clips, 4 at a time."""

  def generated(batch_size, spans):
    options = dataclasses.replace(
      run._setup.settings.evaluation, num_clips=6, batch_size=batch_size, seed=5
    )
    providers = clip_providers.ClipProviders(run._setup, run._sampler, options)
    read = providers.for_state(run.state)[base.GENERATED].read
    return [read(*span) for span in spans]

  (once,) = generated(6, [(0, 6)])
  parts = generated(4, [(0, 4), (4, 2)])
  video = np.concatenate([part['video'] for part in parts])
  label_b = np.concatenate([part['label'] for part in parts])
  assert np.abs(video.astype(int) - once['video']).max() <= 1  # Rounding.
  np.testing.assert_array_equal(label_b, once['label'])
  assert len(set(label_b.tolist())) == 6
  gap = np.abs(video[4:].astype(int) - video[:2]).max((1, 2, 3, 4))
  assert gap.min() > 1  # Clips 4 and 5 are not clips 0 and 1 again.
