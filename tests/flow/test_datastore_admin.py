"""Looking after data on the whole platform; nothing has to be deployed."""
import pytest

from lib.platform import Platform


@pytest.fixture(scope='module')
def platform():
    p = Platform()
    try:
        p.up()
        yield p
    finally:
        p.close()


def test_read_only_mode_outlives_the_server_and_the_controller(platform):
    platform.cli('datastore', 'read-only', 'on', 'shop')
    assert platform.json('status')['readOnly'] == {
        'all': False, 'apps': ['shop']}
    platform.cli('down')
    platform.up()
    assert platform.json('status')['readOnly'] == {
        'all': False, 'apps': ['shop']}
    assert platform.json('datastore', 'read-only', 'off', 'shop') == {
        'all': False, 'apps': []}


def test_work_is_followed_to_its_end(platform):
    report = platform.json('datastore', 'verify', 'shop')
    assert report['faults'] == [] and report['notJudged'] == 0
    stats = platform.json('datastore', 'stats', 'shop')
    assert stats == {'id': 'shop'}
    stats = platform.json('datastore', 'stats', '--refresh', 'shop')
    assert stats['total']['count'] == 0 and stats['kinds'] == []
    report = platform.json('datastore', 'verify', 'shop', '--repair')
    assert report['entities'] > 0 and report['faults'] == []
    sizes = platform.json('datastore', 'compact')
    assert sizes['compacted'] and sizes['after'] > 0


def test_a_project_that_can_be_none_is_refused(platform):
    done = platform.cli('datastore', 'verify', 'No_Project', check=False)
    assert done.returncode == 1
    assert 'No_Project' in done.stderr
