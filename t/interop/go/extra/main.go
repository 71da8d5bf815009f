// extra PORT AUTHORITY CA|- CASE... - our own cases in Go; for each one line,
// "ok CASE" or "FAILED CASE: why".
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	big   = 64 << 20
	chunk = 64 << 10
	text  = `a b;c="d"%20`
)

type client struct {
	pb.TestServiceClient
	connection *grpc.ClientConn
}

func output(body int, sizes ...int32) *pb.StreamingOutputCallRequest {
	request := &pb.StreamingOutputCallRequest{
		Payload: &pb.Payload{Body: make([]byte, body)}}
	for _, size := range sizes {
		request.ResponseParameters = append(request.ResponseParameters,
			&pb.ResponseParameters{Size: size, IntervalUs: 1000})
	}
	return request
}

// flood sends until the stream takes no more.
func flood(stream grpc.ClientStream) {
	for stream.SendMsg(output(chunk)) == nil {
	}
}

func earlyStatus(ctx context.Context, c client) error {
	stream, err := c.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	first := output(chunk)
	first.ResponseStatus = &pb.EchoStatus{Code: 9, Message: "enough"}
	if err := stream.Send(first); err != nil {
		return err
	}
	go flood(stream)
	_, err = stream.Recv()
	s := status.Convert(err)
	if s.Code() != codes.FailedPrecondition || s.Message() != "enough" {
		return fmt.Errorf("not the service's status: %v", err)
	}
	return nil
}

func earlyOk(ctx context.Context, c client) error {
	stream, err := c.connection.NewStream(ctx,
		&grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		"/godwit.interop.Extra/EndEarly")
	if err != nil {
		return err
	}
	if err := stream.SendMsg(output(chunk, 31415)); err != nil {
		return err
	}
	go flood(stream)
	var answer pb.StreamingOutputCallResponse
	if err := stream.RecvMsg(&answer); err != nil {
		return err
	}
	if err := stream.RecvMsg(&answer); err != io.EOF {
		return fmt.Errorf("instead of the end: %v", err)
	}
	return nil
}

func halfClose(ctx context.Context, c client) error {
	stream, err := c.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for range 3 {
		if err := stream.Send(output(8, 100000, 1)); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		answer, err := stream.Recv()
		if err == io.EOF && n == 6 {
			return nil
		}
		if want := []int{100000, 1}[n%2]; err != nil || n == 6 ||
			len(answer.GetPayload().GetBody()) != want {
			return fmt.Errorf("answer %d of 6: %v", n+1, err)
		}
	}
}

func binaryMetadata(ctx context.Context, c client) error {
	value := make([]byte, 256)
	for i := range value {
		value[i] = byte(i)
	}
	var first, last metadata.MD
	ctx = metadata.AppendToOutgoingContext(ctx,
		"x-grpc-test-echo-initial", text,
		"x-grpc-test-echo-trailing-bin", string(value))
	_, err := c.UnaryCall(ctx, &pb.SimpleRequest{}, grpc.Header(&first),
		grpc.Trailer(&last))
	if err != nil {
		return err
	}
	if got := first.Get("x-grpc-test-echo-initial"); len(got) != 1 || got[0] != text {
		return fmt.Errorf("headers: %q", got)
	}
	got := last.Get("x-grpc-test-echo-trailing-bin")
	if len(got) != 1 || !bytes.Equal([]byte(got[0]), value) {
		return fmt.Errorf("trailers: %q", got)
	}
	return nil
}

func unary(ctx context.Context, c client, up, down int) error {
	answer, err := c.UnaryCall(ctx, &pb.SimpleRequest{
		ResponseSize: int32(down), Payload: &pb.Payload{Body: make([]byte, up)}})
	if err == nil && len(answer.GetPayload().GetBody()) != down {
		return fmt.Errorf("%d bytes", len(answer.GetPayload().GetBody()))
	}
	return err
}

var cases = map[string]func(context.Context, client) error{
	"early_status":    earlyStatus,
	"early_ok":        earlyOk,
	"half_close":      halfClose,
	"binary_metadata": binaryMetadata,
	"large_up": func(ctx context.Context, c client) error {
		return unary(ctx, c, big, 9)
	},
	"large_down": func(ctx context.Context, c client) error {
		return unary(ctx, c, 9, big)
	},
	"large_both": func(ctx context.Context, c client) error {
		return unary(ctx, c, big, big)
	},
}

func dial(port, authority, ca string) client {
	secure := insecure.NewCredentials()
	if ca != "-" {
		var err error
		if secure, err = credentials.NewClientTLSFromFile(ca, authority); err != nil {
			log.Fatal(err)
		}
	}
	connection, err := grpc.NewClient("127.0.0.1:"+port,
		grpc.WithTransportCredentials(secure), grpc.WithAuthority(authority),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	if err != nil {
		log.Fatal(err)
	}
	return client{pb.NewTestServiceClient(connection), connection}
}

func main() {
	if len(os.Args) < 5 {
		fmt.Fprintln(os.Stderr, "usage: extra PORT AUTHORITY CA|- CASE...")
		os.Exit(2)
	}
	c := dial(os.Args[1], os.Args[2], os.Args[3])
	for _, name := range os.Args[4:] {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		if err := cases[name](ctx, c); err != nil {
			fmt.Printf("FAILED %s: %v\n", name, err)
		} else {
			fmt.Println("ok", name)
		}
		cancel()
	}
}
