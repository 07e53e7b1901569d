//! What Docker 28.5 answers to the same words.

use super::*;
use crate::command::Command as Run;

fn asked(program: Program, line: &str) -> Result<Asked> {
    read(
        program,
        line.split(' ')
            .filter(|word| !word.is_empty())
            .map(OsString::from)
            .collect(),
    )
}

fn refused(line: &str) -> (String, u8) {
    match asked(Program::Docker, line) {
        Err(Failure::Usage { text, code }) => (text, code),
        Err(other) => panic!("{line}: {other:?}"),
        Ok(_) => panic!("{line}: taken"),
    }
}

fn first_line(line: &str) -> (String, u8) {
    let (text, code) = refused(line);
    (text.lines().next().unwrap_or_default().to_owned(), code)
}

fn ran(line: &str) -> Run {
    match asked(Program::Wharf, line) {
        Ok(Asked::Run(cli, _)) => cli.command.unwrap(),
        Ok(Asked::Help(text) | Asked::Nothing(text)) => panic!("{line}: {text}"),
        Err(failure) => panic!("{line}: {failure:?}"),
    }
}

#[test]
fn flags_that_do_not_exist_are_refused_in_docker_s_words() {
    for (line, text) in [
        ("images --nosuch", "unknown flag: --nosuch"),
        ("images --nosuch=3", "unknown flag: --nosuch"),
        ("images -x", "unknown shorthand flag: 'x' in -x"),
        ("images -qxa", "unknown shorthand flag: 'x' in -xa"),
        ("--nosuch images", "unknown flag: --nosuch"),
        ("images --format", "flag needs an argument: --format"),
        ("images -f", "flag needs an argument: 'f' in -f"),
        ("images -qf", "flag needs an argument: 'f' in -f"),
        (
            "images -f broken",
            r#"invalid argument "broken" for "-f, --filter" flag: bad format of filter (expected name=value)"#,
        ),
        (
            "images --quiet=maybe",
            r#"invalid argument "maybe" for "-q, --quiet" flag: strconv.ParseBool: parsing "maybe": invalid syntax"#,
        ),
        (
            "history --human=x y",
            r#"invalid argument "x" for "-H, --human" flag: strconv.ParseBool: parsing "x": invalid syntax"#,
        ),
        (
            "push --compression=brotli x",
            r#"invalid argument "brotli" for "--compression" flag: must be one of: gzip zstd"#,
        ),
        ("image ls --nosuch", "unknown flag: --nosuch"),
        ("pull --root x y", "unknown flag: --root"),
    ] {
        assert_eq!(first_line(line), (text.to_owned(), 125), "{line}");
    }
    let (text, _) = refused("image list --nosuch");
    assert_eq!(
        text,
        "unknown flag: --nosuch\n\nUsage:  docker image ls [OPTIONS] [REPOSITORY[:TAG]]\n\n\
         Run 'docker image ls --help' for more information"
    );
}

#[test]
fn commands_that_do_not_exist_are_refused_in_docker_s_words() {
    let unknown =
        "docker: unknown command: docker nosuch\n\nRun 'docker --help' for more information";
    assert_eq!(refused("nosuch"), (unknown.to_owned(), 1));
    assert_eq!(refused("nosuch --flag"), (unknown.to_owned(), 1));
    assert_eq!(refused("--root x nosuch y"), (unknown.to_owned(), 1));
    assert_eq!(
        refused("image nosuch"),
        (
            "docker: unknown command: docker image nosuch\n\nUsage:  docker image\n\n\
             Run 'docker image --help' for more information"
                .to_owned(),
            1
        )
    );
}

#[test]
fn a_command_that_is_nearly_one_is_named() {
    for (line, meant) in [("imgaes", "images"), ("image pul x", "image pull")] {
        let (text, _) = refused(line);
        let meant = format!("\n\nDid you mean 'docker {meant}'?\n\n");
        assert!(text.contains(&meant), "{text}");
    }
}

#[test]
fn mistakes_before_the_command_are_the_program_s() {
    for (line, text) in [
        ("-x images", "unknown shorthand flag: 'x' in -x"),
        (
            "--debug=x images -q",
            r#"invalid argument "x" for "-D, --debug" flag: strconv.ParseBool: parsing "x": invalid syntax"#,
        ),
        ("--config", "flag needs an argument: --config"),
        ("--nosuch image ls", "unknown flag: --nosuch"),
    ] {
        let usage = "Usage:  docker [OPTIONS] COMMAND [ARG...]";
        let more = "Run 'docker --help' for more information";
        assert_eq!(
            refused(line),
            (format!("{text}\n\n{usage}\n\n{more}"), 125),
            "{line}"
        );
    }
    let (text, code) = refused("image --nosuch ls");
    assert!(
        text.contains("\nUsage:  docker image\n") && code == 125,
        "{text}"
    );
}

#[test]
fn commands_about_something_else_are_refused_in_one_line() {
    for (line, named, code) in [
        ("ps -a --format x", "docker ps", 1),
        ("run -it --rm x sh", "docker run", 125),
        ("container ls", "docker container", 1),
        ("build .", "docker build", 1),
        ("build --help", "docker build", 1),
        ("image build -t x .", "docker image build", 1),
        ("compose version", "docker compose", 1),
        ("-c default volume ls", "docker volume", 1),
        ("help run", "docker run", 1),
        ("system events", "docker system events", 1),
    ] {
        let (text, status) = refused(line);
        let begin = format!("docker: '{named}' is not supported: wharf manages images, and ");
        assert!(
            text.starts_with(&begin) && !text.contains('\n'),
            "{line}: {text}"
        );
        assert_eq!(status, code, "{line}");
    }
}

#[test]
fn docker_s_flags_before_the_command_are_read() {
    let line = "--config /c -c default --tls --tlscacert x -H unix:///var/run/docker.sock images";
    let Ok(Asked::Run(cli, _)) = asked(Program::Docker, line) else {
        panic!("not run");
    };
    assert_eq!((cli.config, cli.docker_config), (None, Some("/c".into())));
    let Ok(Asked::Run(cli, _)) = asked(Program::Wharf, "--config /c images") else {
        panic!("not run");
    };
    assert_eq!((cli.config, cli.docker_config), (Some("/c".into()), None));
    for line in ["-c other images", "-H tcp://elsewhere:2375 images"] {
        assert!(
            matches!(
                asked(Program::Docker, line),
                Err(Failure::Other { code: 1, .. })
            ),
            "{line}"
        );
    }
}

#[test]
fn flags_are_read_as_docker_reads_them() {
    for line in [
        "images -qa --format x y",
        "images y -q --format=x --all",
        "images --quiet=true --all=1 --format z --format x y",
        "images -q=true -a --format x -- y",
    ] {
        let text = format!("{:?}", ran(line));
        assert!(
            text.contains("quiet: true") && text.contains("all: true"),
            "{line}: {text}"
        );
        assert!(text.contains(r#"format: Some("x")"#), "{line}: {text}");
        assert!(text.contains(r#"names: ["y"]"#), "{line}: {text}");
    }
    let text = format!(
        "{:?}",
        ran("images -q --quiet=false -fa=1 -f b=2 --filter=A=3")
    );
    assert!(text.contains("quiet: false"), "{text}");
    assert!(
        text.contains(r#"filter: [("a", "1"), ("b", "2"), ("a", "3")]"#),
        "{text}"
    );
    let text = format!("{:?}", ran("history --human=false --format -x y"));
    assert!(
        text.contains("human: false") && text.contains(r#"Some("-x")"#),
        "{text}"
    );
}

#[test]
fn names_of_tag_are_never_flags() {
    let text = format!("{:?}", ran("tag a -b"));
    assert!(
        text.contains(r#"source: Some("a"), rest: ["-b"]"#),
        "{text}"
    );
    assert_eq!(
        first_line("tag -b a"),
        ("unknown shorthand flag: 'b' in -b".to_owned(), 125)
    );
}

#[test]
fn global_flags_stand_before_the_command() {
    let Ok(Asked::Run(cli, usage)) = asked(Program::Wharf, "-D -l warn --root /r image ls") else {
        panic!("not run");
    };
    assert!(cli.debug && cli.root == Some("/r".into()) && cli.log_level == Some("warn".into()));
    assert_eq!(usage.path(), "wharf image ls");
}

#[test]
fn a_wrong_number_of_arguments_is_refused_in_docker_s_words() {
    let usage = |line: &str| match asked(Program::Docker, line) {
        Ok(Asked::Run(_, usage)) => usage,
        _ => panic!("{line}"),
    };
    let text = |result: Result<()>| match result {
        Err(Failure::Usage { text, code: 1 }) => text,
        other => panic!("{other:?}"),
    };
    let two = ["a".to_owned(), "b".to_owned()];
    assert_eq!(
        text(usage("pull").exactly(&two, 1)),
        "docker: 'docker pull' requires 1 argument\n\nUsage:  docker pull [OPTIONS] \
         NAME[:TAG|@DIGEST]\n\nRun 'docker pull --help' for more information"
    );
    assert_eq!(
        text(usage("image rm").at_least(&[], 1)),
        "docker: 'docker image rm' requires at least 1 argument\n\nUsage:  docker image rm \
         [OPTIONS] IMAGE [IMAGE...]\n\nSee 'docker image rm --help' for more information"
    );
    assert!(text(usage("images").at_most(&two, 1)).contains("requires at most 1 argument\n"));
    assert!(text(usage("image prune").exactly(&two, 0)).contains("accepts no arguments\n"));
    assert!(usage("tag").exactly(&two, 2).is_ok());
}

#[test]
fn every_command_explains_itself() {
    for line in [
        "--help",
        "pull --help",
        "image ls --help",
        "images -h",
        "help pull",
        "store check --help",
        "help",
        "image --help",
        "serve registry --help",
    ] {
        match asked(Program::Wharf, line) {
            Ok(Asked::Help(text)) => {
                let help = text.strip_prefix("Flag shorthand -h has been deprecated, use --help\n");
                let help = help.unwrap_or(&text);
                assert!(help.starts_with("Usage:  wharf"), "{line}: {text}");
            }
            _ => panic!("{line}"),
        }
    }
    for line in ["", "image", "store"] {
        assert!(
            matches!(asked(Program::Wharf, line), Ok(Asked::Nothing(_))),
            "{line}"
        );
    }
    assert!(matches!(
        asked(Program::Wharf, "help nosuch"),
        Err(Failure::Other { .. })
    ));
}

#[test]
fn the_commands_are_consistent() {
    for program in [Program::Wharf, Program::Docker] {
        pflag::adapt(Cli::command(), program).debug_assert();
    }
}

proptest::proptest! {
    /// Words near the command line's own.
    #[test]
    fn any_words_are_run_explained_or_refused(
        words in proptest::collection::vec(
            "image|images|ls|pull|tag|-q|-qf|--quiet=|--filter|--format=|-h|--|-|--x|=|[a-z:=-]{0,6}",
            0..6,
        ),
    ) {
        let words = words.into_iter().map(OsString::from).collect();
        if let Err(Failure::Usage { text, code }) = read(Program::Wharf, words) {
            assert!(code == 1 || code == 125);
            let elsewhere = text.contains("' is not supported: ");
            assert!(elsewhere || text.ends_with(" --help' for more information"), "{text}");
        }
    }
}
