package sdk;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;

import com.google.apphosting.api.ApiProxy;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.junit.Before;
import org.junit.Test;

/** What the runtime makes of the server's answers, below the SDK. */
public class ProxyTest extends ApiTest {
    private static final byte[] NOTHING = {};
    private static final byte[] GARBAGE = {0x0a, 0x7f, 1};

    @Before
    public void forTheServerAlone() {
        notOnTheReference();
    }

    private static byte[] call(String service, String method, byte[] request) {
        return ApiProxy.makeSyncCall(service, method, request);
    }

    @Test
    public void aCallIsAnswered() {
        assertArrayEquals(NOTHING, call("appscale", "Null", NOTHING));
    }

    @Test
    public void whatIsNotThereIsNotFound() {
        assertThrows(ApiProxy.CallNotFoundException.class,
                     () -> call("none", "Get", NOTHING));
        assertThrows(ApiProxy.CallNotFoundException.class,
                     () -> call("datastore_v3", "None", NOTHING));
    }

    @Test
    public void garbageIsAnArgument() {
        for (String method : List.of("Get", "Put", "RunQuery", "Commit")) {
            assertThrows(ApiProxy.ArgumentException.class,
                         () -> call("datastore_v3", method, GARBAGE));
        }
        assertThrows(ApiProxy.ArgumentException.class,
                     () -> call("memcache", "Get", GARBAGE));
    }

    @Test
    public void theServicesErrorHasItsCode() {
        // GetVersions of a module that is not there: INVALID_MODULE.
        byte[] none = {0x0a, 4, 'n', 'o', 'n', 'e'};
        ApiProxy.ApplicationException error = assertThrows(
            ApiProxy.ApplicationException.class,
            () -> call("modules", "GetVersions", none));
        assertEquals(1, error.getApplicationError());
        assertContains(error.getErrorDetail(), "none");
    }

    @Test
    public void whatIsTooLargeIsTooLarge() {
        byte[] large = new byte[12 << 20];
        large[0] = 0x7a; // field 15, a string of 11 MiB
        large[1] = (byte) 0x80;
        large[2] = (byte) 0x80;
        large[3] = (byte) 0xc0;
        large[4] = 5;
        assertThrows(ApiProxy.RequestTooLargeException.class,
                     () -> call("datastore_v3", "Put", large));
    }

    @Test
    public void callsRunSideBySide() throws Exception {
        ApiProxy.ApiConfig config = new ApiProxy.ApiConfig();
        config.setDeadlineInSeconds(30.0);
        List<Future<byte[]>> calls = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            calls.add(ApiProxy.makeAsyncCall(
                i % 2 == 0 ? "appscale" : "none", "Null", NOTHING, config));
        }
        for (int i = 0; i < 200; i++) {
            Future<byte[]> call = calls.get(i);
            if (i % 2 == 0) {
                assertArrayEquals(NOTHING, call.get());
            } else {
                assertEquals(ApiProxy.CallNotFoundException.class,
                             assertThrows(ExecutionException.class, call::get)
                                 .getCause().getClass());
            }
        }
    }
}
