"""modules: the emulator's app is one service with one version, which scales by
itself.  tests/flow/test_modules.py has several of them."""
import pytest

from google.appengine.api import modules

from lib import sdk

pytestmark = pytest.mark.skip_on_reference('the stub knows no app')


def test_the_app_has_one_service_and_one_version(api):
    assert modules.get_modules() == ['default']
    assert modules.get_versions() == [modules.get_default_version()]
    assert modules.get_versions('default') == modules.get_versions()
    assert modules.get_default_version('default') in modules.get_versions()


def test_a_host_name_leads_to_the_version(api):
    version = modules.get_default_version()
    assert modules.get_hostname('default', version) == \
        f'{version}.default.{sdk.PROJECT}.localhost'
    assert modules.get_hostname('default') == \
        modules.get_hostname('default', version)


REFUSED = [
    ('versions of no service', modules.InvalidModuleError,
     lambda: modules.get_versions('nothing')),
    ('the default version of no service', modules.InvalidModuleError,
     lambda: modules.get_default_version('nothing')),
    ('the host of no service', modules.InvalidModuleError,
     lambda: modules.get_hostname('nothing')),
    ('the host of no version', modules.InvalidModuleError,
     lambda: modules.get_hostname('default', 'nothing')),
    ('an instance of one that scales by itself',
     modules.InvalidInstancesError,
     lambda: modules.get_hostname('default', instance='0')),
    ('how many it has', modules.InvalidVersionError,
     lambda: modules.get_num_instances('default')),
    ('how many it should have', modules.InvalidVersionError,
     lambda: modules.set_num_instances(2, 'default')),
    ('its start', modules.InvalidVersionError,
     lambda: modules.start_version('default',
                                   modules.get_default_version())),
    ('its end', modules.InvalidVersionError,
     lambda: modules.stop_version('default')),
    ('the end of no version', modules.InvalidVersionError,
     lambda: modules.stop_version('default', 'nothing')),
]


@pytest.mark.parametrize('label, error, call', REFUSED,
                         ids=[r[0] for r in REFUSED])
def test_what_is_not_there_is_refused(api, label, error, call):
    with pytest.raises(error):
        call()
