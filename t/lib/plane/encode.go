// Resources as bytes, for who writes his messages himself.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"

	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/protobuf/encoding/protojson"
)

// encodeAll answers each {"kind": K, "resource": JSON} with a line of base64,
// or "!" and what is wrong with it.
func encodeAll(in io.Reader, out io.Writer) {
	d := json.NewDecoder(in)
	for {
		var q struct {
			Kind     string
			Resource json.RawMessage
		}
		if err := d.Decode(&q); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		if bytes, err := encodeOne(q.Kind, q.Resource); err != nil {
			fmt.Fprintf(out, "!%q\n", err)
		} else {
			fmt.Fprintln(out, base64.StdEncoding.EncodeToString(bytes))
		}
	}
}

func encodeOne(kind string, text []byte) ([]byte, error) {
	k, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("%s: no such kind", kind)
	}
	r := k.empty()
	if err := protojson.Unmarshal(text, r); err != nil {
		return nil, err
	}
	return cache.MarshalResource(r)
}
