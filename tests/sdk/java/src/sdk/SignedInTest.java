package sdk;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import com.google.appengine.api.datastore.Entity;
import com.google.appengine.api.users.User;
import com.google.appengine.api.users.UserService;
import com.google.appengine.api.users.UserServiceFactory;
import org.junit.Test;

/** Requests of a visitor whom the edge knows (SIGNED_IN in test_java.py). */
public class SignedInTest extends ApiTest {
    private final UserService users = UserServiceFactory.getUserService();

    @Test
    public void theVisitorHasAName() {
        User user = users.getCurrentUser();
        assertTrue(users.isUserLoggedIn());
        assertEquals("jo@example.com", user.getEmail());
        assertEquals("42", user.getUserId());
        assertEquals("gmail.com", user.getAuthDomain());
    }

    @Test
    public void theAdministratorIsOne() {
        assertTrue(users.isUserAdmin());
    }

    @Test
    public void theVisitorIsAValue() throws Exception {
        Entity e = entity("E", "e", "by", users.getCurrentUser());
        datastore.put(e);
        assertEquals(users.getCurrentUser(),
                     datastore.get(e.getKey()).getProperty("by"));
    }
}
