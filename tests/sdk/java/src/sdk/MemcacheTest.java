package sdk;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.google.appengine.api.datastore.Key;
import com.google.appengine.api.memcache.AsyncMemcacheService;
import com.google.appengine.api.memcache.ConsistentErrorHandler;
import com.google.appengine.api.memcache.Expiration;
import com.google.appengine.api.memcache.InvalidValueException;
import com.google.appengine.api.memcache.MemcacheService;
import com.google.appengine.api.memcache.MemcacheService.CasValues;
import com.google.appengine.api.memcache.MemcacheService.IdentifiableValue;
import com.google.appengine.api.memcache.MemcacheService.ItemForPeek;
import com.google.appengine.api.memcache.MemcacheService.SetPolicy;
import com.google.appengine.api.memcache.MemcacheServiceException;
import com.google.appengine.api.memcache.MemcacheServiceFactory;
import com.google.appengine.api.memcache.Stats;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import org.junit.Before;
import org.junit.Test;

/** memcache, in the caller's thread and beside it. */
public class MemcacheTest extends ApiTest {
    private final MemcacheService cache =
        MemcacheServiceFactory.getMemcacheService();
    private final AsyncMemcacheService async =
        MemcacheServiceFactory.getAsyncMemcacheService();

    /** Without it every failure looks like a cold cache. */
    @Before
    public void speakUp() {
        ConsistentErrorHandler loud = new ConsistentErrorHandler() {
            @Override
            public void handleServiceError(MemcacheServiceException e) {
                throw e;
            }

            @Override
            public void handleDeserializationError(InvalidValueException e) {
                throw e;
            }
        };
        cache.setErrorHandler(loud);
        async.setErrorHandler(loud);
    }

    @Test
    public void aValueComesBackWithItsType() {
        List<Object> values = list(
            "Grüße", "", 7, 7L, (short) 7, (byte) 7, true, false, 1.5, 1.5f,
            new Date(5), key("K", "k"), new ArrayList<>(List.of(1, "a")),
            new HashMap<>(Map.of("k", 1)), "x".repeat(900000));
        for (Object value : values) {
            cache.put("k", value);
            assertEquals(value, cache.get("k"));
        }
        cache.put("k", new byte[] {0, -1, 1});
        assertArrayEquals(new byte[] {0, -1, 1}, (byte[]) cache.get("k"));
    }

    @Test
    public void nullIsAValue() {
        assertFalse(cache.contains("k"));
        cache.put("k", null);
        assertNull(cache.get("k"));
        assertTrue(cache.contains("k"));
    }

    @Test
    public void anythingIsAKey() {
        List<Object> keys = list("ä b\n", "x".repeat(1000), 7, 7L,
                                 key("K", "k"), true, list("a", 1), null, "7");
        for (Object key : keys) {
            assertFalse(cache.contains(key));
            cache.put(key, String.valueOf(key));
        }
        for (Object key : keys) {
            assertEquals(String.valueOf(key), cache.get(key));
            assertTrue(cache.delete(key));
            assertFalse(cache.delete(key));
        }
    }

    @Test
    public void setPoliciesAreConditions() {
        assertFalse(cache.put("k", 1, null,
                              SetPolicy.REPLACE_ONLY_IF_PRESENT));
        assertTrue(cache.put("k", 2, null, SetPolicy.ADD_ONLY_IF_NOT_PRESENT));
        assertFalse(cache.put("k", 3, null,
                              SetPolicy.ADD_ONLY_IF_NOT_PRESENT));
        assertTrue(cache.put("k", 4, null, SetPolicy.REPLACE_ONLY_IF_PRESENT));
        assertTrue(cache.put("k", 5, null, SetPolicy.SET_ALWAYS));
        assertEquals(5, cache.get("k"));
    }

    @Test
    public void manyAtATime() {
        Map<String, Integer> all = new HashMap<>();
        for (int i = 0; i < 300; i++) {
            all.put("k" + i, i);
        }
        cache.putAll(all);
        List<String> keys = new ArrayList<>(all.keySet());
        keys.add("absent");
        assertEquals(all, cache.getAll(keys));
        assertEquals(Set.of("k1", "k2"),
                     cache.deleteAll(List.of("k1", "k2", "absent")));
        assertEquals(298, cache.getAll(keys).size());
        assertEquals(Set.of("new"), cache.putAll(
            Map.of("k3", 0, "new", 1), null,
            SetPolicy.ADD_ONLY_IF_NOT_PRESENT));
    }

    @Test
    public void aTimeInThePastIsTheEnd() {
        cache.put("k", 1, Expiration.onDate(
            new Date(System.currentTimeMillis() - 10000)));
        assertNull(cache.get("k"));
        cache.put("k", 1, Expiration.byDeltaSeconds(1000));
        assertEquals(1, cache.get("k"));
        cache.put("k", 2, Expiration.onDate(
            new Date(System.currentTimeMillis() + 1000000)));
        assertEquals(2, cache.get("k"));
    }

    @Test
    public void aDeletedKeyCanBeLocked() {
        cache.put("k", 1);
        assertTrue(cache.delete("k", 60000));
        assertFalse(cache.put("k", 2, null,
                              SetPolicy.ADD_ONLY_IF_NOT_PRESENT));
        cache.put("k", 3);
        assertEquals(3, cache.get("k"));
    }

    @Test
    public void countersCount() {
        notOnTheReference();
        assertNull(cache.increment("n", 1));
        assertEquals(Long.valueOf(11), cache.increment("n", 1, 10L));
        assertEquals(Long.valueOf(16), cache.increment("n", 5));
        assertEquals(Long.valueOf(13), cache.increment("n", -3));
        assertEquals(Long.valueOf(0), cache.increment("n", -100));
        assertEquals(0L, cache.get("n"));
        cache.put("i", 41);
        assertEquals(Long.valueOf(42), cache.increment("i", 1));
        assertEquals(42, cache.get("i"));
        cache.put("s", "41");
        assertEquals(Long.valueOf(42), cache.increment("s", 1));
        assertEquals("42", cache.get("s"));
    }

    @Test
    public void aTextIsNoCounter() {
        cache.put("text", "abc");
        assertThrows(InvalidValueException.class,
                     () -> cache.increment("text", 1));
    }

    @Test
    public void manyCountersCountAtOnce() {
        cache.put("a", 1L);
        Map<String, Long> after = cache.incrementAll(List.of("a", "b"), 2);
        assertEquals(Long.valueOf(3), after.get("a"));
        assertNull(after.get("b"));
        assertEquals(Map.of("a", 4L, "b", 110L), cache.incrementAll(
            Map.of("a", 1L, "b", 10L), 100L));
    }

    @Test
    public void putIfUntouchedSeesAChange() {
        assertNull(cache.getIdentifiable("k"));
        cache.put("k", "one");
        IdentifiableValue mine = cache.getIdentifiable("k");
        IdentifiableValue theirs = cache.getIdentifiable("k");
        assertEquals("one", mine.getValue());
        assertTrue(cache.putIfUntouched("k", theirs, "two"));
        assertFalse(cache.putIfUntouched("k", mine, "three"));
        assertEquals("two", cache.get("k"));
        cache.delete("k");
        assertFalse(cache.putIfUntouched("k", theirs, "four"));
    }

    @Test
    public void manyAreComparedAndSwapped() {
        cache.putAll(Map.of("a", 1, "b", 2));
        Map<String, IdentifiableValue> got =
            cache.getIdentifiables(List.of("a", "b", "absent"));
        assertEquals(Set.of("a", "b"), got.keySet());
        cache.put("b", 20);
        assertEquals(Set.of("a"), cache.putIfUntouched(Map.of(
            "a", new CasValues(got.get("a"), 10),
            "b", new CasValues(got.get("b"), 30))));
        assertEquals(Map.of("a", 10, "b", 20),
                     cache.getAll(List.of("a", "b")));
    }

    @Test
    public void flushedIsEmpty() {
        cache.put("k", 1);
        cache.clearAll();
        assertNull(cache.get("k"));
    }

    @Test
    public void statisticsCount() {
        cache.put("k", "value");
        cache.get("k");
        Stats stats = cache.getStatistics();
        assertNotNull(stats);
        assertTrue(stats.getItemCount() >= 1);
        assertTrue(stats.getHitCount() >= 1);
        assertTrue(stats.getTotalItemBytes() >= 1);
    }

    @Test
    public void whatIsTooLargeIsRefused() {
        assertThrows(MemcacheServiceException.class,
                     () -> cache.put("k", new byte[1100000]));
        assertNull(cache.get("k"));
    }

    @Test
    public void aLookDoesNotTouch() {
        cache.put("k", "v", Expiration.byDeltaSeconds(1000));
        ItemForPeek item = cache.getItemForPeek("k");
        assertEquals("v", item.getValue());
        long left = item.getExpirationTimeSec()
            - System.currentTimeMillis() / 1000;
        assertTrue("expires in " + left, left > 900 && left <= 1001);
    }

    @Test
    public void callsRunSideBySide() throws Exception {
        List<Future<Long>> counts = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            counts.add(async.increment("n", 1, 0L));
        }
        long max = 0;
        for (Future<Long> count : counts) {
            max = Math.max(max, count.get());
        }
        assertEquals(50, max);
        async.putAll(Map.of("a", 1, "b", 2)).get();
        Future<Object> a = async.get("a");
        Future<Map<String, Object>> both = async.getAll(List.of("a", "b"));
        assertEquals(1, a.get());
        assertEquals(Map.of("a", 1, "b", 2), both.get());
        assertTrue(async.contains("a").get());
        IdentifiableValue value = async.getIdentifiable("a").get();
        assertTrue(async.putIfUntouched("a", value, 3).get());
        assertTrue(async.delete("a").get());
        assertTrue(async.getStatistics().get().getItemCount() >= 1);
        async.clearAll().get();
        assertNull(async.get("b").get());
    }

    @Test
    public void theKeyOfAnEntityIsAKey() {
        Key key = datastore.put(entity("E", "e", "n", 1L));
        cache.put(key, "cached");
        assertEquals("cached", cache.get(key("E", "e")));
    }
}
