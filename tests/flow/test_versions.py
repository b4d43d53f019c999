"""Services and versions: who gets the traffic, and what can be changed."""
import collections
import concurrent.futures
import json
import os
import signal
import time

import pytest

from flow import apps
from flow.machine import Failed, Machine, archive
from lib import paths

SERVICES = '/v1/apps/demo/services'
WARM = {'inboundServices': ['INBOUND_SERVICE_WARMUP']}


@pytest.fixture(scope='module')
def shared(tmp_path_factory, cache):
    """Two services: default with the versions a, b, c; work with one."""
    m = Machine(tmp_path_factory.mktemp('machine'), cache,
                migration_seconds=1).up()
    deploy(m, 'a')
    for version in 'b', 'c':
        deploy(m, version, query='?promote=false', **WARM)
    deploy(m, 'one', service='work', manualScaling={'instances': 2})
    yield m
    m.erase()


@pytest.fixture
def m(shared):
    """The same, with all of the traffic on a."""
    change(shared, 'default', split('a'))
    shared.get()
    return shared


def deploy(m, version, service='default', **more):
    return m.deploy('demo', version, apps.server(f'{service}-{version}'),
                    service=service, **apps.PLAIN, **more)


def split(*shares, by=None, **allocations):
    allocations = allocations or {shares[0]: 1}
    return {'split': {'allocations': allocations,
                      **({'shardBy': by} if by else {})}}


def patch(m, path, mask, body, query=''):
    return m.api('PATCH', f'{SERVICES}/{path}?updateMask={mask}{query}', body)


def change(m, path, body, mask='split', query=''):
    """Made and followed to its end; the steps it showed."""
    status, op = patch(m, path, mask, body, query)
    if status != 200:
        raise Failed(op['error']['message'])
    return m.finish(op)


def service(m, name='default'):
    return m.api('GET', f'{SERVICES}/{name}')[1]


def allocations(m, name='default'):
    return service(m, name)['split']['allocations']


def instances(m, version, name='default'):
    return m.api('GET', f'{SERVICES}/{name}/versions/{version}/instances')[1][
        'instances']


def until(condition, within=60):
    end = time.monotonic() + within * paths.SLOWNESS
    while not (got := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return got


def texts(m, n=1, **kwargs):
    return [m.get(**kwargs).json()['text'] for _ in range(n)]


# ---- traffic ----

def test_traffic_is_split_by_cookie(m):
    change(m, 'default', split(a=0.25, b=0.75, by='COOKIE'))
    seen = {}
    for bucket in range(0, 1000, 50):
        cookie = {'Cookie': f'GOOGAPPUID={bucket}'}
        first, second = texts(m, 2, headers=cookie)
        assert first == second
        seen[bucket] = first
    assert collections.Counter(seen.values()) == {'default-a': 5,
                                                  'default-b': 15}
    assert texts(m, host='c-dot-demo.localhost') == ['default-c']


def test_traffic_is_split_at_random_and_loses_no_request(m):
    failed, done, seen = [], [], collections.Counter()

    def ask():
        while not done:
            answer = m.get()
            if answer.status_code != 200:
                failed.append(answer.status_code)
            else:
                seen[answer.json()['text']] += 1

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            change(m, 'default', split(a=0.4, b=0.3, c=0.3, by='RANDOM'))
            until(lambda: min(seen[f'default-{v}'] for v in 'abc') > 3)
            change(m, 'default', split('b'))
            m.finish(m.api('POST', f'{SERVICES}/default:rollback')[1])
            change(m, 'default', split('c'))
        finally:
            done.append(True)
        for a in asking:
            a.result()
    assert failed == []
    assert texts(m, 5) == ['default-c'] * 5


def test_who_loses_its_share_loses_its_instances(m):
    change(m, 'default', split(a=0.5, b=0.5))
    assert instances(m, 'b')
    change(m, 'default', split('a'))
    until(lambda: not instances(m, 'b'))
    assert instances(m, 'a')


@pytest.mark.parametrize('body, want', [
    (split(a=0.5), 'add up to 0.5'),
    (split(a=0.5, x=0.5), 'no version "x"'),
    (split(a=0.125, b=0.875), 'at most 2 decimals'),
    ({'split': {'allocations': {'a': 1}, 'shardBy': 'MOON'}}, 'MOON'),
    ({}, 'must name the versions')])
def test_a_split_that_is_wrong_is_refused(m, body, want):
    with pytest.raises(Failed, match=want):
        change(m, 'default', body)
    assert allocations(m) == {'a': 1}


def test_a_mask_that_is_unknown_is_refused(m):
    for path, mask in (('default', 'labels'), ('default', ''),
                       ('work/versions/one', 'runtime')):
        status, answer = patch(m, path, mask, {'labels': {}})
        assert status == 400 and 'updateMask' in answer['error']['message']


def test_a_rollback_goes_back_and_back_again(m):
    change(m, 'default', split(a=0.5, b=0.5, by='RANDOM'))
    change(m, 'default', split('c'))
    for want in {'a': 0.5, 'b': 0.5}, {'c': 1}:
        m.finish(m.api('POST', f'{SERVICES}/default:rollback')[1])
        assert allocations(m) == want
    status, answer = m.api('POST', f'{SERVICES}/work:rollback')
    assert status == 400 and 'nothing to go back to' in str(answer)


def test_traffic_migrates_in_steps(m):
    status, op = patch(m, 'default', 'split', split('b', by='RANDOM'),
                       '&migrateTraffic=true')
    assert status == 200, op
    seen = []

    def look():
        share = allocations(m).get('b', 0)
        if share and (not seen or seen[-1] != share):
            seen.append(share)
        return share == 1

    until(look)
    assert seen == sorted(seen) and len(seen) > 2
    m.finish(m.api('GET', '/v1/' + op['name'])[1])
    assert 'migration' not in service(m)
    m.finish(m.api('POST', f'{SERVICES}/default:rollback')[1])
    assert allocations(m) == {'a': 1}


@pytest.mark.parametrize('where, body, want', [
    ('default', split('b'), 'needs split.shardBy'),
    ('work', split('one', by='IP'), None),
    ('default', split('cold', by='IP'), 'takes no warm-up'),
    ('default', split('fixed', by='IP'), 'no automatic scaling')])
def test_a_gradual_migration_wants_what_google_wants(m, where, body, want):
    for version, more in (('cold', {}), ('fixed', {'basicScaling': {
            'maxInstances': 1}})):
        if version in str(body):
            deploy(m, version, query='?promote=false', **more)
    try:
        if want is None:        # it has everything already
            change(m, where, body, query='&migrateTraffic=true')
        else:
            with pytest.raises(Failed, match=want):
                change(m, where, body, query='&migrateTraffic=true')
    finally:
        for version in 'cold', 'fixed':
            if version in str(body):
                m.finish(m.api('DELETE', f'{SERVICES}/default/versions/'
                               f'{version}')[1])


def test_another_change_ends_a_migration_where_it_is(machine):
    machine.settings['migration_seconds'] = 600
    rewrite(machine)
    op = migrating(machine)
    change(machine, 'default', split('a'))
    assert allocations(machine) == {'a': 1}
    assert 'migration' not in service(machine)
    os.kill(machine.controller.pid, signal.SIGKILL)
    machine.controller.wait()
    machine.up()
    assert allocations(machine) == {'a': 1}
    assert op['name']


def rewrite(m):
    with open(m.config, 'w') as f:
        json.dump(m.settings, f)


def migrating(m):
    """Two versions, and a migration from a to b that has begun."""
    m.up()
    deploy(m, 'a')
    deploy(m, 'b', query='?promote=false', **WARM)
    status, op = patch(m, 'default', 'split', split('b', by='RANDOM'),
                       '&migrateTraffic=true')
    assert status == 200, op
    until(lambda: 'Migrating' in m.api('GET', '/v1/' + op['name'])[1][
        'metadata']['ephemeralMessage'])
    return op


def test_the_next_controller_goes_on_with_a_migration(machine):
    machine.settings['migration_seconds'] = 30
    rewrite(machine)
    op = migrating(machine)
    os.kill(machine.controller.pid, signal.SIGKILL)
    machine.controller.wait()
    machine.settings['migration_seconds'] = 1
    rewrite(machine)
    machine.up()
    machine.finish(machine.api('GET', '/v1/' + op['name'])[1])
    assert allocations(machine) == {'b': 1}
    assert machine.get().json()['text'] == 'default-b'


# ---- versions ----

def test_a_version_is_stopped_and_started(m):
    path = 'work/versions/one'
    host = 'work-dot-demo.localhost'
    assert texts(m, host=host) == ['work-one']
    change(m, path, {'servingStatus': 'STOPPED'}, 'servingStatus')
    assert m.get(host=host).status_code == 503
    until(lambda: not instances(m, 'one', 'work'))
    assert m.api('GET', f'{SERVICES}/{path}')[1]['servingStatus'] == 'STOPPED'
    with pytest.raises(Failed, match='is stopped'):
        change(m, 'work', split('one'))
    m.down()
    m.up()
    assert m.get(host=host).status_code == 503
    change(m, path, {'servingStatus': 'SERVING'}, 'servingStatus')
    assert texts(m, host=host) == ['work-one']
    assert len(instances(m, 'one', 'work')) == 2


def test_automatic_versions_are_not_stopped(m):
    with pytest.raises(Failed, match='automatic scaling'):
        change(m, 'default/versions/a', {'servingStatus': 'STOPPED'},
               'servingStatus')


def test_the_number_of_instances_is_set(m):
    path = 'work/versions/one'
    for n in 3, 2:
        change(m, path, {'manualScaling': {'instances': n}},
               'manualScaling.instances')
        until(lambda: len(instances(m, 'one', 'work')) == n)
    with pytest.raises(Failed, match='instances_max'):
        change(m, path, {'manualScaling': {'instances': 999}},
               'manual_scaling.instances')
    with pytest.raises(Failed, match='automatic scaling, and so no'):
        change(m, 'default/versions/a', {'manualScaling': {'instances': 2}},
               'manualScaling.instances')


def test_the_bounds_of_automatic_scaling_are_set(m):
    path = 'default/versions/a'
    change(m, path, {'automaticScaling': {'standardSchedulerSettings': {
        'minInstances': 2, 'maxInstances': 3}}}, 'automaticScaling')
    full = m.api('GET', f'{SERVICES}/{path}?view=FULL')[1]['scalingInForce']
    assert (full['min_instances'], full['max_instances']) == (2, 3)
    until(lambda: len(instances(m, 'a')) == 2)
    with pytest.raises(Failed, match='less than min_instances'):
        change(m, path, {'automaticScaling': {'standardSchedulerSettings': {
            'minInstances': 9}}}, 'automaticScaling')
    change(m, path, {'automaticScaling': {'standardSchedulerSettings': {
        'minInstances': 0, 'maxInstances': 1}}}, 'automaticScaling')
    until(lambda: len(instances(m, 'a')) == 1)


def test_another_class_is_another_deployment_of_the_same_version(m):
    before = m.get().json()['env']
    change(m, 'default/versions/a', {'instanceClass': 'F4'}, 'instanceClass')
    after = m.get().json()['env']
    assert (before['GAE_MEMORY_MB'], after['GAE_MEMORY_MB']) == ('384', '1536')
    assert before['GAE_DEPLOYMENT_ID'] < after['GAE_DEPLOYMENT_ID']
    with pytest.raises(Failed, match='use one of F1'):
        change(m, 'default/versions/a', {'instanceClass': 'B8'},
               'instanceClass')


def test_an_instance_is_replaced(m):
    before = m.get().json()['life']
    until(lambda: len(instances(m, 'a')) == 1)
    name = instances(m, 'a')[0]['id']
    status, op = m.api('DELETE', f'{SERVICES}/default/versions/a/instances/'
                       f'{name}')
    assert status == 200
    m.finish(op)
    assert m.get().json()['life'] != before
    assert m.api('DELETE', f'{SERVICES}/default/versions/a/instances/99')[
        0] == 404


def test_a_version_with_traffic_is_not_deleted(m):
    change(m, 'default', split(a=0.9, c=0.1))
    status, answer = m.api('DELETE', f'{SERVICES}/default/versions/c')
    assert status == 400 and '10 %' in answer['error']['message']


def test_a_version_without_a_name_gets_one(m):
    doc = {'runtime': 'python311', **apps.PLAIN, 'deployment': {'zip': {
        'sourceUrl': m.upload(archive(apps.server('unnamed')))}}}
    status, op = m.api(
        'POST', f'{SERVICES}/default/versions?promote=false', doc)
    assert status == 200, op
    m.finish(op)
    ids = [v['id'] for v in m.api('GET', f'{SERVICES}/default/versions')[1][
        'versions']]
    new, = set(ids) - set('abc')
    assert len(new) == 15 and new[8] == 't'
    m.finish(m.api('DELETE', f'{SERVICES}/default/versions/{new}')[1])


# ---- services, and the app ----

def test_the_scaling_of_a_service_is_set_and_taken_back(m):
    change(m, 'default', {'scaling': {'max_instances': 5, 'interval': '1s'}},
           'scaling')
    change(m, 'default', {'scaling': {'interval': None}}, 'scaling')
    assert service(m)['scaling'] == {'max_instances': 5}
    full = m.api('GET', f'{SERVICES}/default/versions/a?view=FULL')[1]
    assert full['scalingInForce']['max_instances'] == 5
    for bad, want in (({'max_instances': 0.5}, 'whole number'),
                      ({'speed': 1}, 'no scaling parameter "speed"'),
                      ({'min_instances': 9}, 'less than min_instances')):
        with pytest.raises(Failed, match=want):
            change(m, 'default', {'scaling': bad}, 'scaling')
    with pytest.raises(Failed, match='do not fit'):
        deploy(m, 'big', query='?promote=false', automaticScaling={
            'standardSchedulerSettings': {'minInstances': 6}})
    change(m, 'default', {'scaling': {'max_instances': None}}, 'scaling')
    assert 'scaling' not in service(m)


def test_dispatch_rules_send_requests_to_services(m):
    def rules(*rules):
        status, op = m.api(
            'PATCH', '/v1/apps/demo?updateMask=dispatchRules',
            {'dispatchRules': [{'domain': d, 'path': p, 'service': s}
                               for d, p, s in rules]})
        if status != 200:
            raise Failed(op['error']['message'])
        m.finish(op)

    rules(('*', '/work/*', 'work'))
    assert texts(m, path='/work/x') == ['work-one']
    assert texts(m, path='/workers') == ['default-a']
    assert m.api('GET', '/v1/apps/demo')[1]['dispatchRules'] == [
        {'domain': '*', 'path': '/work/*', 'service': 'work'}]
    status, answer = m.api('DELETE', f'{SERVICES}/work')
    assert status == 400 and 'dispatch.yaml' in answer['error']['message']
    for bad, want in ((('*', '/a*b', 'work'), 'invalid path'),
                      (('1.2.3.4', '/', 'work'), 'ipv4'),
                      (('*', '/', 'none'), 'no service "none"')):
        with pytest.raises(Failed, match=want):
            rules(bad)
    with pytest.raises(Failed, match='at most 20'):
        rules(*[('*', '/', 'work')] * 21)
    rules()
    assert texts(m, path='/work/x') == ['default-a']
