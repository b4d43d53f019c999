"""Background threads and figures of an application with several instances."""
import pytest

from flow import sdkapp
from flow.sdkapp import value


@pytest.fixture
def m(with_sdk):
    return with_sdk


def at(m, instance, expression):
    """The expression's value on that instance of `demo`."""
    return value(m, ' '.join(expression.split()),
                 f'{instance}.one.default.demo.localhost')


START = '''[told.update(ended=threading.Event(), go=threading.Event()),
    background_thread.start_new_background_thread(lambda: (
        told["go"].wait(), told.update(life=LIFE),
        told["ended"].set()), ())] and LIFE'''


@pytest.mark.parametrize('instance', [0, 1])
def test_a_background_thread_runs_in_the_instance_that_asked(m, instance):
    life = at(m, instance, START)
    # The request that asked is over, the thread is not.
    assert at(m, instance, 'told["go"].set() or told["ended"].wait(30)')
    assert at(m, instance, 'told["life"]') == life
    assert at(m, instance, 'os.environ["GAE_INSTANCE"]') == str(instance)


def test_many_at_once_find_their_way(m):
    start = '''[background_thread.start_new_background_thread(
        told.setdefault("many", []).append, (i,)) for i in range(20)] and LIFE
    '''
    lives = [at(m, i, start) for i in (0, 1, 0)]
    assert lives[0] == lives[2] != lives[1]
    waits = '''[time.sleep(0.01) for _ in iter(
        lambda: len(told["many"]) < WANT, False)] and 0 or told["many"]'''
    for i, times in ((0, 2), (1, 1)):
        assert sorted(at(m, i, waits.replace('WANT', str(20 * times)))) == \
            sorted(times * list(range(20)))


def test_there_are_none_on_automatic_scaling(m):
    with pytest.raises(sdkapp.Failed) as e:
        value(m, 'background_thread.start_new_background_thread(print, ())',
              'auto.demo.localhost')
    assert e.value.args[0] == 'FrontendsNotSupported'


def test_the_figures_are_those_of_the_instance(m):
    work = '''(lambda until: [0 for _ in iter(
        lambda: time.thread_time() < until, False)] and 1)(
            time.thread_time() + 0.5)'''
    total = 'runtime.cpu_usage().total'
    before, other = at(m, 0, total), at(m, 1, total)
    at(m, 0, work)
    assert at(m, 0, total) - before >= 0.9 * 0.5 * 1200
    assert at(m, 1, total) - other < 0.5 * 1200
    current, average = at(m, 0, '''(lambda u: [u.current, u.average1m])(
        runtime.memory_usage())''')
    assert 10 < current < 1000 and 10 < average < 1000
