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
