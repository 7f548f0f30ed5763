"""Settings of all tests: eight CPU devices and strict JAX; shared fixtures."""

from collections.abc import Callable, Iterator
import gc
import inspect
import logging
import os
import pathlib
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import compiled
from tests import faster_flax
from tests import finite
from tests import initial
from vgen_jax.data.files import video_writers
from vgen_jax.inference import sampling
from vgen_jax.training import compilation
from vgen_jax.training import setup as setup_lib
from vgen_jax.training import state as state_lib

_ROOT = pathlib.Path(__file__).parents[1]

# Also the settings of all processes that tests start, which are cheaper when
# they find their programs in the same cache.
SETTINGS = {
  'jax_platforms': 'cpu',
  'jax_num_cpu_devices': 8,
  # Adding [b] to [b, 1] is usually a bug, so ranks must agree.
  'jax_numpy_rank_promotion': 'raise',
  # Tests compile much and compute little, so compiled programs are cached.
  'jax_compilation_cache_dir': os.environ.get(
    'JAX_COMPILATION_CACHE_DIR', str(_ROOT / '.cache/jax')
  ),
  'jax_persistent_cache_min_compile_time_secs': 0,
  # Most of the time is spent on compilation; steps are few and small.
  'jax_disable_most_optimizations': True,
}
for _name, _value in SETTINGS.items():
  jax.config.update(_name, _value)
  os.environ[_name.upper()] = str(_value)
# XLA reads the flags when its first backend starts. The older emitters compile
# the steps of the configs in less than half of the time, and splitting modules
# for threads takes a quarter of the time of compilation.
os.environ['XLA_FLAGS'] = ' '.join(
  [
    os.environ.get('XLA_FLAGS', ''),
    '--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters',
    '--xla_cpu_parallel_codegen_split_count=1',
  ]
).strip()
# Traces create many objects and few cycles: with the thresholds of Python, the
# garbage collector takes a sixth of the time of tracing.
gc.set_threshold(50_000, 20, 50)
# Tests write nothing into the home of the user.
os.environ['VGEN_CACHE'] = ''
# A shell makes commands in the background ignore SIGINT, which tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

# JAX keeps each program and its MLIR context. The lowering of a program takes
# longer the more contexts there are: three times as long with 1,500 of them.
_MAX_PROGRAMS = 250
_NUM_PROGRAMS = [0]  # Compiled since the caches were cleared.

_STEP_FIELDS = ('optim', 'num_steps', 'ema', 'accumulate', 'guard')
_PROGRAMS = {}  # Of runs, by everything that they depend on.


@pytest.fixture
def compares_finite(monkeypatch) -> None:
  """Makes comparisons of arrays fail on NaN and infinities; see finite.py."""
  finite.check_comparisons(monkeypatch)


@pytest.fixture(autouse=True)
def _traces_patched_modules(request, monkeypatch) -> None:
  """Makes compiled.py trace all calls of a test that patches something."""
  if 'monkeypatch' in inspect.signature(request.function).parameters:
    monkeypatch.setattr(compiled, 'reuse', False)


faster_flax.install()
_create = state_lib.create
state_lib.create = lambda model, *args, **kwargs: _create(
  compiled.TracedOnce(model), *args, **kwargs
)


@pytest.fixture(scope='module')
def compiles_once() -> Iterator[None]:
  """Runs in one process use the same programs if these are equal.

  Programs are the first state, the step and the sampler. A test may replace the
  losses, updates or samples of a family. Tests that change what a program
  computes by other means must not use this fixture.
  """
  compile_step = compilation.compile_step
  first_state = setup_lib.Setup.first_state
  make_sampler = sampling.make_sampler

  def shared_step(setup):
    return _once(('step', _key(setup)), lambda: compile_step(setup))

  def shared_state(setup):
    key = 'state', _key(setup), setup.settings.seed
    return first_state(_once(key, lambda: setup))  # Its `init` is traced once.

  def shared_sampler(model, average, mesh):
    family = type(model)
    methods = family.sample, family.sample_unclipped
    key = 'sampler', compiled.frozen(model), repr((average, mesh)), methods
    return _once(key, lambda: make_sampler(model, average, mesh))

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(compilation, 'compile_step', shared_step)
    patch.setattr(setup_lib.Setup, 'first_state', shared_state)
    patch.setattr(sampling, 'make_sampler', shared_sampler)
    yield


@pytest.fixture(scope='module')
def draws_first_states(compiles_once) -> Iterator[None]:
  """NumPy draws the first states of runs, which compiles no program for them.

  They differ from the first states of runs in other processes.
  """
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(setup_lib.Setup, 'first_state', drawn_state)
    yield


def drawn_state(setup: setup_lib.Setup) -> state_lib.TrainState:
  """Returns the first state of a run, drawn by NumPy."""
  seed = setup.settings.seed
  make = lambda: initial.evaluate(jax.jit(setup.init), seed=seed)
  state = _once(('drawn', _key(setup), seed), make)
  # The step overwrites its argument.
  return jax.device_put(jax.tree.map(_copied, state), setup.state_sharding)


def _copied(x):
  return x.copy() if isinstance(x, np.ndarray) else jnp.copy(x)


def _key(setup):
  """Returns everything that the programs of a run depend on, but its seed."""
  parts = (
    setup.mesh, setup.batch, setup.state_shapes(),
    *(getattr(setup.settings, field) for field in _STEP_FIELDS),
  )  # fmt: skip
  family = type(setup.model)
  model = compiled.frozen(setup.model)
  return repr(parts), model, family.loss, family.updates


def _once(key, make: Callable):
  """Returns the first result of `make` for a key."""
  if key not in _PROGRAMS:
    _PROGRAMS[key] = make()
  return _PROGRAMS[key]


def _count_programs(event: str, *_, **__) -> None:
  if event == '/jax/core/compile/backend_compile_duration':
    _NUM_PROGRAMS[0] += 1


jax.monitoring.register_event_duration_secs_listener(_count_programs)


@pytest.fixture(scope='module', autouse=True)
def _clears_caches() -> Iterator[None]:
  """Clears the caches of JAX after a file if they have many programs."""
  yield
  if _NUM_PROGRAMS[0] > _MAX_PROGRAMS:
    jax.clear_caches()
    _NUM_PROGRAMS[0] = 0


@pytest.fixture
def optimizes() -> Iterator[None]:
  """Programs are optimized, for long trainings; compilation takes longer."""
  jax.config.update('jax_disable_most_optimizations', False)
  yield
  jax.config.update('jax_disable_most_optimizations', True)


@pytest.fixture(scope='session')
def clips(tmp_path_factory) -> pathlib.Path:
  """Returns a folder of small videos: three of each of two classes."""
  folder = tmp_path_factory.mktemp('clips')
  rng = np.random.default_rng(0)
  for label in ('left', 'right'):
    (folder / label).mkdir()
    for i in range(3):
      first, last = rng.integers(0, 255, (2, 24, 32, 3))
      t = np.linspace(0, 1, 20)[:, None, None, None]
      video_thwc = np.uint8(first * (1 - t) + last * t)
      video_writers.write_mp4(folder / label / f'{i}.mp4', video_thwc, 10)
  return folder


@pytest.fixture(autouse=True)
def _keep_logging():
  """Restores the logging of tests, which the command `vgen` changes."""
  names = ('vgen_jax', 'absl')
  old = {
    n: (logging.getLogger(n).level, logging.getLogger(n).handlers[:])
    for n in names
  }
  yield
  for name, (level, handlers) in old.items():
    logger = logging.getLogger(name)
    logger.setLevel(level)
    logger.handlers = handlers
    logger.propagate = True
