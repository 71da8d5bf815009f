// The tests' requests, JSON both ways; what is wrong is answered 400, in words.
//
//	POST /set       a change (store.go): this and nothing else
//	POST /update    a change: this in place of what has the same names
//	POST /clear     no snapshot at all
//	POST /pause     answers are held back, streams stay; requests are taken
//	POST /resume    what was held goes out
//	POST /drop      {"connections": true}: streams, or what they are on, end
//	GET  /report?since=SEQ    record.go's report
package main

import (
	"encoding/json"
	"net/http"
	"strconv"
)

func requests(s *store, r *recorder, l *connections) http.Handler {
	mux := http.NewServeMux()
	post := func(path string, do func(*http.Request) (any, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, q *http.Request) {
			answer, err := do(q)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			json.NewEncoder(w).Encode(answer)
		})
	}
	none := func(do func()) func(*http.Request) (any, error) {
		return func(*http.Request) (any, error) { do(); return struct{}{}, nil }
	}
	changes := func(all bool) func(*http.Request) (any, error) {
		return func(q *http.Request) (any, error) {
			c := &change{}
			d := json.NewDecoder(q.Body)
			d.DisallowUnknownFields()
			if err := d.Decode(c); err != nil {
				return nil, err
			}
			return s.apply(c, all)
		}
	}
	post("/set", changes(true))
	post("/update", changes(false))
	post("/clear", none(s.clear))
	post("/pause", none(r.pause))
	post("/resume", none(r.resume))
	post("/drop", func(q *http.Request) (any, error) {
		var how struct{ Connections bool }
		if err := json.NewDecoder(q.Body).Decode(&how); err != nil {
			return nil, err
		}
		if how.Connections {
			l.cut()
		} else {
			r.drop()
		}
		return struct{}{}, nil
	})
	mux.HandleFunc("GET /report", func(w http.ResponseWriter, q *http.Request) {
		since, _ := strconv.ParseInt(q.FormValue("since"), 10, 64)
		json.NewEncoder(w).Encode(r.report(since))
	})
	return mux
}
