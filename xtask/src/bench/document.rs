//! The document of benchmarks: sections that are replaced one by one.

/// What stands above all sections.
const HEAD: &str = "# Benchmarks\n\n\
    Each section is the output of the command in its first line, on the machine and day that it names.";

/// What a section begins with.
const MARK: &str = "## ";

/// The document with the section `title` as it is now. Sections stand in the
/// order of `titles`; others, which nobody here knows, stand behind them.
pub(super) fn with_section(document: &str, titles: &[&str], title: &str, body: &str) -> String {
    let mut sections = sections(document);
    sections.retain(|(old, _)| *old != title);
    let body = body.trim();
    sections.push((title, body));
    // The sort is stable: the unknown ones keep their order.
    sections.sort_by_key(|(title, _)| titles.iter().position(|known| known == title).unwrap_or(titles.len()));
    let sections = sections.iter().map(|(title, body)| format!("\n\n{MARK}{title}\n\n{body}"));
    format!("{HEAD}{}\n", sections.collect::<String>())
}

/// The sections with their titles.
fn sections(document: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = document;
    while let Some(start) = find_mark(rest) {
        let (title, after) =
            rest[start + MARK.len()..].split_once('\n').unwrap_or((&rest[start + MARK.len()..], ""));
        let end = find_mark(after).unwrap_or(after.len());
        found.push((title.trim(), after[..end].trim()));
        rest = &after[end..];
    }
    found
}

/// Where the next section begins: at the start of a line.
fn find_mark(text: &str) -> Option<usize> {
    match text.starts_with(MARK) {
        true => Some(0),
        false => text.find(&format!("\n{MARK}")).map(|before| before + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLES: &[&str] = &["One", "Two", "Three"];

    #[track_caller]
    fn check(sections: &str, title: &str, body: &str, expected: &str) {
        let found = with_section(&format!("# Old head\n\n{sections}"), TITLES, title, body);
        assert_eq!(found, format!("{HEAD}\n\n{expected}\n"));
        assert_eq!(with_section(&found, TITLES, title, body), found, "a second time changes nothing");
    }

    #[test]
    fn one_section_is_replaced_and_the_others_stay() {
        let old = "## One\n\na\n\n### part\n\nb\n\n## Two\nc\n## Three\n\nd";
        check(old, "Two", "\nnew\n\n", "## One\n\na\n\n### part\n\nb\n\n## Two\n\nnew\n\n## Three\n\nd");
    }

    #[test]
    fn a_new_section_comes_to_its_place() {
        check("## Three\n\nd", "One", "a", "## One\n\na\n\n## Three\n\nd");
        check("", "Two", "b", "## Two\n\nb");
        check("## By hand\n\nx\n\n## Two\n\nb", "One", "a", "## One\n\na\n\n## Two\n\nb\n\n## By hand\n\nx");
    }

    #[test]
    fn an_empty_document_gets_its_head() {
        assert_eq!(with_section("", TITLES, "One", "a"), format!("{HEAD}\n\n## One\n\na\n"));
    }
}
