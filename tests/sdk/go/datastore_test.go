package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/appengine/v2"
	"google.golang.org/appengine/v2/datastore"
)

type everything struct {
	I     int64
	B     bool
	S     string
	F     float64
	Bytes []byte
	Short datastore.ByteString
	Blob  appengine.BlobKey
	Place appengine.GeoPoint
	When  time.Time
	Ref   *datastore.Key
	List  []int64
	Long  string `datastore:",noindex"`
	Inner struct{ A, B int64 }
}

func TestAnEntityComesBackAsItWas(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		in := everything{
			I: math.MinInt64, B: true, S: "Grüße\x00 日本", F: math.Inf(-1),
			Bytes: []byte{0, 255, 1}, Short: datastore.ByteString{9, 0, 8},
			Blob: "blob", Place: appengine.GeoPoint{Lat: -1.5, Lng: 100.25},
			When: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
			Ref:  newKey(ctx, "Other", "ä"), List: []int64{3, 1, 2},
			Long: strings.Repeat("x", 100000),
		}
		in.Inner.A = 7
		key, err := datastore.Put(ctx,
			datastore.NewIncompleteKey(ctx, "E", nil), &in)
		must(t, err)
		if key.Incomplete() || key.IntID() == 0 {
			t.Fatalf("key %v has no id", key)
		}
		var out everything
		must(t, datastore.Get(ctx, key, &out))
		out.When = out.When.UTC()
		if !out.Ref.Equal(in.Ref) {
			t.Errorf("reference %v, want %v", out.Ref, in.Ref)
		}
		out.Ref = in.Ref
		if !reflect.DeepEqual(in, out) {
			t.Errorf("got %+v\nwant %+v", out, in)
		}
	})
}

func TestAbsentEntitiesAreNamedOneByOne(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		var one everything
		err := datastore.Get(ctx, newKey(ctx, "E", "absent"), &one)
		if err != datastore.ErrNoSuchEntity {
			t.Fatalf("got %v", err)
		}
		_, err = datastore.Put(ctx, newKey(ctx, "E", "there"), &one)
		must(t, err)
		two := make([]everything, 2)
		err = datastore.GetMulti(ctx, []*datastore.Key{
			newKey(ctx, "E", "there"), newKey(ctx, "E", "absent")}, two)
		var multi appengine.MultiError
		if !errors.As(err, &multi) || multi[0] != nil ||
			multi[1] != datastore.ErrNoSuchEntity {
			t.Fatalf("got %v", err)
		}
	})
}

func TestDeletedIsGone(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		key := newKey(ctx, "E", "x")
		_, err := datastore.Put(ctx, key, &everything{})
		must(t, err)
		must(t, datastore.Delete(ctx, key))
		must(t, datastore.Delete(ctx, key))
		if err := datastore.Get(ctx, key, &everything{}); err != datastore.ErrNoSuchEntity {
			t.Fatalf("got %v", err)
		}
	})
}

func TestAllocatedIDsAreARange(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		low, high, err := datastore.AllocateIDs(ctx, "E", nil, 50)
		must(t, err)
		if high-low != 50 {
			t.Fatalf("%d to %d", low, high)
		}
		again, _, err := datastore.AllocateIDs(ctx, "E", nil, 1)
		must(t, err)
		if again >= low && again < high {
			t.Fatalf("%d is in %d to %d", again, low, high)
		}
	})
}

type row struct{ N int }

func putRows(t *testing.T, ctx context.Context, n int) {
	t.Helper()
	var keys []*datastore.Key
	var rows []row
	for i := 0; i < n; i++ {
		keys = append(keys, newKey(ctx, "Row", fmt.Sprintf("%04d", i)))
		rows = append(rows, row{i})
	}
	for len(keys) > 0 {
		some := 300
		if some > len(keys) {
			some = len(keys)
		}
		_, err := datastore.PutMulti(ctx, keys[:some], rows[:some])
		must(t, err)
		keys, rows = keys[some:], rows[some:]
	}
}

func numbers(rows []row) string {
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprint(r.N))
	}
	return strings.Join(out, " ")
}

func TestQueriesFindInOrder(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		putRows(t, ctx, 10)
		base := func() *datastore.Query { return datastore.NewQuery("Row") }
		for _, c := range []struct {
			label string
			query *datastore.Query
			want  string
		}{
			{"a kind", base(), "0 1 2 3 4 5 6 7 8 9"},
			{"equality", base().Filter("N =", 4), "4"},
			{"a range", base().Filter("N >", 2).Filter("N <=", 5), "3 4 5"},
			{"ascending", base().Order("N").Limit(3), "0 1 2"},
			{"descending", base().Order("-N").Limit(3), "9 8 7"},
			{"an offset", base().Order("N").Offset(7), "7 8 9"},
			{"an offset past the end", base().Order("N").Offset(70), ""},
			{"batches of two", base().Order("N").BatchSize(2), "0 1 2 3 4 5 6 7 8 9"},
			{"a key and up", base().Filter("__key__ >", newKey(ctx, "Row", "0007")), "8 9"},
			{"an absent kind", datastore.NewQuery("None"), ""},
		} {
			var rows []row
			keys, err := c.query.GetAll(ctx, &rows)
			if err != nil {
				t.Errorf("%s: %v", c.label, err)
				continue
			}
			if got := numbers(rows); got != c.want {
				t.Errorf("%s: got %s, want %s", c.label, got, c.want)
			}
			only, err := c.query.KeysOnly().GetAll(ctx, nil)
			if err != nil || !reflect.DeepEqual(only, keys) {
				t.Errorf("%s: keys only %v, %v; want %v", c.label, only, err, keys)
			}
			n, err := c.query.Count(ctx)
			if err != nil || n != len(rows) {
				t.Errorf("%s: counted %d, %v; want %d", c.label, n, err, len(rows))
			}
		}
	})
}

func TestCountGoesPastAThousand(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		putRows(t, ctx, 1234)
		n, err := datastore.NewQuery("Row").Count(ctx)
		if err != nil || n != 1234 {
			t.Fatalf("%d, %v", n, err)
		}
	})
}

func TestACursorResumesAnywhere(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		putRows(t, ctx, 25)
		query := datastore.NewQuery("Row").Order("-N")
		var all []row
		for start := ""; ; {
			page := query
			if start != "" {
				cursor, err := datastore.DecodeCursor(start)
				must(t, err)
				page = page.Start(cursor)
			}
			it, n := page.Run(ctx), 0
			for n < 7 { // stops inside a batch
				var r row
				_, err := it.Next(&r)
				if err == datastore.Done {
					break
				}
				must(t, err)
				all = append(all, r)
				n++
			}
			if n == 0 {
				break
			}
			cursor, err := it.Cursor()
			must(t, err)
			start = cursor.String()
		}
		var want []row
		for i := 24; i >= 0; i-- {
			want = append(want, row{i})
		}
		if !reflect.DeepEqual(all, want) {
			t.Fatalf("got %s", numbers(all))
		}
	})
}

func TestAnEndCursorStops(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		putRows(t, ctx, 10)
		it := datastore.NewQuery("Row").Order("N").Limit(4).Run(ctx)
		for i := 0; i < 4; i++ {
			_, err := it.Next(&row{})
			must(t, err)
		}
		end, err := it.Cursor()
		must(t, err)
		var rows []row
		_, err = datastore.NewQuery("Row").Order("N").End(end).GetAll(ctx, &rows)
		must(t, err)
		if got := numbers(rows); got != "0 1 2 3" {
			t.Fatalf("got %s", got)
		}
	})
}

func TestAncestorsAndKinds(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		root := newKey(ctx, "Root", "r")
		for i := 0; i < 3; i++ {
			_, err := datastore.Put(ctx, datastore.NewKey(ctx, "Row", "",
				int64(i+1), root), &row{i})
			must(t, err)
		}
		putRows(t, ctx, 2)
		n, err := datastore.NewQuery("Row").Ancestor(root).Count(ctx)
		if err != nil || n != 3 {
			t.Errorf("below the ancestor: %d, %v", n, err)
		}
		kinds, err := datastore.Kinds(ctx)
		if err != nil || !reflect.DeepEqual(kinds, []string{"Row"}) {
			t.Errorf("kinds %v, %v", kinds, err)
		}
	})
}

func TestNamespacesDoNotSeeEachOther(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		other, err := appengine.Namespace(ctx, "go-other")
		must(t, err)
		_, err = datastore.Put(ctx, newKey(ctx, "Row", "x"), &row{1})
		must(t, err)
		if err := datastore.Get(other, newKey(other, "Row", "x"), &row{}); err != datastore.ErrNoSuchEntity {
			t.Fatalf("got %v", err)
		}
	})
}

func TestATransactionCommitsOrLeavesNothing(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		a, b := newKey(ctx, "Row", "a"), newKey(ctx, "Row", "b")
		both := func(ctx context.Context, n int, end error) error {
			_, err := datastore.PutMulti(ctx, []*datastore.Key{a, b}, []row{{n}, {n}})
			if err != nil {
				return err
			}
			return end
		}
		xg := &datastore.TransactionOptions{XG: true}
		must(t, datastore.RunInTransaction(ctx, func(ctx context.Context) error {
			return both(ctx, 1, nil)
		}, xg))
		stop := errors.New("stop")
		err := datastore.RunInTransaction(ctx, func(ctx context.Context) error {
			return both(ctx, 2, stop)
		}, xg)
		if err != stop {
			t.Fatalf("got %v", err)
		}
		rows := make([]row, 2)
		must(t, datastore.GetMulti(ctx, []*datastore.Key{a, b}, rows))
		if rows[0].N != 1 || rows[1].N != 1 {
			t.Fatalf("got %v", rows)
		}
	})
}

func TestAConflictIsRetried(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		key := newKey(ctx, "Row", "a")
		_, err := datastore.Put(ctx, key, &row{10})
		must(t, err)
		tries := 0
		must(t, datastore.RunInTransaction(ctx, func(tx context.Context) error {
			var r row
			if err := datastore.Get(tx, key, &r); err != nil {
				return err
			}
			if tries++; tries == 1 {
				if _, err := datastore.Put(ctx, key, &row{20}); err != nil {
					return err
				}
			}
			r.N++
			_, err := datastore.Put(tx, key, &r)
			return err
		}, nil))
		var r row
		must(t, datastore.Get(ctx, key, &r))
		if tries != 2 || r.N != 21 {
			t.Fatalf("%d after %d tries", r.N, tries)
		}
	})
}

func TestAConflictWithoutRetriesIsAnError(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		key := newKey(ctx, "Row", "a")
		err := datastore.RunInTransaction(ctx, func(tx context.Context) error {
			if err := datastore.Get(tx, key, &row{}); err != datastore.ErrNoSuchEntity {
				return err
			}
			if _, err := datastore.Put(ctx, key, &row{1}); err != nil {
				return err
			}
			_, err := datastore.Put(tx, key, &row{2})
			return err
		}, &datastore.TransactionOptions{Attempts: 1})
		if err != datastore.ErrConcurrentTransaction {
			t.Fatalf("got %v", err)
		}
		var r row
		must(t, datastore.Get(ctx, key, &r))
		if r.N != 1 {
			t.Fatalf("got %d", r.N)
		}
	})
}

func TestParallelIncrementsAreAllCounted(t *testing.T) {
	if referenceOnly(t) {
		return
	}
	inRequest(t, func(ctx context.Context) {
		key := newKey(ctx, "Row", "sum")
		_, err := datastore.Put(ctx, key, &row{})
		must(t, err)
		var wait sync.WaitGroup
		var lock sync.Mutex
		done := 0
		for i := 0; i < 8; i++ {
			wait.Add(1)
			go func() {
				defer wait.Done()
				for j := 0; j < 10; j++ {
					err := datastore.RunInTransaction(ctx, func(tx context.Context) error {
						var r row
						if err := datastore.Get(tx, key, &r); err != nil {
							return err
						}
						r.N++
						_, err := datastore.Put(tx, key, &r)
						return err
					}, &datastore.TransactionOptions{Attempts: 30})
					if err == datastore.ErrConcurrentTransaction {
						continue // thirty conflicts in a row: allowed
					}
					if err != nil {
						t.Error(err)
						return
					}
					lock.Lock()
					done++
					lock.Unlock()
				}
			}()
		}
		wait.Wait()
		var r row
		must(t, datastore.Get(ctx, key, &r))
		if r.N != done || done < 40 {
			t.Fatalf("%d counted, %d committed", r.N, done)
		}
	})
}

func TestReadOnlyTransactionsReadAndMayNotWrite(t *testing.T) {
	if referenceOnly(t) {
		return
	}
	inRequest(t, func(ctx context.Context) {
		key := newKey(ctx, "Row", "a")
		_, err := datastore.Put(ctx, key, &row{1})
		must(t, err)
		options := &datastore.TransactionOptions{ReadOnly: true, Attempts: 1}
		must(t, datastore.RunInTransaction(ctx, func(tx context.Context) error {
			return datastore.Get(tx, key, &row{})
		}, options))
		err = datastore.RunInTransaction(ctx, func(tx context.Context) error {
			_, err := datastore.Put(tx, key, &row{2})
			return err
		}, options)
		if err == nil {
			t.Error("a write passed")
		}
		var r row
		must(t, datastore.Get(ctx, key, &r))
		if r.N != 1 {
			t.Errorf("got %d", r.N)
		}
	})
}

func TestPropertyListsKeepUnknownNames(t *testing.T) {
	inRequest(t, func(ctx context.Context) {
		in := datastore.PropertyList{
			{Name: "a", Value: int64(1)},
			{Name: "b", Value: []byte(strings.Repeat("z", 2000)), NoIndex: true},
			{Name: "c", Value: "x", Multiple: true},
			{Name: "c", Value: "y", Multiple: true},
		}
		key := newKey(ctx, "List", "l")
		_, err := datastore.Put(ctx, key, &in)
		must(t, err)
		var out datastore.PropertyList
		must(t, datastore.Get(ctx, key, &out))
		if len(out) != 4 {
			t.Fatalf("got %v", out)
		}
		for _, p := range out {
			if b, ok := p.Value.([]byte); ok && !bytes.Equal(b, in[1].Value.([]byte)) {
				t.Error("the bytes differ")
			}
		}
	})
}
