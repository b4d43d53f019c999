"""The SDK tests: one emulator for all, a namespace of its own for each."""
import itertools

import pytest

from google.appengine.api import namespace_manager

from lib import sdk
from lib.emulator import REFERENCE

numbers = itertools.count(1)


@pytest.fixture
def api(emulator):
    """The SDK, connected; an empty namespace is the current one."""
    sdk.connect(emulator.host, emulator.port, emulator.project)
    namespace_manager.set_namespace(f'test{next(numbers)}')
    yield emulator
    namespace_manager.set_namespace('')


@pytest.fixture(autouse=True)
def no_reference(request):
    """skip_on_reference(reason): where Google's stub is the one to blame."""
    mark = request.node.get_closest_marker('skip_on_reference')
    if REFERENCE and mark:
        pytest.skip(mark.args[0])
