package sdk;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertNull;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import com.google.appengine.api.appidentity.AppIdentityService;
import com.google.appengine.api.appidentity.AppIdentityServiceFactory;
import com.google.appengine.api.appidentity.PublicCertificate;
import com.google.appengine.api.capabilities.CapabilitiesService;
import com.google.appengine.api.capabilities.CapabilitiesServiceFactory;
import com.google.appengine.api.capabilities.Capability;
import com.google.appengine.api.capabilities.CapabilityStatus;
import com.google.appengine.api.modules.ModulesException;
import com.google.appengine.api.modules.ModulesService;
import com.google.appengine.api.modules.ModulesServiceFactory;
import com.google.appengine.api.users.UserService;
import com.google.appengine.api.users.UserServiceFactory;
import com.google.appengine.api.utils.SystemProperty;
import com.google.apphosting.api.ApiProxy;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Date;
import java.util.List;
import java.util.Set;
import org.junit.Test;

/** The small services, and who the instance is told it is. */
public class ServicesTest extends ApiTest {
    private final UserService users = UserServiceFactory.getUserService();
    private final ModulesService modules =
        ModulesServiceFactory.getModulesService();
    private final AppIdentityService identity =
        AppIdentityServiceFactory.getAppIdentityService();

    @Test
    public void theInstanceKnowsWhoItIs() {
        ApiProxy.Environment env = ApiProxy.getCurrentEnvironment();
        assertEquals("s~sdk-tests", env.getAppId());
        assertEquals("default", env.getModuleId());
        assertContains(env.getVersionId(), "v1");
        assertEquals("sdk-tests", SystemProperty.applicationId.get());
        assertEquals(SystemProperty.Environment.Value.Production,
                     SystemProperty.environment.value());
    }

    @Test
    public void nobodyIsSignedIn() {
        assertFalse(users.isUserLoggedIn());
        assertNull(users.getCurrentUser());
        assertThrows(IllegalStateException.class, users::isUserAdmin);
    }

    @Test
    public void addressesLeadBack() {
        notOnTheReference();
        for (String url : List.of(users.createLoginURL("/back?a=b"),
                                  users.createLogoutURL("/back?a=b"))) {
            assertContains(url, "back");
        }
        assertThrows(IllegalArgumentException.class,
                     () -> users.createLoginURL("/" + "x".repeat(3000)));
    }

    @Test
    public void capabilitiesAreThere() {
        notOnTheReference();
        CapabilitiesService service =
            CapabilitiesServiceFactory.getCapabilitiesService();
        for (Capability capability : List.of(
                 Capability.DATASTORE, Capability.DATASTORE_WRITE,
                 Capability.MEMCACHE)) {
            assertEquals(CapabilityStatus.ENABLED,
                         service.getStatus(capability).getStatus());
        }
    }

    @Test
    public void theAppIsNamed() {
        notOnTheReference();
        assertEquals("sdk-tests", identity.parseFullAppId(
            ApiProxy.getCurrentEnvironment().getAppId()).getId());
        assertContains(identity.getServiceAccountName(), "sdk-tests");
        assertContains(identity.getServiceAccountName(), "@");
        assertNotNull(identity.getDefaultGcsBucketName());
    }

    @Test
    public void aSignatureIsVerifiedByACertificate() throws Exception {
        notOnTheReference();
        byte[] text = "Grüße".getBytes(StandardCharsets.UTF_8);
        AppIdentityService.SigningResult signed = identity.signForApp(text);
        for (PublicCertificate c : identity.getPublicCertificatesForApp()) {
            if (c.getCertificateName().equals(signed.getKeyName())) {
                X509Certificate certificate =
                    (X509Certificate) CertificateFactory.getInstance("X.509")
                        .generateCertificate(new ByteArrayInputStream(
                            c.getX509CertificateInPemFormat().getBytes(
                                StandardCharsets.US_ASCII)));
                certificate.checkValidity();
                Signature verifier = Signature.getInstance("SHA256withRSA");
                verifier.initVerify(certificate);
                verifier.update(text);
                assertTrue(verifier.verify(signed.getSignature()));
                return;
            }
        }
        throw new AssertionError("no certificate " + signed.getKeyName());
    }

    @Test
    public void anAccessTokenIsGivenForATime() {
        notOnTheReference();
        AppIdentityService.GetAccessTokenResult token =
            identity.getAccessTokenUncached(List.of("scope"));
        assertFalse(token.getAccessToken().isEmpty());
        assertTrue(token.getExpirationTime().after(new Date()));
        // The SDK keeps tokens in memcache, as a value of a class of its own.
        String kept = identity.getAccessToken(List.of("scope"))
                          .getAccessToken();
        assertEquals(kept, identity.getAccessToken(List.of("scope"))
                               .getAccessToken());
    }

    @Test
    public void theAppsModulesAreNamed() {
        notOnTheReference();
        assertEquals("default", modules.getCurrentModule());
        assertEquals("v1", modules.getCurrentVersion());
        assertEquals(Set.of("default"), modules.getModules());
        assertEquals(1, modules.getVersions("default").size());
        String version = modules.getDefaultVersion("default");
        assertEquals(Set.of(version), modules.getVersions("default"));
        assertContains(modules.getVersionHostname("default", version),
                       "sdk-tests");
    }

    @Test
    public void whatIsNotThereIsRefused() {
        notOnTheReference();
        assertThrows(ModulesException.class,
                     () -> modules.getVersions("none"));
        assertThrows(ModulesException.class,
                     () -> modules.getVersionHostname("default", "none"));
    }
}
