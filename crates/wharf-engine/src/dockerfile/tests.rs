use super::*;

fn config(changes: &[&str]) -> Result<serde_json::Value, String> {
    let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
    let applied = apply(&changes).map_err(|error| error.to_string())?;
    Ok(serde_json::to_value(applied).unwrap())
}

fn field(change: &str, name: &str) -> String {
    config(&[change]).unwrap()[name].to_string()
}

#[test]
fn no_change_is_an_empty_config_in_docker_s_order() {
    let text = serde_json::to_string(&apply(&[]).unwrap()).unwrap();
    assert_eq!(
        text,
        r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null}"#
    );
}

#[test]
fn every_instruction_sets_its_field() {
    for (change, name, expected) in [
        (r#"CMD ["/bin/x", "a b"]"#, "Cmd", r#"["/bin/x","a b"]"#),
        (
            "CMD echo $HOME  x",
            "Cmd",
            r#"["/bin/sh","-c","echo $HOME  x"]"#,
        ),
        ("CMD [1", "Cmd", r#"["/bin/sh","-c","[1"]"#),
        ("CMD []", "Cmd", "[]"),
        ("cmd", "Cmd", r#"["/bin/sh","-c"]"#),
        (r#"ENTRYPOINT ["/e"]"#, "Entrypoint", r#"["/e"]"#),
        ("ENTRYPOINT []", "Entrypoint", "null"),
        (
            r#"ENV A=1 B="two words""#,
            "Env",
            r#"["A=1","B=two words"]"#,
        ),
        (r"ENV A=two\ words", "Env", r#"["A=two words"]"#),
        ("ENV A the   rest", "Env", r#"["A=the   rest"]"#),
        ("ENV A=1 A=2", "Env", r#"["A=2"]"#),
        ("LABEL k=v 'x y'='$z'", "Labels", r#"{"k":"v","x y":"$z"}"#),
        (
            "EXPOSE 80 53/udp 8000-8002",
            "ExposedPorts",
            r#"{"53/udp":{},"80/tcp":{},"8000/tcp":{},"8001/tcp":{},"8002/tcp":{}}"#,
        ),
        (
            "EXPOSE 127.0.0.1:8080:80/TCP",
            "ExposedPorts",
            r#"{"80/tcp":{}}"#,
        ),
        ("WORKDIR /a/../w/./x/", "WorkingDir", r#""/w/x""#),
        ("USER u:g", "User", r#""u:g""#),
        ("VOLUME /v /w", "Volumes", r#"{"/v":{},"/w":{}}"#),
        (r#"VOLUME ["/a b"]"#, "Volumes", r#"{"/a b":{}}"#),
        ("STOPSIGNAL SIGRTMIN+3", "StopSignal", r#""SIGRTMIN+3""#),
        ("STOPSIGNAL 9", "StopSignal", r#""9""#),
        ("ONBUILD  RUN make  x", "OnBuild", r#"["RUN make  x"]"#),
        ("HEALTHCHECK NONE", "Healthcheck", r#"{"Test":["NONE"]}"#),
        (
            "HEALTHCHECK --interval=1m30s --retries=3 --start-period=500ms CMD curl x || exit 1",
            "Healthcheck",
            r#"{"Interval":90000000000,"Retries":3,"StartPeriod":500000000,"Test":["CMD-SHELL","curl x || exit 1"]}"#,
        ),
        (
            r#"HEALTHCHECK CMD ["a"]"#,
            "Healthcheck",
            r#"{"Test":["CMD","a"]}"#,
        ),
    ] {
        assert_eq!(field(change, name), expected, "{change}");
    }
}

#[test]
fn an_instruction_sees_the_variables_of_those_before_it() {
    let all = config(&[
        "ENV A=one B=",
        "ENV A=two C=${A}",
        "ENV D=${X:-d} E=${A:+e} F=${B:-empty} G=${B-unset} H=${A#t} I=${A%%w*} J=${A/o/0}",
        "LABEL l=\"$A $C\" m='$A' n=\\$A",
        "WORKDIR /w",
        "WORKDIR $A",
        "ENV P=\"80 81\"",
        "EXPOSE $P",
        "USER ${A}",
    ])
    .unwrap();
    assert_eq!(
        all["Env"].to_string(),
        r#"["A=two","B=","C=one","D=d","E=e","F=empty","G=","H=wo","I=t","J=tw0","P=80 81"]"#
    );
    assert_eq!(
        all["Labels"].to_string(),
        r#"{"l":"two one","m":"$A","n":"$A"}"#
    );
    assert_eq!(all["WorkingDir"], "/w/two");
    assert_eq!(all["User"], "two");
    assert_eq!(
        all["ExposedPorts"].to_string(),
        r#"{"80/tcp":{},"81/tcp":{}}"#
    );
}

#[test]
fn an_entry_point_takes_the_command_away_unless_one_was_given() {
    let all = config(&["ENTRYPOINT [\"/e\"]", "CMD a"]).unwrap();
    assert_eq!(all["Cmd"][2], "a");
    let all = config(&["CMD [\"a\"]", "ENTRYPOINT /e"]).unwrap();
    assert_eq!(all["Cmd"][0], "a");
}

#[test]
fn lines_go_on_behind_an_escape_and_comments_count_for_nothing() {
    let all = config(&[
        "# a comment",
        "ENV A=1 \\",
        "  # another",
        "",
        "  B=2",
        "USER x",
    ])
    .unwrap();
    assert_eq!(all["Env"].to_string(), r#"["A=1","B=2"]"#);
    assert_eq!(all["User"], "x");
    let all = config(&["# escape=`", "ENV A=1` 2 `", "B=\\"]).unwrap();
    assert_eq!(all["Env"].to_string(), r#"["A=1 2","B=\\"]"#);
}

/// An instruction, and what is said of it.
const MISTAKES: &[(&str, &str)] = &[
    (
        "HEALTHCHECK --interva=1s CMD x",
        "unknown flag: --interva (did you mean interval?)",
    ),
    ("", "file with no instructions"),
    ("NOSUCH 1", "NOSUCH is not a valid change command"),
    ("RUN true", "RUN is not a valid change command"),
    ("SHELL [\"a\"]", "SHELL is not a valid change command"),
    ("ENV", "ENV requires at least one argument"),
    ("ENV A", "ENV must have two arguments"),
    (
        "ENV A=1 B",
        "Syntax error - can't find = in \"B\". Must be of the form: name=value",
    ),
    ("ENV =1", "ENV names can not be blank"),
    ("LABEL", "LABEL requires at least one argument"),
    ("USER", "USER requires exactly one argument"),
    ("WORKDIR", "WORKDIR requires exactly one argument"),
    ("WORKDIR $X", "cannot normalize nothing"),
    ("VOLUME []", "VOLUME requires at least one argument"),
    (
        "VOLUME [\" \"]",
        "VOLUME specified can not be an empty string",
    ),
    (
        "CMD [1]",
        "when using JSON array syntax, arrays must be comprised of strings only",
    ),
    ("CMD --x y", "unknown flag: --x"),
    ("EXPOSE x", "invalid containerPort: x"),
    ("EXPOSE 80/xyz", "invalid proto: xyz"),
    ("EXPOSE 99999", "invalid containerPort: 99999"),
    ("STOPSIGNAL SIGX", "invalid signal: SIGX"),
    ("STOPSIGNAL 0", "invalid signal: 0"),
    ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
    (
        "ONBUILD ONBUILD RUN x",
        "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed",
    ),
    ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
    ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
    (
        "HEALTHCHECK X y",
        "Unknown type \"X\" in HEALTHCHECK (try CMD)",
    ),
    ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
    (
        "HEALTHCHECK --interval=5 CMD x",
        "time: missing unit in duration \"5\"",
    ),
    (
        "HEALTHCHECK --interval=5x CMD x",
        "time: unknown unit \"x\" in duration \"5x\"",
    ),
    (
        "HEALTHCHECK --interval=1us CMD x",
        "Interval \"interval\" cannot be less than 1ms",
    ),
    (
        "HEALTHCHECK --retries=-1 CMD x",
        "--retries cannot be negative (-1)",
    ),
    (
        "HEALTHCHECK --retries=x CMD x",
        "strconv.ParseInt: parsing \"x\": invalid syntax",
    ),
    (
        "HEALTHCHECK --retries=1 --retries=2 CMD x",
        "duplicate flag specified: --retries",
    ),
    (
        "ENV A='x",
        "failed to process \"'x\": unexpected end of statement while looking for matching single-quote",
    ),
    (
        "ENV A=${x",
        "failed to process \"${x\": unsupported modifier (\u{fffd}) in substitution",
    ),
    (
        "ENV A=${x:?}",
        "failed to process \"${x:?}\": x: is not allowed to be unset",
    ),
    (
        "ENV A=${x!y}",
        "failed to process \"${x!y}\": unsupported modifier (!) in substitution",
    ),
];

#[test]
fn mistakes_are_told_in_docker_s_words() {
    for (change, expected) in MISTAKES {
        assert_eq!(config(&[change]).unwrap_err(), *expected, "{change}");
    }
}

#[test]
fn deep_nesting_and_long_patterns_end_in_an_error() {
    let deep = format!("ENV A={}x{}", "${a:-".repeat(10_000), "}".repeat(10_000));
    assert!(config(&[&deep]).unwrap_err().contains("too deeply"));
    let long = "*a".repeat(15_000);
    let (first, second) = (format!("ENV A={long}"), format!("ENV B=${{A//{long}b/x}}"));
    assert!(config(&[&first, &second]).unwrap_err().contains("too long"));
}

proptest::proptest! {
    #[test]
    fn whatever_is_written_nothing_panics(
        name in "(?i)(cmd|entrypoint|env|label|expose|healthcheck|onbuild|stopsignal|user|volume|workdir|x)",
        rest in "([ \t\\\\\"'$={}\\[\\],:/#%*?+-]|[a-c0-9é`\r\n]|--interval=|CMD |ONBUILD ){0,40}",
    ) {
        // An error is as good an answer as a config; only a panic is none.
        drop(config(&["ENV a=abc b=", &format!("{name} {rest}")]));
    }
}

#[test]
fn a_chain_of_triggers_is_refused_however_long_it_is() {
    for (chain, end) in [
        ("ONBUILD ", "RUN x"),
        ("onbuild\t", "RUN x"),
        ("ONBUILD --a=b ", "RUN x"),
        ("OnBuild  ", "ENV a=b"),
        ("ONBUILD ", ""),
    ] {
        // As many as fit into a line of 65,535 bytes.
        for count in [1, 2, 4_000] {
            let line = format!("ONBUILD {}{end}", chain.repeat(count));
            let error = config(&[&line]).unwrap_err();
            assert!(error.contains("Chaining ONBUILD"), "{chain:?}: {error}");
        }
    }
}
