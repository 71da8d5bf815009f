// plane - a control plane for the mesh tests: go-control-plane's server and
// snapshot cache, as many meshes run them, with a report of all that clients say.
//
//	client --gRPC: ADS, CDS, EDS, LDS, RDS, SDS; SotW, delta--> port
//	test   --HTTP: JSON, on 127.0.0.1--------------------> control
//
//	plane -port N -control N [-host A] [-ads=false] [-ordered] [-heartbeat D]
//	      [-cert F -key F [-ca F]]
//	plane -encode    no server: t/lib/scripted.py's JSON lines become bytes
//	plane -call T    no server: a caller of T (xds:///SERVICE) by grpc-go (call.go)
//
// Every client gets the same snapshot, whoever it says that it is. t/lib/plane.py
// starts it and speaks to it; its requests are in control.go.
//
// What go-control-plane does by itself, and tests must know:
//   - SotW: a NACK says the old version, and a version that is not the
//     snapshot's is answered at once: with the same again, for ever (Envoy:
//     some 500 times a second).
//   - -ads: EDS, RDS and SDS are answered only when the client asks for all
//     resources of the snapshot by name; otherwise it waits in silence.
//   - SotW: one endpoint changed sends all assignments that were asked for.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	clusters "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpoints "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listeners "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routes "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	secrets "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/config"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

const messageBytesMax = 256 << 20

var (
	host      = flag.String("host", "127.0.0.1", "address of the xDS port")
	port      = flag.Int("port", 0, "xDS port")
	control   = flag.Int("control", 0, "port of the tests' HTTP")
	ads       = flag.Bool("ads", true, "the cache's ADS mode")
	ordered   = flag.Bool("ordered", false, "the server's strict order of types on ADS")
	heartbeat = flag.Duration("heartbeat", time.Hour, "between heartbeats of resources with a TTL")
	cert      = flag.String("cert", "", "PEM file: TLS with this certificate")
	key       = flag.String("key", "", "PEM file: its key")
	encode    = flag.Bool("encode", false, "only encode what comes in")
	call      = flag.String("call", "", "only call this target")
	ca        = flag.String("ca", "", "PEM file: clients must show a certificate of it")
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func transport() []grpc.ServerOption {
	if *cert == "" {
		return nil
	}
	own := must(tls.LoadX509KeyPair(*cert, *key))
	settings := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
	if *ca != "" {
		settings.ClientCAs = x509.NewCertPool()
		settings.ClientCAs.AppendCertsFromPEM(must(os.ReadFile(*ca)))
		settings.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return []grpc.ServerOption{grpc.Creds(credentials.NewTLS(settings))}
}

// xds is the gRPC server with all services.
func xds(s *store, r *recorder) *grpc.Server {
	var options []config.XDSOption
	if *ordered {
		options = append(options, sotw.WithOrderedADS())
	}
	handler := server.NewServer(context.Background(), s.cache, nil, options...)
	g := grpc.NewServer(append(transport(),
		grpc.StreamInterceptor(r.intercept),
		grpc.MaxRecvMsgSize(messageBytesMax), grpc.MaxSendMsgSize(messageBytesMax))...)
	discovery.RegisterAggregatedDiscoveryServiceServer(g, handler)
	clusters.RegisterClusterDiscoveryServiceServer(g, handler)
	endpoints.RegisterEndpointDiscoveryServiceServer(g, handler)
	listeners.RegisterListenerDiscoveryServiceServer(g, handler)
	routes.RegisterRouteDiscoveryServiceServer(g, handler)
	secrets.RegisterSecretDiscoveryServiceServer(g, handler)
	return g
}

func listen(host string, port int) net.Listener {
	return must(net.Listen("tcp", fmt.Sprintf("%s:%d", host, port)))
}

func main() {
	log.SetFlags(log.Lmicroseconds)
	flag.Parse()
	if *encode {
		encodeAll(os.Stdin, os.Stdout)
		return
	}
	if *call != "" {
		callAll(*call)
	}
	s, r := newStore(), newRecorder()
	l := &connections{Listener: listen(*host, *port)}
	go func() { log.Fatal(xds(s, r).Serve(l)) }()
	log.Fatal(http.Serve(listen("127.0.0.1", *control), requests(s, r, l)))
}
