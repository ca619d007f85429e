//! Files that people write in YAML: templates, run files, price lists, requirements.

use std::sync::LazyLock;

use exokit_core::select::{Priced, select};
use exokit_model::cost::CostPolicy;
use exokit_model::selection::Requirements;
use exokit_model::spec::EnvironmentSpec;
use exokit_model::text::is_hazardous;
use exokit_templates::{
    DecodeError, InstantiateOptions, RunFile, Template, TemplateSet, decode_yaml, prices,
};
use jiff::civil::date;

use crate::check_refusal;

static SET: LazyLock<TemplateSet> =
    LazyLock::new(|| TemplateSet::embedded().expect("the embedded templates are good"));
static PRICED: LazyLock<Priced> =
    LazyLock::new(|| Priced::new(SET.candidates(), &prices::embedded().expect("the embedded list is good")));

fn check_error(error: &DecodeError) {
    assert!(error.line >= 1 && error.column >= 1, "{error}");
    check_refusal(&error.to_string(), error.hint());
}

/// A template that is accepted can be made into a specification, or says why not.
pub(crate) fn template(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    match Template::decode("f.yaml", text) {
        Ok(template) => {
            assert!(!template.label().chars().any(is_hazardous));
            let _ = (template.candidate(), template.digest());
            match template.instantiate(&InstantiateOptions::new(date(2026, 11, 23))) {
                Ok(spec) => check_spec(&spec),
                Err(error) => check_refusal(&error.to_string(), error.hint()),
            }
            true
        }
        Err(error) => {
            check_error(&error);
            false
        }
    }
}

/// A run file that is accepted gives a specification that survives its JSON.
pub(crate) fn run_file(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let [strict, lenient] = [false, true].map(|lenient| RunFile::decode("f.yaml", text, &SET, lenient));
    for error in [&strict, &lenient].into_iter().filter_map(|read| read.as_ref().err()) {
        check_error(error);
    }
    assert!(lenient.is_ok() || strict.is_err(), "what is accepted strictly is accepted leniently");
    lenient.is_ok_and(|run| {
        check_spec(&run.spec);
        true
    })
}

/// The specification survives its JSON, and nothing in it hides or steers.
fn check_spec(spec: &EnvironmentSpec) {
    let json = serde_json::to_string(spec).expect("a specification has a JSON form");
    let back: EnvironmentSpec = serde_json::from_str(&json).expect("its JSON is one");
    assert_eq!(back, *spec);
    assert!(!json.contains("\\u") && !json.chars().any(is_hazardous), "{json}");
}

/// A price list that is accepted can be written and read again, the same.
pub(crate) fn price_list(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    match prices::decode("f.yaml", text) {
        Ok(list) => {
            let written = prices::encode(&list).expect("a price list can be written");
            let back = prices::decode("f.yaml", &written).expect("what was written can be read");
            let digests = [&list, &back].map(|list| prices::digest(list).expect("a list has a digest"));
            assert_eq!((back, digests[0]), (list, digests[1]));
            true
        }
        Err(error) => {
            check_error(&error);
            false
        }
    }
}

/// Requirements that are accepted lead to a choice or to a refusal.
pub(crate) fn requirements(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let wanted: Requirements = match decode_yaml("f.yaml", text) {
        Ok(wanted) => wanted,
        Err(error) => {
            check_error(&error);
            return false;
        }
    };
    if let Err(error) = select(&wanted, &PRICED, &CostPolicy::default()) {
        check_refusal(&error.to_string(), &error.hint());
    }
    true
}

macro_rules! files {
    ($($path:literal),* $(,)?) => { vec![$(include_bytes!(concat!("../../../", $path)).to_vec()),*] };
}

pub(crate) fn template_seeds() -> Vec<Vec<u8>> {
    files![
        "templates/T1-minimal-test.yaml",
        "templates/T2-orchestrator.yaml",
        "templates/T3-persistent-store.yaml",
        "templates/T4-compute-heavy.yaml",
        "templates/T5-security-hardened.yaml",
        "templates/T6-observability.yaml",
        "templates/T7-full-stack-integration.yaml",
    ]
}

pub(crate) fn run_file_seeds() -> Vec<Vec<u8>> {
    files![
        "runs/T1-20260223.yaml",
        "runs/T2-20260223.yaml",
        "runs/T3-20260223.yaml",
        "runs/T4-20260223.yaml",
        "runs/T5-20260223.yaml",
        "runs/T6-20260223.yaml",
        "runs/T7-20260223.yaml",
    ]
}

pub(crate) fn price_list_seeds() -> Vec<Vec<u8>> {
    files!["prices/2026-10.yaml"]
}

pub(crate) fn requirements_seeds() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 3] = [
        b"database: pg\nobject_storage: true\nblock_storage_gib: 10\nnodes_min: 2\nttl_seconds: 28800\n",
        b"node_cpus: 4\nnode_memory_gib: 8\ntotal_cpus: 8\ntotal_memory_gib: 16\nzone: ch-dk-2\nclass: test\n",
        b"template: T4\nreplicas_min: 1\nreplicas_max: 3\nisolation: true\ncountry: at\nhourly_max: \"1.5\"\n",
    ];
    texts.map(<[u8]>::to_vec).into()
}
