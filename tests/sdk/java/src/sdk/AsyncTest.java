package sdk;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.google.appengine.api.ThreadManager;
import com.google.appengine.api.datastore.AsyncDatastoreService;
import com.google.appengine.api.datastore.DatastoreServiceFactory;
import com.google.appengine.api.datastore.Entity;
import com.google.appengine.api.datastore.EntityNotFoundException;
import com.google.appengine.api.datastore.FetchOptions;
import com.google.appengine.api.datastore.Key;
import com.google.appengine.api.datastore.KeyRange;
import com.google.appengine.api.datastore.Query;
import com.google.appengine.api.datastore.Transaction;
import com.google.appengine.api.NamespaceManager;
import java.util.ArrayList;
import java.util.ConcurrentModificationException;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.Test;

/** Calls that run side by side: futures, and threads of a request. */
public class AsyncTest extends ApiTest {
    private final AsyncDatastoreService async =
        DatastoreServiceFactory.getAsyncDatastoreService();

    @Test
    public void putsRunSideBySide() throws Exception {
        List<Future<Key>> puts = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            puts.add(async.put(entity("E", "e" + i, "n", i)));
        }
        Set<Key> keys = new HashSet<>();
        for (Future<Key> put : puts) {
            keys.add(put.get());
        }
        assertEquals(50, keys.size());
        assertEquals(keys, async.get(keys).get().keySet());
        async.delete(keys).get();
        assertTrue(async.get(keys).get().isEmpty());
    }

    @Test
    public void anErrorComesWithTheAnswer() {
        Future<Entity> absent = async.get(key("E", "absent"));
        ExecutionException error =
            assertThrows(ExecutionException.class, absent::get);
        assertEquals(EntityNotFoundException.class,
                     error.getCause().getClass());
    }

    @Test
    public void queriesRunSideBySide() {
        List<Entity> all = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            all.add(entity("E" + i % 4, "e" + i, "n", i));
        }
        datastore.put(all);
        List<List<Entity>> found = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            found.add(async.prepare(new Query("E" + i)).asList(
                FetchOptions.Builder.withChunkSize(10)));
        }
        found.forEach(rows -> assertEquals(25, rows.size()));
    }

    @Test
    public void aTransactionIsAsync() throws Exception {
        Transaction txn = async.beginTransaction().get();
        Future<Key> a = async.put(txn, entity("E", "a"));
        Future<Key> child = async.put(
            txn, new Entity("Child", "c", key("E", "a")));
        txn.commitAsync().get();
        assertEquals(2, datastore.get(
            List.of(a.get(), child.get())).size());
    }

    @Test
    public void aConflictComesWithTheCommit() throws Exception {
        Transaction txn = async.beginTransaction().get();
        assertThrows(ExecutionException.class,
                     () -> async.get(txn, key("E", "a")).get());
        datastore.put(null, entity("E", "a"));
        async.put(txn, entity("E", "a", "n", 1L));
        ExecutionException error = assertThrows(
            ExecutionException.class, () -> txn.commitAsync().get());
        assertEquals(ConcurrentModificationException.class,
                     error.getCause().getClass());
    }

    @Test
    public void idsAreAllocated() throws Exception {
        Future<KeyRange> one = async.allocateIds("E", 100);
        Future<KeyRange> two = async.allocateIds("E", 100);
        Set<Key> keys = new HashSet<>();
        one.get().forEach(keys::add);
        two.get().forEach(keys::add);
        assertEquals(200, keys.size());
    }

    @Test
    public void threadsOfARequestCallToo() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(
            8, ThreadManager.currentRequestThreadFactory());
        List<Future<Long>> counters = new ArrayList<>();
        datastore.put(entity("E", "counter", "n", 0L));
        for (int i = 0; i < 8; i++) {
            counters.add(pool.submit(() -> {
                NamespaceManager.set(namespace);
                return countTo(5);
            }));
        }
        long conflicts = 0;
        for (Future<Long> counter : counters) {
            conflicts += counter.get();
        }
        pool.shutdown();
        assertEquals(40L, datastore.get(key("E", "counter"))
                              .getProperty("n"));
        assertTrue("conflicts: " + conflicts, conflicts >= 0);
    }

    private long countTo(int end) throws Exception {
        long conflicts = 0;
        for (int i = 0; i < end;) {
            Transaction txn = datastore.beginTransaction();
            try {
                Entity e = datastore.get(txn, key("E", "counter"));
                e.setProperty("n", (Long) e.getProperty("n") + 1);
                datastore.put(txn, e);
                txn.commit();
                i++;
            } catch (ConcurrentModificationException e) {
                conflicts++;
            } finally {
                if (txn.isActive()) {
                    txn.rollback();
                }
            }
        }
        return conflicts;
    }
}
