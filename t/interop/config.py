"""t/interop/config.py - the one godwit that all pairs meet in.

    callers, plain   a port per service                \\
                                                         >  plain service
    callers, TLS     one port; the virtual host says     \\
                     which service (NAME.interop.mesh)    > TLS service

A caller over TLS reaches its service over TLS. Written as data: JSON is YAML.
"""
import json

URI = "spiffe://mesh/interop"       # in the one certificate that all show
DOMAIN = "interop.mesh"
TYPE = "type.googleapis.com/envoy.extensions."


def typed(kind, **fields):
    return {"@type": TYPE + kind, **fields}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def host(domain, cluster):
    """A virtual host; callers' deadlines are enforced, nothing else is."""
    return {"name": cluster, "domains": [domain], "routes": [{
        "match": {"prefix": "/"},
        "route": {"cluster": cluster, "timeout": "0s", "max_stream_duration":
                  {"grpc_timeout_header_max": "0s"}}}]}


def listener(name, port, hosts, tls=None):
    manager = "network.http_connection_manager.v3.HttpConnectionManager"
    chain = {"filters": [{
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": typed(
            "filters." + manager, codec_type="HTTP2", stat_prefix=name,
            route_config={"name": name, "virtual_hosts": hosts},
            http_filters=[{
                "name": "envoy.filters.http.router",
                "typed_config": typed("filters.http.router.v3.Router")}])}]}
    if tls:
        chain["transport_socket"] = tls
    return {"name": name, "address": address(port), "filter_chains": [chain]}


def socket_tls(folder, kind, checked, **fields):
    tls = "transport_sockets.tls"
    certificate = {"certificate_chain": {"filename": f"{folder}/interop.pem"},
                   "private_key": {"filename": f"{folder}/interop.key"}}
    common = {"alpn_protocols": ["h2"], "tls_certificates": [certificate]}
    if checked:
        common["validation_context"] = {
            "trusted_ca": {"filename": f"{folder}/ca.pem"},
            "match_typed_subject_alt_names": [
                {"san_type": "URI", "matcher": {"exact": URI}}]}
    return {"name": "envoy." + tls, "typed_config": typed(
        f"{tls}.v3.{kind}", common_tls_context=common, **fields)}


def cluster(name, port, tls=None):
    options = "upstreams.http.v3.HttpProtocolOptions"
    made = {
        "name": name, "type": "STATIC", "connect_timeout": "5s",
        "typed_extension_protocol_options": {
            "envoy.extensions." + options: typed(
                options, explicit_http_config={"http2_protocol_options": {}})},
        "load_assignment": {"cluster_name": name, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]}}
    if tls:
        made["transport_socket"] = tls
    return made


def bootstrap(services, plain, tls, folder):
    """services: {name: (plain port, TLS port)}; plain: {name: port}."""
    listeners = [listener(f"plain-{n}", plain[n], [host("*", n)])
                 for n in services]
    listeners.append(listener(
        "tls", tls, [host(f"{n}.{DOMAIN}", n + "-tls") for n in services],
        socket_tls(folder, "DownstreamTlsContext", False)))
    clusters = []
    for n, (plain_port, tls_port) in services.items():
        clusters += [cluster(n, plain_port), cluster(
            n + "-tls", tls_port, socket_tls(
                folder, "UpstreamTlsContext", True, sni=f"{n}.{DOMAIN}"))]
    return json.dumps({"node": {"id": "interop", "cluster": "interop"},
                       "static_resources": {"listeners": listeners,
                                            "clusters": clusters}}, indent=1)
