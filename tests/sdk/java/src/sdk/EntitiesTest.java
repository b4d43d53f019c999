package sdk;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.google.appengine.api.datastore.DatastoreAttributes.DatastoreType;
import com.google.appengine.api.datastore.DatastoreService.KeyRangeState;
import com.google.appengine.api.datastore.DatastoreServiceConfig;
import com.google.appengine.api.datastore.DatastoreServiceFactory;
import com.google.appengine.api.datastore.Entity;
import com.google.appengine.api.datastore.EntityNotFoundException;
import com.google.appengine.api.datastore.Key;
import com.google.appengine.api.datastore.KeyFactory;
import com.google.appengine.api.datastore.KeyRange;
import com.google.appengine.api.datastore.ReadPolicy;
import com.google.appengine.api.datastore.Text;
import com.google.apphosting.api.ApiProxy;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.Test;

/** Put, get, delete and the keys and ids behind them. */
public class EntitiesTest extends ApiTest {
    @Test
    public void anEntityComesBackAsItWas() throws Exception {
        Entity e = fill(new Entity("E"), "s", "Grüße\0 日本", "n", 7L);
        Key key = datastore.put(e);
        assertTrue(key.isComplete());
        assertNotEquals(0, key.getId());
        assertEquals(key, e.getKey());
        Entity back = datastore.get(key);
        assertEquals(e, back);
        assertEquals(e.getProperties(), back.getProperties());
    }

    @Test
    public void anAbsentEntityIsAnError() {
        Key key = key("E", "absent");
        EntityNotFoundException e = assertThrows(
            EntityNotFoundException.class, () -> datastore.get(key));
        assertEquals(key, e.getKey());
    }

    @Test
    public void aBatchLeavesOutWhatIsAbsent() {
        Key a = datastore.put(entity("E", "a", "n", 1L));
        Key b = datastore.put(entity("E", "b", "n", 2L));
        Map<Key, Entity> got =
            datastore.get(List.of(a, key("E", "absent"), b, a));
        assertEquals(Set.of(a, b), got.keySet());
        assertEquals(2L, got.get(b).getProperty("n"));
    }

    @Test
    public void keysOfABatchStandInItsOrder() {
        List<Entity> all = new ArrayList<>();
        for (int i = 0; i < 500; i++) {
            all.add(i % 2 == 0 ? new Entity("E") : entity("E", "n" + i));
        }
        List<Key> keys = datastore.put(all);
        assertEquals(500, new HashSet<>(keys).size());
        for (int i = 0; i < 500; i++) {
            assertEquals(all.get(i).getKey(), keys.get(i));
            assertEquals(i % 2 == 0 ? null : "n" + i, keys.get(i).getName());
        }
        assertEquals(500, datastore.get(keys).size());
    }

    @Test
    public void theLastOfTwoWithOneKeyStays() throws Exception {
        datastore.put(List.of(entity("E", "a", "n", 1L),
                              entity("E", "a", "n", 2L)));
        assertEquals(2L, datastore.get(key("E", "a")).getProperty("n"));
    }

    @Test
    public void whatIsDeletedIsGone() {
        Key a = datastore.put(entity("E", "a"));
        Key b = datastore.put(entity("E", "b"));
        datastore.delete(a, key("E", "absent"));
        datastore.delete(List.of(a));
        assertEquals(Set.of(b), datastore.get(List.of(a, b)).keySet());
    }

    @Test
    public void aPutReplacesEveryProperty() throws Exception {
        datastore.put(entity("E", "a", "old", 1L, "n", 1L));
        datastore.put(entity("E", "a", "n", 2L));
        assertEquals(Map.of("n", 2L),
                     datastore.get(key("E", "a")).getProperties());
    }

    @Test
    public void anEntityNeedsNoProperties() throws Exception {
        Key key = datastore.put(new Entity("E"));
        assertTrue(datastore.get(key).getProperties().isEmpty());
    }

    @Test
    public void childrenStandUnderTheirParents() throws Exception {
        Key root = datastore.put(new Entity("Root"));
        Key child = datastore.put(new Entity("Child", root));
        Key leaf = datastore.put(new Entity("Leaf", "ä", child));
        assertEquals(child, datastore.get(leaf).getParent());
        assertEquals(root, datastore.get(leaf).getKey().getParent()
                               .getParent());
        assertEquals(namespace, leaf.getNamespace());
    }

    @Test
    public void aKeyTravelsAsText() throws Exception {
        Key key = datastore.put(new Entity("Leaf", "ä b", key("Root", "r")));
        String text = KeyFactory.keyToString(key);
        assertEquals(key, KeyFactory.stringToKey(text));
        assertEquals(key, datastore.get(KeyFactory.stringToKey(text)).getKey());
    }

    @Test
    public void aReadMayBeEventual() throws Exception {
        Key key = datastore.put(entity("E", "a"));
        assertEquals(key, DatastoreServiceFactory.getDatastoreService(
            DatastoreServiceConfig.Builder
                .withReadPolicy(
                    new ReadPolicy(ReadPolicy.Consistency.EVENTUAL))
                .deadline(5.0)).get(key).getKey());
    }

    @Test
    public void whatIsTooLargeIsRefused() {
        Entity e = fill(new Entity("E"), "t", new Text("x".repeat(1048487)),
                        "u", new Text("y".repeat(100000)));
        assertThrows(ApiProxy.RequestTooLargeException.class,
                     () -> datastore.put(e));
        Entity f = fill(new Entity("E"), "t", new Text("x".repeat(1048488)));
        IllegalArgumentException error = assertThrows(
            IllegalArgumentException.class, () -> datastore.put(f));
        assertContains(error.getMessage(), "1048487");
    }

    @Test
    public void reservedKindsAreRefused() {
        notOnTheReference();
        assertThrows(IllegalArgumentException.class,
                     () -> datastore.put(new Entity("__mine__")));
    }

    @Test
    public void reservedPropertyNamesAreRefused() {
        assertThrows(IllegalArgumentException.class,
                     () -> datastore.put(entity("E", "a", "__mine__", 1L)));
    }

    @Test
    public void allocatedIdsAreARange() {
        KeyRange range = datastore.allocateIds("E", 50);
        assertEquals(50, range.getSize());
        assertEquals(49, range.getEnd().getId() - range.getStart().getId());
        Set<Key> keys = new HashSet<>();
        range.forEach(keys::add);
        assertEquals(50, keys.size());
        for (Key key : datastore.allocateIds("E", 10)) {
            assertFalse(keys.contains(key));
        }
    }

    @Test
    public void idsAreAllocatedUnderAParent() {
        Key root = key("Root", "r");
        KeyRange range = datastore.allocateIds(root, "Child", 3);
        assertEquals(3, range.getSize());
        assertEquals(root, range.getStart().getParent());
        Key key = datastore.put(new Entity(range.getStart()));
        assertEquals(range.getStart(), key);
    }

    @Test
    public void aRangeOfMyOwnIsReserved() {
        KeyRange free = datastore.allocateIds("Mine", 1);
        long start = free.getEnd().getId() + 1000;
        KeyRange mine = new KeyRange(null, "Mine", start, start + 9);
        assertEquals(KeyRangeState.EMPTY, datastore.allocateIdRange(mine));
        for (Key key : datastore.allocateIds("Mine", 20)) {
            assertTrue(key + " is in " + mine, key.getId() > start + 9);
        }
    }

    @Test
    public void aRangeWithAnEntityIsACollision() {
        KeyRange free = datastore.allocateIds("Taken", 1);
        long start = free.getEnd().getId() + 1000;
        datastore.put(new Entity("Taken", start + 5));
        assertEquals(KeyRangeState.COLLISION, datastore.allocateIdRange(
            new KeyRange(null, "Taken", start, start + 9)));
    }

    @Test
    public void aRangeThatWasGivenOutIsContention() {
        KeyRange given = datastore.allocateIds("Given", 10);
        assertEquals(KeyRangeState.CONTENTION, datastore.allocateIdRange(
            new KeyRange(null, "Given", given.getStart().getId(),
                         given.getEnd().getId())));
    }

    @Test
    public void thisIsTheHighReplicationDatastore() {
        assertEquals(DatastoreType.HIGH_REPLICATION,
                     datastore.getDatastoreAttributes().getDatastoreType());
    }
}
