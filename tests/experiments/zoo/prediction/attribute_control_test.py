"""Tests of attribute_control.py and attribute_criteria.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.zoo.prediction import attribute_control as experiment
from experiments.zoo.prediction import attribute_criteria as criteria
from tests import compiled
from vgen_jax.families.prediction import holistic
from vgen_jax.models import videovae
from vgen_jax.synthetic import drawing
from vgen_jax.synthetic.world import drawing as world_drawing
from vgen_jax.synthetic.world import source

SPEC = dict(
  label=('color', 'direction'),
  only=dict(
    shape='circle',
    size='large',
    direction=('right', 'down', 'left', 'up'),
    speed='slowly',
  ),
  held_out=(dict(color='red', direction='left'),),
  meets_walls=False,
)
SHAPE = (8, 16, 16, 3)
WORLD = source.World(SHAPE, 'validation', **SPEC)
HELD_OUT = source.World(SHAPE, 'test', **SPEC)
NUM = 48


def turned_clip(index: int) -> np.ndarray:
  """Returns a clip of the dataset that turns back from frame 5 on."""
  center = WORLD.truth(index).center_t2.copy()
  center[criteria.FIRST_TURNED :] = center[[3, 2, 1]]
  factors = WORLD.factors(index)
  color = np.array(drawing.COLORS[factors['color']])
  return world_drawing.render(
    'circle', WORLD.radius('large'), center, color, SHAPE
  )


@pytest.fixture(scope='module')
def ideal() -> dict[str, np.ndarray]:
  """Returns the clips of an ideal model."""
  of = lambda world: np.stack([world[i]['video'] for i in range(NUM)])
  return {
    'attributes': of(WORLD),
    'first frame': np.stack([turned_clip(i) for i in range(NUM)]),
    'held out': of(HELD_OUT),
  }


def failed(clips) -> list[str]:
  found = {
    kind: criteria.numbers(WORLD, clips[kind], request)
    for kind, request in experiment.requests(WORLD, HELD_OUT, NUM).items()
  }
  return criteria.failures(
    found['attributes'], found['first frame'], found['held out']
  )


def test_an_ideal_model_passes(ideal):
  assert failed(ideal) == []


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('clips of other attributes', {'color', 'direction'}),
    ('first frame repeated', {'direction', 'entropy', 'turn', 'held out'}),
    ('channels exchanged', {'color', 'content', 'held out'}),
    ('reversed in time', {'direction', 'turn', 'held out'}),
  ],
)
def test_clips_that_cheat_fail(ideal, name, expected):
  cheating = {kind: criteria.cheats(x)[name] for kind, x in ideal.items()}
  assert expected <= set(failed(cheating))


def test_clips_that_do_not_turn_fail(ideal):
  assert failed({**ideal, 'first frame': ideal['attributes']}) == ['turn']


def test_one_sided_and_random_directions_fail(ideal):
  request = experiment.requests(WORLD, HELD_OUT, NUM)['attributes']
  right_b = request.direction_b == 0
  right = np.resize(ideal['attributes'][right_b], ideal['attributes'].shape)
  assert 'entropy' in failed({**ideal, 'attributes': right})
  shuffled = np.random.default_rng(0).permutation(ideal['attributes'])
  found = failed({**ideal, 'attributes': shuffled})
  assert {'direction', 'conditional entropy'} <= set(found)


def test_a_colour_that_changes_over_time_fails(ideal):
  flickering = ideal['first frame'].copy()
  flickering[:, ::2] = flickering[:, ::2][..., [1, 2, 0]]
  assert 'content' in failed({**ideal, 'first frame': flickering})


def tiny() -> holistic.Holistic:
  network = videovae.VideoVAE(
    SHAPE,
    num_classes=24,
    attribute_sizes=(6, 4),
    latent_width=2,
    layers=((4, 4, 2), (4, 3, 2)),
    dense_widths=(),
    code_width=6,
    hidden_width=4,
    stage_width=6,
    dropout=0.0,
  )
  return holistic.Holistic(SHAPE, network)


def test_changed_networks_have_the_prior_that_they_state():
  model = tiny()
  hidden = jax.random.normal(jax.random.key(0), (3, 4))
  one_hot = jnp.eye(10)[:3]
  network = model.predictor
  variables = compiled.init(
    network, jax.random.key(1), hidden, one_hot, method='prior'
  )

  def prior(cls, hidden=hidden, one_hot=one_hot):
    changed = experiment.with_network(cls, model).predictor
    assert type(changed) is cls
    assert changed.sizes == (6, 4)
    found = compiled.apply(changed, variables, hidden, one_hot, method='prior')
    return found.mean

  plain = prior(videovae.VideoVAE)
  other = jnp.eye(10)[jnp.array([4, 0, 8])]
  assert np.abs(prior(videovae.VideoVAE, one_hot=other) - plain).max() > 1e-4
  np.testing.assert_array_equal(
    prior(experiment.BlindPrior), prior(experiment.BlindPrior, one_hot=other)
  )
  np.testing.assert_array_equal(
    prior(experiment.OtherPrior),
    prior(videovae.VideoVAE, one_hot=jnp.roll(one_hot, 1, axis=0)),
  )
  stateless = prior(experiment.StatelessPrior)
  assert np.abs(stateless - plain).max() > 1e-4
  np.testing.assert_array_equal(
    stateless, prior(experiment.StatelessPrior, hidden=2 * hidden)
  )
