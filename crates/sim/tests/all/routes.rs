//! The document's table of operations is what the code says.

#[path = "../../examples/routes/table.rs"]
mod table;

#[test]
fn the_table_of_operations_is_that_of_the_code() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fidelity.md");
    let document = std::fs::read_to_string(path).unwrap();
    let renewed = table::renewed(&document).unwrap();
    assert!(document == renewed, "renew it: cargo run -p exokit-sim --example routes");
    assert!(
        table::table().lines().filter(|line| line.starts_with("| ") && line.ends_with(" served |")).count()
            > 90
    );
}
