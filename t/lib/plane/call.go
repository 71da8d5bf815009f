// A caller without a proxy: grpc-go asks the control plane itself (gRFC A27).
// As t/lib/proxyless.py, which does the same with grpcio.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds"
)

// raw passes messages as the bytes that they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (raw) Unmarshal(b []byte, v any) error { *v.(*[]byte) = b; return nil }
func (raw) Name() string                    { return "raw" }

func callOnce(c *grpc.ClientConn) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var question, answer []byte
	err := c.Invoke(ctx, "/demo.Greeter/SayHello", &question, &answer, grpc.ForceCodec(raw{}))
	if s := status.Convert(err); err != nil {
		return fmt.Sprintf("%s %q", s.Code(), s.Message())
	}
	id, _, _ := strings.Cut(string(answer), ":")
	return "OK " + id
}

// callAll calls SayHello until stdin ends, and says of each call "OK ID", or
// the status and why. GRPC_XDS_BOOTSTRAP_CONFIG is who it asks.
func callAll(target string) {
	c, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		os.Exit(0)
	}()
	for {
		fmt.Println(callOnce(c))
	}
}
