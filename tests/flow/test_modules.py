"""The modules API of an application with several services, through Google's
SDK: what it says, and what it changes."""
import pytest

from flow.test_scaling import until
from flow import sdkapp
from flow.sdkapp import Failed, ask, value

APP = 'counted'


@pytest.fixture(scope='module')
def m(with_sdk):
    """The app `counted`: a default service that scales by itself, with two
    versions, and `worker`, whose instances are counted."""
    sdkapp.deploy(with_sdk, APP, 'v1')
    sdkapp.deploy(with_sdk, APP, 'v2', query='?promote=false')
    sdkapp.deploy(with_sdk, APP, 'w1', instances=1, service='worker')
    return with_sdk


def app(m, expression):
    """As the default service's instance says it."""
    return value(m, expression, f'{APP}.localhost')


def started(m):
    try:
        app(m, 'modules.start_version("worker", "w1")')
    except Failed as e:
        assert 'TransientError' in str(e)
        return False
    return True


def answering(m, host):
    """The instances behind a host name, by what they say of themselves."""
    return {ask(m, '', f'{host}.{APP}.localhost')['instance']
            for _ in range(20)}


def test_the_app_knows_its_services_and_versions(m):
    assert app(m, 'modules.get_current_module_name()') == 'default'
    assert app(m, 'modules.get_current_version_name()') == 'v1'
    assert sorted(app(m, 'list(modules.get_modules())')) == ['default', 'worker']
    assert sorted(app(m, 'list(modules.get_versions())')) == ['v1', 'v2']
    assert app(m, 'list(modules.get_versions("worker"))') == ['w1']
    assert app(m, 'modules.get_default_version()') == 'v1'


def test_the_default_version_has_the_largest_share(m):
    def move(allocations):
        status, op = m.api(
            'PATCH', f'/v1/apps/{APP}/services/default?updateMask=split',
            {'split': {'shardBy': 'RANDOM', 'allocations': allocations}})
        assert status == 200, op
        m.finish(op)

    move({'v1': 0.25, 'v2': 0.75})
    try:
        assert app(m, 'modules.get_default_version()') == 'v2'
    finally:
        move({'v1': 1})
    assert app(m, 'modules.get_default_version()') == 'v1'


def test_host_names_lead_where_they_say(m):
    port = m.settings['http_port']
    assert app(m, 'modules.get_hostname("worker")') == \
        f'w1.worker.{APP}.localhost:{port}'
    host = app(m, 'modules.get_hostname("worker", "w1", "0")')
    assert host == f'0.w1.worker.{APP}.localhost:{port}'
    assert value(m, 'modules.get_current_version_name()', host) == 'w1'


def test_instances_are_counted_and_changed(m):
    count = 'modules.get_num_instances("worker")'
    assert app(m, count) == 1
    app(m, 'modules.set_num_instances(2, "worker", "w1")')
    assert app(m, count) == 2
    assert answering(m, 'worker') == {'0', '1'}
    # Its own version, from within.
    value(m, 'modules.set_num_instances(1)', f'worker.{APP}.localhost')
    assert app(m, count) == 1
    until(lambda: answering(m, 'worker') == {'0'})   # the other one drains
    with pytest.raises(Failed, match='at least one instance'):
        app(m, 'modules.set_num_instances(0, "worker")')
    with pytest.raises(Failed, match='InvalidVersionError'):
        app(m, 'modules.set_num_instances(2, "default")')


def test_a_version_is_stopped_and_started(m):
    host = f'worker.{APP}.localhost'
    assert ask(m, '', host)['instance'] == '0'
    app(m, 'modules.stop_version("worker", "w1")')
    assert m.post('/', host=host).status_code == 503
    # What is stopped already is no error for the SDK.
    app(m, 'modules.stop_version("worker", "w1")')
    app(m, 'modules.start_version("worker", "w1")')
    assert ask(m, '', host)['instance'] == '0'
    app(m, 'modules.start_version("worker", "w1")')


def test_a_version_stops_itself(m):
    host = f'worker.{APP}.localhost'
    value(m, 'modules.stop_version()', host)
    wait = '''[time.sleep(0.05) for _ in iter(lambda: requests.get(
        "http://127.0.0.1:PORT/", headers={"Host": "HOST"}).status_code != 503,
        False)] and 1'''
    app(m, ' '.join(wait.split()).replace('HOST"}', f'{host}"}}').replace(
        'PORT', str(m.settings['http_port'])))
    until(lambda: started(m))    # not before the one that asked is gone
    assert ask(m, '', host)['instance'] == '0'
