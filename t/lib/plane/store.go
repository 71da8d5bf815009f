// What the plane has: resources by kind and name, and the snapshot made of them.
// A change copies the maps of the kinds that it names, and hashes only the
// resources that it brings (the snapshot would hash them all, for delta).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tls "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	// What may stand in an Any of them.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/least_request/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/round_robin/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
)

const node = "any"

// The kinds of resources, as tests call them.
var kinds = map[string]struct {
	url   string
	empty func() types.Resource
}{
	"clusters":  {resource.ClusterType, func() types.Resource { return &cluster.Cluster{} }},
	"endpoints": {resource.EndpointType, func() types.Resource { return &endpoint.ClusterLoadAssignment{} }},
	"listeners": {resource.ListenerType, func() types.Resource { return &listener.Listener{} }},
	"routes":    {resource.RouteType, func() types.Resource { return &route.RouteConfiguration{} }},
	"secrets":   {resource.SecretType, func() types.Resource { return &tls.Secret{} }},
}

// kindOf says how tests call a type.
func kindOf(url string) string {
	for kind, k := range kinds {
		if k.url == url {
			return kind
		}
	}
	return url
}

// Everyone is the same node.
type anyone struct{}

func (anyone) ID(*core.Node) string { return node }

type store struct {
	cache cache.SnapshotCache
	mu    sync.Mutex
	has   *cache.Snapshot
	n     int // versions made so far
}

func newStore() *store {
	return &store{cache: cache.NewSnapshotCacheWithHeartbeating(context.Background(), *ads,
		anyone{}, nil, *heartbeat), has: fresh()}
}

func fresh() *cache.Snapshot {
	s := &cache.Snapshot{VersionMap: map[string]map[string]string{}}
	for _, k := range kinds {
		s.VersionMap[k.url] = map[string]string{}
		s.Resources[cache.GetResponseType(k.url)] = cache.NewResources("", nil)
	}
	return s
}

// change is what a test sends: a kind that is not named stays as it is.
type change struct {
	Version  string            // "": the next number
	Versions map[string]string // of single kinds
	TTLMs    int               `json:"ttl_ms"` // of the resources in it
	Remove   map[string][]string
	Generate *generate

	Clusters, Endpoints, Listeners, Routes, Secrets []json.RawMessage
}

// decoded are the resources of a change, by kind.
func (c *change) decoded() (map[string][]types.Resource, error) {
	out := map[string][]types.Resource{}
	for kind, list := range map[string][]json.RawMessage{"clusters": c.Clusters, "endpoints": c.Endpoints,
		"listeners": c.Listeners, "routes": c.Routes, "secrets": c.Secrets} {
		for i, text := range list {
			r := kinds[kind].empty()
			if err := protojson.Unmarshal(text, r); err != nil {
				return nil, fmt.Errorf("%s[%d]: %w", kind, i, err)
			}
			out[kind] = append(out[kind], r)
		}
	}
	if c.Generate != nil {
		if err := c.Generate.into(out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *change) version(kind string, number int) string {
	if v, ok := c.Versions[kind]; ok {
		return v
	}
	if c.Version != "" {
		return c.Version
	}
	return strconv.Itoa(number)
}

// applied is the answer to a change.
type applied struct {
	Versions map[string]string `json:"versions"` // of the kinds that it touched
	// Right before and after the cache was told.
	StartNs int64 `json:"start_ns"`
	EndNs   int64 `json:"end_ns"`
	// What SnapshotCache calls inconsistent: in ADS mode it then waits.
	Inconsistent string `json:"inconsistent,omitempty"`
}

// apply takes a change into the store; all: what it doesn't name is dropped.
func (s *store) apply(c *change, all bool) (*applied, error) {
	fresher, err := c.decoded()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	base := s.has
	if all {
		base = fresh()
	}
	next := &cache.Snapshot{Resources: base.Resources, VersionMap: maps.Clone(base.VersionMap)}
	answer := &applied{Versions: map[string]string{}}
	for kind := range kinds {
		_, named := c.Versions[kind]
		if !named && !all && len(fresher[kind]) == 0 && len(c.Remove[kind]) == 0 {
			continue
		}
		answer.Versions[kind] = c.version(kind, s.n)
		if err := c.merge(next, kind, answer.Versions[kind], fresher[kind]); err != nil {
			return nil, err
		}
	}
	if err := next.Consistent(); err != nil && *ads {
		answer.Inconsistent = err.Error()
	}
	s.has = next
	answer.StartNs = time.Now().UnixNano()
	err = s.cache.SetSnapshot(context.Background(), node, next)
	answer.EndNs = time.Now().UnixNano()
	return answer, err
}

// merge makes one kind of next anew.
func (c *change) merge(next *cache.Snapshot, kind, version string, fresher []types.Resource) error {
	url := kinds[kind].url
	group := &next.Resources[cache.GetResponseType(url)]
	group.Version, group.Items = version, maps.Clone(group.Items)
	hashes := maps.Clone(next.VersionMap[url])
	next.VersionMap[url] = hashes
	for _, name := range c.Remove[kind] {
		delete(group.Items, name)
		delete(hashes, name)
	}
	for _, r := range fresher {
		bytes, err := cache.MarshalResource(r)
		if err != nil {
			return err
		}
		item := types.ResourceWithTTL{Resource: r}
		if c.TTLMs > 0 {
			ttl := time.Duration(c.TTLMs) * time.Millisecond
			item.TTL = &ttl
		}
		group.Items[cache.GetResourceName(r)] = item
		hashes[cache.GetResourceName(r)] = cache.HashResource(bytes)
	}
	return nil
}

// clear forgets all: clients hear nothing more.
func (s *store) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.has = fresh()
	s.cache.ClearSnapshot(node)
}

// generate makes many clusters: NAME0, NAME1 ..., each with Endpoints endpoints,
// and, if Route is given, a RouteConfiguration of that name which has
// /NAMEi.Greeter/ to NAMEi. Endpoint j is 127.0.0.(1 + j / ports) and one of
// Ports.
type generate struct {
	N, Endpoints int
	Name, Route  string
	Ports        []uint32
	Cluster      json.RawMessage // what all have, but for the name
}

func (g *generate) into(out map[string][]types.Resource) error {
	template := &cluster.Cluster{}
	if err := protojson.Unmarshal(g.Cluster, template); err != nil {
		return fmt.Errorf("generate.cluster: %w", err)
	}
	host := &route.VirtualHost{Name: "all", Domains: []string{"*"}}
	for i := range g.N {
		c := proto.Clone(template).(*cluster.Cluster)
		c.Name = g.Name + strconv.Itoa(i)
		out["clusters"] = append(out["clusters"], c)
		out["endpoints"] = append(out["endpoints"], g.assignment(c.Name))
		host.Routes = append(host.Routes, &route.Route{
			Match: &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: "/" + c.Name + ".Greeter/"}},
			Action: &route.Route_Route{Route: &route.RouteAction{
				ClusterSpecifier: &route.RouteAction_Cluster{Cluster: c.Name}}}})
	}
	if g.Route != "" {
		out["routes"] = append(out["routes"], &route.RouteConfiguration{
			Name: g.Route, VirtualHosts: []*route.VirtualHost{host}})
	}
	return nil
}

func (g *generate) assignment(name string) *endpoint.ClusterLoadAssignment {
	group := &endpoint.LocalityLbEndpoints{}
	for j := range g.Endpoints {
		socket := &core.SocketAddress{Address: fmt.Sprintf("127.0.0.%d", 1+j/len(g.Ports)),
			PortSpecifier: &core.SocketAddress_PortValue{PortValue: g.Ports[j%len(g.Ports)]}}
		group.LbEndpoints = append(group.LbEndpoints, &endpoint.LbEndpoint{
			HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{
				Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: socket}}}}})
	}
	return &endpoint.ClusterLoadAssignment{ClusterName: name,
		Endpoints: []*endpoint.LocalityLbEndpoints{group}}
}
