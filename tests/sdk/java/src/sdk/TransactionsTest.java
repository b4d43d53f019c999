package sdk;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.google.appengine.api.datastore.DatastoreService;
import com.google.appengine.api.datastore.DatastoreServiceConfig;
import com.google.appengine.api.datastore.DatastoreServiceFactory;
import com.google.appengine.api.datastore.Entity;
import com.google.appengine.api.datastore.EntityNotFoundException;
import com.google.appengine.api.datastore.FetchOptions;
import com.google.appengine.api.datastore.ImplicitTransactionManagementPolicy;
import com.google.appengine.api.datastore.Key;
import com.google.appengine.api.datastore.Query;
import com.google.appengine.api.datastore.Transaction;
import com.google.appengine.api.datastore.TransactionOptions;
import com.google.appengine.api.datastore.TransactionOptions.Mode;
import java.util.ConcurrentModificationException;
import java.util.List;
import java.util.Set;
import org.junit.Test;

/** Transactions over one group and several, conflicts, and their end. */
public class TransactionsTest extends ApiTest {
    private static final TransactionOptions XG =
        TransactionOptions.Builder.withXG(true);

    private long n(Key key) throws EntityNotFoundException {
        return (Long) datastore.get(null, key).getProperty("n");
    }

    /** Outside of every transaction. */
    private Key put(String name, long n) {
        return datastore.put(null, entity("T", name, "n", n));
    }

    private void increment(Transaction txn, Key key) throws Exception {
        Entity e = datastore.get(txn, key);
        e.setProperty("n", (Long) e.getProperty("n") + 1);
        datastore.put(txn, e);
    }

    @Test
    public void aCommitIsSeenWhenItIsDone() throws Exception {
        Key a = put("a", 1);
        Transaction txn = datastore.beginTransaction();
        increment(txn, a);
        assertEquals(1, n(a));
        txn.commit();
        assertEquals(2, n(a));
        assertFalse(txn.isActive());
    }

    @Test
    public void aRollbackLeavesNothing() throws Exception {
        Key a = put("a", 1);
        Transaction txn = datastore.beginTransaction();
        increment(txn, a);
        datastore.put(txn, new Entity("Child", "c", a));
        txn.rollback();
        assertEquals(1, n(a));
        assertEquals(0, datastore.prepare(new Query("Child")).countEntities(
            FetchOptions.Builder.withDefaults()));
        assertThrows(IllegalStateException.class, txn::commit);
    }

    @Test
    public void theCurrentTransactionIsMeant() throws Exception {
        Key a = put("a", 1);
        Transaction txn = datastore.beginTransaction();
        assertEquals(txn, datastore.getCurrentTransaction());
        assertEquals(List.of(txn),
                     List.copyOf(datastore.getActiveTransactions()));
        datastore.put(entity("T", "a", "n", 5L));
        assertEquals(1, n(a));
        txn.commit();
        assertEquals(5, n(a));
        assertNull(datastore.getCurrentTransaction(null));
    }

    @Test
    public void aCallMayBeATransactionOfItsOwn() throws Exception {
        DatastoreService auto = DatastoreServiceFactory.getDatastoreService(
            DatastoreServiceConfig.Builder
                .withImplicitTransactionManagementPolicy(
                    ImplicitTransactionManagementPolicy.AUTO));
        Key a = auto.put(entity("T", "a", "n", 1L));
        assertNull(auto.getCurrentTransaction(null));
        assertEquals(1, n(a));
        assertEquals(1L, auto.get(a).getProperty("n"));
        auto.delete(a);
        assertThrows(EntityNotFoundException.class, () -> n(a));
    }

    @Test
    public void theOwnWritesAreNotRead() throws Exception {
        Key a = put("a", 1);
        Transaction txn = datastore.beginTransaction();
        increment(txn, a);
        assertEquals(1L, datastore.get(txn, a).getProperty("n"));
        assertEquals(1L, datastore.prepare(txn, new Query("T", a))
                             .asSingleEntity().getProperty("n"));
        txn.commit();
    }

    @Test
    public void anIncompleteKeyIsCompleteAtOnce() throws Exception {
        Transaction txn = datastore.beginTransaction();
        Key key = datastore.put(txn, new Entity("T"));
        assertTrue(key.isComplete());
        assertThrows(EntityNotFoundException.class,
                     () -> datastore.get(null, key));
        txn.commit();
        assertEquals(key, datastore.get(key).getKey());
    }

    @Test
    public void theSecondOfTwoLoses() throws Exception {
        Key a = put("a", 1);
        Transaction one = datastore.beginTransaction();
        Transaction two = datastore.beginTransaction();
        increment(one, a);
        increment(two, a);
        two.commit();
        assertThrows(ConcurrentModificationException.class, one::commit);
        assertEquals(2, n(a));
        assertFalse(one.isActive());
    }

    @Test
    public void whatWasMissingMayHaveCome() throws Exception {
        Key a = key("T", "a");
        Transaction txn = datastore.beginTransaction();
        assertThrows(EntityNotFoundException.class,
                     () -> datastore.get(txn, a));
        put("a", 7);
        datastore.put(txn, entity("T", "a", "n", 1L));
        assertThrows(ConcurrentModificationException.class, txn::commit);
        assertEquals(7, n(a));
    }

    @Test
    public void aQueryInATransactionIsARead() throws Exception {
        Key a = put("a", 1);
        Transaction txn = datastore.beginTransaction();
        assertEquals(1, datastore.prepare(txn, new Query(a)).countEntities(
            FetchOptions.Builder.withDefaults()));
        datastore.put(null, new Entity("Child", "phantom", a));
        datastore.put(txn, new Entity("Child", "mine", a));
        assertThrows(ConcurrentModificationException.class, txn::commit);
    }

    @Test
    public void aTransactionIsTriedAgain() throws Exception {
        Key a = put("a", 0);
        Transaction lost = datastore.beginTransaction();
        increment(lost, a);
        put("a", 10);
        assertThrows(ConcurrentModificationException.class, lost::commit);
        TransactionOptions again = TransactionOptions.Builder
            .withTransactionMode(Mode.READ_WRITE)
            .setPreviousTransaction(lost);
        Transaction txn = datastore.beginTransaction(again);
        increment(txn, a);
        txn.commit();
        assertEquals(11, n(a));
    }

    @Test
    public void otherGroupsAreInNobodysWay() throws Exception {
        Key a = put("a", 1);
        Key b = put("b", 1);
        Transaction one = datastore.beginTransaction();
        Transaction two = datastore.beginTransaction();
        increment(one, a);
        increment(two, b);
        one.commit();
        two.commit();
        assertEquals(4, n(a) + n(b));
    }

    @Test
    public void aSecondGroupMustBeAskedFor() throws Exception {
        Key a = put("a", 1);
        Key b = put("b", 1);
        Transaction txn = datastore.beginTransaction();
        increment(txn, a);
        IllegalArgumentException error = assertThrows(
            IllegalArgumentException.class, () -> increment(txn, b));
        assertContains(error.getMessage(), "xg=True");
    }

    @Test
    public void severalGroupsCommitAsOne() throws Exception {
        Key a = put("a", 1);
        Key b = put("b", 1);
        Transaction txn = datastore.beginTransaction(XG);
        increment(txn, a);
        increment(txn, b);
        txn.commit();
        assertEquals(4, n(a) + n(b));

        Transaction lost = datastore.beginTransaction(XG);
        increment(lost, a);
        increment(lost, b);
        put("b", 7);
        assertThrows(ConcurrentModificationException.class, lost::commit);
        assertEquals(2, n(a));
        assertEquals(7, n(b));
    }

    @Test
    public void groupsAreTwentyFive() throws Exception {
        Transaction txn = datastore.beginTransaction(XG);
        for (int i = 0; i < 25; i++) {
            datastore.put(txn, entity("T", "t" + i, "n", 1L));
        }
        assertThrows(IllegalArgumentException.class, () -> {
            datastore.put(txn, entity("T", "one more"));
            txn.commit();
        });
        assertEquals(0, datastore.prepare(null, new Query("T")).countEntities(
            FetchOptions.Builder.withDefaults()));
    }

    @Test
    public void aGlobalQueryIsRefused() {
        Transaction txn = datastore.beginTransaction();
        IllegalArgumentException error = assertThrows(
            IllegalArgumentException.class,
            () -> datastore.prepare(txn, new Query("T")).asSingleEntity());
        assertContains(error.getMessage(), "ncestor");
    }

    @Test
    public void whoOnlyReadsWritesNothing() throws Exception {
        Key a = put("a", 1);
        Transaction txn = datastore.beginTransaction(
            TransactionOptions.Builder.withTransactionMode(Mode.READ_ONLY));
        assertEquals(1L, datastore.get(txn, a).getProperty("n"));
        txn.commit();

        Transaction wrong = datastore.beginTransaction(
            TransactionOptions.Builder.withTransactionMode(Mode.READ_ONLY));
        assertThrows(IllegalArgumentException.class, () -> {
            increment(wrong, a);
            wrong.commit();
        });
        assertEquals(1, n(a));
    }

    @Test
    public void deletesAreBoundToo() throws Exception {
        Key a = put("a", 1);
        Transaction txn = datastore.beginTransaction();
        datastore.delete(txn, a);
        assertEquals(1, n(a));
        txn.commit();
        assertThrows(EntityNotFoundException.class, () -> n(a));
    }

    @Test
    public void theLastWriteOfAKeyWins() throws Exception {
        Key a = put("a", 1);
        Transaction txn = datastore.beginTransaction();
        datastore.delete(txn, a);
        datastore.put(txn, entity("T", "a", "n", 5L));
        txn.commit();
        assertEquals(5, n(a));
    }

    @Test
    public void transactionsStandBesideEachOther() throws Exception {
        // Not nested: the inner one is another, and the outer one goes on.
        Transaction outer = datastore.beginTransaction();
        Transaction inner = datastore.beginTransaction();
        assertNotEquals(outer.getId(), inner.getId());
        assertEquals(inner, datastore.getCurrentTransaction());
        datastore.put(entity("T", "inner", "n", 1L));
        inner.commit();
        assertEquals(outer, datastore.getCurrentTransaction());
        datastore.put(entity("T", "outer", "n", 2L));
        assertEquals(Set.of(key("T", "inner")), datastore.get(
            null, List.of(key("T", "inner"), key("T", "outer"))).keySet());
        outer.commit();
        assertEquals(3, n(key("T", "inner")) + n(key("T", "outer")));
    }

    @Test
    public void whatHasEndedIsRefused() throws Exception {
        Key a = put("a", 1);
        Transaction txn = datastore.beginTransaction();
        txn.commit();
        assertThrows(IllegalStateException.class,
                     () -> datastore.get(txn, a));
        assertThrows(IllegalStateException.class, txn::rollback);
    }

    @Test
    public void idsAreAllocatedOutsideOfIt() {
        Transaction txn = datastore.beginTransaction();
        Key key = datastore.allocateIds("T", 1).getStart();
        datastore.put(txn, new Entity(key));
        txn.commit();
        assertEquals(Set.of(key), datastore.get(List.of(key)).keySet());
    }
}
