"""Tests of experiments/benchmarks/accelerator.py: its time limits and parts."""

import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments.benchmarks import accelerator
from experiments.benchmarks.accelerator_parts import machine
from experiments.benchmarks.accelerator_parts import recording
from experiments.benchmarks.accelerator_parts import train_base
from vgen_jax.config import loading as config_lib
from vgen_jax.runtime import checkpoints

ROOT = pathlib.Path(__file__).parents[2]
SCRIPT = ROOT / 'experiments/benchmarks/accelerator.py'

HEAD = (
  'from experiments.benchmarks.accelerator_parts import recording\n'
  'recorder = recording.Recorder.from_command_line()\n'
)
GOOD = HEAD + "recorder.write('speed', ms=1.5, tiny=recorder.tiny)\n"
FAILING = (
  HEAD + "recorder.write('before', ms=2.0)\nraise ValueError('broken')\n"
)
# It starts a process of its own, and is in the middle of a line when it hangs.
HANGING = (
  HEAD
  + """
import pathlib, subprocess, time
child = subprocess.Popen(['sleep', '600'])
(recorder.out / 'child').write_text(str(child.pid))
recorder.write('before', ms=3.0)
with (recorder.out / 'results.jsonl').open('a') as file:
  file.write('{"part": "torn')
time.sleep(600)
"""
)


@pytest.fixture
def parts(tmp_path) -> pathlib.Path:
  folder = tmp_path / 'parts'
  folder.mkdir()
  for name, text in (
    ('good', GOOD), ('failing', FAILING), ('hanging', HANGING),
  ):  # fmt: skip
    (folder / f'{name}.py').write_text(text)
  return folder


def lines_of(out: pathlib.Path) -> dict[tuple[str, str], dict]:
  lines = accelerator.read_lines((out / 'results.jsonl').read_text())
  return {(line['part'], line['name']): line for line in lines}


def is_running(pid: int) -> bool:
  try:
    stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
  except (FileNotFoundError, ProcessLookupError):
    return False
  return stat.rpartition(')')[2].split()[0] not in 'ZX'


def ends_soon(pid: int) -> bool:
  """Returns whether a process has ended within a minute after SIGKILL."""
  deadline = time.monotonic() + 60
  while is_running(pid) and time.monotonic() < deadline:
    time.sleep(0.05)
  return not is_running(pid)


def test_time_that_a_part_leaves_over_goes_to_the_parts_after_it():
  shares = [30, 60, 10]
  assert accelerator.seconds_of_next(shares, 200) == pytest.approx(60)
  assert accelerator.seconds_of_next(shares[1:], 190) == pytest.approx(
    162.9, 0.1
  )
  assert accelerator.seconds_of_next(shares[2:], 25) == 25
  assert accelerator.seconds_of_next(shares, -3) == 0


def test_shares_fit_into_nine_minutes():
  assert sum(accelerator.SHARES.values()) + 3 <= 9 * 60
  files = accelerator.part_files(accelerator.SHARES)
  assert all(file.is_file() for file in files.values())


def test_a_part_that_fails_is_reported_and_passed_by(parts, tmp_path, capsys):
  out = tmp_path / 'out'
  names = [str(parts / 'failing.py'), str(parts / 'good.py')]
  code = accelerator.main(
    ['--minutes=1', '--tiny', f'--out={out}', f'--parts={",".join(names)}']
  )
  assert code == 0
  lines = lines_of(out)
  assert lines['failing', 'before']['ms'] == 2.0
  failed = lines['failing', 'whole part']
  assert failed['status'] == 'failed'
  assert 'ValueError: broken' in failed['note']
  assert (
    lines['good', 'speed'] | {'ms': 1.5, 'tiny': True}
    == (lines['good', 'speed'])
  )
  assert lines['good', 'whole part']['status'] == 'ok'
  table = (out / 'results.md').read_text()
  assert '| whole part: **failed** |' in table
  assert '| speed | 1.5 | True |' in table
  assert '"ms": 1.5' in capsys.readouterr().out


def test_a_part_that_overruns_is_cut_with_all_that_it_started(parts, tmp_path):
  (tmp_path / 'results.jsonl').touch()
  begun = time.monotonic()
  line = accelerator.run_part(
    parts / 'hanging.py', 15.0, tmp_path, False, lambda: None
  )
  assert time.monotonic() - begun < 60
  assert line['status'] == 'cut'
  assert 15 <= line['seconds'] < 60
  assert ends_soon(int((tmp_path / 'child').read_text()))
  accelerator.append(
    tmp_path / 'results.jsonl', {'part': 'hanging', 'name': 'whole part'} | line
  )
  lines = lines_of(tmp_path)  # Without the line that the kill has torn.
  assert list(lines) == [('hanging', 'before'), ('hanging', 'whole part')]


def test_no_part_starts_when_the_time_is_over(parts, tmp_path):
  out = tmp_path / 'out'
  begun = time.monotonic()
  accelerator.main(
    ['--minutes=0.05', f'--out={out}', f'--parts={parts / "hanging.py"}']
  )
  assert time.monotonic() - begun < 60
  assert lines_of(out)['hanging', 'whole part']['status'] == 'skipped'


def test_bad_arguments_are_named(tmp_path):
  for flags, words in (
    (['--parts=machnie'], "'machnie'; it must be one of machine, parity"),
    (['--minutes=0'], '--minutes is 0'),
    (['--minutes=nan'], '--minutes is nan'),
  ):
    with pytest.raises(ValueError, match=words):
      accelerator.main([f'--out={tmp_path / "new"}', *flags])
  (tmp_path / 'results.jsonl').touch()
  with pytest.raises(ValueError, match=r'results\.jsonl exists'):
    accelerator.main([f'--out={tmp_path}'])


def test_what_the_user_has_set_stays(tmp_path):
  env = accelerator.environment(
    {'XLA_PYTHON_CLIENT_PREALLOCATE': 'true', 'PYTHONPATH': '/mine'},
    tmp_path,
    False,
  )
  assert env['XLA_PYTHON_CLIENT_PREALLOCATE'] == 'true'
  assert env['PYTHONPATH'].split(os.pathsep) == [str(ROOT), '/mine']
  assert str(tmp_path) in env['JAX_COMPILATION_CACHE_DIR']
  assert 'JAX_DISABLE_MOST_OPTIMIZATIONS' not in env
  assert env['XLA_CLIENT_MEM_FRACTION'] == '0.92'
  old = {'XLA_PYTHON_CLIENT_MEM_FRACTION': '0.5'}  # JAX refuses both.
  env = accelerator.environment(old, tmp_path, True)
  assert 'XLA_CLIENT_MEM_FRACTION' not in env


def test_lines_with_the_same_values_share_a_table():
  lines = [
    {'part': 'a', 'name': 'x', 'status': 'ok', 'ms': 1.23456, 'mfu': None},
    {'part': 'a', 'name': 'y|z', 'status': 'ok', 'ms': 2.0, 'mfu': 0.5},
    {'part': 'a', 'name': 'w', 'status': 'error', 'note': 'No\nluck.'},
    {'part': 'b', 'name': 'x', 'status': 'ok', 'ms': 3.0},
  ]
  assert accelerator.markdown(lines).splitlines() == [
    '## a', '',
    '| measurement | ms | mfu |', '|---|---|---|',
    '| x | 1.235 |  |', '| y\\|z | 2 | 0.5 |', '',
    '| measurement | note |', '|---|---|',
    '| w: **error** | No luck. |', '',
    '## b', '',
    '| measurement | ms |', '|---|---|', '| x | 3 |',
  ]  # fmt: skip


def test_a_line_of_many_values_is_a_table_of_two_columns():
  values = {f'v{i}': i for i in range(20)}
  line = {'part': 'a', 'name': 'x', 'status': 'ok', **values}
  rows = accelerator.markdown([line]).splitlines()
  assert rows[2:5] == ['| measurement | x |', '|---|---|', '| v0 | 0 |']
  assert len(rows) == 2 + 2 + 20


def test_an_error_of_a_measurement_is_its_result(tmp_path, capsys):
  recorder = recording.Recorder('part', tmp_path, 60.0)

  def fails(error: BaseException) -> dict:
    raise error

  for name, error in (
    ('wrong', TypeError('of no\nuse')),
    ('large', RuntimeError('RESOURCE_EXHAUSTED: Out of memory while trying')),
  ):
    assert recorder.measure(name, lambda error=error: fails(error)) is None
  assert recorder.measure('right', lambda: {'ms': np.float32(0.5)})
  assert recorder.measure('long', lambda: {'ms': 0}, needs=1e6) is None
  assert recorder.last_status == 'skipped'
  recorder.write('odd', one=float('nan'), two=(np.int64(3), 'x'), three=True)
  lines = lines_of(tmp_path)
  assert lines['part', 'wrong']['status'] == 'error'
  assert lines['part', 'wrong']['note'] == 'TypeError: of no use'
  assert lines['part', 'large']['status'] == 'out_of_memory'
  assert lines['part', 'right']['ms'] == 0.5
  assert lines['part', 'long']['status'] == 'skipped'
  odd = lines['part', 'odd']
  assert (odd['one'], odd['two'], odd['three']) == ('nan', [3, 'x'], True)
  assert 'TypeError: of no' in capsys.readouterr().err  # The log has it all.


def test_the_driver_is_read_from_nvidia_smi():
  text = 'NVIDIA H200, 570.86.15, 143771 MiB, 700.00 W, 1980 MHz\n'
  found = machine.parse_driver(text)
  assert found['driver_version'] == '570.86.15'
  assert found['memory.total'] == '143771 MiB'
  with pytest.raises(ValueError, match='zip'):
    machine.parse_driver('No devices were found')


@pytest.mark.slow
def test_every_part_runs_on_a_processor(tmp_path):
  """Every part does all of its work in 30 minutes, with time left over.

  It takes two or three minutes on an idle core. No part needs all of its time,
  so that the result does not depend on the load of the machine. Which parts are
  cut or skipped if there is less time is tested above, with small parts.
  """
  env = {
    **os.environ,
    'JAX_NUM_CPU_DEVICES': '1',
    'JAX_NUMPY_RANK_PROMOTION': 'allow',
  }
  out = tmp_path / 'out'
  command = [sys.executable, str(SCRIPT), '--tiny', f'--out={out}']
  subprocess.run([*command, '--minutes=30'], check=True, env=env, cwd=tmp_path)
  lines = [
    json.loads(line)
    for line in (out / 'results.jsonl').read_text().splitlines()
  ]
  wholes = {x['part']: x for x in lines if x['name'] == 'whole part'}
  assert list(wholes) == list(accelerator.SHARES)
  assert {x['status'] for x in wholes.values()} == {'ok'}
  late = [x for x in lines if 's left' in x.get('note', '')]
  assert not late
  assert {x['status'] for x in lines} <= {'ok', 'skipped'}
  assert {x['agrees'] for x in lines if 'agrees' in x} == {True}
  (trained,) = (x for x in lines if x['name'].endswith(', training'))
  config = train_base.config_of(train_base.RUNS[0], tiny=True)
  assert trained['steps'] == config.num_steps
  for ending in ('mp4', 'gif', 'png'):
    assert list(out.glob(f'dit_world/samples/*.{ending}'))
  assert (out / 'results.md').read_text().count('\n## ') == len(wholes)


@pytest.mark.slow
def test_training_stops_when_its_time_is_over(tmp_path):
  """The state is saved, so that the run can be evaluated."""
  config = train_base.config_of(train_base.RUNS[0], tiny=True)
  config = config_lib.replace(config, {'log_every': 1})
  found = train_base.train(config, tmp_path / 'run', 0.0)
  assert 0 < found['steps'] < config.num_steps
  assert checkpoints.steps(str(tmp_path / 'run')) == [found['steps']]
