"""Machines for the flow tests."""
import pytest

from flow.machine import Machine


@pytest.fixture(scope='session')
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp('cache')


@pytest.fixture
def machine(tmp_path, cache):
    """One that the test starts itself."""
    m = Machine(tmp_path / 'root', cache)
    yield m
    m.erase()


@pytest.fixture
def open_machine(tmp_path, cache):
    """One whose applications may write where the test looks."""
    m = Machine(tmp_path / 'root', cache, sandbox='off')
    yield m
    m.erase()


@pytest.fixture(scope='module')
def running(tmp_path_factory, cache):
    """One that runs, shared by the tests of a file, with the app `demo`."""
    from flow import apps
    m = Machine(tmp_path_factory.mktemp('machine'), cache).up()
    m.deploy('demo', 'one', apps.server('one'), **apps.PLAIN)
    yield m
    m.erase()


@pytest.fixture(scope='session')
def with_sdk(tmp_path_factory, cache):
    """One that runs, with an app that has Google's SDK (sdkapp.py): `demo`,
    two instances of it, and its service `auto`, which scales by itself."""
    from flow import sdkapp
    m = Machine(tmp_path_factory.mktemp('machine'), cache).up()
    sdkapp.deploy(m, 'demo', 'one', instances=2)
    sdkapp.deploy(m, 'demo', 'auto', service='auto')
    yield m
    m.erase()
