"""Read-only mode, as an app sees it."""
import os

import pytest

from google.appengine.api import capabilities, datastore
from google.appengine.ext import db, ndb
from google.appengine.runtime import apiproxy_errors

from lib import sdk
from lib.emulator import REFERENCE, Emulator
from lib.server import Server

pytestmark = pytest.mark.skipif(REFERENCE, reason='our own mode')


class Memo(ndb.Model):
    text = ndb.StringProperty()


@pytest.fixture(scope='module')
def server():
    with Server(project=sdk.PROJECT) as running:
        yield running


@pytest.fixture
def api(server):
    before = dict(os.environ)
    sdk.connect(server.host, server.port)
    ndb.get_context().set_cache_policy(False)
    ndb.get_context().set_memcache_policy(False)
    yield server
    server.platform('SetReadOnly', on=False)
    server.platform('SetReadOnly', app=sdk.PROJECT, on=False)
    os.environ.clear()
    os.environ.update(before)


def refused(call, *args, **kwargs):
    with pytest.raises(apiproxy_errors.CapabilityDisabledError,
                       match='read-only mode'):
        call(*args, **kwargs)


def test_every_way_to_write_is_refused_and_reads_go_on(api):
    key = Memo(text='before').put()
    api.platform('SetReadOnly', app=sdk.PROJECT, on=True)
    refused(Memo(text='new').put)
    refused(Memo(id='named').put)
    refused(ndb.put_multi, [Memo(), Memo()])
    refused(key.delete)
    refused(Memo.allocate_ids, 5)
    refused(db.allocate_ids, db.Key.from_path('Memo', 1), 5)
    refused(datastore.Put, datastore.Entity('Memo'))
    assert key.get().text == 'before'
    assert [n.text for n in Memo.query()] == ['before']
    api.platform('SetReadOnly', app=sdk.PROJECT, on=False)
    key.delete()


def test_a_transaction_may_read_and_may_not_write(api):
    key = Memo(text='before').put()
    api.platform('SetReadOnly', on=True)
    assert ndb.transaction(key.get).text == 'before'

    def change():
        note = key.get()
        note.text = 'after'
        note.put()

    refused(ndb.transaction, change)
    assert key.get().text == 'before'
    api.platform('SetReadOnly', on=False)
    ndb.transaction(change)
    assert key.get().text == 'after'


def test_a_commit_after_the_switch_is_refused(api):
    key = Memo(text='before').put()

    def change():
        note = key.get()
        note.text = 'after'
        note.put()
        api.platform('SetReadOnly', on=True)

    refused(ndb.transaction, change, retries=0)
    assert key.get().text == 'before'


def test_the_capability_says_so(api):
    def enabled(*names):
        return capabilities.CapabilitySet('datastore_v3',
                                          list(names)).is_enabled()

    assert enabled('write')
    api.platform('SetReadOnly', app=sdk.PROJECT, on=True)
    assert not enabled('write')
    assert enabled() and enabled('read')
    answer = api.platform('GetReadOnly')
    assert (answer.all, list(answer.app)) == (False, [sdk.PROJECT])


def test_it_outlives_a_restart(api):
    api.platform('SetReadOnly', app=sdk.PROJECT, on=True)
    api.restart()
    sdk.connect(api.host, api.port)
    refused(Memo(id=1).put)


def test_an_emulator_can_be_read_only():
    before = dict(os.environ)
    try:
        with Emulator(project=sdk.PROJECT, options=['--read-only']) as emu:
            sdk.connect(emu.host, emu.port)
            refused(Memo(id=1).put)
            assert Memo.query().fetch() == []
    finally:
        os.environ.clear()
        os.environ.update(before)
