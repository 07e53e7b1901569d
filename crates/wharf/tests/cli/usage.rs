//! Help, mistakes on the command line, and the name by which the program was called.

use std::os::unix::fs::symlink;

use wharf_testkit::Wharf;

use super::wharf;

/// The program, called as `docker`.
fn docker() -> (Wharf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("docker");
    symlink(env!("CARGO_BIN_EXE_wharf"), &link).unwrap();
    (Wharf::new(link), folder)
}

#[test]
fn help_has_docker_s_layout() {
    assert_eq!(
        wharf().ok(["image", "--help"]),
        "Usage:  wharf image COMMAND

Manage images

Commands:
  history     Show how an image was built
  import      Make an image of an archive of files
  inspect     Say everything about images, as JSON or by a template
  load        Load images from a tar archive or standard input
  ls          List the images that are here
  prune       Remove images that nobody needs
  pull        Fetch images from a registry
  push        Send images to their registry
  rm          Remove images, or names of them
  save        Save images to a tar archive (to standard output by default)
  search      Search Docker Hub, or another registry that has a search
  tag         Give an image a further name

Run 'wharf image COMMAND --help' for more information on a command.
"
    );
    assert_eq!(
        wharf().ok(["image", "list", "--help"]),
        "Usage:  wharf image ls [OPTIONS] [REPOSITORY[:TAG]]

List the images that are here

Aliases:
  wharf image ls, wharf image list, wharf images

Options:
  -a, --all             Show intermediate images too
      --digests         Show digests
  -f, --filter filter   Show only what fits: before, dangling, label,
                        reference, since, until
      --format string   Print by a template: \"table\", \"table TEMPLATE\",
                        \"json\", or a Go template
      --no-trunc        Print IDs and digests in full
  -q, --quiet           Print IDs only
      --tree            Show the platforms of each image as a tree
                        (EXPERIMENTAL)
"
    );
    let history = wharf().ok(["help", "history"]);
    assert!(
        history.contains("-H, --human             Print sizes"),
        "{history}"
    );
    assert!(history.contains("for people (default true)"), "{history}");
}

#[test]
fn without_a_command_the_commands_are_listed_on_standard_error() {
    let output = wharf().run(Vec::<&str>::new());
    assert_eq!((output.stdout.as_str(), output.code), ("", Some(0)));
    for part in [
        "Usage:  wharf [OPTIONS] COMMAND\n",
        "\nCommon Commands:\n  pull ",
        "\nManagement Commands:\n  image ",
        "\nCommands:\n  cat ",
        "\nGlobal Options:\n",
    ] {
        assert!(
            output.stderr.contains(part),
            "{part:?} is missing in {}",
            output.stderr
        );
    }
}

#[test]
fn mistakes_are_explained_on_standard_error() {
    for (words, code, text) in [
        (
            &["pull"][..],
            1,
            "wharf: 'wharf pull' requires at least 1 argument\n\nUsage:  wharf pull [OPTIONS] NAME[:TAG|@DIGEST]...\n\nSee 'wharf pull --help' for more information\n",
        ),
        (
            &["tag", "a"],
            1,
            "wharf: 'wharf tag' requires 2 arguments\n\nUsage:  wharf tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]\n\nRun 'wharf tag --help' for more information\n",
        ),
        (
            &["nosuch"],
            1,
            "wharf: unknown command: wharf nosuch\n\nRun 'wharf --help' for more information\n",
        ),
        (
            &["images", "-x"],
            125,
            "unknown shorthand flag: 'x' in -x\n\nUsage:  wharf images [OPTIONS] [REPOSITORY[:TAG]]\n\nRun 'wharf images --help' for more information\n",
        ),
        (
            &["pull", "-a", "x:1"],
            1,
            "Error: tag can't be used with --all-tags/-a\n",
        ),
        (&["pull", "--platform", "a/b/c/d", "x:1"], 1, "Error: "),
        (
            &["-l", "loud", "images"],
            1,
            "Error: Unable to parse logging level: loud\n",
        ),
        (
            &["pull", "a b"],
            1,
            "Error: invalid reference format\nhint: \"a b\" is not NAME[:TAG|@DIGEST]\n",
        ),
        (
            &["tag", "x", "X:1"],
            1,
            "Error parsing reference: \"X:1\" is not a valid repository/tag: invalid reference format: repository name (library/X) must be lowercase\n",
        ),
        (
            &["inspect", "--type", "thing", "x"],
            1,
            "Error: unknown type: \"thing\"",
        ),
        (
            &["inspect", "-f", "{{.Id", "x"],
            64,
            "Error: template parsing error: template: :1: unclosed action\n",
        ),
    ] {
        let output = wharf().run(words);
        assert_eq!(
            (output.stdout.as_str(), output.code),
            ("", Some(code)),
            "{words:?}"
        );
        assert!(
            output.stderr.starts_with(text),
            "{words:?}: {}",
            output.stderr
        );
    }
}

#[test]
fn a_link_called_docker_speaks_of_docker() {
    let (docker, _folder) = docker();
    let output = docker.run(["pull", "one", "two"]);
    assert_eq!((output.stdout.as_str(), output.code), ("", Some(1)));
    assert_eq!(
        output.stderr,
        "docker: 'docker pull' requires 1 argument\n\nUsage:  docker pull [OPTIONS] \
         NAME[:TAG|@DIGEST]\n\nRun 'docker pull --help' for more information\n"
    );
    assert!(
        docker
            .ok(["image", "pull", "--help"])
            .starts_with("Usage:  docker image pull [OPTIONS] NAME")
    );
}

#[test]
fn says_its_version() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        wharf().ok(["--version"]),
        format!("wharf version {version}\n")
    );
    assert_eq!(wharf().ok(["-v"]), format!("wharf version {version}\n"));
    assert!(
        wharf()
            .ok(["version"])
            .contains(&format!(" Version:           {version}\n"))
    );
    assert_eq!(
        wharf().ok(["version", "-f", "{{.Client.Version}}"]),
        format!("{version}\n")
    );
}

/// Scripts match `Docker version 28.5.2, build abc`.
#[test]
fn issue_12_called_as_docker_the_version_has_docker_s_form() {
    let (docker, _folder) = docker();
    for flag in ["--version", "-v"] {
        let line = docker.ok([flag]);
        let rest = line.strip_prefix("Docker version ").unwrap();
        let (version, build) = rest.split_once(", build ").unwrap();
        assert!(
            version.split('.').all(|part| part.parse::<u32>().is_ok()),
            "{line}"
        );
        assert_eq!(version.split('.').count(), 3, "{line}");
        assert_eq!(build, format!("wharf-{}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn version_and_help_need_neither_settings_nor_a_store() {
    let wharf = wharf();
    wharf.config("no settings at all");
    wharf.ok(["--version"]);
    wharf.ok(["pull", "--help"]);
    assert!(!wharf.root().exists());
}
