//! Tests of the resolution of credentials, zone and endpoints.

use super::*;
use proptest::prelude::*;

const FILE: &str = r#"
defaultaccount = "work"
DefaultOutputFormat = "table"

[[accounts]]
  name = "work"
  key = "EXOwork"
  secret = "work-secret"
  defaultZone = "de-fra-1"
  customHeaders = { a = "b" }
  clienttimeout = 20

[[accounts]]
  Name = "lab"
  Key = "EXOlab"
  SecretCommand = ["pass", "show", "exoscale"]

[[accounts]]
  Name = "half"
  Key = "EXOhalf"

[[accounts]]
  Name = "sim"
  Key = "EXOsim"
  Secret = "sim-secret"
  Endpoint = "http://127.0.0.1:9999/v2"
  SosEndpoint = "http://127.0.0.1:9998"
  Environment = "ppapi"
"#;

fn run(variables: &[(&str, &str)], file: Option<&str>) -> Result<CloudConfig, ConfigError> {
    let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    resolve(&variables, file.map(|text| AccountText { path: "exoscale.toml", text }))
}

fn zone() -> Zone {
    "ch-gva-2".parse().unwrap()
}

#[test]
fn every_alias_of_key_and_secret_is_read() {
    for key in KEY_VARIABLES {
        for secret in SECRET_VARIABLES {
            let config = run(&[(key, "EXOa"), (secret, "s")], Some(FILE)).unwrap();
            assert_eq!((config.credentials.key(), config.credentials.secret()), ("EXOa", "s"));
            assert!(config.origin.contains(key) && config.origin.contains(secret));
        }
    }
}

#[test]
fn the_pair_of_the_old_kit_comes_last_and_is_never_mixed() {
    let kit = [("EXO_API_KEY", "EXOkit"), ("EXO_API_SECRET", "kit-secret")];
    assert_eq!(run(&kit, None).unwrap().credentials.key(), "EXOkit");
    let both = [kit[0], kit[1], ("EXOSCALE_KEY", "EXOnew"), ("EXOSCALE_SECRET", "s")];
    assert_eq!(run(&both, None).unwrap().credentials.key(), "EXOnew");
    let mixed = [kit[0], kit[1], ("EXOSCALE_KEY", "EXOnew")];
    assert!(run(&mixed, None).unwrap_err().to_string().contains("is set but EXOSCALE_API_SECRET is not"));
}

#[test]
fn one_half_alone_names_the_other() {
    for (variables, missing) in [
        (&[("EXOSCALE_KEY", "x")][..], "EXOSCALE_API_SECRET"),
        (&[("EXOSCALE_SECRET", "x")], "EXOSCALE_API_KEY"),
        (&[("EXOSCALE_API_KEY", "x"), ("EXOSCALE_API_SECRET", " ")], "EXOSCALE_API_SECRET"),
        (&[("EXO_API_KEY", "x")], "EXO_API_SECRET"),
        (&[("EXOSCALE_ACCOUNT", "half")], "Secret of account \"half\" in exoscale.toml"),
    ] {
        let error = run(variables, Some(FILE)).unwrap_err();
        assert_eq!(error.hint(), format!("set {missing} as well, or neither"));
        assert!(error.to_string().contains(" is set but "), "{error}");
    }
}

#[test]
fn the_file_gives_the_default_account_and_its_zone() {
    let config = run(&[], Some(FILE)).unwrap();
    assert_eq!((config.credentials.key(), config.zone.as_str()), ("EXOwork", "de-fra-1"));
    let config = run(&[("EXOSCALE_ZONE", "at-vie-2")], Some(FILE)).unwrap();
    assert_eq!(config.zone.as_str(), "at-vie-2");
    assert_eq!(
        run(&[("EXOSCALE_KEY", "a"), ("EXOSCALE_SECRET", "b")], None).unwrap().zone.as_str(),
        ZONE_DEFAULT
    );
}

#[test]
fn endpoints_come_from_variable_then_account_then_default() {
    let sim = run(&[("EXOSCALE_ACCOUNT", "sim")], Some(FILE)).unwrap().endpoints;
    assert_eq!(sim.api(&zone()), "http://127.0.0.1:9999");
    assert_eq!(sim.sos(&zone()), "http://127.0.0.1:9998");
    let given = [("EXOSCALE_ACCOUNT", "sim"), ("EXOSCALE_API_ENDPOINT", "http://h:1/v2")];
    assert_eq!(run(&given, Some(FILE)).unwrap().endpoints.api(&zone()), "http://h:1");
    let preprod = run(&[("EXOSCALE_API_ENVIRONMENT", "ppapi")], Some(FILE)).unwrap();
    assert_eq!(preprod.endpoints.api(&zone()), "https://ppapi-ch-gva-2.exoscale.com");
    for name in SOS_ENDPOINT_VARIABLES {
        let config = run(&[(name, "https://s3.test/")], Some(FILE)).unwrap();
        assert_eq!(config.endpoints.sos(&zone()), "https://s3.test");
    }
}

#[test]
fn a_secret_command_is_refused_and_not_run() {
    let error = run(&[("EXOSCALE_ACCOUNT", "lab")], Some(FILE)).unwrap_err();
    assert!(error.to_string().contains("account \"lab\" of exoscale.toml takes its secret"), "{error}");
    assert!(error.to_string().contains("does not run"), "{error}");
    let variables = [("EXOSCALE_ACCOUNT", "lab"), ("EXOSCALE_KEY", "a"), ("EXOSCALE_SECRET", "b")];
    assert_eq!(run(&variables, Some(FILE)).unwrap().credentials.key(), "a");
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(run(&[], None).unwrap_err(), ConfigError::NoCredentials);
    assert_eq!(run(&[], Some("")).unwrap_err(), ConfigError::NoCredentials);
    let error = run(&[("EXOSCALE_ACCOUNT", "x")], None).unwrap_err();
    assert!(error.to_string().contains("but no exoscale.toml was found"), "{error}");
    let error = run(&[("EXOSCALE_ACCOUNT", "x")], Some(FILE)).unwrap_err();
    assert!(error.hint().contains("work, lab, half, sim"), "{}", error.hint());
    let two = "[[Accounts]]\nName='a'\n[[Accounts]]\nName='b'\n";
    let error = run(&[], Some(two)).unwrap_err();
    assert!(error.to_string().contains("several accounts") && error.hint().contains("a, b"), "{error}");
}

#[test]
fn a_single_account_needs_no_default() {
    let text = "[[Accounts]]\nName='a'\nKey='EXOa'\nSecret='s'\n";
    assert_eq!(run(&[], Some(text)).unwrap().credentials.key(), "EXOa");
}

#[test]
fn a_broken_file_is_reported_without_its_text() {
    for text in [
        "a = 1\nSecret = 'hidden",
        "[[Accounts]]\nName='a'\nSecret = 271828\n",
        "[[Accounts]]\nName='a'\nSecret = hidden\n",
        "Accounts = 'hidden'",
        "Accounts = ['hidden']",
    ] {
        let error = run(&[], Some(text)).unwrap_err();
        let shown = format!("{error} {error:?} {}", error.hint());
        assert!(!shown.contains("hidden") && !shown.contains("271828"), "{shown}");
        assert!(shown.contains("exoscale.toml"), "{shown}");
    }
    let error = run(&[], Some("a = 1\nb = \n")).unwrap_err();
    assert_eq!(error.to_string(), "exoscale.toml is not valid TOML at line 2");
}

#[test]
fn a_key_that_would_break_a_header_is_refused() {
    let error = run(&[("EXOSCALE_KEY", "EXO,a\n=b"), ("EXOSCALE_SECRET", "s")], None).unwrap_err();
    assert!(error.to_string().contains("holds a character that no key has"), "{error}");
}

#[test]
fn the_debug_form_hides_the_secret() {
    let config = run(&[("EXOSCALE_KEY", "EXOa"), ("EXOSCALE_SECRET", "hidden")], Some(FILE)).unwrap();
    assert!(!format!("{config:?}").contains("hidden"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}", name in "[A-Za-z_]{0,20}", value in ".{0,40}") {
        let _ = run(&[(&name, &value), ("EXOSCALE_ZONE", &value), ("EXOSCALE_API_ENDPOINT", &value)], Some(&text));
        let _ = run(&[("EXOSCALE_ACCOUNT", &value)], Some(&format!("[[Accounts]]\nName='a'\n{text}")));
    }
}
