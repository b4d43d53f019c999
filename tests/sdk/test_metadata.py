"""The metadata server of the emulator, by hand and through Google's libraries:
app_identity of the SDK and google-auth."""
import os
import subprocess
import sys
import textwrap

import pytest
import requests

from google.auth import jwt

from lib import sdk

pytestmark = pytest.mark.skip_on_reference('the stub has none')
FLAVOR = {'Metadata-Flavor': 'Google'}
EMAIL = f'{sdk.PROJECT}@appspot.gserviceaccount.com'


@pytest.fixture
def ask(emulator):
    def get(path, headers=FLAVOR, **params):
        return requests.get(
            f'http://{emulator.host}:{emulator.port}{path}', headers=headers,
            params=params, timeout=60)
    return get


@pytest.fixture
def metadata(ask):
    return lambda path, **params: ask(f'/computeMetadata/v1/{path}', **params)


VALUES = [
    ('', 'project/\ninstance/\n'),
    ('project/project-id', sdk.PROJECT),
    ('instance/service-accounts/', f'default/\n{EMAIL}/\n'),
    ('instance/service-accounts/default/',
     'aliases\nemail\nscopes\nidentity\ntoken\n'),
    ('instance/service-accounts/default/email', EMAIL),
    (f'instance/service-accounts/{EMAIL}/email', EMAIL),
    ('instance/service-accounts/default/aliases', 'default\n'),
]


@pytest.mark.parametrize('path, text', VALUES, ids=[v[0] for v in VALUES])
def test_a_path_has_a_value_or_names(metadata, path, text):
    r = metadata(path)
    assert (r.status_code, r.text) == (200, text)
    assert r.headers['Metadata-Flavor'] == 'Google'
    assert r.headers['Content-Type'] == 'application/text'
    assert r.headers['ETag'] == metadata(path).headers['ETag']


def test_the_instance_has_a_place(metadata):
    number = metadata('project/numeric-project-id').text
    assert number.isdigit() and len(number) == 12
    for name in ('id', 'name', 'hostname'):
        assert metadata(f'instance/{name}').text
    assert metadata('instance/zone').text.startswith(
        f'projects/{number}/zones/')
    assert metadata('instance/region').text.startswith(
        f'projects/{number}/regions/')


def test_everything_below_a_path_comes_at_once(metadata):
    r = metadata('', recursive='true')
    assert r.headers['Content-Type'] == 'application/json'
    tree = r.json()
    assert tree['project']['projectId'] == sdk.PROJECT
    assert isinstance(tree['project']['numericProjectId'], int)
    account = tree['instance']['serviceAccounts']['default']
    assert account['email'] == EMAIL and account['aliases'] == ['default']
    assert 'token' not in account
    assert metadata('project/', alt='json').json() == tree['project']
    assert metadata('project/project-id', alt='json').json() == sdk.PROJECT
    assert f'project-id {sdk.PROJECT}' in metadata(
        'project/', recursive='true', alt='text').text.split('\n')


def test_who_waits_for_a_change_is_answered(metadata):
    etag = metadata('project/project-id').headers['ETag']
    r = metadata('project/project-id', wait_for_change='true', last_etag=etag,
                 timeout_sec='1')
    assert (r.text, r.headers['ETag']) == (sdk.PROJECT, etag)
    assert r.elapsed.total_seconds() >= 0.9
    assert metadata('project/project-id', wait_for_change='true',
                    last_etag='older').text == sdk.PROJECT


REFUSED = [
    ('no flavor', 403, 'project/project-id', {'headers': {}}),
    ('another flavor', 403, 'project/project-id',
     {'headers': {'Metadata-Flavor': 'Vanilla'}}),
    ('through a proxy', 403, 'project/project-id',
     {'headers': {**FLAVOR, 'X-Forwarded-For': '1.2.3.4'}}),
    ('nothing there', 404, 'instance/attributes/ssh-keys', {}),
    ('below a value', 404, 'project/project-id/x', {}),
    ('no audience', 400, 'instance/service-accounts/default/identity', {}),
    ('another form', 400, 'project/', {'alt': 'xml'}),
    ('another account', 404, 'instance/service-accounts/a@b.c/token', {}),
]


@pytest.mark.parametrize('label, status, path, more', REFUSED,
                         ids=[r[0] for r in REFUSED])
def test_what_is_not_right_is_refused(metadata, label, status, path, more):
    assert metadata(path, **more).status_code == status


def test_an_identity_token_is_checked_with_the_published_key(ask, metadata):
    token = metadata('instance/service-accounts/default/identity',
                     audience='https://example.com/a?b').text
    certs = ask(f'/_ah/certs/{sdk.PROJECT}', headers={}).json()
    claims = jwt.decode(token, certs=certs, audience='https://example.com/a?b')
    assert claims['email'] == claims['sub'] == EMAIL
    assert claims['iss'] == f'http://{sdk.PROJECT}.localhost'
    with pytest.raises(ValueError):
        jwt.decode(token, certs=certs, audience='https://example.com/')
    assert ask('/_ah/certs/nobody', headers={}).status_code == 404


LIBRARIES = '''
    import google.auth
    import google.auth.transport.requests
    from google.oauth2 import id_token
    from google.appengine.api import app_identity

    scope = 'https://www.googleapis.com/auth/taskqueue'
    token, end = app_identity.get_access_token([scope])
    assert token.startswith('as2.'), token

    credentials, project = google.auth.default()
    request = google.auth.transport.requests.Request()
    credentials.refresh(request)
    assert credentials.token.startswith('as2.') and credentials.valid
    assert project == 'PROJECT', project
    assert credentials.service_account_email == 'EMAIL'
    assert id_token.fetch_id_token(request, 'https://a').count('.') == 2
'''


def test_the_libraries_find_it(emulator):
    host = f'{emulator.host}:{emulator.port}'
    env = {**os.environ, **sdk.environment(
        emulator.host, emulator.port, sdk.PROJECT),
        'GCE_METADATA_HOST': host, 'GCE_METADATA_IP': host}
    text = textwrap.dedent(LIBRARIES).replace(
        'PROJECT', sdk.PROJECT).replace('EMAIL', EMAIL)
    done = subprocess.run([sys.executable, '-c', text], env=env, timeout=60,
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
