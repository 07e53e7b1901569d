//! From text to instructions: continued lines, comments, flags, and what stands behind them.

use super::{Mistake, Result, mistake};

/// Bounds a line, in bytes. Docker's limit.
const LINE_MAX: usize = 65_535;

/// One instruction: `HEALTHCHECK --retries=3 CMD ["x"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Its name, as it is written: `HEALTHCHECK`.
    pub(super) name: String,
    /// The whole of it, continued lines joined.
    pub(super) original: String,
    /// `--retries=3`.
    pub(super) flags: Vec<String>,
    /// `CMD`, `x`.
    pub(super) args: Vec<String>,
    /// Were the arguments a JSON list?
    pub(super) json: bool,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Instructions {
    pub(super) all: Vec<Instruction>,
    /// The character that escapes: `\`, or a backquote by a directive.
    pub(super) escape: char,
}

/// Reads instructions, one a line.
pub(super) fn read(text: &str) -> Result<Instructions> {
    let mut directives = Directives::default();
    let mut all = Vec::new();
    let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
    while let Some(line) = lines.next() {
        let line = short_enough(line)?.trim_start();
        directives.read(line)?;
        let line = if is_comment(line) { "" } else { line };
        let (part, mut more) = continued(line, directives.escape);
        let mut whole = part.to_owned();
        while more {
            let Some(next) = lines.next() else { break };
            let next = short_enough(next)?;
            if is_comment(next) || next.trim_start().is_empty() {
                continue;
            }
            let (part, again) = continued(next, directives.escape);
            whole.push_str(part);
            more = again;
        }
        if !whole.is_empty() {
            all.push(instruction(&whole, directives.escape)?);
        }
    }
    if all.is_empty() {
        return mistake("file with no instructions");
    }
    Ok(Instructions {
        all,
        escape: directives.escape,
    })
}

fn short_enough(line: &str) -> Result<&str> {
    if line.len() > LINE_MAX {
        return mistake(format!(
            "dockerfile line greater than max allowed size of {LINE_MAX}"
        ));
    }
    Ok(line)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// A line without the escape character at its end, if the next line continues it.
fn continued(line: &str, escape: char) -> (&str, bool) {
    let end = line.trim_end_matches([' ', '\t']);
    match end.strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest, true),
        _ => (line, false),
    }
}

/// The lines at the top that look like comments and are none: `# escape=` and its like.
struct Directives {
    escape: char,
    seen: Vec<String>,
    done: bool,
}

impl Default for Directives {
    fn default() -> Self {
        Self {
            escape: '\\',
            seen: Vec::new(),
            done: false,
        }
    }
}

impl Directives {
    fn read(&mut self, line: &str) -> Result<()> {
        if self.done {
            return Ok(());
        }
        let Some((name, value)) = directive(line) else {
            self.done = true;
            return Ok(());
        };
        if self.seen.contains(&name) {
            return mistake(format!("only one {name} parser directive can be used"));
        }
        if name == "escape" {
            self.escape = match value {
                "\\" => '\\',
                "`" => '`',
                other => {
                    return mistake(format!(
                        "invalid escape token '{other}' does not match ` or \\"
                    ));
                }
            };
        }
        self.seen.push(name);
        Ok(())
    }
}

fn directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let name = name.trim().to_ascii_lowercase();
    let value = value.trim();
    let known = ["syntax", "escape", "check"].contains(&name.as_str());
    (known && !value.is_empty()).then_some((name, value))
}

/// Reads one instruction.
fn instruction(line: &str, escape: char) -> Result<Instruction> {
    let trimmed = line.trim();
    let (name, behind) = split_space(trimmed).unwrap_or((trimmed, ""));
    let (flags, rest) = flags(behind, escape);
    let rest = rest.trim();
    let lower = name.to_ascii_lowercase();
    let mut json = false;
    let args = match lower.as_str() {
        "env" | "label" => pairs(rest, &lower.to_ascii_uppercase(), escape)?,
        "cmd" | "entrypoint" | "run" | "shell" => {
            let read = json_list(rest)?;
            json = read.is_some();
            read.unwrap_or_else(|| whole(rest))
        }
        "volume" | "add" | "copy" => {
            let read = json_list(rest)?;
            json = read.is_some();
            read.unwrap_or_else(|| spaced(rest))
        }
        "healthcheck" => {
            let (kind, command) = rest
                .split_once(char::is_whitespace)
                .map_or((rest, ""), |(kind, command)| (kind, command.trim_start()));
            let read = json_list(command)?;
            json = read.is_some();
            let mut args = whole(kind);
            args.extend(read.unwrap_or_else(|| whole(command)));
            args
        }
        "expose" | "from" => spaced(rest),
        "onbuild" if !rest.is_empty() => {
            let trigger = split_space(rest).map_or(rest, |(name, _)| name);
            let child = instruction(last_trigger(rest, escape), escape)?;
            if has_heredoc(&child) {
                return mistake("ONBUILD with a here-document is not supported");
            }
            std::iter::once(trigger.to_owned())
                .chain(child.args)
                .collect()
        }
        "stopsignal" | "user" | "workdir" | "maintainer" => whole(rest),
        // Refused by name later on.
        _ => Vec::new(),
    };
    Ok(Instruction {
        name: name.to_owned(),
        original: line.to_owned(),
        flags,
        args,
        json,
    })
}

/// Returns the instruction behind any number of `ONBUILD`s. Triggers of triggers are refused later on; here they must
/// not take one call each, since a line may have thousands of them.
fn last_trigger(mut line: &str, escape: char) -> &str {
    while let Some((name, behind)) = split_space(line)
        && name.eq_ignore_ascii_case("onbuild")
    {
        let (_, rest) = flags(behind, escape);
        if rest.trim().is_empty() {
            break;
        }
        line = rest.trim();
    }
    line
}

/// The rest in one piece; nothing if there is none.
fn whole(rest: &str) -> Vec<String> {
    if rest.is_empty() {
        Vec::new()
    } else {
        vec![rest.to_owned()]
    }
}

const fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

fn spaced(rest: &str) -> Vec<String> {
    rest.split(is_space)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What stands before the first space, and behind it.
fn split_space(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.split_once(is_space)?;
    Some((first, rest.trim_start_matches(is_space)))
}

/// A JSON list of texts; `None` if it isn't JSON, which makes it the shell's.
fn json_list(rest: &str) -> Result<Option<Vec<String>>> {
    if !rest.starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(rest) else {
        return Ok(None);
    };
    let texts = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(Mistake(
            "when using JSON array syntax, arrays must be comprised of strings only".into(),
        )),
    });
    texts.collect::<Result<_>>().map(Some)
}

/// Does a command that a build would run read a document behind it (`RUN <<EOF`)?
fn has_heredoc(child: &Instruction) -> bool {
    let name = child.name.to_ascii_lowercase();
    let word = |word: &str| {
        let word = word.trim_start_matches(|c: char| c.is_ascii_digit());
        word.strip_prefix("<<")
            .is_some_and(|name| !name.starts_with('<'))
    };
    matches!(name.as_str(), "run" | "add" | "copy")
        && !child.json
        && child.original.split_whitespace().any(word)
}

/// `name=value name=value`, or the old `name value`: names and values in turn.
fn pairs(rest: &str, instruction: &str, escape: char) -> Result<Vec<String>> {
    let words = quoted_words(rest, escape);
    let Some(first) = words.first() else {
        return Ok(Vec::new());
    };
    if !first.contains('=') {
        let Some((name, value)) = split_space(rest) else {
            return mistake(format!("{instruction} must have two arguments"));
        };
        return Ok(vec![name.to_owned(), value.to_owned()]);
    }
    let mut all = Vec::new();
    for word in &words {
        let Some((name, value)) = word.split_once('=') else {
            return mistake(format!(
                "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
            ));
        };
        all.extend([name.to_owned(), value.to_owned()]);
    }
    Ok(all)
}

/// Splits at spaces that are neither quoted nor escaped. Quotes and escapes stay: `words` takes them away.
fn quoted_words(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let escapes = c == escape && quote != Some('\'');
        let next = if escapes { chars.next() } else { None };
        if escapes && next.is_none() {
            // An escape at the end escapes nothing.
            break;
        }
        let current = word.get_or_insert_default();
        current.push(c);
        current.extend(next);
        match quote {
            Some(open) if c == open => quote = None,
            None if !escapes && matches!(c, '\'' | '"') => quote = Some(c),
            _ => {}
        }
    }
    words.extend(word);
    words
}

/// Takes the words that begin with `--` off the front. `--` alone ends them.
fn flags(rest: &str, escape: char) -> (Vec<String>, &str) {
    let (mut flags, mut rest) = (Vec::new(), rest);
    loop {
        rest = rest.trim_start();
        if !rest.starts_with("--") {
            return (flags, rest);
        }
        let (word, behind) = flag(rest, escape);
        rest = behind;
        if word == "--" {
            return (flags, rest);
        }
        flags.push(word);
    }
}

/// One flag, its quotes taken away, and what stands behind it.
fn flag(text: &str, escape: char) -> (String, &str) {
    let (mut word, mut quote) = (String::new(), None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, &text[at..]),
            None if matches!(c, '\'' | '"') => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape => word.extend(chars.next().map(|(_, c)| c)),
            _ => word.push(c),
        }
    }
    (word, "")
}
