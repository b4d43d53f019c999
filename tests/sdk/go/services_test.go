package sdk

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"google.golang.org/appengine/v2"
	"google.golang.org/appengine/v2/capability"
	"google.golang.org/appengine/v2/memcache"
	"google.golang.org/appengine/v2/module"
	"google.golang.org/appengine/v2/user"
)

// referenceOnly says whether the SDK's stubs answer: what they get wrong is
// left out then.
func referenceOnly(t *testing.T) bool {
	if os.Getenv("APPSCALE_REFERENCE") == "" {
		return false
	}
	t.Skip("the stub is known to be wrong here")
	return true
}

func TestMemcacheStoresAndForgets(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		item := &memcache.Item{Key: "k", Value: []byte{0, 255}, Flags: 7}
		must(t, memcache.Set(ctx, item))
		got, err := memcache.Get(ctx, "k")
		must(t, err)
		if !bytes.Equal(got.Value, item.Value) || got.Flags != 7 {
			t.Errorf("got %+v", got)
		}
		if err := memcache.Add(ctx, item); err != memcache.ErrNotStored {
			t.Errorf("add: %v", err)
		}
		must(t, memcache.Delete(ctx, "k"))
		if err := memcache.Delete(ctx, "k"); err != memcache.ErrCacheMiss {
			t.Errorf("delete: %v", err)
		}
		if _, err := memcache.Get(ctx, "k"); err != memcache.ErrCacheMiss {
			t.Errorf("get: %v", err)
		}
	})
}

func TestMemcacheTakesManyItems(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		must(t, memcache.SetMulti(ctx, []*memcache.Item{
			{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte{}}}))
		got, err := memcache.GetMulti(ctx, []string{"a", "b", "absent"})
		must(t, err)
		if len(got) != 2 || string(got["a"].Value) != "1" || len(got["b"].Value) != 0 {
			t.Errorf("got %v", got)
		}
	})
}

func TestMemcacheCompareAndSwapSeesAChange(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		must(t, memcache.Set(ctx, &memcache.Item{Key: "k", Value: []byte("1")}))
		mine, err := memcache.Get(ctx, "k")
		must(t, err)
		theirs, err := memcache.Get(ctx, "k")
		must(t, err)
		theirs.Value = []byte("2")
		must(t, memcache.CompareAndSwap(ctx, theirs))
		mine.Value = []byte("3")
		if err := memcache.CompareAndSwap(ctx, mine); err != memcache.ErrCASConflict {
			t.Errorf("got %v", err)
		}
		must(t, memcache.Delete(ctx, "k"))
		if err := memcache.CompareAndSwap(ctx, mine); err != memcache.ErrNotStored {
			t.Errorf("after delete: %v", err)
		}
	})
}

func TestMemcacheCountsUnderContention(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		var wait sync.WaitGroup
		for i := 0; i < 8; i++ {
			wait.Add(1)
			go func() {
				defer wait.Done()
				for j := 0; j < 25; j++ {
					if _, err := memcache.Increment(ctx, "k", 1, 100); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		wait.Wait()
		n, err := memcache.Increment(ctx, "k", -1000, 0)
		if err != nil || n != 0 {
			t.Errorf("down to zero: %d, %v", n, err)
		}
	})
}

func TestMemcacheDoesNotCountWhatIsAbsent(t *testing.T) {
	if referenceOnly(t) {
		return
	}
	inRequest(t, func(ctx context.Context) {
		_, err := memcache.IncrementExisting(ctx, "absent", 1)
		if err != memcache.ErrCacheMiss {
			t.Errorf("got %v", err)
		}
	})
}

func TestMemcacheStatisticsAreWhole(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		must(t, memcache.Set(ctx, &memcache.Item{Key: "k", Value: []byte("v")}))
		stats, err := memcache.Stats(ctx)
		must(t, err)
		if stats.Items < 1 {
			t.Errorf("got %+v", stats)
		}
	})
}

func TestMemcacheRefusesWhatIsTooLarge(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		err := memcache.Set(ctx, &memcache.Item{Key: "k", Value: make([]byte, 1100000)})
		if err == nil {
			t.Error("1.1 MB were taken")
		}
	})
}

func TestUserAddressesLeadBack(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		in, err := user.LoginURL(ctx, "/back")
		must(t, err)
		out, err := user.LogoutURL(ctx, "/back")
		must(t, err)
		for _, url := range []string{in, out} {
			if !strings.Contains(url, "back") {
				t.Errorf("%q does not lead back", url)
			}
		}
	})
}

func TestTheHeadersSayWhoAsks(t *testing.T) {
	headers := map[string]string{
		"X-Appengine-User-Email":    "jo@example.com",
		"X-Appengine-User-Id":       "42",
		"X-Appengine-User-Is-Admin": "1",
		"X-Appengine-Auth-Domain":   "gmail.com",
	}
	inRequestWith(t, headers, func(ctx context.Context) {
		u := user.Current(ctx)
		if u == nil || u.Email != "jo@example.com" || u.ID != "42" || !user.IsAdmin(ctx) {
			t.Errorf("got %+v", u)
		}
	})
}

func TestIdentity(t *testing.T) {
	if referenceOnly(t) {
		return
	}
	inRequest(t, func(ctx context.Context) {
		account, err := appengine.ServiceAccount(ctx)
		must(t, err)
		if !strings.Contains(account, "@") {
			t.Errorf("account %q", account)
		}
		name, signature, err := appengine.SignBytes(ctx, []byte("to sign"))
		must(t, err)
		certificates, err := appengine.PublicCertificates(ctx)
		must(t, err)
		found := false
		for _, c := range certificates {
			found = found || c.KeyName == name
		}
		if !found || len(signature) == 0 {
			t.Errorf("key %q signs %d bytes, certificates %v", name, len(signature), certificates)
		}
		if !capability.Enabled(ctx, "datastore_v3", "*") {
			t.Error("the datastore is not enabled")
		}
	})
}

func TestTheAppsModulesAreNamed(t *testing.T) {
	if referenceOnly(t) {
		return
	}
	inRequest(t, func(ctx context.Context) {
		names, err := module.List(ctx)
		must(t, err)
		if len(names) != 1 || names[0] != "default" {
			t.Errorf("modules: %q", names)
		}
		version, err := module.DefaultVersion(ctx, "default")
		must(t, err)
		versions, err := module.Versions(ctx, "default")
		must(t, err)
		if len(versions) != 1 || versions[0] != version {
			t.Errorf("versions: %q, the default is %q", versions, version)
		}
		host, err := appengine.ModuleHostname(ctx, "default", version, "")
		must(t, err)
		if !strings.HasPrefix(host, version+".default.") {
			t.Errorf("host: %q", host)
		}
	})
}

func TestInstancesOfOneThatScalesByItselfStay(t *testing.T) {
	if referenceOnly(t) {
		return
	}
	inRequest(t, func(ctx context.Context) {
		version, err := module.DefaultVersion(ctx, "default")
		must(t, err)
		if _, err := module.NumInstances(ctx, "default", version); err == nil {
			t.Error("its instances were counted")
		}
		for label, err := range map[string]error{
			"set":     module.SetNumInstances(ctx, "default", version, 2),
			"start":   module.Start(ctx, "default", version),
			"stop":    module.Stop(ctx, "default", version),
			"nothing": module.Stop(ctx, "nothing", "v"),
		} {
			if err == nil || !strings.Contains(err.Error(), "INVALID_VERSION") {
				t.Errorf("%s: %v", label, err)
			}
		}
	})
}
