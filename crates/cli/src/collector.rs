//! Where spans are exported to, by the variables that OpenTelemetry defines.

use std::str::FromStr;
use std::time::Duration;

use exokit_cloud::network::{NetworkOptions, real};
use exokit_spans::exporter::{Exporter, Options};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use tokio::runtime::Handle;

use crate::args::Command;
use crate::error::{CliError, Doing as _};
use crate::settings::Settings;
use crate::state_dir::read;

/// Longest time for a batch unless something else is said.
const LIMIT_DEFAULT: Duration = Duration::from_secs(10);

/// What the variables are looked up in.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<&'a str>;

/// Starts the exporter of a service; none when no collector is named.
pub(crate) fn start(
    command: &Command,
    settings: &Settings,
    runtime: &Handle,
) -> Result<Option<Exporter>, CliError> {
    let service = match command {
        Command::Serve(_) => "az-infra-provisioner",
        Command::Orchestrator(_) => "az-orchestrator",
        _ => return Ok(None),
    };
    let get = |name: &str| settings.variable(name);
    let Some(options) = options(&get, service)? else { return Ok(None) };
    let certificate = for_traces(&get, "CERTIFICATE").1;
    let extra_ca_pem = certificate.map(|path| read(path.as_ref())).transpose()?;
    let network = NetworkOptions { extra_ca_pem, ..NetworkOptions::default() };
    let transport = real(&network).doing("preparing", "the way to the collector")?;
    let exporter = Exporter::start(options, transport, runtime.clone());
    exporter.map(Some).doing("starting", "the export of spans")
}

/// What the variables say; none when they name no collector, or switch the
/// export off.
fn options(get: Lookup<'_>, service: &str) -> Result<Option<Options>, CliError> {
    if get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    match get("OTEL_TRACES_EXPORTER") {
        None | Some("otlp") => {}
        Some("none") => return Ok(None),
        Some(_) => return Err(refused("OTEL_TRACES_EXPORTER", "it is neither otlp nor none", "use otlp")),
    }
    let Some(endpoint) = endpoint(get)? else { return Ok(None) };
    let (name, protocol) = for_traces(get, "PROTOCOL");
    if protocol.is_some_and(|protocol| protocol != "http/protobuf") {
        let hint = "use http/protobuf, which collectors take on port 4318";
        return Err(refused(&name, "spans leave over http/protobuf only", hint));
    }
    Ok(Some(Options {
        endpoint,
        headers: headers(get)?,
        limit: limit(get)?,
        service: own_name(get).unwrap_or(service).to_owned(),
        version: env!("CARGO_PKG_VERSION"),
    }))
}

/// The variable for traces, or else that for everything, with its name.
fn for_traces<'a>(get: Lookup<'a>, what: &str) -> (String, Option<&'a str>) {
    let traces = format!("OTEL_EXPORTER_OTLP_TRACES_{what}");
    match get(&traces) {
        Some(value) => (traces, Some(value)),
        None => {
            let all = format!("OTEL_EXPORTER_OTLP_{what}");
            let value = get(&all);
            (all, value)
        }
    }
}

/// The address for traces as it stands, or the path for traces below the
/// address for everything.
fn endpoint(get: Lookup<'_>) -> Result<Option<Uri>, CliError> {
    let (name, value) = for_traces(get, "ENDPOINT");
    let Some(value) = value else { return Ok(None) };
    let whole = match name.contains("TRACES") {
        true => value.to_owned(),
        false => format!("{}/v1/traces", value.trim_end_matches('/')),
    };
    let hint = "give the address of a collector, such as http://127.0.0.1:4318";
    let refused = |why: &str| Err(refused(&name, why, hint));
    // What was given may hold a password: it is not repeated.
    let Ok(uri) = Uri::from_str(&whole) else { return refused("it is no address") };
    match (uri.scheme_str(), uri.authority()) {
        (_, Some(authority)) if authority.as_str().contains('@') => {
            refused("it holds a user or a password; they belong into OTEL_EXPORTER_OTLP_HEADERS")
        }
        (Some("http" | "https"), Some(authority)) if !authority.host().is_empty() => Ok(Some(uri)),
        _ => refused("it does not begin with http:// or https:// and a host"),
    }
}

/// Headers as `name=value,name=value`, with values in percent encoding. What
/// is wrong is told by its place, because values are secrets.
fn headers(get: Lookup<'_>) -> Result<HeaderMap, CliError> {
    let (name, value) = for_traces(get, "HEADERS");
    let mut headers = HeaderMap::new();
    let entries = value.unwrap_or_default().split(',').map(str::trim).enumerate();
    for (at, entry) in entries.filter(|(_, entry)| !entry.is_empty()) {
        let Some((key, value)) = header(entry) else {
            let why = format!("entry {} is no header", at + 1);
            return Err(refused(&name, &why, "write name=value, with commas between, in percent encoding"));
        };
        headers.insert(key, value);
    }
    Ok(headers)
}

fn header(entry: &str) -> Option<(HeaderName, HeaderValue)> {
    let (key, value) = entry.split_once('=')?;
    let decoded = percent_decode_str(value.trim()).decode_utf8().ok()?;
    let mut value = HeaderValue::from_str(&decoded).ok()?;
    value.set_sensitive(true);
    Some((HeaderName::from_str(key.trim()).ok()?, value))
}

fn limit(get: Lookup<'_>) -> Result<Duration, CliError> {
    let (name, value) = for_traces(get, "TIMEOUT");
    match value.map(str::parse) {
        None => Ok(LIMIT_DEFAULT),
        Some(Ok(ms)) if ms > 0 => Ok(Duration::from_millis(ms)),
        Some(_) => Err(refused(&name, "it is no whole number above 0", "give milliseconds")),
    }
}

/// The name that the service was given, if it was given one.
fn own_name<'a>(get: Lookup<'a>) -> Option<&'a str> {
    let attributes = get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default().split(',');
    let named = attributes.filter_map(|each| each.trim().strip_prefix("service.name=")).next_back();
    get("OTEL_SERVICE_NAME").or(named)
}

fn refused(name: &str, why: &str, hint: &str) -> CliError {
    CliError::unusable("usage", "reading", name, why, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    const HERE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");

    fn read(variables: &[(&str, &'static str)]) -> Result<Option<Options>, CliError> {
        let get = |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
        options(&get, "az")
    }

    #[test]
    fn only_a_named_collector_gets_spans() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[("OTEL_SERVICE_NAME", "a")]).unwrap().is_none());
        assert!(read(&[HERE, ("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_none());
        assert!(read(&[HERE, ("OTEL_TRACES_EXPORTER", "none")]).unwrap().is_none());
        let plain = read(&[HERE, ("OTEL_SDK_DISABLED", "false")]).unwrap().unwrap();
        assert_eq!(plain.endpoint, "http://127.0.0.1:4318/v1/traces");
        assert_eq!((plain.limit, plain.service.as_str()), (LIMIT_DEFAULT, "az"));
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.test/in");
        let own = read(&[HERE, own, ("OTEL_EXPORTER_OTLP_TIMEOUT", "250")]).unwrap().unwrap();
        assert_eq!(
            (own.endpoint.to_string().as_str(), own.limit.as_millis()),
            ("https://traces.test/in", 250)
        );
    }

    #[test]
    fn a_service_has_the_name_that_it_was_given() {
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.name=one");
        assert_eq!(read(&[HERE, attributes]).unwrap().unwrap().service, "one");
        let named = [HERE, attributes, ("OTEL_SERVICE_NAME", "two")];
        assert_eq!(read(&named).unwrap().unwrap().service, "two");
    }

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let given = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc, x-key = d=e,");
        let options = read(&[HERE, given]).unwrap().unwrap();
        assert_eq!(options.headers["authorization"], "Bearer abc");
        assert_eq!(options.headers["x-key"], "d=e");
        assert!(options.headers.values().all(HeaderValue::is_sensitive));
        assert!(!format!("{options:?} {:?}", options.headers).contains("abc"));
    }

    #[test]
    fn what_cannot_be_is_refused_by_the_name_of_its_variable_and_not_repeated() {
        let all = "OTEL_EXPORTER_OTLP_ENDPOINT";
        for (name, value) in [
            (all, "127.0.0.1:4318"),
            (all, "ftp://canary"),
            (all, "http://"),
            (all, "http://dana:canary@host:4318"),
            (all, "http://can ary"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "canary"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=b,canary"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a b=canary"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=canary%0a"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "canary"),
            ("OTEL_TRACES_EXPORTER", "canary"),
        ] {
            let error = read(&[(name, value), HERE]).unwrap_err();
            assert_eq!((error.on.as_str(), error.exit), (name, Exit::Usage), "{value}");
            assert!(!error.text().contains("canary") && !error.text().contains("can ary"), "{error:?}");
        }
    }
}
