//! Writes the table of operations into `docs/fidelity.md`:
//! `cargo run -p exokit-sim --example routes`.

mod table;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fidelity.md");
    let document = std::fs::read_to_string(&path)?;
    let renewed = table::renewed(&document).ok_or("docs/fidelity.md has no mark for the table")?;
    std::fs::write(&path, renewed)?;
    Ok(())
}
