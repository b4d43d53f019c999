package sdk

import (
	"context"
	"testing"
	"time"

	"google.golang.org/appengine/v2/memcache"
	"google.golang.org/appengine/v2/runtime"
)

func TestAFunctionRunsInTheBackground(t *testing.T) {
	if referenceOnly(t) {
		return
	}
	ended, over := make(chan error, 1), make(chan bool)
	inRequest(t, func(ctx context.Context) {
		must(t, runtime.RunInBackground(ctx, func(ctx context.Context) {
			<-over // the request that asked
			ended <- memcache.Set(ctx, &memcache.Item{
				Key: "background", Value: []byte("ran")})
		}))
	})
	close(over)
	select {
	case err := <-ended:
		must(t, err)
	case <-time.After(60 * time.Second):
		t.Fatal("it did not run")
	}
}

func TestTheFiguresAreThoseOfThisProgram(t *testing.T) {
	if referenceOnly(t) {
		return
	}
	inRequest(t, func(ctx context.Context) {
		stats, err := runtime.Stats(ctx)
		must(t, err)
		if stats.CPU.Total < 0 || stats.RAM.Current < 1 || stats.RAM.Average10M < 1 {
			t.Errorf("got %+v", stats)
		}
	})
}
