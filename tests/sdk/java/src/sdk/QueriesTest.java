package sdk;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.google.appengine.api.datastore.DatastoreNeedIndexException;
import com.google.appengine.api.datastore.Entity;
import com.google.appengine.api.datastore.FetchOptions;
import com.google.appengine.api.datastore.GeoPt;
import com.google.appengine.api.datastore.Index;
import com.google.appengine.api.datastore.Key;
import com.google.appengine.api.datastore.PreparedQuery;
import com.google.appengine.api.datastore.PropertyProjection;
import com.google.appengine.api.datastore.Query;
import com.google.appengine.api.datastore.Query.CompositeFilterOperator;
import com.google.appengine.api.datastore.Query.Filter;
import com.google.appengine.api.datastore.Query.FilterOperator;
import com.google.appengine.api.datastore.Query.FilterPredicate;
import com.google.appengine.api.datastore.Query.SortDirection;
import com.google.appengine.api.datastore.RawValue;
import com.google.appengine.api.datastore.ShortBlob;
import com.google.appengine.api.datastore.Text;
import java.util.ArrayList;
import java.util.Date;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.Test;

/** Filters, orders, projections, offsets and limits. */
public class QueriesTest extends ApiTest {
    private static Filter filter(String name, FilterOperator how, Object v) {
        return new FilterPredicate(name, how, v);
    }

    private String found(Query query) {
        return names(datastore.prepare(query).asIterable());
    }

    private String found(Filter filter) {
        return found(new Query("Song").setFilter(filter));
    }

    /** Song a to f with n 0 to 5 and a tag, x for the even ones. */
    private void putSongs() {
        List<Entity> songs = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            songs.add(entity("Song", String.valueOf((char) ('a' + i)), "n", i,
                             "tag", i % 2 == 0 ? "x" : "y"));
        }
        datastore.put(songs);
    }

    private void putRows(int n) {
        List<Entity> rows = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            rows.add(entity("Row", String.format("%04d", i), "n", i));
            if (rows.size() == 500 || i == n - 1) {
                datastore.put(rows);
                rows.clear();
            }
        }
    }

    @Test
    public void eachOperatorFindsItsOwn() {
        putSongs();
        assertEquals("a b c", found(filter("n", FilterOperator.LESS_THAN, 3)));
        assertEquals("a b c d", found(
            filter("n", FilterOperator.LESS_THAN_OR_EQUAL, 3)));
        assertEquals("e f", found(filter("n", FilterOperator.GREATER_THAN, 3)));
        assertEquals("d e f", found(
            filter("n", FilterOperator.GREATER_THAN_OR_EQUAL, 3)));
        assertEquals("d", found(filter("n", FilterOperator.EQUAL, 3)));
        assertEquals("a b c e f", found(
            filter("n", FilterOperator.NOT_EQUAL, 3)));
        assertEquals("e b", found(
            filter("n", FilterOperator.IN, List.of(4, 1, 9))));
        assertEquals("c", found(filter("n", FilterOperator.IN, List.of(2))));
    }

    @Test
    public void filtersMeetInAnAnd() {
        putSongs();
        assertEquals("b c", found(CompositeFilterOperator.and(
            filter("n", FilterOperator.GREATER_THAN, 0),
            filter("n", FilterOperator.LESS_THAN, 3))));
        assertEquals("c", found(CompositeFilterOperator.and(
            filter("n", FilterOperator.EQUAL, 2),
            filter("tag", FilterOperator.EQUAL, "x"))));
        assertEquals("c e", found(CompositeFilterOperator.and(
            filter("tag", FilterOperator.EQUAL, "x"),
            filter("n", FilterOperator.GREATER_THAN, 0))));
    }

    @Test
    public void anOrIsAUnion() {
        putSongs();
        Filter filter = CompositeFilterOperator.or(
            filter("n", FilterOperator.LESS_THAN, 1),
            filter("tag", FilterOperator.EQUAL, "y"));
        Query query = new Query("Song").setFilter(filter).addSort("n");
        assertEquals("a b d f", found(query));
        assertEquals("b d", names(datastore.prepare(query).asIterable(
            FetchOptions.Builder.withOffset(1).limit(2))));
        assertEquals(4, datastore.prepare(query).countEntities(
            FetchOptions.Builder.withDefaults()));
    }

    @Test
    public void ordersGoBothWays() {
        putSongs();
        assertEquals("f e d c b a", found(
            new Query("Song").addSort("n", SortDirection.DESCENDING)));
        assertEquals("e c a f d b", found(
            new Query("Song").addSort("tag")
                .addSort("n", SortDirection.DESCENDING)));
        assertEquals("e c a", found(
            new Query("Song")
                .setFilter(filter("tag", FilterOperator.EQUAL, "x"))
                .addSort("n", SortDirection.DESCENDING)));
        assertEquals("a b c d e f", found(
            new Query("Song").addSort(Entity.KEY_RESERVED_PROPERTY)));
    }

    @Test
    public void typesStandInTheirOrder() {
        Object[] values = {null, -1L, 7L, false, true, "", "a", -1.5, 1.5,
                           new GeoPt(1, 2), key("K", "k")};
        for (int i = values.length; i-- > 0;) {
            datastore.put(entity("T", "t" + (char) ('a' + i), "v", values[i]));
        }
        assertEquals("ta tb tc td te tf tg th ti tj tk",
                     found(new Query("T").addSort("v")));
        assertEquals("tk tj ti th tg tf te td tc tb ta", found(
            new Query("T").addSort("v", SortDirection.DESCENDING)));
    }

    @Test
    public void anyValueOfAListWillDo() {
        datastore.put(List.of(entity("L", "a", "v", list(1, 9)),
                              entity("L", "b", "v", list(3, 4)),
                              entity("L", "c", "v", 2)));
        Query query = new Query("L");
        assertEquals("a", found(query.setFilter(CompositeFilterOperator.and(
            filter("v", FilterOperator.EQUAL, 1),
            filter("v", FilterOperator.EQUAL, 9)))));
        assertEquals("b", found(query.setFilter(CompositeFilterOperator.and(
            filter("v", FilterOperator.GREATER_THAN, 2),
            filter("v", FilterOperator.LESS_THAN, 9)))));
        assertEquals("a c b", found(query.setFilter(null).addSort("v")));
    }

    @Test
    public void keysAreFilteredToo() {
        putSongs();
        String name = Entity.KEY_RESERVED_PROPERTY;
        assertEquals("e f", found(filter(
            name, FilterOperator.GREATER_THAN, key("Song", "d"))));
        assertEquals("d b", found(filter(name, FilterOperator.IN, List.of(
            key("Song", "d"), key("Song", "b"), key("Song", "zz")))));
        assertEquals("f e", found(
            new Query("Song")
                .setFilter(filter(name, FilterOperator.GREATER_THAN,
                                  key("Song", "d")))
                .addSort(name, SortDirection.DESCENDING)));
    }

    @Test
    public void anAncestorHasSelfAndDescendants() {
        Key root = datastore.put(entity("Song", "r", "n", 1));
        Key child = datastore.put(new Entity("Song", "c", root));
        datastore.put(new Entity("Song", "g", child));
        datastore.put(new Entity("Other", "o", child));
        datastore.put(entity("Song", "s", "n", 1));
        assertEquals("r c g", found(new Query("Song").setAncestor(root)));
        assertEquals("c g", found(new Query("Song", child)));
        assertEquals("c o g", found(new Query(child)));
        assertEquals("r", found(new Query("Song").setAncestor(root).setFilter(
            filter("n", FilterOperator.EQUAL, 1))));
    }

    @Test
    public void aQueryNeedsNoKind() {
        datastore.put(List.of(entity("A", "a"), entity("B", "b"),
                              entity("C", "c")));
        assertEquals("a b c", found(new Query()));
        assertEquals("b c", found(new Query().setFilter(
            filter(Entity.KEY_RESERVED_PROPERTY, FilterOperator.GREATER_THAN,
                   key("A", "a")))));
        assertThrows(IllegalArgumentException.class, () -> found(
            new Query().setFilter(filter("n", FilterOperator.EQUAL, 1))));
    }

    @Test
    public void keysOnlyHasNoProperties() {
        putSongs();
        Query query = new Query("Song").setKeysOnly();
        for (Entity e : datastore.prepare(query).asIterable()) {
            assertTrue(e.getProperties().isEmpty());
        }
        assertEquals("a b c d e f", found(query));
    }

    @Test
    public void whatIsNotIndexedIsNotFound() {
        Entity e = entity("Song", "a");
        e.setUnindexedProperty("n", 1);
        datastore.put(List.of(e, entity("Song", "b", "n", new Text("1"))));
        assertEquals("", found(filter("n", FilterOperator.EQUAL, 1)));
        assertEquals("", found(new Query("Song").addSort("n")));
        assertEquals("a b", found(new Query("Song")));
    }

    @Test
    public void aProjectionHasTheValuesAsked() {
        Date when = new Date(1768000000123L);
        datastore.put(entity("P", "p", "s", "text", "n", 7, "when", when,
                             "b", new ShortBlob(new byte[] {1, 2}),
                             "k", key("K", "k"), "at", new GeoPt(1, 2),
                             "ok", true, "no", null, "f", 1.5));
        Map<String, Object> want = Map.of(
            "s", "text", "n", 7L, "when", when,
            "b", new ShortBlob(new byte[] {1, 2}), "k", key("K", "k"),
            "at", new GeoPt(1, 2), "ok", true, "f", 1.5);
        want.forEach((name, value) -> {
            Query query = new Query("P").addProjection(
                new PropertyProjection(name, value.getClass()));
            Entity e = datastore.prepare(query).asSingleEntity();
            assertEquals(Map.of(name, value), e.getProperties());
            assertEquals(key("P", "p"), e.getKey());
        });
        Entity e = datastore.prepare(new Query("P").addProjection(
            new PropertyProjection("no", String.class))).asSingleEntity();
        assertTrue(e.hasProperty("no"));
        assertNull(e.getProperty("no"));
    }

    @Test
    public void aProjectionWithoutATypeIsRaw() {
        datastore.put(entity("P", "p", "n", 7));
        Entity e = datastore.prepare(new Query("P").addProjection(
            new PropertyProjection("n", null))).asSingleEntity();
        RawValue raw = (RawValue) e.getProperty("n");
        assertEquals(Long.valueOf(7), raw.asStrictType(Long.class));
    }

    @Test
    public void aProjectionHasARowForEachValue() {
        datastore.put(List.of(entity("P", "a", "n", list(1, 9)),
                              entity("P", "b", "n", list(3, 3)),
                              entity("P", "c")));
        Query query = new Query("P").addProjection(
            new PropertyProjection("n", Long.class));
        assertEquals("a b a", found(query));
        assertEquals(3, datastore.prepare(query).countEntities(
            FetchOptions.Builder.withDefaults()));
    }

    @Test
    public void twoNamesAreProjectedByAnIndex() {
        putSongs();
        Query query = new Query("Song")
            .addProjection(new PropertyProjection("tag", String.class))
            .addProjection(new PropertyProjection("n", Long.class))
            .addSort("tag").addSort("n", SortDirection.DESCENDING);
        List<Entity> rows = datastore.prepare(query).asList(
            FetchOptions.Builder.withLimit(2));
        assertEquals(Map.of("tag", "x", "n", 4L), rows.get(0).getProperties());
        assertEquals(Map.of("tag", "x", "n", 2L), rows.get(1).getProperties());
    }

    @Test
    public void distinctGivesEachValueOnce() {
        putSongs();
        Query query = new Query("Song").setDistinct(true).addProjection(
            new PropertyProjection("tag", String.class));
        List<Entity> rows = datastore.prepare(query).asList(
            FetchOptions.Builder.withDefaults());
        assertEquals(List.of("x", "y"), rows.stream()
                         .map(e -> e.getProperty("tag"))
                         .collect(Collectors.toList()));
    }

    @Test
    public void distinctAfterAnEquality() {
        putSongs();
        Query query = new Query("Song").setDistinct(true)
            .addProjection(new PropertyProjection("n", Long.class))
            .setFilter(filter("tag", FilterOperator.EQUAL, "y"))
            .addSort("n", SortDirection.DESCENDING);
        assertEquals("f d b", found(query));
    }

    @Test
    public void aProjectedPropertyMustNotBeEqual() {
        Query query = new Query("Song")
            .addProjection(new PropertyProjection("n", Long.class))
            .setFilter(filter("n", FilterOperator.EQUAL, 1));
        assertThrows(IllegalArgumentException.class, () -> found(query));
    }

    @Test
    public void aSingleEntityIsOne() {
        putSongs();
        assertNull(datastore.prepare(new Query("None")).asSingleEntity());
        Query one = new Query("Song").setFilter(
            filter("n", FilterOperator.EQUAL, 3));
        assertEquals("d", datastore.prepare(one).asSingleEntity().getKey()
                              .getName());
        assertThrows(PreparedQuery.TooManyResultsException.class,
                     () -> datastore.prepare(new Query("Song"))
                         .asSingleEntity());
    }

    @Test
    public void offsetAndLimitCutAPiece() {
        putRows(40);
        PreparedQuery query = datastore.prepare(new Query("Row").addSort("n"));
        assertEquals("0035 0036 0037", names(query.asIterable(
            FetchOptions.Builder.withOffset(35).limit(3))));
        assertEquals("0038 0039", names(query.asIterable(
            FetchOptions.Builder.withOffset(38).limit(30))));
        assertEquals("", names(query.asIterable(
            FetchOptions.Builder.withOffset(40))));
        assertEquals(0, query.asList(FetchOptions.Builder.withLimit(0)).size());
        assertEquals(35, query.asList(
            FetchOptions.Builder.withLimit(35)).size());
    }

    @Test
    public void chunksAndPrefetchChangeNothing() {
        putRows(45);
        PreparedQuery query = datastore.prepare(new Query("Row"));
        String all = names(query.asIterable());
        for (int chunk : new int[] {1, 7, 45, 1000}) {
            assertEquals(all, names(query.asIterable(
                FetchOptions.Builder.withChunkSize(chunk))));
            assertEquals(all, names(query.asIterable(
                FetchOptions.Builder.withPrefetchSize(chunk).chunkSize(10))));
            assertEquals(all.substring(0, 5 * 30 - 1), names(query.asIterable(
                FetchOptions.Builder.withChunkSize(chunk).limit(30))));
        }
    }

    @Test
    public void manyRowsComeInBatches() {
        putRows(1250);
        PreparedQuery query = datastore.prepare(new Query("Row").addSort("n"));
        List<Entity> rows = query.asList(FetchOptions.Builder.withDefaults());
        assertEquals(1250, rows.size());
        for (int i = 0; i < 1250; i++) {
            assertEquals((long) i, rows.get(i).getProperty("n"));
        }
        assertEquals("1240", names(query.asIterable(
            FetchOptions.Builder.withOffset(1240).limit(1))));
        assertEquals(1250, query.countEntities(
            FetchOptions.Builder.withDefaults()));
        assertEquals(1100, query.countEntities(
            FetchOptions.Builder.withLimit(1100)));
        assertEquals(50, query.countEntities(
            FetchOptions.Builder.withOffset(1200)));
    }

    @Test
    public void countingNeedsNoRows() {
        putSongs();
        assertEquals(6, datastore.prepare(new Query("Song")).countEntities(
            FetchOptions.Builder.withDefaults()));
        assertEquals(0, datastore.prepare(new Query("None")).countEntities(
            FetchOptions.Builder.withDefaults()));
        assertEquals(4, datastore.prepare(new Query("Song")).countEntities(
            FetchOptions.Builder.withLimit(4)));
    }

    @Test
    public void aListIsReadWhenItIsAsked() {
        putRows(60);
        List<Entity> rows = datastore.prepare(new Query("Row")).asList(
            FetchOptions.Builder.withChunkSize(10));
        assertEquals("0059", rows.get(59).getKey().getName());
        assertEquals("0003", rows.get(3).getKey().getName());
        assertEquals(60, rows.size());
    }

    @Test
    public void iteratorsRunSideBySide() {
        putRows(50);
        Iterator<Entity> one = datastore.prepare(new Query("Row")).asIterator(
            FetchOptions.Builder.withChunkSize(5));
        Iterator<Entity> two = datastore.prepare(new Query("Row")).asIterator(
            FetchOptions.Builder.withChunkSize(3));
        int n = 0;
        while (one.hasNext()) {
            assertEquals(one.next(), two.next());
            n++;
        }
        assertEquals(50, n);
        assertFalse(two.hasNext());
    }

    @Test
    public void aMissingIndexIsDescribed() {
        notOnTheReference();
        putSongs();
        Query query = new Query("Song")
            .setFilter(filter("none", FilterOperator.EQUAL, "x"))
            .addSort("n");
        DatastoreNeedIndexException error = assertThrows(
            DatastoreNeedIndexException.class, () -> found(query));
        assertNotNull(error.getMissingIndexDefinitionXml());
        assertContains(error.getMissingIndexDefinitionXml(),
                       "<datastore-index kind=\"Song\"");
    }

    @Test
    public void theIndexesOfTheAppAreListed() {
        notOnTheReference();
        Map<Index, Index.IndexState> indexes = datastore.getIndexes();
        Index songs = indexes.keySet().stream()
            .filter(i -> i.getKind().equals("Song")).findFirst().orElseThrow();
        assertEquals(Index.IndexState.SERVING, indexes.get(songs));
        assertEquals("tag", songs.getProperties().get(0).getName());
    }

    @Test
    public void twoInequalitiesAreRefused() {
        Filter filter = CompositeFilterOperator.and(
            filter("n", FilterOperator.GREATER_THAN, 1),
            filter("tag", FilterOperator.LESS_THAN, "x"));
        assertThrows(IllegalArgumentException.class, () -> found(filter));
    }

    @Test
    public void theInequalityIsSortedFirst() {
        Query query = new Query("Song")
            .setFilter(filter("n", FilterOperator.GREATER_THAN, 1))
            .addSort("tag");
        assertThrows(IllegalArgumentException.class, () -> found(query));
    }
}
