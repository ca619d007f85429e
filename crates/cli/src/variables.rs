//! Variables as a shell reads them.

/// A line that sets a variable. No value breaks out of its quotes.
pub(crate) fn line(name: &str, value: &str) -> String {
    format!("{name}='{}'\n", value.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_breaks_out_of_its_variable() {
        assert_eq!(line("NAME", "it's; rm -rf $HOME"), "NAME='it'\\''s; rm -rf $HOME'\n");
    }
}
