"""Tests of config/build.py: specs become objects, and mistakes are named."""

import sys

import pytest

from vgen_jax.config import build
from vgen_jax.config import classes
from vgen_jax.core.types import Schema
from vgen_jax.families.diffusion import paths
from vgen_jax.models import unet3d

SCHEMA = Schema((4, 8, 8, 1), num_classes=3)
NET = {'name': 'models.unet3d.UNet3D', 'width': 8}


def diffusion(**fields) -> dict:
  return {
    'name': 'families.diffusion.denoising.Diffusion',
    'denoiser': NET,
    **fields,
  }


def test_networks_are_built_with_sizes_from_the_data():
  model = build.model(diffusion(), SCHEMA)
  assert model.denoiser == unet3d.UNet3D(width=8, num_classes=3)
  assert model.clip_shape == (4, 8, 8, 1)
  assert model.num_classes == 3


def test_arguments_in_a_spec_take_precedence_over_the_data():
  net = NET | {'num_classes': 0}
  assert build.model(diffusion(denoiser=net), SCHEMA).denoiser.num_classes == 0


def test_specs_within_the_spec_of_a_family_are_built():
  model = build.model(
    diffusion(path={'name': 'families.diffusion.paths.Cosine'}), SCHEMA
  )
  assert model.path == paths.Cosine()


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    (
      {'denoiser': NET | {'name': 'models.unet.U'}},
      "no file 'unet' .* mean 'unet3d'",
    ),
    (
      {'denoiser': NET | {'name': 'models.unet3d.UNet'}},
      "no class 'UNet' .*'UNet3D'",
    ),
    ({'denoiser': NET | {'name': 'models.unet3d.nn'}}, "no class 'nn' in"),
    (
      {'denoiser': NET | {'widht': 8}},
      "has no argument 'widht'. Did you mean 'width'",
    ),
    ({'denoiser': NET | {'parent': 8}}, "has no argument 'parent'"),
    (
      {'denoiser': {'name': 'models.unet3d.UNet3D'}},
      r"also requires \['width'\]",
    ),
    (
      {'sovler': {}},
      r"config\.model: .* no argument 'sovler'. Did you mean 'solver'\?",
    ),
    (
      {'solver': {'name': 'families.diffusion.solvers.Eule'}},
      "Did you mean 'Euler'",
    ),
  ],
)
def test_misspelt_names_are_reported_with_a_suggestion(
  fields: dict, message: str
):
  with pytest.raises(ValueError, match=message):
    build.model(diffusion(**fields), SCHEMA)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    (
      {'denoiser': {'name': 'models.dcgan.Generator', 'norm': 'x'}},
      "^config.model.denoiser: norm is 'x'; it must be one of 'none', ",
    ),
    ({'prediction': 'x'}, "^model.prediction is 'x'; it must be one of "),
  ],
)
def test_a_value_that_a_class_refuses_is_reported_with_its_path(
  fields: dict, message: str
):
  with pytest.raises(ValueError, match=message):
    build.model(diffusion(**fields), SCHEMA)


def test_a_spec_without_a_name_is_an_error():
  with pytest.raises(ValueError, match=r"config\.data has no 'name'"):
    build.source({'nam': 'synthetic.world.source.World'}, (4, 8, 8, 3))


def test_context_is_passed_to_classes_with_such_parameters():
  source = build.source(
    {'name': 'synthetic.world.source.World'}, (4, 8, 8, 3), split='test'
  )
  assert (source.split, source.clip_shape) == ('test', (4, 8, 8, 3))


def test_a_name_is_the_path_of_a_class():
  source = build.source(
    {'name': 'synthetic.bounce.source.Bounce'}, (4, 16, 16, 3)
  )
  assert type(source).__module__ == 'vgen_jax.synthetic.bounce.source'
  assert source.clip_shape == (4, 16, 16, 3)


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('bounce.source.Bounce', 'mean synthetic.bounce.source.Bounce'),
    ('world', 'must be .package.file.Class., where the package is one of'),
    ('models.dit.VideoDiT', r"one of \['data', 'synthetic'\]"),
    ('synthetic.bonce.source.Bounce', "'bonce' in .*synthetic. .* 'bounce'"),
    ('synthetic.bounce.sorce.Bounce', "'sorce' in .*bounce. .* 'source'"),
    ('synthetic.bounce.source.Bonce', 'bounce.source. Did you mean .Bounce.'),
    (
      'synthetic.bounce.Bounce',
      "no class 'Bounce' in .* Did you mean 'source'",
    ),
    ('synthetic.world', "no class 'world' in vgen_jax.synthetic. .* 'world'"),
  ],
)
def test_the_wrong_part_of_a_name_is_reported(name: str, message: str):
  with pytest.raises(ValueError, match=message):
    build.source({'name': name}, (4, 16, 16, 3))


def test_a_name_without_its_package_gets_a_suggestion():
  with pytest.raises(ValueError, match=r'mean models\.dit\.VideoDiT'):
    build.model(diffusion(denoiser={'name': 'dit.VideoDiT'}), SCHEMA)


@pytest.fixture
def _own_package(tmp_path, monkeypatch):
  """A package outside vgen_jax with a network and another class."""
  (tmp_path / 'mypkg').mkdir()
  (tmp_path / 'mypkg' / '__init__.py').write_text('')
  (tmp_path / 'mypkg' / 'mynet.py').write_text(
    'import subprocess\n'
    'import flax.linen as nn\n'
    'from vgen_jax.families.diffusion import solvers\n'
    'class MyNet(nn.Module):\n'
    '  width: int\n'
    '  num_classes: int = 0\n'
    'class MySolver(solvers.Euler):\n'
    '  """Ours."""\n'
    'class MyCommand(subprocess.Popen):\n'
    '  """Would run a program."""\n'
  )
  (tmp_path / 'mypkg' / 'broken.py').write_text(
    'import no_such_module\nclass Net: ...\n'
  )
  (tmp_path / 'mypkg' / 'unfinished.py').write_text('class Net(\n')
  monkeypatch.syspath_prepend(tmp_path)
  yield
  for name in [n for n in sys.modules if n.partition('.')[0] == 'mypkg']:
    del sys.modules[name]


@pytest.mark.usefixtures('_own_package')
def test_classes_of_other_packages_are_built():
  net = {'name': 'mypkg.mynet.MyNet', 'width': 4}
  solver = {'name': 'mypkg.mynet.MySolver', 'num_steps': 3}
  model = build.model(diffusion(denoiser=net, solver=solver), SCHEMA)
  assert type(model.denoiser).__module__ == 'mypkg.mynet'
  assert (model.denoiser.width, model.denoiser.num_classes) == (4, 3)
  assert model.solver.num_steps == 3


@pytest.mark.usefixtures('_own_package')
@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('mypkg.mynet.MyNte', "no class 'MyNte' in mypkg.mynet. Did you .*'MyNet'"),
    ('mypkg.mynte.MyNet', 'or one that Python finds: install it, or add its'),
    ('mypgk.mynet.MyNet', 'or one that Python finds: install it, or add its'),
    ('mypkg.broken.Net', "import of mypkg.broken fails: No module named 'no_s"),
    ('mypkg.unfinished.Net', 'unfinished.py is not valid Python: '),
    ('mypkg.Net', "no class 'Net' in mypkg"),
    ('mypkg.mynet.MyCommand', 'must derive from flax.linen.Module or from a'),
    ('subprocess.Popen', 'must derive from flax.linen.Module or from a class'),
    ('vgen_jax.models.dit.VideoDiT', r'mean models\.dit\.VideoDiT\?'),
    ('synthetic.world.source.World', "package is one of .'families', 'models'"),
    ('mypkg..MyNet', 'must be .package.file.Class.'),
    ('.mypkg.MyNet', 'must be .package.file.Class.'),
  ],
)
def test_other_classes_are_refused(name: str, message: str):
  with pytest.raises(ValueError, match=message):
    build.model(diffusion(denoiser={'name': name}), SCHEMA)


@pytest.mark.usefixtures('_own_package')
def test_a_module_without_the_class_is_not_imported(tmp_path):
  """A name in a config.json cannot start what another module does."""
  marker = tmp_path / 'imported'
  (tmp_path / 'mypkg' / 'tool.py').write_text(
    f'import pathlib\npathlib.Path({str(marker)!r}).touch()\nclass Tool: ...\n'
  )
  with pytest.raises(ValueError, match=r"no class 'tool' in mypkg.tool. Did"):
    build.model(diffusion(denoiser={'name': 'mypkg.tool.tool'}), SCHEMA)
  assert not marker.exists()
  with pytest.raises(ValueError, match='must derive from'):
    build.model(diffusion(denoiser={'name': 'mypkg.tool.Tool'}), SCHEMA)
  assert marker.exists()


@pytest.mark.usefixtures('_own_package')
def test_code_of_other_packages_has_a_digest(tmp_path):
  """Results that are stored depend on it, as on the code of vgen_jax."""
  net = {'name': 'mypkg.mynet.MyNet', 'width': 4}
  specs = {
    'model': diffusion(denoiser=[{'inner': net}]),
    'optim': {'schedule': {'name': 'constant'}},
    'data': {'name': 'synthetic.world.source.World'},
  }
  before = classes.code_of_others(specs)
  assert list(before) == ['mypkg.mynet']
  file = tmp_path / 'mypkg' / 'mynet.py'
  file.write_text(file.read_text() + '# Changed.\n')
  after = classes.code_of_others(specs)
  assert list(after) == ['mypkg.mynet']
  assert after != before
  del specs['model']
  assert classes.code_of_others(specs) == {}
