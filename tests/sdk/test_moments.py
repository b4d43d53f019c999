"""What an app sees when things change or end under its hands."""
import pytest

from google.appengine.api import datastore_errors, namespace_manager
from google.appengine.ext import ndb

from lib import sdk
from lib.emulator import Emulator


class Step(ndb.Model):
    n = ndb.IntegerProperty()
    seen = ndb.IntegerProperty(default=0)


def test_who_changes_what_he_walks_over_meets_it_once(api):
    """The change moves each entity ahead of the walk, in its own order."""
    ndb.put_multi([Step(id=i, n=i) for i in range(1, 61)])
    visits = 0
    for step in Step.query().order(Step.n).iter(batch_size=10):
        step.n += 1000
        step.seen += 1
        step.put()
        visits += 1
    assert visits == 60
    assert [s.seen for s in Step.query().order(Step.n)] == [1] * 60


def test_who_deletes_what_he_walks_over_reaches_all(api):
    ndb.put_multi([Step(id=i, n=i) for i in range(1, 61)])
    for key in Step.query().iter(batch_size=7, keys_only=True):
        key.delete()
    assert Step.query().count() == 0


def test_a_count_is_of_one_moment(api):
    ndb.put_multi([Step(id=i, n=i) for i in range(1, 1201)])
    walk = Step.query().iter(batch_size=100, keys_only=True)
    first = next(walk)
    ndb.delete_multi([k for k in Step.query().fetch(keys_only=True)
                      if k != first])
    assert len([first, *walk]) == 1200
    assert Step.query().count() == 1


@pytest.mark.skip_on_reference('it is our convention')
def test_a_namespace_without_transactions_has_no_conflicts(api):
    namespace_manager.set_namespace(f'notrans_{api.port}')
    key = Step(id=1, n=1).put()
    tries = []

    @ndb.transactional(xg=False)
    def move():
        tries.append(1)
        step = key.get()
        Step(id=2, n=0).put()       # a second group would be refused
        ndb.transaction(lambda: Step(id=1, n=7).put(),
                        propagation=ndb.TransactionOptions.INDEPENDENT)
        step.n += 1
        step.put()
    move()
    assert len(tries) == 1
    assert (key.get().n, Step.get_by_id(2).n) == (2, 0)


@pytest.mark.skip_on_reference('a stub keeps transactions for ever')
def test_a_transaction_that_has_lived_too_long_writes_nothing(api):
    with Emulator(project=sdk.PROJECT,
                  env={'APPSCALE_LIMITS': 'txn.life_ms=0'}) as emu:
        sdk.connect(emu.host, emu.port)
        with pytest.raises(datastore_errors.BadRequestError,
                           match='expired|not found'):
            ndb.transaction(lambda: Step(id=1, n=1).put(), retries=0)
        assert Step.get_by_id(1) is None
        assert emu.stop() == 0, emu.output()
