//! Routes from the load balancer to the Services of the environment.

use std::collections::BTreeMap;

use exokit_model::kind::Kind;
use exokit_model::spec::{EnvironmentSpec, IngressSpec as IngressChoice};
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, IngressTLS, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::app::{App, pods_service_name};
use crate::builder::Builder;
use crate::labels::metadata;
use crate::observability::{self, GRAFANA_PATH};
use crate::service::{HTTP, PODS_SERVICE};
use crate::traefik::{CLASS, EntryPoints};

/// Annotation by which cert-manager makes a certificate for an Ingress.
const ISSUER: &str = "cert-manager.io/cluster-issuer";

/// Adds the routes.
///
/// One object serves plain HTTP and TLS, because TLS is a setting of the entry
/// point. A router with TLS of its own would not answer plain HTTP.
pub(crate) fn add(builder: &mut Builder<'_>, choice: &IngressChoice) {
    let spec = builder.spec;
    let own_grafana = observability::has_own_grafana(spec);
    let mut paths = vec![path("/", &pods_service_name(spec))];
    let mut after = vec![App::Traefik.key(), PODS_SERVICE];
    if own_grafana {
        paths.push(path(GRAFANA_PATH, &App::Grafana.name(spec)));
        after.push(observability::GRAFANA_SERVICE);
    }
    let ingress = Ingress {
        metadata: ObjectMeta {
            annotations: Some(annotations(spec, choice)),
            ..metadata(spec, App::Workload, &spec.workload.service)
        },
        spec: Some(IngressSpec {
            rules: Some(vec![IngressRule {
                host: choice.domain.clone(),
                http: Some(HTTPIngressRuleValue { paths }),
            }]),
            tls: certificate(spec, choice),
            ..IngressSpec::default()
        }),
        ..Ingress::default()
    };
    builder.add("ingress", Kind::Ingress, &ingress, &after);
}

/// Where the issuer puts the certificate, and Traefik finds it.
fn certificate(spec: &EnvironmentSpec, choice: &IngressChoice) -> Option<Vec<IngressTLS>> {
    choice.cert_issuer.as_ref()?;
    let secret_name = Some(format!("{}-tls", spec.workload.service));
    Some(vec![IngressTLS { hosts: choice.domain.clone().map(|domain| vec![domain]), secret_name }])
}

/// Class, entry points and issuer of the routes.
///
/// The class is an annotation, because Traefik ignores `ingressClassName` when
/// it cannot read the cluster's ingress classes.
fn annotations(spec: &EnvironmentSpec, choice: &IngressChoice) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::from([
        ("kubernetes.io/ingress.class".to_owned(), CLASS.to_owned()),
        (
            "traefik.ingress.kubernetes.io/router.entrypoints".to_owned(),
            EntryPoints::of(spec, choice).names(),
        ),
    ]);
    let issuer = choice.cert_issuer.iter().map(|name| (ISSUER.to_owned(), name.clone()));
    annotations.extend(issuer);
    annotations
}

fn path(prefix: &str, service: &str) -> HTTPIngressPath {
    let port = ServiceBackendPort { name: Some(HTTP.to_owned()), number: None };
    HTTPIngressPath {
        path: Some(prefix.to_owned()),
        path_type: "Prefix".to_owned(),
        backend: IngressBackend {
            service: Some(IngressServiceBackend { name: service.to_owned(), port: Some(port) }),
            resource: None,
        },
    }
}
