package notes;

import com.google.appengine.api.datastore.DatastoreService;
import com.google.appengine.api.datastore.DatastoreServiceFactory;
import com.google.appengine.api.datastore.Entity;
import com.google.appengine.api.datastore.FetchOptions;
import com.google.appengine.api.datastore.Key;
import com.google.appengine.api.datastore.KeyFactory;
import com.google.appengine.api.datastore.Query;
import com.google.appengine.api.datastore.Text;
import com.google.appengine.api.datastore.Transaction;
import com.google.appengine.api.memcache.MemcacheServiceFactory;
import com.google.appengine.api.taskqueue.QueueFactory;
import com.google.appengine.api.taskqueue.TaskOptions;
import java.io.IOException;
import java.text.SimpleDateFormat;
import java.util.Date;
import java.util.Locale;
import java.util.TimeZone;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;

/**
 * The board: GET / shows the newest notes, POST /write adds one.
 *
 * <p>All notes share an ancestor, so a note shows up as soon as it was written.
 * A task counts the words of each after its author has gone on, and memcache
 * counts who looks.
 */
public class Board extends HttpServlet {
  private static final int SHOWN = 20;
  private static final int LONGEST = 500;
  private static final Key BOARD = KeyFactory.createKey("Board", "main");

  private final DatastoreService datastore =
      DatastoreServiceFactory.getDatastoreService();

  @Override
  protected void doGet(HttpServletRequest request, HttpServletResponse response)
      throws IOException {
    if (!request.getServletPath().isEmpty()) {
      response.sendRedirect("/");
      return;
    }
    response.setContentType("text/html; charset=utf-8");
    response.getWriter().print(String.format(PAGE, LONGEST, notes(), looks()));
  }

  private String notes() {
    StringBuilder items = new StringBuilder();
    Query newest = new Query("Note").setAncestor(BOARD)
        .addSort("written", Query.SortDirection.DESCENDING);
    SimpleDateFormat date = new SimpleDateFormat("d MMMM yyyy, HH:mm", Locale.UK);
    date.setTimeZone(TimeZone.getTimeZone("UTC"));
    for (Entity note : datastore.prepare(newest)
        .asIterable(FetchOptions.Builder.withLimit(SHOWN))) {
      Long words = (Long) note.getProperty("words");
      items.append(String.format(NOTE,
          escape(((Text) note.getProperty("text")).getValue()),
          date.format((Date) note.getProperty("written")),
          words == 0 ? "" : words == 1 ? " &middot; 1 word"
              : " &middot; " + words + " words"));
    }
    return items.length() > 0 ? items.toString()
        : "<li class=\"empty\">The board is empty.</li>";
  }

  /** A cache that is away costs the number, not the page. */
  private static long looks() {
    Long n = MemcacheServiceFactory.getMemcacheService()
        .increment("looks", 1, 0L);
    return n == null ? 0 : n;
  }

  /** The note and the task that counts it become real together, or not at all. */
  @Override
  protected void doPost(HttpServletRequest request, HttpServletResponse response)
      throws IOException {
    request.setCharacterEncoding("UTF-8");
    String text = request.getParameter("text");
    text = text == null ? "" : text.trim();
    if (text.isEmpty() || text.length() > LONGEST) {
      response.sendError(400, "A note is 1 to 500 characters, sent by the form.");
      return;
    }
    Entity note = new Entity("Note", BOARD);
    note.setUnindexedProperty("text", new Text(text));
    note.setProperty("written", new Date());
    note.setUnindexedProperty("words", 0L);
    Transaction transaction = datastore.beginTransaction();
    try {
      Key key = datastore.put(transaction, note);
      QueueFactory.getDefaultQueue().add(transaction,
          TaskOptions.Builder.withUrl("/tasks/count")
              .param("key", KeyFactory.keyToString(key)));
      transaction.commit();
    } finally {
      if (transaction.isActive()) {
        transaction.rollback();
      }
    }
    response.sendRedirect("/");
  }

  private static String escape(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
  }

  private static final String NOTE = """
        <li class="card">
          <p>%s</p>
          <small>%s UTC%s</small>
        </li>
      """;

  private static final String PAGE = """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>Notes</title>
      <link rel="stylesheet" href="/static/style.css">
      </head>
      <body>
      <main>
      <h1>Notes <small>in Java</small></h1>
      <form class="card" method="post" action="/write">
        <textarea name="text" rows="2" maxlength="%d" required autofocus placeholder="What is on your mind?"></textarea>
        <button>Put it on the board</button>
      </form>
      <ol>
      %s</ol>
      <footer>Looks: %d</footer>
      </main>
      </body>
      </html>
      """;
}
