"""The SDK tests: one emulator for all, a namespace of its own for each.

The composite indexes that the queries need stand in app/index.yaml, as an
app's own would.
"""
import itertools
import os

import pytest

from google.appengine.api import namespace_manager
from google.appengine.ext.ndb import tasklets

from lib import paths, sdk
from lib.emulator import Emulator, REFERENCE

numbers = itertools.count(1)


@pytest.fixture(scope='session')
def emulator():
    appdir = os.path.join(paths.ROOT, 'tests', 'sdk', 'app')
    with Emulator(project=sdk.PROJECT, appdir=appdir) as emu:
        yield emu
        assert emu.stop() == 0, emu.output()


@pytest.fixture
def api(emulator):
    """The SDK, connected, in an empty namespace; ndb without its caches."""
    before = dict(os.environ)       # an app's, not for the programs we start
    sdk.connect(emulator.host, emulator.port)
    namespace_manager.set_namespace(f'test{next(numbers)}')
    context = tasklets.make_default_context()
    context.set_cache_policy(False)
    context.set_memcache_policy(False)
    tasklets.set_context(context)
    yield emulator
    namespace_manager.set_namespace('')
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def no_reference(request):
    """skip_on_reference(reason): where Google's stub is the one to blame."""
    mark = request.node.get_closest_marker('skip_on_reference')
    if REFERENCE and mark:
        pytest.skip(mark.args[0])
