//! The subset of CEL that IAM policies of the tests and of exokit need.
//!
//! `operation in ['a','b']`, `==`, `!=`, `&&`, `||`, `!`, parentheses,
//! `true`/`false`, `x.startsWith('p')`, `x.endsWith`, `x.contains`,
//! `x.matches` is not: an expression outside the subset does not parse, and
//! what does not parse never allows anything.

use std::collections::BTreeMap;

/// A value of evaluation.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Bool(bool),
    Text(String),
    List(Vec<Value>),
    /// A dotted name such as `resources.bucket`, not yet looked up.
    Name(String),
    /// A run-time error of CEL: a name is unbound, or types do not fit.
    Error,
}

impl From<Option<bool>> for Value {
    fn from(verdict: Option<bool>) -> Self {
        verdict.map_or(Self::Error, Self::Bool)
    }
}

/// Names visible to an expression.
pub(crate) type Bindings = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(&'static str),
}

const SIGNS: [&str; 11] = ["&&", "||", "==", "!=", "!", "(", ")", "[", "]", ",", "."];
/// Deeper nesting is refused, so that no expression can exhaust the stack.
const MAX_DEPTH: usize = 32;

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(sign) = SIGNS.iter().find(|s| rest.starts_with(**s)) {
            out.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else if first == '\'' || first == '"' {
            let body = &rest[1..];
            let end = body.find(first).ok_or("unterminated string")?;
            if body[..end].contains('\\') {
                return Err("escapes in strings are not supported".to_owned());
            }
            out.push(Token::Text(body[..end].to_owned()));
            rest = &body[end + 1..];
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            out.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            return Err(format!("'{first}' is not supported"));
        }
        rest = rest.trim_start();
    }
    Ok(out)
}

/// Evaluates an expression while it reads it. Both sides of `&&` and `||` are
/// evaluated: nothing in the subset has an effect.
struct Parser<'b> {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    bindings: &'b Bindings,
}

/// Longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 4_096;

/// The verdict of an expression; `None` when a name is unbound or types do
/// not fit (a run-time error in CEL).
///
/// # Errors
/// Says what of the text lies outside the subset, whatever the bindings.
pub(crate) fn evaluate(text: &str, bindings: &Bindings) -> Result<Option<bool>, String> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(format!("it has {} bytes, at most {EXPRESSION_BYTES_MAX} are read", text.len()));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0, bindings };
    let value = parser.or()?;
    match parser.tokens.get(parser.at) {
        None => Ok(truth(value)),
        Some(token) => Err(format!("unexpected {token:?}")),
    }
}

fn truth(value: Value) -> Option<bool> {
    match value {
        Value::Bool(verdict) => Some(verdict),
        _ => None,
    }
}

/// Joins two operands of `||` (`decisive` is true) or `&&`. As in CEL, one side
/// may settle it although the other is an error.
fn join(decisive: bool, left: Option<bool>, right: Option<bool>) -> Value {
    match (left, right) {
        (Some(verdict), _) | (_, Some(verdict)) if verdict == decisive => Value::Bool(decisive),
        (Some(_), Some(_)) => Value::Bool(!decisive),
        _ => Value::Error,
    }
}

impl Parser<'_> {
    fn sign(&mut self, sign: &'static str) -> bool {
        let hit = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(hit);
        hit
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        if self.sign(sign) { Ok(()) } else { Err(format!("expected '{sign}'")) }
    }

    /// The value, names looked up; `None` for an error.
    fn known(&self, value: Value) -> Option<Value> {
        match value {
            Value::Name(name) => Some(Value::Text(self.bindings.get(&name)?.clone())),
            Value::Error => None,
            value => Some(value),
        }
    }

    fn or(&mut self) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("nested too deeply".to_owned());
        }
        let mut left = self.and()?;
        while self.sign("||") {
            let right = self.and()?;
            left = join(true, truth(left), truth(right));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Value, String> {
        let mut left = self.relation()?;
        while self.sign("&&") {
            let right = self.relation()?;
            left = join(false, truth(left), truth(right));
        }
        Ok(left)
    }

    fn relation(&mut self) -> Result<Value, String> {
        let left = self.unary()?;
        let negated = self.sign("!=");
        if negated || self.sign("==") {
            let right = self.unary()?;
            let both = self.known(left).zip(self.known(right));
            return Ok(both.map(|(left, right)| (left == right) != negated).into());
        }
        if self.tokens.get(self.at) == Some(&Token::Word("in".to_owned())) {
            self.at += 1;
            let right = self.unary()?;
            return Ok(match (self.known(left), right) {
                (Some(item), Value::List(items)) => Value::Bool(items.contains(&item)),
                _ => Value::Error,
            });
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Value, String> {
        let mut negated = false;
        while self.sign("!") {
            negated = !negated;
        }
        let inner = self.member()?;
        Ok(if negated { truth(inner).map(|verdict| !verdict).into() } else { inner })
    }

    fn member(&mut self) -> Result<Value, String> {
        let mut value = self.atom()?;
        while self.sign(".") {
            let Some(Token::Word(word)) = self.tokens.get(self.at).cloned() else {
                return Err("expected a name after '.'".to_owned());
            };
            self.at += 1;
            value = match value {
                value if self.sign("(") => self.method(value, &word)?,
                Value::Name(name) => Value::Name(format!("{name}.{word}")),
                _ => return Err("a field of something that has none".to_owned()),
            };
        }
        Ok(value)
    }

    /// Calls a method whose opening parenthesis was read.
    fn method(&mut self, target: Value, method: &str) -> Result<Value, String> {
        if !["startsWith", "endsWith", "contains", "has"].contains(&method) {
            return Err(format!("function '{method}' is not supported"));
        }
        let argument = self.or()?;
        self.expect(")")?;
        Ok(match (method, target, self.known(argument)) {
            // `parameters.has('type')`: whether a field is bound.
            ("has", Value::Name(name), Some(Value::Text(field))) => {
                Value::Bool(self.bindings.contains_key(&format!("{name}.{field}")))
            }
            ("has", ..) => Value::Error,
            (_, target, Some(Value::Text(part))) => match (method, self.known(target)) {
                ("startsWith", Some(Value::Text(text))) => Value::Bool(text.starts_with(&part)),
                ("endsWith", Some(Value::Text(text))) => Value::Bool(text.ends_with(&part)),
                (_, Some(Value::Text(text))) => Value::Bool(text.contains(&part)),
                _ => Value::Error,
            },
            _ => Value::Error,
        })
    }

    fn atom(&mut self) -> Result<Value, String> {
        if self.sign("(") {
            let inner = self.or()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.sign("[") {
            return self.list();
        }
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        match token {
            Some(Token::Text(text)) => Ok(Value::Text(text)),
            Some(Token::Word(word)) if word == "true" => Ok(Value::Bool(true)),
            Some(Token::Word(word)) if word == "false" => Ok(Value::Bool(false)),
            Some(Token::Word(word)) => Ok(Value::Name(word)),
            Some(token) => Err(format!("unexpected {token:?}")),
            None => Err("the expression ends too early".to_owned()),
        }
    }

    fn list(&mut self) -> Result<Value, String> {
        let mut items = Vec::new();
        while !self.sign("]") {
            let item = self.or()?;
            items.push(self.known(item));
            if !self.sign(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(items.into_iter().collect::<Option<_>>().map_or(Value::Error, Value::List))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_the_subset() {
        let bindings: Bindings =
            [("operation", "get-object"), ("resources.bucket", "p-one"), ("parameters.bucket", "p-one")]
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect();
        let cases = [
            ("operation in ['get-object', 'put-object']", Some(true)),
            ("operation in ['put-object']", Some(false)),
            ("operation == \"get-object\" && resources.bucket == 'p-one'", Some(true)),
            ("resources.bucket.startsWith('p-')", Some(true)),
            ("!resources.bucket.startsWith('p-')", Some(false)),
            ("!(operation == 'x' || parameters.bucket == 'other')", Some(true)),
            ("parameters.has('bucket') && !parameters.has('key')", Some(true)),
            ("resources.key == 'x'", None),
            ("resources.key == 'x' || true", Some(true)),
            ("operation != 'x'", Some(true)),
            ("'text'", None),
        ];
        for (text, verdict) in cases {
            assert_eq!(evaluate(text, &bindings), Ok(verdict), "{text}");
        }
    }

    #[test]
    fn the_rest_does_not_parse() {
        let deep = "(".repeat(500) + "true" + &")".repeat(500);
        let chain = "true||".repeat(100_000) + "true";
        for text in ["", "a +", "1 == 1", "operation.matches('x')", "a == 'x", "a b", "[a", &deep, &chain] {
            assert!(evaluate(text, &Bindings::new()).is_err(), "{text}");
        }
    }
}
