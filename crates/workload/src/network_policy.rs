//! Network policies: the traffic that pods may send and receive.
//!
//! Pods receive only traffic that a policy allows. In a hardened environment
//! they also send only traffic that a policy allows.

use exokit_model::kind::Kind;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::app::App;
use crate::builder::Builder;
use crate::labels::{Labels, metadata, pod_selector, shared_metadata};

/// Key of the default-deny policy.
pub(crate) const DENY_ALL: &str = "deny-all";

/// Ports of the API server. Policies see the port of the server itself, which
/// can differ from the port of its Service.
pub(crate) const API_SERVER_PORTS: [u16; 2] = [443, 6443];

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Peer {
    /// Any address, inside the cluster and outside.
    Anyone,
    /// Pods of an app.
    Pods(App),
    /// Every pod of the namespace.
    Namespace,
}

/// A peer and the TCP ports that are allowed; an empty list allows every port.
pub(crate) type Allowed = (Peer, Vec<u16>);

/// Adds the policies of the namespace as a whole.
pub(crate) fn add_shared(builder: &mut Builder<'_>) {
    let hardened = builder.spec.hardened;
    let deny = NetworkPolicySpec {
        pod_selector: Some(LabelSelector::default()),
        policy_types: Some(policy_types(hardened)),
        ..NetworkPolicySpec::default()
    };
    let deny = policy(shared_metadata(builder.spec, "deny-all"), deny);
    builder.add(DENY_ALL, Kind::NetworkPolicy, &deny, &[]);
    if !hardened {
        return;
    }
    let to = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(Labels::from([(
                "kubernetes.io/metadata.name".to_owned(),
                "kube-system".to_owned(),
            )])),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    };
    let ports = ["UDP", "TCP"].map(|protocol| port(protocol, 53)).to_vec();
    let dns = NetworkPolicySpec {
        pod_selector: Some(LabelSelector::default()),
        policy_types: Some(vec!["Egress".to_owned()]),
        egress: Some(vec![NetworkPolicyEgressRule { to: Some(vec![to]), ports: Some(ports) }]),
        ..NetworkPolicySpec::default()
    };
    let dns = policy(shared_metadata(builder.spec, "allow-dns"), dns);
    builder.add("dns-policy", Kind::NetworkPolicy, &dns, &[]);
}

/// Adds the policy of an app: its clients (`from`) and, in a hardened
/// environment, the servers beside DNS that it connects to (`to`).
pub(crate) fn add(builder: &mut Builder<'_>, app: App, from: &[Allowed], to: &[Allowed]) {
    let spec = builder.spec;
    let peers = |peer: &Peer| peer_of(builder, *peer).map(|peer| vec![peer]);
    let ingress = from
        .iter()
        .map(|(peer, numbers)| NetworkPolicyIngressRule { from: peers(peer), ports: ports(numbers) })
        .collect();
    let egress = to
        .iter()
        .map(|(peer, numbers)| NetworkPolicyEgressRule { to: peers(peer), ports: ports(numbers) })
        .collect();
    let rules = NetworkPolicySpec {
        pod_selector: Some(pod_selector(spec, app)),
        policy_types: Some(policy_types(spec.hardened)),
        ingress: Some(ingress),
        egress: spec.hardened.then_some(egress),
    };
    let policy = policy(metadata(spec, app, &app.name(spec)), rules);
    builder.add(&format!("{}-policy", app.key()), Kind::NetworkPolicy, &policy, &[]);
}

fn policy(metadata: ObjectMeta, spec: NetworkPolicySpec) -> NetworkPolicy {
    NetworkPolicy { metadata, spec: Some(spec) }
}

fn policy_types(both: bool) -> Vec<String> {
    let types: &[&str] = if both { &["Ingress", "Egress"] } else { &["Ingress"] };
    types.iter().map(|name| (*name).to_owned()).collect()
}

/// The selector of a peer; none selects every address.
fn peer_of(builder: &Builder<'_>, peer: Peer) -> Option<NetworkPolicyPeer> {
    let selector = match peer {
        Peer::Anyone => return None,
        Peer::Pods(app) => pod_selector(builder.spec, app),
        Peer::Namespace => LabelSelector::default(),
    };
    Some(NetworkPolicyPeer { pod_selector: Some(selector), ..NetworkPolicyPeer::default() })
}

/// The ports of a rule; none selects every port.
fn ports(numbers: &[u16]) -> Option<Vec<NetworkPolicyPort>> {
    let list: Vec<_> = numbers.iter().map(|number| port("TCP", *number)).collect();
    (!list.is_empty()).then_some(list)
}

fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(i32::from(number))),
        end_port: None,
    }
}
