//! Bounds what a template makes of a row.
//!
//! A text that a template puts together out of itself doubles with each step, and loops within
//! loops multiply.

use std::fmt;

use gotmpl::{FuncMap, TemplateError, Value};

/// Bounds a function's result, in bytes. Labels and commands of images have a few KiB.
const RESULT_MAX: usize = 8 * 1024 * 1024;

/// Bounds a row, in bytes, so that a row and its buffer stay below 64 MB. A config has at most 4 MiB,
/// and its JSON is little longer.
const ROW_MAX: usize = 16 * 1024 * 1024;

/// Bounds the turns of all loops of a row. The longest list of an image, its history, has some
/// hundreds.
pub(super) const TURNS_MAX: u64 = 1_000_000;

/// Bounds the parts of a text that is split: each takes some 50 bytes.
pub(super) const PARTS_MAX: usize = 100_000;

/// How wide the library makes a number at most, in bytes, whatever width is asked for.
const WIDTH_MAX: usize = u16::MAX as usize;

/// Puts a bound before and behind all functions whose result can be longer than their arguments.
pub(super) fn bound(functions: &mut FuncMap, names: &[&'static str]) {
    for &name in names {
        let Some(inner) = functions.remove(name) else {
            continue;
        };
        let bounded = move |args: &[Value]| {
            if reckoned(name, args) > RESULT_MAX {
                return Err(too_long(name));
            }
            let result = inner(args)?;
            if size(&result) > RESULT_MAX {
                return Err(too_long(name));
            }
            Ok(result)
        };
        functions.insert(name.to_owned(), std::sync::Arc::new(bounded));
    }
}

/// Reckons how long a result can be, before any of it is made.
fn reckoned(name: &str, args: &[Value]) -> usize {
    let all = args.iter().map(size).fold(0, usize::saturating_add);
    match (name, args) {
        ("printf", [Value::String(format), rest @ ..]) => {
            // A verb can name any argument, so each can be the longest.
            let longest = rest.iter().map(size).max().unwrap_or(0);
            let verbs = format.matches('%').count();
            let wide = format.split('%').skip(1).filter(|verb| has_width(verb));
            verbs
                .saturating_mul(longest)
                .saturating_add(wide.count().saturating_mul(WIDTH_MAX))
                .saturating_add(all)
        }
        ("join", [Value::List(parts), separator, ..]) => {
            all.saturating_add(parts.len().saturating_mul(size(separator)))
        }
        _ => all,
    }
}

/// Is there a width or a precision behind a `%`, up to the verb's letter?
fn has_width(verb: &str) -> bool {
    let mut flags = verb.chars().take_while(|c| !c.is_ascii_alphabetic());
    // `[1]` is an argument's number.
    let mut inside = false;
    flags.any(|c| {
        inside = (inside || c == '[') && c != ']';
        !inside && (c.is_ascii_digit() || c == '*')
    })
}

fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::List(values) => values.iter().map(size).fold(0, usize::saturating_add),
        Value::Map(map) => map
            .iter()
            .map(|(key, value)| key.len().saturating_add(size(value)))
            .fold(0, usize::saturating_add),
        _ => 0,
    }
}

fn too_long(name: &str) -> TemplateError {
    let reason = format!("its result is longer than {RESULT_MAX} bytes");
    TemplateError::Exec(format!(
        "template: executing \"\": error calling {name}: {reason}"
    ))
}

/// A row, up to its bound.
#[derive(Default)]
pub(super) struct Row {
    pub(super) text: String,
    full: bool,
}

impl Row {
    /// The error of a row that was cut off by its bound, if it was.
    pub(super) fn excess(&self) -> Option<TemplateError> {
        self.full.then(|| {
            let reason = format!("the result is longer than {ROW_MAX} bytes");
            TemplateError::Exec(format!("template: executing \"\": {reason}"))
        })
    }
}

impl fmt::Write for Row {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.text.len() + text.len() > ROW_MAX {
            self.full = true;
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Template;
    use super::*;

    fn rendered(source: &str) -> Result<String, String> {
        let mut text = String::new();
        let template = Template::parse(source).map_err(|error| error.to_string())?;
        let done = template.render(&Value::Nil, &mut text);
        done.map(|()| text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_text_that_doubles_ends() {
        let start = r#"{{$x := "aaaaaaaa"}}"#;
        for step in [
            "{{$x = print $x $x}}",
            "{{$x = println $x $x}}",
            r#"{{$x = printf "%s%s" $x $x}}"#,
            r#"{{$x = printf "%[1]s%[1]s" $x}}"#,
            r#"{{$x = join (split (printf "%s,%s" $x $x) ",") $x}}"#,
            r#"{{$x = html (print $x "<" $x)}}"#,
            r#"{{$x = js (print $x "<" $x)}}"#,
            r#"{{$x = urlquery (print $x "<" $x)}}"#,
            "{{$x = pad (print $x $x) 9 9}}",
            "{{$x = json (print $x $x)}}",
        ] {
            let error = rendered(&format!("{start}{}", step.repeat(40))).unwrap_err();
            assert!(error.contains("is longer than"), "{step}: {error}");
        }
    }

    #[test]
    fn widths_loops_and_parts_have_bounds() {
        let wide = r#"{{printf "F" 1}}"#.replace('F', &"%99999d".repeat(1000));
        assert!(rendered(&wide).unwrap_err().contains("is longer than"));
        let text = r#"{{$x := printf "%65000d" 1}}"#.to_owned() + &"{{$x}}".repeat(600);
        assert!(rendered(&text).unwrap_err().contains("is longer than"));
        let loops = r#"{{range split "a,b,c,d,e,f,g,h,i,j" ","}}"#.repeat(9) + &"{{end}}".repeat(9);
        assert!(rendered(&loops).unwrap_err().contains("budget"));
        let parts = r#"{{$x := printf "%65000d" 1}}{{len (split (print $x $x) "")}}"#;
        assert!(rendered(parts).unwrap_err().contains("parts"));
    }

    #[test]
    fn what_is_usual_stays() {
        assert_eq!(
            rendered(r#"{{printf "%-5s|%[1]s" "ab"}}"#).unwrap(),
            "ab   |ab"
        );
        assert_eq!(rendered(r#"{{print "a" 1 2 "b"}}"#).unwrap(), "a1 2b");
        assert_eq!(rendered(r#"{{html "<"}}{{js "'"}}"#).unwrap(), "&lt;\\'");
        assert_eq!(
            rendered(r#"{{join (split "a,b" ",") "-"}}"#).unwrap(),
            "a-b"
        );
    }
}
