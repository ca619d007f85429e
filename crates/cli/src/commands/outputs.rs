//! `exokit outputs`: how to reach an environment.

use exokit_model::outputs::Outputs;
use exokit_text::format::table;
use exokit_wire::request::OutputsRequest;

use crate::args::{EnvironmentArgs, Format};
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;
use crate::variables::line;

pub(crate) async fn run(connection: &Connection<'_>, args: &EnvironmentArgs) -> Result<Exit, CliError> {
    let outputs = connection.call(&OutputsRequest { environment: args.environment.clone() }).await?;
    let output = &connection.settings.output;
    match output.format {
        Format::Env => {
            output.raw(variables(&outputs).as_bytes())?;
            Ok(Exit::Done)
        }
        Format::Table | Format::Json | Format::Yaml => output.data(&outputs, || text(&outputs)),
    }
}

fn text(outputs: &Outputs) -> String {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, value: String| rows.push([name.to_owned(), value]);
    for service in &outputs.services {
        row("SERVICE", format!("{} at {}", service.name, service.address));
        for url in &service.urls {
            row("URL", url.to_string());
        }
    }
    if let Some(database) = &outputs.database {
        row("DATABASE", format!("{} {}", database.engine, database.name));
        row("URI", database.uri.to_string());
    }
    if let Some(bucket) = &outputs.bucket {
        row("BUCKET", bucket.name.to_string());
        row("ENDPOINT", bucket.endpoint.to_string());
    }
    if let Some(cluster) = &outputs.cluster {
        row("CLUSTER", format!("{} (Kubernetes {})", cluster.id, cluster.version));
        row("API SERVER", cluster.endpoint.to_string());
        row("NAMESPACE", cluster.namespace.to_string());
    }
    match rows.is_empty() {
        true => format!("{} has nothing that can be reached yet.\n", outputs.environment),
        false => table(["OUTPUT", "VALUE"], rows),
    }
}

/// The outputs as variables that a shell can read.
fn variables(outputs: &Outputs) -> String {
    let mut lines = String::new();
    let mut set = |name: &str, value: &str| {
        lines.push_str(&line(name, value));
    };
    set("EXOKIT_ENVIRONMENT", outputs.environment.as_str());
    set("EXOKIT_ZONE", outputs.zone.as_str());
    if let Some(service) = outputs.services.first() {
        set("SERVICE_ADDRESS", service.address.raw());
        if let Some(url) = service.urls.first() {
            set("SERVICE_URL", url.raw());
        }
    }
    if let Some(database) = &outputs.database {
        set("DATABASE_HOST", database.host.raw());
        set("DATABASE_PORT", &database.port.to_string());
        set("DATABASE_USER", database.user.raw());
        set("DATABASE_URI", database.uri.raw());
    }
    if let Some(bucket) = &outputs.bucket {
        set("BUCKET_NAME", bucket.name.raw());
        set("BUCKET_ENDPOINT", bucket.endpoint.raw());
        set("BUCKET_REGION", bucket.region.as_str());
    }
    if let Some(cluster) = &outputs.cluster {
        set("CLUSTER_ID", cluster.id.as_str());
        set("KUBERNETES_NAMESPACE", cluster.namespace.raw());
    }
    lines
}
