// What clients say, recorded between gRPC and go-control-plane's server, which
// knows nothing of it; there answers are held back, and streams cut.
package main

import (
	"net"
	"slices"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const eventsMax = 100000 // then the oldest go

// event is one thing that happened: "open", "close", "request", "response".
type event struct {
	Seq     int64  `json:"seq"`
	TimeNs  int64  `json:"time_ns"`
	Stream  int    `json:"stream"`
	What    string `json:"what"`
	Kind    string `json:"kind,omitempty"`
	Node    string `json:"node,omitempty"`    // as said in this request
	Version string `json:"version,omitempty"` // version_info, system_version_info
	Nonce   string `json:"nonce,omitempty"`
	Bytes   int    `json:"bytes,omitempty"`
	// Of a request: "ack", "nack" when it is the first with that nonce.
	Answer  string            `json:"answer,omitempty"`
	Error   string            `json:"error,omitempty"`
	Names   []string          `json:"names,omitempty"` // resource_names, subscribed; sent
	Gone    []string          `json:"gone,omitempty"`  // unsubscribed; removed
	Initial map[string]string `json:"initial,omitempty"`
}

// tally sums up one kind for one node.
type tally struct {
	Requests  int    `json:"requests"`
	Responses int    `json:"responses"`
	Acks      int    `json:"acks"`
	Nacks     int    `json:"nacks"`
	Acked     string `json:"acked"`    // version of the last response accepted
	AckedNs   int64  `json:"acked_ns"` // when
	Nacked    string `json:"nacked"`
	Error     string `json:"error"` // of the last NACK
}

type recorder struct {
	mu      sync.Mutex
	seq     int64
	events  []*event
	streams map[int]*stream
	last    int
	tallies map[string]map[string]*tally // by node and kind
	paused  bool
}

// stream stands between gRPC and the handler.
type stream struct {
	grpc.ServerStream
	r        *recorder
	ID       int    `json:"id"`
	Method   string `json:"method"`
	Peer     string `json:"peer"`
	Node     string `json:"node"`
	dropped  chan struct{}
	held     []any                        // answers, while paused
	versions map[string]map[string]string // by kind and nonce: not answered yet
	names    map[string][]string          // by kind: the last ones, which ACKs repeat
}

func newRecorder() *recorder {
	return &recorder{streams: map[int]*stream{}, tallies: map[string]map[string]*tally{}}
}

func (r *recorder) intercept(service any, ss grpc.ServerStream, info *grpc.StreamServerInfo,
	handler grpc.StreamHandler) error {
	s := r.open(ss, info.FullMethod)
	defer r.close(s)
	done := make(chan error, 1)
	go func() { done <- handler(service, s) }()
	select {
	case err := <-done:
		return err
	case <-s.dropped:
		return status.Error(codes.Unavailable, "dropped by the test")
	}
}

func (r *recorder) open(ss grpc.ServerStream, method string) *stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	s := &stream{ServerStream: ss, r: r, ID: r.last, Method: method, dropped: make(chan struct{}),
		versions: map[string]map[string]string{}, names: map[string][]string{}}
	if p, ok := peer.FromContext(ss.Context()); ok {
		s.Peer = p.Addr.String()
	}
	r.streams[s.ID] = s
	r.add(s, &event{What: "open"})
	return s
}

func (r *recorder) close(s *stream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.streams, s.ID)
	r.add(s, &event{What: "close"})
}

func (r *recorder) add(s *stream, e *event) {
	r.seq++
	e.Seq, e.TimeNs, e.Stream = r.seq, time.Now().UnixNano(), s.ID
	r.events = append(r.events, e)
	if len(r.events) > eventsMax {
		r.events = slices.Clone(r.events[eventsMax/10:])
	}
}

func (r *recorder) tally(s *stream, kind string) *tally {
	if r.tallies[s.Node] == nil {
		r.tallies[s.Node] = map[string]*tally{}
	}
	if r.tallies[s.Node][kind] == nil {
		r.tallies[s.Node][kind] = &tally{}
	}
	return r.tallies[s.Node][kind]
}

func (s *stream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	e := &event{What: "request", Bytes: proto.Size(m.(proto.Message))}
	var n *core.Node
	failed := false
	switch m := m.(type) {
	case *discovery.DiscoveryRequest:
		n, e.Kind, e.Version, e.Nonce = m.Node, kindOf(m.TypeUrl), m.VersionInfo, m.ResponseNonce
		e.Names, e.Error, failed = m.ResourceNames, m.ErrorDetail.GetMessage(), m.ErrorDetail != nil
	case *discovery.DeltaDiscoveryRequest:
		n, e.Kind, e.Nonce, e.Initial = m.Node, kindOf(m.TypeUrl), m.ResponseNonce, m.InitialResourceVersions
		e.Names, e.Gone = m.ResourceNamesSubscribe, m.ResourceNamesUnsubscribe
		e.Error, failed = m.ErrorDetail.GetMessage(), m.ErrorDetail != nil
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if n != nil {
		s.Node, e.Node = n.Id, n.Id
	}
	s.request(e, failed)
	return nil
}

// request counts one, and says whether it accepts or refuses.
func (s *stream) request(e *event, failed bool) {
	t := s.r.tally(s, e.Kind)
	t.Requests++
	version, first := s.versions[e.Kind][e.Nonce]
	if e.Nonce != "" && first {
		delete(s.versions[e.Kind], e.Nonce)
		if failed {
			e.Answer, t.Nacked, t.Error = "nack", version, e.Error
			t.Nacks++
		} else {
			e.Answer, t.Acked, t.AckedNs = "ack", version, time.Now().UnixNano()
			t.Acks++
		}
	}
	if slices.Equal(e.Names, s.names[e.Kind]) {
		e.Names = s.names[e.Kind]
	}
	s.names[e.Kind] = e.Names
	s.r.add(s, e)
}

func (s *stream) SendMsg(m any) error {
	s.r.mu.Lock()
	if s.r.paused {
		s.held = append(s.held, m)
		s.r.mu.Unlock()
		return nil
	}
	s.response(m)
	s.r.mu.Unlock()
	return s.ServerStream.SendMsg(m)
}

// response counts one, before it is sent: its ACK can't come first.
func (s *stream) response(m any) {
	e := &event{What: "response", Bytes: proto.Size(m.(proto.Message))}
	switch m := m.(type) {
	case *discovery.DiscoveryResponse:
		e.Kind, e.Version, e.Nonce = kindOf(m.TypeUrl), m.VersionInfo, m.Nonce
	case *discovery.DeltaDiscoveryResponse:
		e.Kind, e.Version, e.Nonce = kindOf(m.TypeUrl), m.SystemVersionInfo, m.Nonce
		e.Gone = m.RemovedResources
		for _, r := range m.Resources {
			e.Names = append(e.Names, r.Name)
		}
	}
	if s.versions[e.Kind] == nil {
		s.versions[e.Kind] = map[string]string{}
	}
	s.versions[e.Kind][e.Nonce] = e.Version
	s.r.tally(s, e.Kind).Responses++
	s.r.add(s, e)
}

// pause holds answers back; resume sends those held, in their order.
func (r *recorder) pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paused = true
}

// resume must not let a newer answer pass: all of it under the lock, which
// means that a client that does not read holds everybody up.
func (r *recorder) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paused = false
	for _, s := range r.streams {
		for _, m := range s.held {
			s.response(m)
			s.ServerStream.SendMsg(m)
		}
		s.held = nil
	}
}

// drop ends all streams with UNAVAILABLE.
func (r *recorder) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, s := range r.streams {
		close(s.dropped)
		delete(r.streams, id)
	}
}

// connections is a listener that can close what it accepted.
type connections struct {
	net.Listener
	mu  sync.Mutex
	all []net.Conn
}

func (c *connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.all = append(c.all, conn)
	}
	return conn, err
}

func (c *connections) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.all {
		conn.Close()
	}
	c.all = nil
}

// report is what a test reads.
type report struct {
	Seq     int64                       `json:"seq"` // of the last event
	Paused  bool                        `json:"paused"`
	Streams []stream                    `json:"streams"` // that are open
	Nodes   map[string]map[string]tally `json:"nodes"`
	Events  []*event                    `json:"events"` // behind since
}

func (r *recorder) report(since int64) *report {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := &report{Seq: r.seq, Paused: r.paused, Nodes: map[string]map[string]tally{}}
	for _, s := range r.streams {
		out.Streams = append(out.Streams, stream{ID: s.ID, Method: s.Method, Peer: s.Peer, Node: s.Node})
	}
	for node, of := range r.tallies {
		out.Nodes[node] = map[string]tally{}
		for kind, t := range of {
			out.Nodes[node][kind] = *t
		}
	}
	i, _ := slices.BinarySearchFunc(r.events, since+1, func(e *event, seq int64) int { return int(e.Seq - seq) })
	out.Events = slices.Clone(r.events[i:])
	return out
}
