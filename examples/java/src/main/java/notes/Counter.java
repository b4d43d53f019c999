package notes;

import com.google.appengine.api.datastore.DatastoreService;
import com.google.appengine.api.datastore.DatastoreServiceFactory;
import com.google.appengine.api.datastore.Entity;
import com.google.appengine.api.datastore.EntityNotFoundException;
import com.google.appengine.api.datastore.KeyFactory;
import com.google.appengine.api.datastore.Text;
import com.google.appengine.api.datastore.Transaction;
import java.io.IOException;
import javax.servlet.http.HttpServlet;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;

/** The task of a note. It may run twice: counting again gives the same. */
public class Counter extends HttpServlet {
  private final DatastoreService datastore =
      DatastoreServiceFactory.getDatastoreService();

  @Override
  protected void doPost(HttpServletRequest request, HttpServletResponse response)
      throws IOException {
    Transaction transaction = datastore.beginTransaction();
    try {
      Entity note = datastore.get(transaction,
          KeyFactory.stringToKey(request.getParameter("key")));
      String text = ((Text) note.getProperty("text")).getValue();
      note.setUnindexedProperty("words", (long) text.trim().split("\\s+").length);
      datastore.put(transaction, note);
      transaction.commit();
    } catch (EntityNotFoundException e) {
      response.sendError(404);
    } finally {
      if (transaction.isActive()) {
        transaction.rollback();
      }
    }
  }
}
