//! No input, however made, brings a reader to a panic or past its limits.

use exokit_templates::{FILE_BYTES_MAX, RunFile, Template, TemplateSet, prices};
use proptest::prelude::*;

fn read_all(set: &TemplateSet, text: &str) {
    for lenient in [false, true] {
        if let Err(error) = RunFile::decode("f.yaml", text, set, lenient) {
            assert!(error.line >= 1 && error.column >= 1, "{error}");
            assert!(!error.hint().is_empty(), "{error}");
            assert!(error.to_string().len() < 2_000, "{error}");
        }
    }
    let _ = Template::decode("f.yaml", text);
    let _ = prices::decode("f.yaml", text);
}

const SEEDS: [&str; 3] = [
    include_str!("../../../../runs/T3-20260223.yaml"),
    include_str!("../../../../templates/T3-persistent-store.yaml"),
    include_str!("../../../../prices/2026-10.yaml"),
];

#[test]
fn bombs_and_hidden_characters_are_refused() {
    let set = TemplateSet::embedded().unwrap();
    let deep = format!("project_name: {}x{}", "[".repeat(5_000), "]".repeat(5_000));
    let wide = format!("project_name: [{}]", "1,".repeat(300_000));
    let large = format!("project_name: {}", "x".repeat(FILE_BYTES_MAX));
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 8].join(",");
        bomb.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
    }
    let merge = "a: &a {b: 1}\nproject_name: p\ndatabase: {<<: *a}".to_owned();
    for text in [
        deep,
        wide,
        large,
        bomb,
        merge,
        "project_name: p\0".to_owned(),
        "project_name: \"p\\0\"".to_owned(),
        "project_name: p # \u{202e}".to_owned(),
        "project_name: \"\\u2066p\"".to_owned(),
        "project_name: p\u{200b}".to_owned(),
    ] {
        read_all(&set, &text);
        let shown: String = text.chars().take(40).collect();
        assert!(RunFile::decode("f", &text, &set, true).is_err(), "{shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}|[ -~\\n]{0,300}") {
        read_all(&TemplateSet::embedded().unwrap(), &text);
    }

    #[test]
    fn any_damage_to_a_good_file_is_answered(
        seed in 0..SEEDS.len(),
        at in 0..2_000usize,
        removed in 0..40usize,
        put in "[\\[\\]{}:&*!|>'\"%@`#,?\\n -]{0,4}|\\PC{0,6}|[0-9eE.xo_+-]{1,12}",
    ) {
        let seed = SEEDS[seed];
        let start = (0..=at.min(seed.len())).rev().find(|i| seed.is_char_boundary(*i)).unwrap();
        let end = (start..=(start + removed).min(seed.len())).rev().find(|i| seed.is_char_boundary(*i)).unwrap();
        let text = format!("{}{put}{}", &seed[..start], &seed[end..]);
        read_all(&TemplateSet::embedded().unwrap(), &text);
    }

    #[test]
    fn any_value_of_any_key_is_answered(
        key in prop::sample::select(vec!["node_count", "service_version", "project_name", "exoscale_zone", "database", "resources", "node_labels", "sks_addons"]),
        value in "\\PC{0,40}|[0-9eE.xo_+-]{1,40}|true|null|~|\\{[a-z]{1,8}: [a-z0-9]{0,8}\\}|\\[[a-z0-9, ]{0,20}\\]",
    ) {
        let text = format!("project_name: p\n{key}: {value}\n");
        read_all(&TemplateSet::embedded().unwrap(), &text);
    }
}
