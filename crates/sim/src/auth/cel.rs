//! The subset of CEL that IAM policies of the tests and of exokit need.
//!
//! `operation in ['a','b']`, `==`, `!=`, `&&`, `||`, `!`, parentheses,
//! `true`/`false`, `x.startsWith('p')`, `x.endsWith`, `x.contains`,
//! `x.matches` is not: an expression outside the subset does not parse, and
//! what does not parse never allows anything.

use std::collections::BTreeMap;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Bool(bool),
    Text(String),
    List(Vec<Expr>),
    /// A dotted name such as `resources.bucket`.
    Name(String),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Equal(Box<Expr>, Box<Expr>),
    NotEqual(Box<Expr>, Box<Expr>),
    In(Box<Expr>, Box<Expr>),
    Method(Box<Expr>, Method, Box<Expr>),
}

/// The string methods known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    StartsWith,
    EndsWith,
    Contains,
    Has,
}

/// A value of evaluation.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Bool(bool),
    Text(String),
    List(Vec<Value>),
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

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

/// Longest expression, in bytes. Chains of operators and methods nest as deep
/// as they are long, and evaluation follows them down the stack.
const EXPRESSION_BYTES_MAX: usize = 4_096;

/// Parses `text`, or says what of it lies outside the subset.
pub(crate) fn parse(text: &str) -> Result<Expr, String> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(format!("it has {} bytes, at most {EXPRESSION_BYTES_MAX} are read", text.len()));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let expr = parser.or()?;
    match parser.tokens.get(parser.at) {
        None => Ok(expr),
        Some(token) => Err(format!("unexpected {token:?}")),
    }
}

impl Parser {
    fn sign(&mut self, sign: &'static str) -> bool {
        let hit = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(hit);
        hit
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        if self.sign(sign) { Ok(()) } else { Err(format!("expected '{sign}'")) }
    }

    fn or(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("nested too deeply".to_owned());
        }
        let mut left = self.and()?;
        while self.sign("||") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, String> {
        let mut left = self.relation()?;
        while self.sign("&&") {
            left = Expr::And(Box::new(left), Box::new(self.relation()?));
        }
        Ok(left)
    }

    fn relation(&mut self) -> Result<Expr, String> {
        let left = self.unary()?;
        if self.sign("==") {
            return Ok(Expr::Equal(Box::new(left), Box::new(self.unary()?)));
        }
        if self.sign("!=") {
            return Ok(Expr::NotEqual(Box::new(left), Box::new(self.unary()?)));
        }
        if self.tokens.get(self.at) == Some(&Token::Word("in".to_owned())) {
            self.at += 1;
            return Ok(Expr::In(Box::new(left), Box::new(self.unary()?)));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, String> {
        let mut negations = 0;
        while self.sign("!") {
            negations += 1;
        }
        let inner = self.member()?;
        Ok(if negations % 2 == 1 { Expr::Not(Box::new(inner)) } else { inner })
    }

    fn member(&mut self) -> Result<Expr, String> {
        let mut expr = self.atom()?;
        while self.sign(".") {
            let Some(Token::Word(word)) = self.tokens.get(self.at).cloned() else {
                return Err("expected a name after '.'".to_owned());
            };
            self.at += 1;
            if self.sign("(") {
                let method = match word.as_str() {
                    "startsWith" => Method::StartsWith,
                    "endsWith" => Method::EndsWith,
                    "contains" => Method::Contains,
                    "has" => Method::Has,
                    other => return Err(format!("function '{other}' is not supported")),
                };
                let argument = self.or()?;
                self.expect(")")?;
                expr = Expr::Method(Box::new(expr), method, Box::new(argument));
            } else if let Expr::Name(name) = expr {
                expr = Expr::Name(format!("{name}.{word}"));
            } else {
                return Err("a field of something that has none".to_owned());
            }
        }
        Ok(expr)
    }

    fn atom(&mut self) -> Result<Expr, String> {
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
            Some(Token::Text(text)) => Ok(Expr::Text(text)),
            Some(Token::Word(word)) if word == "true" => Ok(Expr::Bool(true)),
            Some(Token::Word(word)) if word == "false" => Ok(Expr::Bool(false)),
            Some(Token::Word(word)) => Ok(Expr::Name(word)),
            Some(token) => Err(format!("unexpected {token:?}")),
            None => Err("the expression ends too early".to_owned()),
        }
    }

    fn list(&mut self) -> Result<Expr, String> {
        let mut items = Vec::new();
        while !self.sign("]") {
            items.push(self.or()?);
            if !self.sign(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(Expr::List(items))
    }
}

/// The verdict of an expression; `None` when a name is unbound or types do
/// not fit (a run-time error in CEL).
pub(crate) fn evaluate(expr: &Expr, bindings: &Bindings) -> Option<bool> {
    match value(expr, bindings)? {
        Value::Bool(verdict) => Some(verdict),
        Value::Text(_) | Value::List(_) => None,
    }
}

fn truth(expr: &Expr, bindings: &Bindings) -> Option<bool> {
    evaluate(expr, bindings)
}

fn value(expr: &Expr, bindings: &Bindings) -> Option<Value> {
    Some(match expr {
        Expr::Bool(b) => Value::Bool(*b),
        Expr::Text(text) => Value::Text(text.clone()),
        Expr::List(items) => {
            Value::List(items.iter().map(|item| value(item, bindings)).collect::<Option<_>>()?)
        }
        Expr::Name(name) => Value::Text(bindings.get(name)?.clone()),
        Expr::Not(inner) => Value::Bool(!truth(inner, bindings)?),
        // As in CEL, one side may settle it although the other is an error.
        Expr::And(a, b) => match (truth(a, bindings), truth(b, bindings)) {
            (Some(false), _) | (_, Some(false)) => Value::Bool(false),
            (a, b) => Value::Bool(a? && b?),
        },
        Expr::Or(a, b) => match (truth(a, bindings), truth(b, bindings)) {
            (Some(true), _) | (_, Some(true)) => Value::Bool(true),
            (a, b) => Value::Bool(a? || b?),
        },
        Expr::Equal(a, b) => Value::Bool(value(a, bindings)? == value(b, bindings)?),
        Expr::NotEqual(a, b) => Value::Bool(value(a, bindings)? != value(b, bindings)?),
        Expr::In(item, list) => match value(list, bindings)? {
            Value::List(items) => Value::Bool(items.contains(&value(item, bindings)?)),
            Value::Bool(_) | Value::Text(_) => return None,
        },
        Expr::Method(target, Method::Has, argument) => has(target, argument, bindings)?,
        Expr::Method(target, method, argument) => {
            let (Value::Text(text), Value::Text(part)) =
                (value(target, bindings)?, value(argument, bindings)?)
            else {
                return None;
            };
            Value::Bool(match method {
                Method::StartsWith => text.starts_with(&part),
                Method::EndsWith => text.ends_with(&part),
                Method::Contains | Method::Has => text.contains(&part),
            })
        }
    })
}

/// `parameters.has('type')`: whether a field is bound.
fn has(target: &Expr, argument: &Expr, bindings: &Bindings) -> Option<Value> {
    let (Expr::Name(name), Value::Text(field)) = (target, value(argument, bindings)?) else {
        return None;
    };
    Some(Value::Bool(bindings.contains_key(&format!("{name}.{field}"))))
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
            assert_eq!(evaluate(&parse(text).expect(text), &bindings), verdict, "{text}");
        }
    }

    #[test]
    fn the_rest_does_not_parse() {
        let deep = "(".repeat(500) + "true" + &")".repeat(500);
        let chain = "true||".repeat(100_000) + "true";
        for text in ["", "a +", "1 == 1", "operation.matches('x')", "a == 'x", "a b", "[a", &deep, &chain] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
