package sdk;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertThrows;

import com.google.appengine.api.datastore.Cursor;
import com.google.appengine.api.datastore.Entity;
import com.google.appengine.api.datastore.FetchOptions;
import com.google.appengine.api.datastore.PreparedQuery;
import com.google.appengine.api.datastore.PropertyProjection;
import com.google.appengine.api.datastore.Query;
import com.google.appengine.api.datastore.Query.FilterOperator;
import com.google.appengine.api.datastore.Query.FilterPredicate;
import com.google.appengine.api.datastore.Query.SortDirection;
import com.google.appengine.api.datastore.QueryResultIterator;
import com.google.appengine.api.datastore.QueryResultList;
import java.util.ArrayList;
import java.util.List;
import org.junit.Before;
import org.junit.Test;

/** Cursors: where a query stopped, where it shall end, and backwards. */
public class CursorsTest extends ApiTest {
    private static final int ROWS = 26;

    /** Letter a to z with n 0, 0, 1, 1, 2, 2, ... */
    @Before
    public void putRows() {
        List<Entity> rows = new ArrayList<>();
        for (int i = 0; i < ROWS; i++) {
            rows.add(entity("Letter", String.valueOf((char) ('a' + i)),
                            "n", i / 2, "m", list(i, i + 100)));
        }
        datastore.put(rows);
    }

    private static String letters(Iterable<Entity> found) {
        return names(found).replace(" ", "");
    }

    private String all(Query query) {
        return letters(datastore.prepare(query).asIterable());
    }

    /** Every page, each from where the last one stopped. */
    private String pages(Query query, int size) {
        StringBuilder all = new StringBuilder();
        Cursor cursor = null;
        for (;;) {
            FetchOptions options = FetchOptions.Builder.withLimit(size);
            if (cursor != null) {
                // As an app would: through a form or an address.
                options.startCursor(
                    Cursor.fromWebSafeString(cursor.toWebSafeString()));
            }
            QueryResultList<Entity> page =
                datastore.prepare(query).asQueryResultList(options);
            all.append(letters(page));
            cursor = page.getCursor();
            assertNotNull(cursor);
            if (page.size() < size) {
                return all.toString();
            }
        }
    }

    private void isWholeInPages(Query query) {
        String all = all(query);
        for (int size : new int[] {1, 4, 13, ROWS, 100}) {
            assertEquals(all, pages(query, size));
        }
    }

    @Test
    public void pagesInKeyOrder() {
        isWholeInPages(new Query("Letter"));
        isWholeInPages(new Query("Letter").setKeysOnly());
    }

    @Test
    public void pagesInAnOrder() {
        isWholeInPages(new Query("Letter").addSort("n"));
        isWholeInPages(
            new Query("Letter").addSort("n", SortDirection.DESCENDING));
    }

    @Test
    public void pagesOfManyValues() {
        notOnTheReference();
        isWholeInPages(new Query("Letter").addSort("m"));
        isWholeInPages(
            new Query("Letter").addSort("m", SortDirection.DESCENDING));
        isWholeInPages(new Query("Letter").addProjection(
            new PropertyProjection("m", Long.class)));
    }

    @Test
    public void pagesOfARange() {
        isWholeInPages(new Query("Letter").setFilter(new FilterPredicate(
            "n", FilterOperator.GREATER_THAN, 3)));
        isWholeInPages(new Query("Letter").setFilter(new FilterPredicate(
            "n", FilterOperator.EQUAL, 3)));
    }

    @Test
    public void pagesOfDistinctValues() {
        isWholeInPages(new Query("Letter").setDistinct(true).addProjection(
            new PropertyProjection("n", Long.class)));
    }

    @Test
    public void aCursorOfAnIteratorStandsAfterTheLast() {
        PreparedQuery query = datastore.prepare(new Query("Letter").addSort("n"));
        for (int chunk : new int[] {1, 3, 20}) {
            QueryResultIterator<Entity> rows = query.asQueryResultIterator(
                FetchOptions.Builder.withChunkSize(chunk));
            for (int i = 0; i < 5; i++) {
                rows.next();
            }
            assertEquals("fghi", letters(query.asIterable(
                FetchOptions.Builder.withStartCursor(rows.getCursor())
                    .limit(4))));
        }
    }

    @Test
    public void aCursorBeforeTheFirstIsTheStart() {
        PreparedQuery query = datastore.prepare(new Query("Letter").addSort("n"));
        Cursor start = query.asQueryResultIterator().getCursor();
        assertNotNull(start);
        assertEquals("abc", letters(query.asIterable(
            FetchOptions.Builder.withStartCursor(start).limit(3))));
    }

    @Test
    public void anEndCursorEndsIt() {
        PreparedQuery query = datastore.prepare(new Query("Letter").addSort("n"));
        Cursor three = query.asQueryResultList(
            FetchOptions.Builder.withLimit(3)).getCursor();
        Cursor nine = query.asQueryResultList(
            FetchOptions.Builder.withLimit(9)).getCursor();
        assertEquals("abc", letters(query.asIterable(
            FetchOptions.Builder.withEndCursor(three))));
        assertEquals("defghi", letters(query.asIterable(
            FetchOptions.Builder.withStartCursor(three).endCursor(nine))));
        assertEquals("", letters(query.asIterable(
            FetchOptions.Builder.withStartCursor(nine).endCursor(three))));
        assertEquals(6, query.countEntities(
            FetchOptions.Builder.withStartCursor(three).endCursor(nine)));
    }

    @Test
    public void anOffsetCountsFromTheCursor() {
        PreparedQuery query = datastore.prepare(new Query("Letter"));
        QueryResultList<Entity> page = query.asQueryResultList(
            FetchOptions.Builder.withOffset(5).limit(2));
        assertEquals("fg", letters(page));
        page = query.asQueryResultList(FetchOptions.Builder
            .withStartCursor(page.getCursor()).offset(3).limit(2));
        assertEquals("kl", letters(page));
    }

    @Test
    public void aReversedQueryGoesBackFromIt() {
        for (Query query : List.of(
                 new Query("Letter").addSort("n").addSort("__key__"),
                 new Query("Letter").addSort("__key__"))) {
            Cursor cursor = datastore.prepare(query).asQueryResultList(
                FetchOptions.Builder.withLimit(5)).getCursor();
            assertEquals("edcba", letters(
                datastore.prepare(query.reverse()).asIterable(
                    FetchOptions.Builder.withStartCursor(cursor))));
        }
    }

    @Test
    public void aCursorOutlivesItsRow() {
        PreparedQuery query = datastore.prepare(new Query("Letter").addSort("n"));
        Cursor cursor = query.asQueryResultList(
            FetchOptions.Builder.withLimit(3)).getCursor();
        datastore.delete(key("Letter", "c"), key("Letter", "d"));
        assertEquals("efg", letters(query.asIterable(
            FetchOptions.Builder.withStartCursor(cursor).limit(3))));
    }

    @Test
    public void aCursorOfAnotherOrderIsRefused() {
        Cursor cursor = datastore.prepare(new Query("Letter").addSort("n"))
            .asQueryResultList(FetchOptions.Builder.withLimit(3)).getCursor();
        PreparedQuery other =
            datastore.prepare(new Query("Letter").addSort("m"));
        assertThrows(IllegalArgumentException.class, () -> letters(
            other.asIterable(
                FetchOptions.Builder.withStartCursor(cursor))));
    }

    @Test
    public void anEmptyQueryHasACursor() {
        PreparedQuery query = datastore.prepare(new Query("None"));
        QueryResultIterator<Entity> rows = query.asQueryResultIterator();
        assertFalse(rows.hasNext());
        Cursor cursor = rows.getCursor();
        datastore.put(entity("None", "x"));
        assertEquals("x", letters(query.asIterable(
            FetchOptions.Builder.withStartCursor(cursor))));
    }
}
