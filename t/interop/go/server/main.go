// server PLAIN_PORT TLS_PORT CERTIFICATE KEY - grpc-go's interop service, as
// its own server has it, that also takes messages of any size, compressed
// ones, and godwit.interop.Extra.
package main

import (
	"fmt"
	"log"
	"math"
	"net"
	"os"

	load "github.com/cncf/xds/go/xds/service/orca/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"
)

// endEarly leaves the caller's other messages unread.
func endEarly(_ any, stream grpc.ServerStream) error {
	var request pb.StreamingOutputCallRequest
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	size := request.GetResponseParameters()[0].GetSize()
	return stream.SendMsg(&pb.StreamingOutputCallResponse{
		Payload: &pb.Payload{Body: make([]byte, size)}})
}

var extra = grpc.ServiceDesc{
	ServiceName: "godwit.interop.Extra",
	HandlerType: (*any)(nil),
	Streams: []grpc.StreamDesc{{StreamName: "EndEarly", Handler: endEarly,
		ServerStreams: true, ClientStreams: true}},
}

func newServer(options ...grpc.ServerOption) *grpc.Server {
	recorder := orca.NewServerMetricsRecorder()
	server := grpc.NewServer(append(options,
		grpc.MaxRecvMsgSize(math.MaxInt32),
		orca.CallMetricsServerOption(nil))...)
	load.RegisterOpenRcaServiceServer(server, loadService{recorder: recorder})
	pb.RegisterTestServiceServer(server, interop.NewTestServer(
		interop.NewTestServerOptions{MetricsRecorder: recorder}))
	server.RegisterService(&extra, struct{}{})
	return server
}

func serve(server *grpc.Server, port string) {
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(listener))
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: server PLAIN_PORT TLS_PORT CERTIFICATE KEY")
		os.Exit(2)
	}
	tls, err := credentials.NewServerTLSFromFile(os.Args[3], os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	go serve(newServer(), os.Args[1])
	serve(newServer(grpc.Creds(tls)), os.Args[2])
}
