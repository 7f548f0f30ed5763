"""Tests of `vgen data encode`: from a tokenizer to a run over its codes."""

import json
import os
import pathlib
import signal
import types

import jax
import numpy as np
import pytest

from vgen_jax.cli import encode_dataset
from vgen_jax.cli import main as cli
from vgen_jax.config import loading as config_lib
from vgen_jax.config import sections
from vgen_jax.config import settings as settings_lib
from vgen_jax.data import pipeline
from vgen_jax.inference import clip_providers
from vgen_jax.inference import runs
from vgen_jax.runtime import checkpoints as checkpoints_lib
from vgen_jax.training import loop
from vgen_jax.training import setup as setup_lib
from vgen_jax.training import step as step_lib

pytestmark = pytest.mark.usefixtures('draws_first_states')
CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
NUM = 40
FLAGS = (f'--num={NUM}', '--shard=16', '--batch=8')


def smoke(name, **overrides):
  config = config_lib.load(f'{CONFIGS}/{name}.py:smoke')
  return config_lib.replace(config, overrides)


def tokenizer(workdir, config):
  """A run whose average differs from its parameters, without training.

  One device writes its state, which is encoded with on all devices.
  """
  state = made(config_lib.replace(config, {'mesh.data': 1})).first_state()
  change = lambda ema, stats: (
    jax.tree.map(lambda x: 1.5 * x, ema),
    jax.tree.map(lambda x: x + 0.7, stats),
  )
  moved, stats = jax.jit(change)(state.ema, state.stats)
  workdir.mkdir()
  (workdir / 'config.json').write_text(config_lib.to_json(config))
  checkpoints = checkpoints_lib.Checkpoints(str(workdir))
  state = state.replace(step=state.step + 1, ema=moved, stats=stats)
  checkpoints.save(1, state, {})
  checkpoints.close()
  return workdir


def encode(capsys, workdir, out, *flags):
  """Returns the JSON in the last line of the output of the command."""
  argv = ['data', 'encode', f'--workdir={workdir}', f'--out={out}', *flags]
  assert cli.main(argv) == 0, capsys.readouterr().err
  return json.loads(capsys.readouterr().out.splitlines()[-1])['data_encode']


def over(name, workdir, folder=None, **overrides):
  """Config of a run that uses a tokenizer and, with a folder, encoded clips.

  Its prior has one block, a simple optimizer and one device, to compile in less
  time. Clips are encoded on all devices.
  """
  fields = {'frozen.autoencoder': str(workdir), 'mesh.data': 1}
  config = smoke(name, **fields, **overrides)
  config.unlock()
  config.optim = {'name': 'sgd', 'schedule': {'name': 'constant', 'peak': 0.01}}
  if name == 'maskgit_world':
    config.model.prior.transformer.depth = 1
  else:
    config.model.prior.denoiser = {
      'name': 'models.dit.VideoDiT', 'width': 8, 'depth': 1, 'num_heads': 1,
      'patch_size': (1, 1, 1), 'attention': 'full',
    }  # fmt: skip
  if folder is not None:
    config.data = {'name': 'data.encoded.Encoded', 'folder': folder}
  return config


def made(config):
  return setup_lib.make(settings_lib.read(config))


def begun(config, workdir):
  """Returns the setup and the initial state of a run, and saves the state."""
  setup = made(config)
  checkpoints = checkpoints_lib.Checkpoints(str(workdir))
  try:
    state = loop.restore_or_init(setup, checkpoints)
    checkpoints.save(int(state.step), state, {})
  finally:
    checkpoints.close()
  return setup, state


def losses(setup):
  """Returns a function from a state and a batch to the loss."""
  [player] = setup.model.players

  @jax.jit
  def compute(variables, batch):
    return setup.model.apply(
      variables, step_lib.prepare(batch, 0), player=player, train=False,
      method='loss', rngs={'noise': jax.random.key(0)},
    )  # fmt: skip

  return lambda state, batch: float(compute(state.variables(), batch)[0])


def batch_of(source):
  with pipeline.batches(source, batch_size=16, seed=0) as batches:
    return next(batches)


def some(config):
  """The same source with as many clips as are encoded."""
  return config_lib.replace(config, {'data.num_clips': NUM})


@pytest.fixture(scope='module')
def fsq(tmp_path_factory):
  return tokenizer(tmp_path_factory.mktemp('runs') / 'fsq', smoke('fsq_world'))


FLOW = pytest.param('flow_latent_world', marks=pytest.mark.slow)


@pytest.mark.parametrize('name', ['maskgit_world', FLOW])
def test_training_on_codes_has_the_loss_of_training_on_clips(
  fsq, name, tmp_path, capsys
):
  flags = FLAGS
  report = encode(capsys, fsq, tmp_path, *flags)
  assert report['codes'] == [2, 2, 2]
  assert (report['dtype'], report['clips']) == ('uint16', NUM)
  assert report['shards'] == report['written'] == 3
  assert report['bytes'] < 3 * 256 + NUM * (8 * 2 + 4)

  setup, state = begun(over(name, fsq, report['folder']), tmp_path / 'one')
  plain = made(some(over(name, fsq)))
  codes, video = batch_of(setup.source), batch_of(plain.source)
  assert set(codes) == {'codes', 'label'}
  loss = losses(setup)
  value = loss(state, codes)
  np.testing.assert_allclose(value, losses(plain)(state, video), rtol=1e-6)
  mixed = codes | {'codes': codes['codes'][::-1]}
  assert abs(loss(state, mixed) - value) > 1e-5, 'The order of codes matters.'
  assert setup.metric_names() == plain.metric_names(), (
    'The metrics must be the same.'
  )


def test_only_its_own_tokenizer_may_be_frozen(fsq, tmp_path, capsys):
  folder = encode(capsys, fsq, tmp_path, f'--num={NUM}')['folder']
  impostor = tokenizer(tmp_path / 'b', smoke('fsq_world', seed=1))
  message = r'encoded by the tokenizer \w{16}, step 1 of .*fsq.*, but this run'
  with pytest.raises(ValueError, match=message):
    begun(over('maskgit_world', impostor, folder), tmp_path / 'wrong')
  right = over('maskgit_world', fsq, folder)
  begun(right, tmp_path / 'right')
  begun(right, tmp_path / 'right')  # It is resumed.
  theirs = encode(capsys, impostor, tmp_path, f'--num={NUM}')['folder']
  assert theirs != folder
  with pytest.raises(ValueError, match='encoded by the tokenizer'):
    begun(over('maskgit_world', fsq, theirs), tmp_path / 'right')


def test_a_model_of_pixels_cannot_be_trained_on_codes(fsq, tmp_path, capsys):
  folder = encode(capsys, fsq, tmp_path, f'--num={NUM}')['folder']
  config = smoke('dit_world', clip_shape=(4, 8, 8, 3))
  config.data = {'name': 'data.encoded.Encoded', 'folder': folder}
  with pytest.raises(
    ValueError, match=r'without video.*Name the run of the token'
  ):
    made(config)


def test_metrics_of_pixels_use_the_original_clips(fsq, tmp_path, capsys):
  report = encode(capsys, fsq, tmp_path, f'--num={NUM}')
  setup = made(over('maskgit_world', fsq, report['folder']))
  options = sections.Evaluation(num_clips=2)
  found = clip_providers.ClipProviders(setup, None, options)
  plain = made(over('maskgit_world', fsq))
  wanted = clip_providers.ClipProviders(plain, None, options)
  assert found.real_split == wanted.real_split == 'validation'
  assert found.kinds() == wanted.kinds()
  state = types.SimpleNamespace(step=0, variables=lambda average: {})
  identities = lambda s: [
    stream.identity for stream in s.for_state(state).values()
  ]
  assert identities(found) == identities(wanted)
  np.testing.assert_array_equal(
    found.real.clips(0, 3)['video'], wanted.real.clips(0, 3)['video']
  )


def test_latents_and_another_config(tmp_path, capsys):
  vae = tokenizer(tmp_path / 'vae', smoke('vae_world'))
  spec = runs.load(str(vae)).config.model.autoencoder.to_dict()
  report = encode(
    capsys,
    vae,
    tmp_path,
    f'--data={CONFIGS}/flow_latent_world.py:smoke',
    f'--config.data.num_clips={NUM}',
    '--dtype=float32',
  )
  assert (report['dtype'], report['clips']) == ('float32', NUM)
  config = over('flow_latent_world', vae, report['folder'])
  config.model.autoencoder = spec
  setup, state = begun(config, tmp_path / 'run')
  plain = made(some(over('flow_latent_world', vae)))
  latents, video = batch_of(setup.source), batch_of(plain.source)
  assert latents['latents'].dtype == np.float32
  np.testing.assert_array_equal(latents['label'], video['label'])
  loss = losses(setup)
  value = loss(state, latents)
  np.testing.assert_allclose(value, loss(state, video), rtol=1e-6)


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--batch=0'], '--batch is 0; it must be at least 1'),
    (['--num_threads=0'], '--num_threads is 0; it must be at least 1'),
    (['--dtype=float32'], '--dtype is float32, but the tokenizer has a codeb'),
    (['--dtype=float8'], "--dtype is 'float8'; it must be one of"),
    (['--config.model.width=3'], '--config.model.width=3 has no effect on'),
    (['--split=tset'], "split is 'tset'; it must be one of"),
    (
      ['--num', '3', '--shards=2'],
      "Unknown flag '--shards'. Did you mean '--shard'?",
    ),
  ],
)
def test_an_error_names_the_flag(fsq, tmp_path, capsys, flags, message):
  argv = ['data', 'encode', f'--workdir={fsq}', f'--out={tmp_path}', *flags]
  assert cli.main(argv) == 1
  assert message in capsys.readouterr().err
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_encoding_that_is_stopped_keeps_its_shards(
  fsq, tmp_path, capsys, monkeypatch, number
):
  whole = encode(capsys, fsq, tmp_path / 'whole', *FLAGS)
  encoder, calls = encode_dataset.encoder, []

  def stopping(*args):
    apply = encoder(*args)

    def stop(video):
      calls.append(len(video))
      if len(calls) == 4:
        os.kill(os.getpid(), number)
      return apply(video)

    return stop

  argv = ['data', 'encode', f'--workdir={fsq}', f'--out={tmp_path}/cut', *FLAGS]
  with monkeypatch.context() as patch:
    patch.setattr(encode_dataset, 'encoder', stopping)
    assert cli.main(argv) == 128 + number
  folder = tmp_path / 'cut' / pathlib.Path(whole['folder']).name
  names = sorted(path.name for path in folder.rglob('*') if path.is_file())
  assert names == ['00000.npy', 'manifest.json']
  again = encode(capsys, fsq, tmp_path / 'cut', *FLAGS)
  assert again['written'] == whole['shards'] - 1
  for file in pathlib.Path(whole['folder']).rglob('*.npy'):
    other = folder / file.relative_to(whole['folder'])
    assert other.read_bytes() == file.read_bytes()


def test_encoding_that_is_stopped_late_is_complete(
  fsq, tmp_path, capsys, monkeypatch
):
  """The repeated command writes nothing, and succeeds."""
  write = encode_dataset.encodings.write

  def stopped(*args, **kwargs):
    write(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGTERM)

  argv = ['data', 'encode', f'--workdir={fsq}', f'--out={tmp_path}', *FLAGS]
  with monkeypatch.context() as patch:
    patch.setattr(encode_dataset.encodings, 'write', stopped)
    assert cli.main(argv) == 143
  capsys.readouterr()
  again = encode(capsys, fsq, tmp_path, *FLAGS)
  assert (again['written'], again['shards'], again['clips']) == (0, 3, NUM)
