//! The ingress controller, its certificates and its routes.

use exokit_model::kind::Kind;
use serde_json::json;

use crate::environments::{Environment, all, changed, container, list, template};

fn arguments(environment: &Environment) -> Vec<String> {
    let traefik = environment.get("traefik").unwrap();
    list(&container(traefik)["args"]).iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

fn by_name(name: &str) -> Environment {
    all().into_iter().find(|environment| environment.name == name).unwrap()
}

#[test]
fn each_entry_point_has_its_port_and_no_other_is_named() {
    for environment in all().iter().filter(|environment| environment.spec.workload.ingress.is_some()) {
        let traefik = environment.get("traefik").unwrap();
        let arguments = arguments(environment);
        for port in list(&container(traefik)["ports"]) {
            let (name, number) = (port["name"].as_str().unwrap(), port["containerPort"].as_u64().unwrap());
            assert!(number > 1024);
            assert!(arguments.contains(&format!("--entryPoints.{name}.address=:{number}")), "{name}");
        }
        let addresses =
            arguments.iter().filter(|one| one.ends_with(".address=") || one.contains(".address=:"));
        assert_eq!(addresses.count(), list(&container(traefik)["ports"]).len());
        let annotation = "traefik.ingress.kubernetes.io/router.entrypoints";
        let names = environment.at("ingress", "/metadata/annotations")[annotation].as_str().unwrap();
        let ports = list(environment.at("service", "/spec/ports"));
        let served: Vec<&str> = ports.iter().map(|port| port["targetPort"].as_str().unwrap()).collect();
        assert_eq!(names.split(',').collect::<Vec<_>>(), served, "{}", environment.name);
    }
}

#[test]
fn tls_belongs_to_one_entry_point_and_not_to_the_route() {
    for environment in all().iter().filter(|environment| environment.spec.workload.ingress.is_some()) {
        let ingress = environment.get("ingress").unwrap();
        assert_eq!(ingress.body["spec"].get("tls"), None);
        // Traefik would ignore a class that it may not look up.
        assert_eq!(ingress.body["spec"].get("ingressClassName"), None);
        let annotations = &ingress.body["metadata"]["annotations"];
        assert_eq!(annotations["kubernetes.io/ingress.class"], "traefik");
        assert_eq!(annotations.get("traefik.ingress.kubernetes.io/router.tls"), None);
        let tls = arguments(environment).iter().filter(|one| one.contains(".http.tls")).count();
        let ports = list(environment.at("service", "/spec/ports"));
        let secure = ports.iter().filter(|port| port["name"] == "websecure").count();
        assert_eq!(tls, secure, "{}", environment.name);
    }
}

#[test]
fn only_one_load_balancer_is_paid_for() {
    for environment in all() {
        let balanced = environment.of(Kind::Service).filter(|s| s.body["spec"]["type"] == "LoadBalancer");
        assert_eq!(balanced.count(), usize::from(environment.spec.workload.load_balancer));
    }
}

#[test]
fn ports_of_the_public_service_differ() {
    let environment = by_name("T2 on port 443");
    let ports = list(environment.at("service", "/spec/ports"));
    assert_eq!(ports.len(), 1);
    assert_eq!((&ports[0]["name"], &ports[0]["nodePort"]), (&json!("websecure"), &json!(30002)));
    let environment = by_name("T2 without TLS");
    assert_eq!(list(environment.at("service", "/spec/ports")).len(), 1);
    let environment = by_name("T2 without load balancer");
    assert_eq!(environment.at("service", "/spec/type"), "NodePort");
    assert!(!arguments(&environment).iter().any(|one| one.contains("publishedService")));
}

#[test]
fn certificates_are_asked_for_only_with_a_name_and_an_address() {
    for (domain, mail) in [(None, None), (Some("a.example.org"), None), (None, Some("a@example.org"))] {
        let environment = changed("T7", "T7", |spec| {
            let ingress = spec.workload.ingress.as_mut().unwrap();
            ingress.domain = domain.map(str::to_owned);
            ingress.cert_email = mail.map(str::to_owned);
        });
        assert!(!arguments(&environment).iter().any(|one| one.contains("acme")));
        assert!(environment.get("traefik-claim").is_none());
        let host = environment.at("ingress", "/spec/rules/0").get("host");
        assert_eq!(host, domain.map(|name| json!(name)).as_ref());
    }
}

#[test]
fn an_issuer_of_the_cluster_makes_the_certificate_instead() {
    let environment = changed("T7", "T7", |spec| {
        let ingress = spec.workload.ingress.as_mut().unwrap();
        (ingress.tls, ingress.domain) = (true, Some("a.example.org".to_owned()));
        (ingress.cert_email, ingress.cert_issuer) =
            (Some("a@example.org".to_owned()), Some("corp".to_owned()));
    });
    let ingress = environment.get("ingress").unwrap();
    assert_eq!(ingress.body["metadata"]["annotations"]["cert-manager.io/cluster-issuer"], "corp");
    let secret = format!("{}-tls", ingress.body["metadata"]["name"].as_str().unwrap());
    assert_eq!(ingress.body["spec"]["tls"], json!([{"hosts": ["a.example.org"], "secretName": secret}]));
    assert!(!arguments(&environment).iter().any(|one| one.contains("acme")));
    assert!(arguments(&environment).contains(&"--entryPoints.websecure.http.tls=true".to_owned()));
    assert!(environment.get("traefik-claim").is_none());
}

#[test]
fn certificates_are_kept_on_a_volume_where_there_are_volumes() {
    let environment = by_name("T7 certified");
    let claim = environment.at("traefik-claim", "/spec");
    assert_eq!(claim["resources"]["requests"]["storage"], "1Gi");
    assert_eq!(environment.at("traefik", "/spec/strategy"), &json!({"type": "Recreate"}));
    let arguments = arguments(&environment);
    assert!(arguments.contains(&"--certificatesResolvers.letsencrypt.acme.email=ops@example.org".to_owned()));
    assert!(arguments.contains(&"--entryPoints.websecure.http.tls.certResolver=letsencrypt".to_owned()));
    // T2 has no driver that could serve a claim.
    let environment = by_name("T2 certified");
    assert!(!template("T2").cluster.addons.iter().any(|addon| addon.contains("storage")));
    assert!(environment.get("traefik-claim").is_none());
    let volumes = list(environment.at("traefik", "/spec/template/spec/volumes"));
    assert!(volumes.iter().any(|volume| volume["name"] == "acme" && volume.get("emptyDir").is_some()));
}

#[test]
fn names_of_services_stay_within_their_limit() {
    let environment = by_name("T1 of a long name");
    for service in environment.of(Kind::Service) {
        assert!(service.name.len() <= 63, "{}", service.name);
    }
}
