//go:build tools

// The ACME server that tests/lib/acme.py builds, so that go.mod pins it.
package tools

import (
	_ "github.com/letsencrypt/pebble/v2/cmd/pebble"
	_ "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv"
)
