//! What Docker prints for the same templates: parity/12_images_format and 15_inspect, and the
//! documentation of Go's text/template.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::Value;

use super::*;

/// A row like those of `docker images`.
struct Row;

impl Record for Row {
    const TYPE: &'static str = "*formatter.imageContext";

    fn field(&self, name: &str) -> Option<Value> {
        let labels = BTreeMap::from([("tier".to_owned(), "web".to_owned())]);
        match name {
            "Tag" => Some(Value::String("1.1-rc".into())),
            "ID" => Some(Value::String("a457cd9c8ca5".into())),
            "Labels" => Some(text_map(&labels)),
            "Layers" => Some(text_list(&["a".to_owned(), "b".to_owned()])),
            "Nothing" => Some(nil_list()),
            "Inner" => Some(record(Self)),
            _ => None,
        }
    }

    fn json(&self) -> String {
        r#"{"b":"\u003c","a":1}"#.to_owned()
    }
}

fn rendered(source: &str) -> Result<String, String> {
    let template = Template::parse(source).map_err(|error| error.to_string())?;
    let mut text = String::new();
    template
        .render(&record(Row), &mut text)
        .map_err(|error| error.to_string())?;
    Ok(text)
}

fn ok(source: &str) -> String {
    rendered(source).unwrap()
}

#[test]
fn has_docker_s_functions() {
    assert_eq!(
        ok("{{upper .Tag}} {{lower \"AbC\"}} {{title \"one two_three 4x\"}}"),
        "1.1-RC abc One Two_three 4x"
    );
    assert_eq!(
        ok(r#"{{join (split .Tag ".") "-"}} {{truncate .ID 5}}"#),
        "1-1-rc a457c"
    );
    assert_eq!(ok("{{pad .Tag 2 3}}|{{pad \"\" 2 3}}|"), "  1.1-rc   ||");
    assert_eq!(
        ok(r#"{{json .Layers}} {{json .Nothing}} {{json .Labels}} {{json "<"}}"#),
        r#"["a","b"] null {"tier":"web"} "<""#
    );
    assert_eq!(
        ok(r#"{{printf "%-10s|" .ID}} {{len .Tag}} {{println "x"}}"#),
        "a457cd9c8ca5| 6 x\n"
    );
    assert_eq!(ok(r#"{{.Tag | upper | printf "%q"}}"#), "\"1.1-RC\"");
}

#[test]
fn has_go_s_actions() {
    assert_eq!(
        ok("{{range $i, $v := .Layers}}{{$i}}={{$v}} {{end}}"),
        "0=a 1=b "
    );
    assert_eq!(
        ok(r#"{{if eq .ID "x" "a457cd9c8ca5"}}yes{{else}}no{{end}}"#),
        "yes"
    );
    assert_eq!(
        ok("{{with .Inner}}{{.ID}} {{$.Tag}}{{end}}"),
        "a457cd9c8ca5 1.1-rc"
    );
    assert_eq!(ok("{{range .Nothing}}x{{else}}none{{end}}"), "none");
    assert_eq!(
        ok("{{$x := .Inner}}{{$x.Inner.Tag}} {{(.Inner).ID}}"),
        "1.1-rc a457cd9c8ca5"
    );
    assert_eq!(
        ok("{{define \"t\"}}<{{.ID}}>{{end}}{{template \"t\" .}}"),
        "<a457cd9c8ca5>"
    );
    assert_eq!(
        ok("{{.Layers}} {{.Labels}} {{.Nothing}}"),
        "[a b] map[tier:web] []"
    );
}

#[test]
fn tells_structs_from_maps() {
    assert_eq!(ok("{{.Labels.tier}} {{.Labels.nosuch}}"), "web <no value>");
    assert_eq!(
        ok(r#"{{index .Labels "tier"}}|{{index .Labels "nosuch"}}|"#),
        "web||"
    );
    assert_eq!(
        rendered("{{.NoSuch}}").unwrap_err(),
        "template parsing error: template: :1:2: executing \"\" at <.NoSuch>: can't evaluate \
         field NoSuch in type *formatter.imageContext"
    );
    assert_eq!(
        rendered("a\n{{.ID}} {{.Inner.NoSuch}}")
            .unwrap_err()
            .split(" executing ")
            .next(),
        Some("template parsing error: template: :2:16:")
    );
}

#[test]
fn a_struct_s_json_keeps_its_order() {
    assert_eq!(ok("{{json .}}"), r#"{"b":"\u003c","a":1}"#);
    assert_eq!(ok("{{json .Inner}}"), r#"{"b":"\u003c","a":1}"#);
}

#[test]
fn refuses_what_go_refuses() {
    assert_eq!(
        rendered("{{.ID").unwrap_err(),
        "template parsing error: template: :1: unclosed action"
    );
    assert_eq!(
        rendered("{{nosuch .ID}}").unwrap_err(),
        "template parsing error: template: :1: function \"nosuch\" not defined"
    );
    for source in [
        "{{if}}x{{end}}",
        "{{end}}",
        "{{range .ID}}x{{end}}",
        "{{join .ID \",\"}}",
        "{{pad .ID 99999999999 1}}",
        "{{truncate .ID -1}}",
        "{{upper .Layers}}",
    ] {
        assert!(rendered(source).is_err(), "{source}");
    }
}

#[test]
fn a_strict_run_refuses_a_missing_key() {
    let template = Template::parse("{{.a.b}} {{.Variant}}").unwrap();
    let raw = from_json(&serde_json::json!({"a": {"b": 1}}));
    let mut text = String::new();
    let error = template.render_strict(&raw, &mut text).unwrap_err();
    assert_eq!(
        error.to_string(),
        "template parsing error: template: :1:11: executing \"\" at <.Variant>: map has no entry \
         for key \"Variant\""
    );
    assert_eq!(text, "");
}

#[test]
fn headers_pass_functions_unchanged() {
    let template = Template::parse("{{upper .Tag}}|{{truncate .ID 2}}|{{pad .ID 1 1}}").unwrap();
    let headers = [("Tag", "Tag"), ("ID", "IMAGE ID")]
        .map(|(field, name)| (Arc::from(field), Value::String(name.into())));
    let mut text = String::new();
    template
        .render_header(&Value::Map(Arc::new(headers.into())), &mut text)
        .unwrap();
    assert_eq!(text, "Tag|IMAGE ID| IMAGE ID ");
}

proptest::proptest! {
    /// Texts near templates.
    #[test]
    fn any_text_is_rendered_or_refused(
        parts in proptest::collection::vec(
            "\\{\\{|\\}\\}|\\.|\\.ID|\\.Layers|\\.Inner|if |end|else|range |with |json |index |\"|\\(|\\)|\\||é|[a-z $:=0-9]{0,4}",
            0..12,
        ),
    ) {
        let source = parts.concat();
        if let Ok(template) = Template::parse(&source) {
            let (mut text, mut header) = (String::new(), String::new());
            drop(template.render(&record(Row), &mut text));
            drop(template.render_header(&nil_map(), &mut header));
        }
    }
}

/// What Docker 28.5 says of the same templates.
#[test]
#[allow(clippy::too_many_lines, reason = "most lines are a table")]
fn issue_12_errors_have_go_s_words() {
    for (source, words) in [
        ("{{if}}x{{end}}", ":1: missing value for if"),
        ("{{with}}a{{end}}", ":1: missing value for with"),
        ("{{range}}a{{end}}", ":1: missing value for range"),
        ("a\n{{}}", ":2: missing value for command"),
        ("{{.ID", ":1: unclosed action"),
        ("{{/* a }}", ":1: unclosed comment"),
        ("{{end}}", ":1: unexpected {{end}}"),
        ("a\n{{.ID}}{{end}}", ":2: unexpected {{end}}"),
        ("{{else}}", ":1: unexpected {{else}}"),
        ("{{if .ID}}x", ":1: unexpected EOF"),
        (
            "{{if .ID}}{{range .Layers}}x{{end}}\n",
            ":2: unexpected EOF",
        ),
        ("{{define \"a\"}}", ":1: unexpected EOF"),
        ("{{break}}", ":1: {{break}} outside {{range}}"),
        ("{{nosuch .ID}}", ":1: function \"nosuch\" not defined"),
        ("{{$x}}", ":1: undefined variable \"$x\""),
        (
            "{{if .ID}}{{$x := 1}}{{end}}{{$x}}",
            ":1: undefined variable \"$x\"",
        ),
        ("{{\"abc}}", ":1: unterminated quoted string"),
        ("{{(.ID}}", ":1: unclosed left paren"),
        ("{{.ID)}}", ":1: unexpected right paren"),
        ("{{'ab'}}", ":1: malformed character constant: 'ab'"),
        ("{{block}}", ":1: unexpected \"}}\" in block clause"),
        ("{{ .ID := 1}}", ":1: unexpected \":=\" in operand"),
        (
            "{{index .Layers 9}}",
            ":1:2: executing \"\" at <index .Layers 9>: error calling index: index out of range: 9",
        ),
        (
            "{{index .Layers 2}}",
            ":1:2: executing \"\" at <index .Layers 2>: error calling index: reflect: slice index out of range",
        ),
        (
            "{{index .Layers -1}}",
            ":1:2: executing \"\" at <index .Layers -1>: error calling index: index out of range: -1",
        ),
        (
            "{{index .Layers \"a\"}}",
            ":1:2: executing \"\" at <index .Layers \"a\">: error calling index: cannot index slice/array with type string",
        ),
        (
            "x {{.ID}} {{index .ID 999}}",
            ":1:12: executing \"\" at <index .ID 999>: error calling index: index out of range: 999",
        ),
        (
            "{{.ID | upper | index 1}}",
            ":1:16: executing \"\" at <index 1>: error calling index: can't index item of type int",
        ),
        (
            "{{slice .ID 0 99}}",
            ":1:2: executing \"\" at <slice .ID 0 99>: error calling slice: index out of range: 99",
        ),
        (
            "{{slice .ID 3 1}}",
            ":1:2: executing \"\" at <slice .ID 3 1>: error calling slice: invalid slice index: 3 > 1",
        ),
        (
            "{{len 3}}",
            ":1:2: executing \"\" at <len 3>: error calling len: len of type int",
        ),
        (
            "{{lt 1 \"a\"}}",
            ":1:2: executing \"\" at <lt 1 \"a\">: error calling lt: incompatible types for comparison: int and string",
        ),
        (
            "{{eq .ID}}",
            ":1:2: executing \"\" at <eq .ID>: error calling eq: missing argument for comparison",
        ),
        (
            "{{upper}}",
            ":1:2: executing \"\" at <upper>: wrong number of args for upper: want 1 got 0",
        ),
        (
            "{{upper .ID .ID}}",
            ":1:2: executing \"\" at <upper>: wrong number of args for upper: want 1 got 2",
        ),
        (
            "{{.ID | upper .ID}}",
            ":1:8: executing \"\" at <upper>: wrong number of args for upper: want 1 got 2",
        ),
        (
            "{{printf}}",
            ":1:2: executing \"\" at <printf>: wrong number of args for printf: want at least 1 got 0",
        ),
        (
            "{{and}}",
            ":1:2: executing \"\" at <and>: wrong number of args for and: want at least 1 got 0",
        ),
        (
            "{{upper .Layers}}",
            ":1:8: executing \"\" at <.Layers>: wrong type for value; expected string; got []interface {}",
        ),
        (
            "{{join .ID \",\"}}",
            ":1:7: executing \"\" at <.ID>: wrong type for value; expected []string; got string",
        ),
        (
            "{{truncate .ID \"a\"}}",
            ":1:15: executing \"\" at <\"a\">: expected integer; found \"a\"",
        ),
        (
            "{{upper 7}}",
            ":1:8: executing \"\" at <7>: expected string; found 7",
        ),
        (
            "{{range .ID}}{{end}}",
            ":1:8: executing \"\" at <.ID>: range can't iterate over a457cd9c8ca5",
        ),
        (
            "{{template \"x\"}}",
            ":1:11: executing \"\" at <{{template \"x\"}}>: template \"x\" not defined",
        ),
        (
            "{{1 2}}",
            ":1:2: executing \"\" at <1>: can't give argument to non-function 1",
        ),
        (
            "{{.ID .Tag}}",
            ":1:2: executing \"\" at <.ID>: ID is not a method but has arguments",
        ),
        (
            "{{nil}}",
            ":1:2: executing \"\" at <nil>: nil is not a command",
        ),
        (
            "{{.ID.Foo}}",
            ":1:5: executing \"\" at <.ID.Foo>: can't evaluate field Foo in type string",
        ),
        (
            "{{$x := 1}}{{$x.Foo}}",
            ":1:15: executing \"\" at <$x.Foo>: can't evaluate field Foo in type int",
        ),
        (
            "{{define \"t\"}}{{upper}}{{end}}{{template \"t\" .}}",
            ":1:16: executing \"t\" at <upper>: wrong number of args for upper: want 1 got 0",
        ),
    ] {
        let error = rendered(source).unwrap_err();
        assert_eq!(
            error,
            format!("template parsing error: template: {words}"),
            "{source}"
        );
    }
}

#[test]
fn a_call_that_is_not_run_does_not_fail() {
    assert_eq!(
        ok("{{if false}}{{upper}}{{index .Layers 9}}{{template \"x\"}}{{end}}ok"),
        "ok"
    );
    assert_eq!(ok("{{or .ID (index .Layers 9)}}"), "a457cd9c8ca5");
    assert_eq!(
        ok("{{range $i, $l := .Layers}}{{if $i}}{{break}}{{end}}{{$l}}{{end}}"),
        "a"
    );
    assert_eq!(
        ok("{{/* {{end}} */}}{{\"{{end}}\"}}{{- \" x\" -}} "),
        "{{end}} x"
    );
}

struct Timed;

impl Record for Timed {
    const TYPE: &'static str = "timed";

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Time" => Some(record(GoTime::utc("2024-01-05T06:07:08.090Z".parse().ok()))),
            "Zero" => Some(record(GoTime::utc(None))),
            "Length" => Some(record(GoDuration(90_000_000_000))),
            _ => None,
        }
    }

    fn json(&self) -> String {
        "{}".to_owned()
    }
}

/// Go 1.24's `time.Time` and `time.Duration`, as Docker 28.5 prints them.
#[test]
#[allow(clippy::too_many_lines, reason = "most lines are a table")]
fn issue_12_times_are_go_s() {
    for (source, expected) in [
        ("{{.Time}}", "2024-01-05 06:07:08.09 +0000 UTC"),
        (
            "{{json .Time}} {{json .Zero}}",
            "\"2024-01-05T06:07:08.09Z\" \"0001-01-01T00:00:00Z\"",
        ),
        (
            "{{.Zero}} {{.Zero.IsZero}} {{.Time.IsZero}}",
            "0001-01-01 00:00:00 +0000 UTC true false",
        ),
        (
            "{{.Time.Year}} {{.Time.Month}} {{.Time.Day}} {{.Time.YearDay}} {{.Time.Weekday}}",
            "2024 January 5 5 Friday",
        ),
        (
            "{{.Time.Hour}}:{{.Time.Minute}}:{{.Time.Second}}.{{.Time.Nanosecond}}",
            "6:7:8.90000000",
        ),
        (
            "{{.Time.Unix}} {{.Time.UnixMilli}} {{.Time.UnixNano}}",
            "1704434828 1704434828090 1704434828090000000",
        ),
        ("{{printf \"%04d-%02d\" .Time.Year .Time.Month}}", "2024-01"),
        (
            "{{printf \"%s|%v|%q\" .Time .Time .Time.Month}}",
            "2024-01-05 06:07:08.09 +0000 UTC|2024-01-05 06:07:08.09 +0000 UTC|\"January\"",
        ),
        (
            "{{.Time.Format \"2006-01-02 15:04:05\"}}",
            "2024-01-05 06:07:08",
        ),
        (
            "{{.Time.Format \"Mon, _2 Jan 06 03:04PM MST Z07:00\"}}",
            "Fri,  5 Jan 24 06:07AM UTC Z",
        ),
        (
            "{{$t := .Time}}{{$t.Format \"02/01\"}} {{(.Time).Format \"1-2\"}} {{with .Time}}{{.Format \"2006\"}}{{end}}",
            "05/01 1-5 2024",
        ),
        (
            "{{.Zero.Before .Time}} {{.Time.Before .Zero}} {{eq .Time .Time}} {{.Time.UTC.String}} {{.Time.Location}}",
            "true false true 2024-01-05 06:07:08.09 +0000 UTC UTC",
        ),
        ("{{html .Time}}", "2024-01-05 06:07:08.09 +0000 UTC"),
        ("{{print .Length 1 \"x\" .Length}}", "1m30s 1x1m30s"),
        (
            "{{.Length}} {{json .Length}} {{.Length.Seconds}} {{printf \"%d\" .Length}} {{eq .Length 90000000000}}",
            "1m30s 90000000000 90 90000000000 true",
        ),
    ] {
        let mut text = String::new();
        Template::parse(source)
            .unwrap()
            .render(&record(Timed), &mut text)
            .unwrap();
        assert_eq!(text, expected, "{source}");
    }
    let failed = |source: &str| {
        let template = Template::parse(source).unwrap();
        template
            .render(&record(Timed), &mut String::new())
            .unwrap_err()
            .to_string()
    };
    assert!(failed("{{.Time.Nope}}").ends_with("can't evaluate field Nope in type time.Time"));
    assert!(failed("{{.Time.Year.Foo}}").ends_with("can't evaluate field Foo in type int"));
    assert!(failed("{{.Time.Year 3}}").ends_with("Year is not a method but has arguments"));
}
