"""Addresses and ports of Services."""

from ..steps import Conversation, create, delete, get, patch, put


def service(name, spec, **options):
    return create(f"services/{name}", f"spec: {spec}", **options)


def dry(name, spec):
    return service(name, spec, query={"dryRun": "All"})


CONVERSATIONS = [
    Conversation(
        "service-types",
        [
            service("internal", "{selector: {a: b}, ports: [{port: 80}]}"),
            service("headless", "{clusterIP: None, selector: {a: b}, ports: [{port: 80}]}"),
            service("bare", "{clusterIP: None}"),
            service("external", "{type: ExternalName, externalName: example.org}"),
            service("node", "{type: NodePort, ports: [{port: 80, targetPort: http}]}"),
            dry("balanced", "{type: LoadBalancer, ports: [{port: 80}, {port: 443, name: b}]}"),
            dry("balanced", "{type: LoadBalancer, ports: [{port: 80, name: a}, {port: 443, name: b}], loadBalancerSourceRanges: [10.0.0.0/8]}"),
            dry("local", "{type: LoadBalancer, externalTrafficPolicy: Local, ports: [{port: 80}]}"),
            dry("none", "{type: LoadBalancer, allocateLoadBalancerNodePorts: false, ports: [{port: 80}]}"),
            dry("sticky", "{sessionAffinity: ClientIP, ports: [{port: 80}]}"),
            get("services/headless"),
        ],
    ),
    Conversation(
        "service-addresses",
        [
            service("a", "{clusterIP: 10.96.200.1, ports: [{port: 80}]}"),
            service("b", "{clusterIP: 10.96.200.1, ports: [{port: 80}]}"),
            service("c", "{clusterIP: 192.0.2.1, ports: [{port: 80}]}"),
            service("d", "{clusterIP: nonsense, ports: [{port: 80}]}"),
            service("e", "{clusterIP: 10.96.200.2, clusterIPs: [10.96.200.3], ports: [{port: 80}]}"),
            patch("merge", "services/a", "{spec: {clusterIP: 10.96.200.9}}"),
            put("services/a", "spec: {ports: [{port: 81}]}"),
            delete("services/a"),
            service("b", "{clusterIP: 10.96.200.1, ports: [{port: 80}]}"),
        ],
    ),
    Conversation(
        "service-ports",
        [
            service("a", "{type: NodePort, ports: [{port: 80, nodePort: 30080}]}"),
            service("b", "{type: NodePort, ports: [{port: 80, nodePort: 30080}]}"),
            service("c", "{type: NodePort, ports: [{port: 80, nodePort: 80}]}"),
            service("d", "{type: NodePort, ports: [{port: 80, nodePort: 40000}]}"),
            service("e", "{type: ClusterIP, ports: [{port: 80, nodePort: 30081}]}"),
            service("f", "{type: NodePort, ports: [{port: 53, protocol: UDP, nodePort: 30080}]}"),
            service("g", "{type: NodePort, ports: [{name: a, port: 80, nodePort: 30082}, {name: b, port: 81, nodePort: 30082}]}"),
            put("services/a", "spec: {type: NodePort, ports: [{port: 80}]}"),
            put("services/a", "spec: {type: NodePort, ports: [{port: 81}]}"),
            put("services/a", "spec: {ports: [{port: 80}]}"),
            patch("merge", "services/a", "{spec: {type: NodePort}}"),
            patch("merge", "services/a", "{spec: {type: ClusterIP}}"),
            patch("merge", "services/a", "{spec: {type: ExternalName, externalName: example.org}}"),
        ],
    ),
    Conversation(
        "services-refused",
        [
            dry("a", "{}"),
            dry("a", "{ports: []}"),
            dry("a", "{ports: [{port: 0}]}"),
            dry("a", "{ports: [{port: 80}, {port: 81}]}"),
            dry("a", "{ports: [{port: 80, name: a}, {port: 80, name: b}]}"),
            dry("a", "{ports: [{port: 80, name: a}, {port: 81, name: a}]}"),
            dry("a", "{ports: [{port: 80, name: A_b}]}"),
            dry("a", "{ports: [{port: 80, protocol: HTTP}]}"),
            dry("a", "{ports: [{port: 80, targetPort: 0}]}"),
            dry("a", "{ports: [{port: 80, targetPort: Not_a_name}]}"),
            dry("a", "{type: Odd, ports: [{port: 80}]}"),
            dry("a", "{type: ExternalName}"),
            dry("a", "{sessionAffinity: Odd, ports: [{port: 80}]}"),
            dry("a", "{externalTrafficPolicy: Local, ports: [{port: 80}]}"),
            dry("a", "{selector: {'a b': c}, ports: [{port: 80}]}"),
            dry("a", "{type: NodePort, clusterIP: None, ports: [{port: 80}]}"),
            dry("a", "{ipFamilies: [IPv6], ports: [{port: 80}]}"),
        ],
    ),
]
