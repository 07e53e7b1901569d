//! What Go refuses in a template before it runs, and the library does not notice or says otherwise.

use gotmpl::TemplateError;

/// Checks that each block has its end. Returns the error in Go's words: the library reads what is behind
/// a surplus end no more, and takes a template that ends within a block.
pub(super) fn check_blocks(source: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    for (at, word) in keywords(source) {
        let line = line(source, at);
        match word {
            "if" | "with" | "range" | "define" | "block" => open.push(word),
            "end" if open.pop().is_none() => {
                return Err(format!("template: :{line}: unexpected {{{{end}}}}"));
            }
            "else" if !matches!(open.last(), Some(&("if" | "with" | "range"))) => {
                return Err(format!("template: :{line}: unexpected {{{{else}}}}"));
            }
            "break" | "continue" if !open.contains(&"range") => {
                return Err(format!(
                    "template: :{line}: {{{{{word}}}}} outside {{{{range}}}}"
                ));
            }
            _ => {}
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    Err(format!(
        "template: :{}: unexpected EOF",
        line(source, source.len())
    ))
}

/// The first word of each action, and where it is.
fn keywords(source: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = source[at..].find("{{").map(|found| at + found + 2) {
        let inner = &source[start..];
        let inner = inner
            .strip_prefix('-')
            .filter(|rest| rest.starts_with([' ', '\t', '\r', '\n']))
            .map_or(inner, str::trim_start);
        if let Some(comment) = inner.strip_prefix("/*") {
            let end = comment
                .find("*/")
                .map_or(source.len(), |end| source.len() - comment.len() + end);
            at = end;
            continue;
        }
        let trimmed = inner.trim_start();
        let length = trimmed
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(trimmed.len());
        found.push((start, &trimmed[..length]));
        at = end_of_action(source, start);
    }
    found
}

/// Where an action ends; braces in quotes do not end it.
fn end_of_action(source: &str, start: usize) -> usize {
    let bytes = source.as_bytes();
    let (mut at, mut quote) = (start, None);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(b'"' | b'\''), b'\\') => at += 1,
            (Some(open), byte) if open == byte => quote = None,
            (None, byte @ (b'"' | b'\'' | b'`')) => quote = Some(byte),
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return at + 2,
            _ => {}
        }
        at += 1;
    }
    source.len()
}

fn line(source: &str, at: usize) -> usize {
    1 + source
        .bytes()
        .take(at)
        .filter(|byte| *byte == b'\n')
        .count()
}

/// A parser's error in Go's words.
pub(super) fn in_go_s_words(error: &TemplateError, source: &str) -> String {
    let (TemplateError::Parse {
        line, col, message, ..
    }
    | TemplateError::Lex {
        line, col, message, ..
    }) = error
    else {
        return format!("template: executing \"\": {error}");
    };
    format!("template: :{line}: {}", words(message, source, *line, *col))
}

fn words(message: &str, source: &str, line: usize, column: usize) -> String {
    let before = source
        .lines()
        .nth(line.saturating_sub(1))
        .unwrap_or_default();
    let before = before.get(..column.saturating_sub(1)).unwrap_or(before);
    let action = before.rfind("{{").map_or(before, |at| &before[at + 2..]);
    let keyword = action.trim_start_matches('-').trim_start();
    let keyword = keyword
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();
    match message {
        "empty command" => {
            let context = match keyword {
                "if" | "with" | "range" | "template" | "block" => keyword,
                _ => "command",
            };
            format!("missing value for {context}")
        }
        "unterminated string" => "unterminated quoted string".to_owned(),
        "unterminated raw string" => "unterminated raw quoted string".to_owned(),
        "unterminated character literal" => {
            let mut parts = source
                .lines()
                .nth(line.saturating_sub(1))
                .unwrap_or_default()
                .split('\'');
            match (parts.next(), parts.next(), parts.next()) {
                (Some(_), Some(inner), Some(_)) => {
                    format!("malformed character constant: '{inner}'")
                }
                _ => "unterminated character constant".to_owned(),
            }
        }
        "define expects a string name" => "unexpected \"}}\" in define clause".to_owned(),
        "template expects a string name" => "unexpected \"}}\" in template clause".to_owned(),
        "block expects a string name" => "unexpected \"}}\" in block clause".to_owned(),
        other if other.starts_with("expected RightParen") => "unclosed left paren".to_owned(),
        other if other.contains("got RightParen") => "unexpected right paren".to_owned(),
        other if other.contains("got Declare") => "unexpected \":=\" in operand".to_owned(),
        other if other.contains("got Assign") => "unexpected \"=\" in operand".to_owned(),
        other => other
            .strip_prefix("invalid char literal: ")
            .map(|text| format!("malformed character constant: {text}"))
            .or_else(|| {
                let text = other.strip_prefix("invalid number: ")?;
                Some(format!("bad number syntax: {text:?}"))
            })
            .unwrap_or_else(|| other.to_owned()),
    }
}
