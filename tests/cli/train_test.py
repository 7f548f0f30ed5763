"""Tests of cli/train.py: messages at the start and at the end of a run."""

import pathlib

from vgen_jax.cli import main as cli
from vgen_jax.cli import train
from vgen_jax.training import compilation

ROOT = pathlib.Path(__file__).parents[2]
SMOKE = f'--config={ROOT}/configs/convlstm_world.py:smoke'
QUICK = (
  '--config.model.predictor.features=(4,)',
  '--config.mesh.data=1',
  '--config.tensorboard=False',
  '--config.num_steps=2',
  '--config.sample_every=0',
)


def test_the_start_and_the_end_say_what_is_what(tmp_path, capsys, caplog):
  flags = [SMOKE, f'--workdir={tmp_path}/run', *QUICK]
  assert cli.main(['train', *flags]) == 0
  printed = capsys.readouterr()
  assert printed.out.splitlines()[-3:] == [
    'Finished at step 2. Next:',
    f'  vgen sample --workdir={tmp_path}/run --num=16',
    f'  vgen evaluate --workdir={tmp_path}/run',
  ]
  starts = (
    'Devices: ',
    'Model: Recurrent',
    'Compiling',
    'Compiled in',
    'Train step',
  )
  lines = [x for x in printed.err.splitlines() if x.startswith(starts)]
  assert [x.split()[0].rstrip(':') for x in lines] == [
    'Devices', 'Model', 'Compiling', 'Compiled', 'Train',
  ]  # fmt: skip


def test_a_size_that_needs_an_accelerator_is_named(caplog, capsys):
  train._warn_without_accelerator('convlstm_world')
  train._warn_without_accelerator('convlstm_world:cpu')
  train._warn_without_accelerator('demo')
  assert caplog.messages == [
    'convlstm_world needs an accelerator (GPU or TPU), and JAX has found none.'
    ' Sizes for a CPU: cpu.'
  ]


def test_a_step_that_does_not_fit_names_smaller_sizes(
  tmp_path, capsys, monkeypatch
):
  monkeypatch.setattr(compilation, 'memory_limit', lambda device: 1)
  flags = [SMOKE, f'--workdir={tmp_path}/run', *QUICK]
  assert cli.main(['train', *flags]) == 1
  error = capsys.readouterr().err.strip().splitlines()[-1]
  assert 'GB on each device, which has 0.0 GB' in error
  assert 'Sizes for a CPU: cpu.' in error


def test_stopping_tells_how_to_go_on(tmp_path, capsys):
  flags = [SMOKE, f'--workdir={tmp_path}/run', *QUICK, '--stop_at=1']
  assert cli.main(['train', *flags]) == 0
  line = capsys.readouterr().out.splitlines()[-1]
  assert line == (
    f'Stopped at step 1. Resume with: vgen train --workdir={tmp_path}/run'
  )


def test_a_trace_is_left_on_request(tmp_path, caplog):
  flags = [SMOKE, f'--workdir={tmp_path}', *QUICK, '--profile=1,2']
  assert cli.main(['train', *flags]) == 0
  assert list(tmp_path.glob('profile/plugins/profile/*/*.xplane.pb'))
  assert 'No trace was written' not in caplog.text
