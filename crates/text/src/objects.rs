//! What a plan makes inside a cluster: its objects by application, their images,
//! and the secrets that are filled in when it runs.

use std::collections::BTreeSet;

use exokit_model::graph::Node;
use exokit_model::plan::Plan;
use serde_json::Value;

use crate::format::table;

/// The label by which objects belong together.
const APP: &str = "/metadata/labels/app.kubernetes.io~1name";

/// What stands for the application of objects that are there for all.
const FOR_ALL: &str = "all";

/// The template of the pods of a Deployment or DaemonSet.
const POD: &str = "/spec/template";

/// The lists of containers of a pod template.
const CONTAINERS: [&str; 2] = ["/spec/template/spec/initContainers", "/spec/template/spec/containers"];

/// Formats the objects that a plan makes; empty when it makes none.
pub(crate) fn text(plan: &Plan) -> String {
    let objects: Vec<(&Node, &Value)> = plan.graph.nodes().iter().filter_map(made).collect();
    if objects.is_empty() {
        return String::new();
    }
    let parts = [by_app(&objects), images(&objects), secrets(&objects)];
    format!("Makes {} objects in the cluster\n{}", objects.len(), parts.concat())
}

/// The object that a node makes inside the cluster.
pub(crate) fn made(node: &Node) -> Option<(&Node, &Value)> {
    let body = node.create.as_ref()?.body.as_ref()?;
    node.kind.is_kubernetes().then_some((node, body))
}

fn label<'a>((_, body): &(&Node, &'a Value)) -> &'a str {
    body.pointer(APP).and_then(Value::as_str).unwrap_or_default()
}

/// What has pods is an application; what belongs to none is there for all.
fn by_app(objects: &[(&Node, &Value)]) -> String {
    let has_pods = |object: &&(&Node, &Value)| object.1.pointer(POD).is_some();
    let with_pods: BTreeSet<&str> = objects.iter().filter(has_pods).map(label).collect();
    let app = |object: &(&Node, &Value)| with_pods.get(label(object)).copied().unwrap_or(FOR_ALL);
    let apps = [FOR_ALL].into_iter().chain(with_pods.iter().copied());
    let rows = apps.flat_map(|wanted| {
        let its = objects.iter().filter(move |object| app(object) == wanted).enumerate();
        its.map(move |(at, (node, _))| {
            // Said once for each.
            let app = if at == 0 { format!("  {wanted}") } else { String::new() };
            [app, node.key.to_string(), node.kind.to_string(), node.name.clone()]
        })
    });
    table(["  APP", "RESOURCE", "KIND", "NAME"], rows)
}

fn images(objects: &[(&Node, &Value)]) -> String {
    let mut images: Vec<&str> = objects
        .iter()
        .flat_map(|(_, body)| CONTAINERS.iter().filter_map(|list| body.pointer(list)?.as_array()))
        .flatten()
        .filter_map(|container| container["image"].as_str())
        .collect();
    images.sort_unstable();
    images.dedup();
    let rows = images.into_iter().map(|image| {
        let (name, digest) = image.split_once('@').unwrap_or((image, "none (the tag may move)"));
        [format!("  {name}"), digest.to_owned()]
    });
    format!("\n{}", table(["  IMAGE", "DIGEST"], rows))
}

/// The values are known only when it runs; the plan names them.
fn secrets(objects: &[(&Node, &Value)]) -> String {
    let slots = objects.iter().flat_map(|(node, _)| {
        let secrets = node.create.iter().flat_map(|create| &create.secrets);
        secrets.map(|(pointer, slot)| {
            let field = pointer.rsplit('/').next().unwrap_or_default();
            [format!("  {}", node.name), field.to_owned(), slot.value.to_string(), slot.node.to_string()]
        })
    });
    let rows: Vec<[String; 4]> = slots.collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "\nFilled in at run time and never recorded\n{}",
        table(["  SECRET", "FIELD", "VALUE", "OF"], rows)
    )
}
