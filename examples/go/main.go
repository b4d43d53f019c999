// A board of notes on Google's own SDK for Go: the datastore keeps them, a
// task counts the words of each after its author has gone on, and memcache
// counts who looks.
//
// All notes share an ancestor, so a note shows up as soon as it was written.
package main

import (
	"context"
	_ "embed"
	"html/template"
	"log"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/appengine/v2"
	"google.golang.org/appengine/v2/datastore"
	"google.golang.org/appengine/v2/memcache"
	"google.golang.org/appengine/v2/taskqueue"
)

const (
	shown   = 20
	longest = 500
)

// Note is one on the board; Words is 0 until its task has run.
type Note struct {
	Text    string `datastore:",noindex"`
	Written time.Time
	Words   int `datastore:",noindex"`
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

func main() {
	http.HandleFunc("/", show)
	http.HandleFunc("/write", write)
	http.HandleFunc("/tasks/count", count)
	appengine.Main()
}

func board(ctx context.Context) *datastore.Key {
	return datastore.NewKey(ctx, "Board", "main", 0, nil)
}

func show(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	ctx := appengine.NewContext(r)
	var notes []Note
	_, err := datastore.NewQuery("Note").Ancestor(board(ctx)).
		Order("-Written").Limit(shown).GetAll(ctx, &notes)
	if err != nil {
		sorry(w, "The notes cannot be read", err)
		return
	}
	// A cache that is away costs the number, not the page.
	looks, err := memcache.Increment(ctx, "looks", 1, 0)
	if err != nil {
		log.Printf("memcache: %v", err)
	}
	if err := page.Execute(w, map[string]any{
		"Notes": notes, "Looks": looks, "Longest": longest,
	}); err != nil {
		log.Printf("page: %v", err)
	}
}

// The note and the task that counts it become real together, or not at all.
func write(w http.ResponseWriter, r *http.Request) {
	ctx := appengine.NewContext(r)
	text := strings.TrimSpace(r.FormValue("text"))
	if r.Method != http.MethodPost || text == "" || len(text) > longest {
		http.Error(w, "A note is 1 to 500 bytes, sent by the form.",
			http.StatusBadRequest)
		return
	}
	err := datastore.RunInTransaction(ctx, func(ctx context.Context) error {
		note := &Note{Text: text, Written: time.Now()}
		key, err := datastore.Put(ctx,
			datastore.NewIncompleteKey(ctx, "Note", board(ctx)), note)
		if err != nil {
			return err
		}
		task := taskqueue.NewPOSTTask("/tasks/count",
			url.Values{"key": {key.Encode()}})
		_, err = taskqueue.Add(ctx, task, "")
		return err
	}, nil)
	if err != nil {
		sorry(w, "The note was not written", err)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// A task may run twice: counting again gives the same.
func count(w http.ResponseWriter, r *http.Request) {
	ctx := appengine.NewContext(r)
	key, err := datastore.DecodeKey(r.FormValue("key"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	err = datastore.RunInTransaction(ctx, func(ctx context.Context) error {
		var note Note
		if err := datastore.Get(ctx, key, &note); err != nil {
			return err
		}
		note.Words = len(strings.Fields(note.Text))
		_, err := datastore.Put(ctx, key, &note)
		return err
	}, nil)
	if err != nil {
		sorry(w, "The note was not counted", err)
	}
}

func sorry(w http.ResponseWriter, what string, err error) {
	log.Printf("%s: %v", what, err)
	http.Error(w, what+". Try again in a moment.",
		http.StatusInternalServerError)
}
