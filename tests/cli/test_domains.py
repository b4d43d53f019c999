"""`appscale domains` and `appscale certificates`."""
import pytest

from cli.test_versions import write
from lib import tls
from lib.platform import Platform


@pytest.fixture(scope='module')
def platform(tmp_path_factory):
    p = Platform()
    try:
        p.up()
        p.deploy(str(write(tmp_path_factory.mktemp('app') / 'web')),
                 '--project', 'shop', '--version', 'v1')
        yield p
    finally:
        p.close()


def pair(folder, issued):
    raw = issued.raw()
    for name, text in (('cert', raw['publicCertificate']),
                       ('key', raw['privateKey'])):
        (folder / name).write_text(text)
    return ['--certificate', str(folder / 'cert'), '--key',
            str(folder / 'key')]


def test_a_certificate_and_a_domain_come_and_go(platform, tmp_path):
    made = platform.json('certificates', 'create', '--name', 'mine',
                         *pair(tmp_path, tls.Issued('my.org')))
    listed = platform.cli('certificates', 'list').stdout
    assert made['id'] in listed and 'my.org' in listed and 'mine' in listed
    assert 'privateKey' not in platform.cli('certificates', 'describe',
                                            made['id']).stdout
    platform.cli('domains', 'add', 'my.org', '--certificate', made['id'])
    assert made['id'] in platform.cli('domains', 'list').stdout
    used = platform.cli('certificates', 'delete', made['id'], check=False)
    assert used.returncode == 1 and 'my.org' in used.stderr
    platform.cli('certificates', 'update', made['id'],
                 *pair(tmp_path, tls.Issued('my.org')))
    platform.cli('domains', 'remove', 'my.org')
    platform.cli('certificates', 'delete', made['id'])
    assert platform.json('certificates', 'list') == []


def test_a_key_of_another_certificate_is_refused(platform, tmp_path):
    one, two = tls.Issued('a.org'), tls.Issued('b.org')
    both = pair(tmp_path, one)
    (tmp_path / 'key').write_text(two.raw()['privateKey'])
    refused = platform.cli('certificates', 'create', *both, check=False)
    assert refused.returncode == 4 and 'key' in refused.stderr
    missing = platform.cli('certificates', 'create', '--certificate', both[1],
                           '--key', str(tmp_path / 'no'), check=False)
    assert missing.returncode == 4 and str(tmp_path / 'no') in missing.stderr
