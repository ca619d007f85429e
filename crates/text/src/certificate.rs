//! The proof at the end of a teardown.

use exokit_model::certificate::Certificate;
use exokit_model::text::join;

use crate::format::moment;

/// Formats a certificate, with what was left.
pub fn text(certificate: &Certificate) -> String {
    let body = &certificate.body;
    let zones: std::collections::BTreeSet<&str> =
        body.checked.iter().map(|checked| checked.zone.as_str()).collect();
    let kinds: std::collections::BTreeSet<_> = body.checked.iter().map(|checked| checked.kind).collect();
    let found: u64 = body.checked.iter().map(|checked| checked.found).sum();
    let verdict = if body.clean { "CLEAN" } else { "NOT CLEAN" };
    let mut text = format!(
        "Certificate of teardown: {verdict}\n  {} kinds in {} zones listed at {} UTC, {} recorded ids looked for, {found} found\n",
        kinds.len(),
        zones.len(),
        moment(body.checked_at),
        body.recorded_ids.len()
    );
    for checked in body.checked.iter().filter(|checked| checked.found > 0) {
        text.push_str(&format!(
            "  left: {} in {}: {}\n",
            checked.kind,
            checked.zone,
            join(&checked.ids, ", ")
        ));
    }
    text.push_str(&format!("  certificate {}\n", certificate.digest));
    text
}
